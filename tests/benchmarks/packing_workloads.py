"""Other workloads, made from a trace: so that a policy is not judged by the one that it was found with.

They are like those of the FGD paper's section 6, but made here by chance, so they compare with the published
figures only roughly; policies are compared with each other on the same arrivals.
"""

import random
from collections.abc import Callable
from dataclasses import replace

from windlass_server.scheduler.packing.fleet import Task
from windlass_server.simulation.trace import Trace, demand_of

Tasks = tuple[Task, ...]

# What tasks name that name models: OpenB's own habits, roughly as often.
_MODELS = {
    ("T4",): 9,
    ("G2",): 8,
    ("V100M16", "V100M32"): 4,
    ("P100",): 4,
    ("P100", "V100M16", "V100M32"): 2,
    ("P100", "T4", "V100M16", "V100M32"): 2,
    ("G3",): 1,
    ("A10", "G2", "T4", "V100M16", "V100M32"): 1,
}


def many_gpus(share: float) -> Callable[[Tasks, random.Random], Tasks]:
    """Tasks with several GPUs ask for this share of all GPUs that are asked for."""

    def made(tasks: Tasks, chance: random.Random) -> Tasks:
        gangs = [task for task in tasks if task.shape.gpu_count > 1]
        others = demand_of(task for task in tasks if task.shape.gpu_count <= 1)
        more = list[Task]()
        while demand_of(gangs) + demand_of(more) < share / (1 - share) * others:
            more.extend(chance.choices(gangs, k=10))
        return (*tasks, *more)

    return made


def shares_alone(tasks: Tasks, chance: random.Random) -> Tasks:
    """Each task with whole GPUs becomes one with a share."""
    shares = [task for task in tasks if task.shape.shares]
    whole = [bool(task.shape.gpu_count) and not task.shape.shares for task in tasks]
    return tuple(
        chance.choice(shares) if other else task for task, other in zip(tasks, whole, strict=True)
    )


def more_without_gpus(times: float) -> Callable[[Tasks, random.Random], Tasks]:
    """So many times as many tasks without GPUs."""

    def made(tasks: Tasks, chance: random.Random) -> Tasks:
        without = [task for task in tasks if not task.shape.gpu_count]
        return (*tasks, *chance.choices(without, k=round((times - 1) * len(without))))

    return made


def models_named(share: float) -> Callable[[Tasks, random.Random], Tasks]:
    """This share of tasks with GPUs names the models that it takes; big ones those of big nodes."""

    def made(tasks: Tasks, chance: random.Random) -> Tasks:
        return tuple(
            _naming(task, chance) if task.shape.gpu_count and chance.random() < share else task
            for task in tasks
        )

    return made


def _naming(task: Task, chance: random.Random) -> Task:
    names = chance.choices([*_MODELS], [*_MODELS.values()])[0]
    if task.shape.gpu_count > 2:
        names = ("G2",)
    return Task(replace(task.shape, gpu_types=names), task.memory_mib)


WORKLOADS: dict[str, Callable[[Tasks, random.Random], Tasks]] = {
    "multi-GPU 20 %": many_gpus(0.2),
    "multi-GPU 50 %": many_gpus(0.5),
    "shares alone": shares_alone,
    "CPU tasks x 2.5": more_without_gpus(2.5),
    "33 % name models": models_named(0.33),
}


def workload(trace: Trace, name: str, seed: int) -> Trace:
    """The trace with other tasks."""
    chance = random.Random(f"{name} {seed}")
    return replace(trace, tasks=WORKLOADS[name](trace.tasks, chance))
