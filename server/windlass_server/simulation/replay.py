"""Places the tasks of a trace as they come, and writes down how many GPUs are given out."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from windlass_server.scheduler.packing.fleet import Fleet, Task
from windlass_server.scheduler.packing.policies import POLICIES
from windlass_server.scheduler.packing.shapes import Classes, Floats, Shape
from windlass_server.simulation.trace import Trace

MARKS = (80, 90, 100, 130)
"""Per cent of all GPUs that have been asked for, at which results are printed."""

# The policy looks at the fleet each time that so much more of all GPUs has been asked for.
_RENEWED_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Replay:
    """What a policy made of a trace.

    Attributes:
        policy: its name.
        seed: of the arrivals.
        arrived: GPUs asked for after each task, as a share of all.
        allocated: GPUs given out after each task, as a share of all.
        placed: tasks that found a place.
        seconds: how long it took, without reading the files.
    """

    policy: str
    seed: int
    arrived: Floats
    allocated: Floats
    placed: int
    seconds: float

    @property
    def tasks(self) -> int:
        """How many came."""
        return len(self.arrived)

    @property
    def placements_per_second(self) -> float:
        """Placed tasks per second."""
        return self.placed / max(self.seconds, 1e-9)

    def percent_at(self, mark: int) -> float | None:
        """Per cent of all GPUs given out when `mark` per cent had been asked for.

        As the paper's own analysis has it: the mean over all arrivals at which the demand, in whole
        per cent, is the mark. Where one task leaps over the mark it is what was given out before.
        None where less was asked for.
        """
        at = np.round(self.arrived * 100) == mark
        if at.any():
            return float(self.allocated[at].mean() * 100)
        before = int(np.searchsorted(self.arrived * 100, mark))
        if before == len(self.arrived):
            return None
        return float(self.allocated[before - 1] * 100) if before else 0.0


def replay(
    trace: Trace,
    tasks: Sequence[Task],
    policy: str,
    seed: int,
    *,
    learned: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Replay:
    """Place tasks one after the other on the empty nodes of a trace.

    Args:
        trace: the nodes; and its tasks are what the policy is told to expect.
        tasks: what comes.
        policy: its name in `POLICIES`.
        seed: for a policy that leaves something to chance.
        learned: the policy is told nothing, and expects what has come so far.
        progress: called with the number of tasks that have come, now and then.
    """
    began = time.perf_counter()
    demand = Counter(task.shape for task in (tasks[:1] if learned else trace.tasks))
    make = POLICIES[policy]
    kinds = sorted({node.gpu_type for node in trace.nodes})
    fleet = Fleet(trace.nodes, make(Classes.of(demand.items(), kinds)), np.random.default_rng(seed))
    due = _Due()
    asked = given = placed = 0
    arrived, allocated = np.zeros(len(tasks)), np.zeros(len(tasks))
    for number, task in enumerate(tasks):
        if due.at(number, asked / trace.capacity):
            if learned:
                fleet.follow(make(_seen(tasks[: number + 1], kinds)))
            fleet.renew()
            progress(number)
        asked += task.shape.size
        if fleet.place(task) is not None:
            given += task.shape.size
            placed += 1
        arrived[number], allocated[number] = asked, given
    progress(len(tasks))
    seconds = time.perf_counter() - began
    return Replay(
        policy, seed, arrived / trace.capacity, allocated / trace.capacity, placed, seconds
    )


def _seen(tasks: Sequence[Task], kinds: Sequence[str]) -> Classes:
    counts: Counter[Shape] = Counter(task.shape for task in tasks)
    return Classes.of(counts.items(), kinds)


class _Due:
    """When the policy looks again: after 1, 2, 4, … tasks, and after each step of demand."""

    def __init__(self) -> None:
        self._number = 0
        self._share = _RENEWED_EVERY

    def at(self, number: int, share: float) -> bool:
        """Whether it is time, before the task with this number and at this share of demand."""
        due = number >= self._number or share >= self._share
        while number >= self._number:
            self._number = max(1, 2 * self._number)
        while share >= self._share:
            self._share += _RENEWED_EVERY
        return due
