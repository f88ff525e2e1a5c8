"""In which order the tasks of a trace come, and how many of them."""

import random
from collections.abc import Sequence

from windlass_server.scheduler.packing.fleet import Task
from windlass_server.simulation.trace import Trace, demand_of


def arrivals(trace: Trace, demand: float, seed: int) -> list[Task]:
    """The tasks and random copies of them until they ask for `demand` times all GPUs, shuffled.

    This is the protocol of the FGD paper (USENIX ATC 2023, section 6.1): nothing ever ends, and what
    does not fit is dropped. Where the tasks alone ask for more, those that come later are left out.
    """
    chance = random.Random(seed)  # noqa: S311 - a simulation, which is to repeat itself
    wanted = demand * trace.capacity
    tasks = list(trace.tasks)
    asked = demand_of(tasks)
    while asked < wanted:
        copy = chance.choice(trace.tasks)
        tasks.append(copy)
        asked += copy.shape.size
    chance.shuffle(tasks)
    return _until(tasks, wanted)


def _until(tasks: Sequence[Task], wanted: float) -> list[Task]:
    taken, asked = list[Task](), 0
    for task in tasks:
        if asked >= wanted:
            break
        taken.append(task)
        asked += task.shape.size
    return taken
