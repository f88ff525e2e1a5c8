"""How long jobs run, learned in virtual time from those of the same user, project and name that have run."""

from collections import deque
from typing import TypeAlias

from windlass_server.scheduler.estimates import RUNS_REMEMBERED, run_time
from windlass_server.scheduler.snapshot import RunTime
from windlass_server.simulation.workload import TimedJob

Key: TypeAlias = tuple[str, str, str]


class Learned:
    """What the scheduler may know by now: as the server learns it, but at once."""

    def __init__(self) -> None:
        self._took: dict[Key, deque[int]] = {}
        self._known: dict[Key, RunTime | None] = {}

    def ended(self, job: TimedJob) -> bool:
        """Learn from a job that has run; whether something else is expected of such jobs now."""
        key = key_of(job)
        took = self._took.setdefault(key, deque(maxlen=RUNS_REMEMBERED))
        took.append(job.takes)
        before, self._known[key] = self._known.get(key), run_time(took)
        return self._known[key] != before

    def of(self, job: TimedJob) -> RunTime | None:
        """What is expected of a job; None: nobody knows."""
        return self._known.get(key_of(job))


def key_of(job: TimedJob) -> Key:
    """Jobs with the same are runs of one program."""
    return job.demand.project, job.demand.user, job.name
