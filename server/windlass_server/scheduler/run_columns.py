"""What runs, as arrays in the order of jobs: made anew only when something else runs than in the last plan."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, is_

import numpy as np

from windlass_server.scheduler.rooms import Column, Mask
from windlass_server.scheduler.snapshot import WHOLE, Running

UNKNOWN = -1
"""As an end: nobody knows it."""


@dataclass(frozen=True, slots=True)
class RunColumns:
    """Runs and allocations by the ids of their jobs, then by their own.

    Attributes:
        runs: all of them.
        job: of each the number of its job; those without one have none that others have.
        cpu: thousandths of a core.
        memory: bytes.
        gpus: how many.
        millis: thousandths of GPUs.
        shares: whether it has a share of a card.
        kind: of which type its GPUs are, as a number.
        kinds: the types, by these numbers.
        started_at: microseconds since 1970.
        saved_at: the same.
        expected_end: the same, or `UNKNOWN`.
        priority: of the job.
        stoppable: whether it may be stopped for others, and is not being stopped.
    """

    runs: tuple[Running, ...]
    job: Column
    cpu: Column
    memory: Column
    gpus: Column
    millis: Column
    shares: Mask
    kind: Column
    kinds: tuple[str, ...]
    started_at: Column
    saved_at: Column
    expected_end: Column
    priority: Column
    stoppable: Mask

    def on(self, places: Mapping[str, int]) -> Column:
        """The index of each one's node; -1 where it is none of these."""
        return _column(places.get(run.node_id, -1) for run in self.runs)

    def firsts(self) -> Column:
        """Where the runs of each job begin."""
        return np.flatnonzero(np.diff(self.job, prepend=-1))


class _Last:
    """What was made last, and of what; never changed, so that several may plan at once."""

    def __init__(self) -> None:
        self._made: tuple[tuple[Running, ...], RunColumns] = ((), _made(()))

    def of(self, running: Sequence[Running]) -> RunColumns:
        """The columns of what runs."""
        seen, columns = self._made
        if len(seen) == len(running) and all(map(is_, seen, running)):
            return columns
        columns = _made(running)
        self._made = tuple(running), columns
        return columns


def _made(running: Sequence[Running]) -> RunColumns:
    runs = tuple(sorted(running, key=attrgetter("job_id", "run_id")))
    names = {kind: number for number, kind in enumerate(sorted({run.gpu_type for run in runs}))}
    numbers, job, last = list[int](), -1, ""
    for run in runs:
        if run.job_id != last or not run.job_id:
            job, last = job + 1, run.job_id
        numbers.append(job)
    gpus = _column(len(run.gpu_uuids) for run in runs)
    share = _of("gpu_millis", runs)
    return RunColumns(
        runs=runs,
        job=_column(numbers),
        cpu=_of("cpu_millis", runs),
        memory=_of("memory_bytes", runs),
        gpus=gpus,
        millis=np.where(share > 0, share, gpus * WHOLE),
        shares=share > 0,
        kind=_column(names[run.gpu_type] for run in runs),
        kinds=tuple(names),
        started_at=_of("started_at", runs),
        saved_at=_of("saved_at", runs),
        expected_end=_column(
            UNKNOWN if run.expected_end is None else run.expected_end for run in runs
        ),
        priority=_of("priority", runs),
        stoppable=np.array(
            [run.preemptible and not run.leaving and bool(run.job_id) for run in runs], np.bool_
        ),
    )


def _of(name: str, runs: Iterable[Running]) -> Column:
    return _column(map(attrgetter(name), runs))


def _column(values: Iterable[int]) -> Column:
    return np.fromiter(values, np.int64)


_LAST = _Last()


def columns_of(running: Sequence[Running]) -> RunColumns:
    """The columns of what runs, into which nobody may write."""
    return _LAST.of(running)
