"""Makes a trace where there is none: several projects that want more than there is.

What is known of real GPU clusters is in it: most jobs are short and small, and a few long and large ones
take most of the GPUs' time (heavy tails); people run the same program again and again; sweeps come at
once; stated limits are two or three times what is needed; and projects want very unequal amounts.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from windlass_server.scheduler.snapshot import Demand, NodeState
from windlass_server.simulation.csv_jobs import job_id
from windlass_server.simulation.workload import SECOND, TimedJob

PROJECTS = {"vision": 0.45, "language": 0.3, "speech": 0.15, "robots": 0.07, "teaching": 0.03}
"""What part of the sweeps each project submits."""

USERS, PROGRAMS = 6, 4
"""Of each project, and of each user."""

# How many GPUs a program takes, and how many of a hundred programs do.
_SIZES = {1: 50, 2: 18, 4: 16, 8: 16}
_MEDIAN_SECONDS, _SIGMA_BETWEEN, _SIGMA_WITHIN = 1200.0, 1.3, 0.6
_LEAST_SECONDS, _MOST_SECONDS = 10.0, 48 * 3600.0
_LIMITS = tuple(minutes * 60 for minutes in (10, 30, 60, 120, 240, 480, 720, 1440, 2880, 5760))
# One in so many sweeps goes on with another job.
_GOES_ON = 0.75
_MOST_AT_ONCE = 64
_SWEEP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Program:
    """What a user runs again and again."""

    project: str
    user: str
    name: str
    gpus: int
    seconds: float


def made(nodes: Sequence[NodeState], jobs: int, load: float, seed: int) -> tuple[TimedJob, ...]:
    """Jobs that want `load` times all GPUs while they come; the same seed makes the same.

    Args:
        nodes: those with GPUs say how much there is, and how large a job may be.
        jobs: how many.
        load: GPU-time that they want, over the GPUs times the time in which they come.
        seed: of chance.

    Raises:
        ValueError: no node has a GPU.
    """
    largest = max((len(node.gpus) for node in nodes), default=0)
    if not largest:
        raise ValueError("no node has a GPU, so no jobs can be made for them")
    chance = random.Random(seed)  # noqa: S311 - a simulation, which is to repeat itself
    sweeps = _sweeps(chance, jobs, _programs(chance, largest))
    wanted = sum(seconds * program.gpus for program, runs in sweeps for seconds in runs)
    window = wanted / (load * sum(len(node.gpus) for node in nodes))
    begins = sorted(chance.uniform(0, window) for _ in sweeps)
    found = list[TimedJob]()
    for begin, (program, runs) in zip(begins, sweeps, strict=True):
        at = begin
        for seconds in runs:
            found.append(_job(chance, program, at, seconds))
            at += chance.expovariate(1 / _SWEEP_SECONDS)
    found.sort(key=lambda job: job.submitted_at)
    return tuple(_numbered(job, number) for number, job in enumerate(found))


def _programs(chance: random.Random, largest: int) -> list[list[_Program]]:
    """The programs of each project."""
    sizes = {size: weight for size, weight in _SIZES.items() if size <= largest}
    return [
        [
            _Program(
                project,
                f"{project}-{user}",
                f"program-{number}",
                chance.choices(list(sizes), list(sizes.values()))[0],
                _MEDIAN_SECONDS * math.exp(chance.gauss(0, _SIGMA_BETWEEN)),
            )
            for user in range(USERS)
            for number in range(PROGRAMS)
        ]
        for project in PROJECTS
    ]


def _sweeps(
    chance: random.Random, jobs: int, programs: list[list[_Program]]
) -> list[tuple[_Program, list[float]]]:
    """Which program is run how often at once, and how many seconds each run takes; `jobs` in all."""
    sweeps, left = list[tuple[_Program, list[float]]](), jobs
    while left:
        (project,) = chance.choices(programs, list(PROJECTS.values()))
        program, runs = chance.choice(project), 1
        while runs < min(left, _MOST_AT_ONCE) and chance.random() < _GOES_ON:
            runs += 1
        left -= runs
        sweeps.append((program, [_seconds(chance, program) for _ in range(runs)]))
    return sweeps


def _seconds(chance: random.Random, program: _Program) -> float:
    seconds = program.seconds * math.exp(chance.gauss(0, _SIGMA_WITHIN))
    return round(min(max(seconds, _LEAST_SECONDS), _MOST_SECONDS), 1)


def _job(chance: random.Random, program: _Program, at: float, seconds: float) -> TimedJob:
    asked = seconds * chance.uniform(1.2, 4)
    limit = next((each for each in _LIMITS if each >= asked), _LIMITS[-1])
    demand = Demand(
        job_id="",
        priority=0,
        cpu_millis=program.gpus * 8000,
        memory_bytes=program.gpus * 64 << 30,
        gpu_count=program.gpus,
        gpu_type="",
        min_isolation=0,
        order="",
        project=program.project,
        user=program.user,
        time_limit=limit * SECOND,
        queue="default",
    )
    return TimedJob(demand, program.name, round(at * SECOND), round(seconds * SECOND))


def _numbered(job: TimedJob, number: int) -> TimedJob:
    identity = job_id(number)
    return replace(job, demand=replace(job.demand, job_id=identity, order=identity))
