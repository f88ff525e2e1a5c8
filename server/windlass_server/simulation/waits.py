"""Jobs that wait for others, or for their time, in virtual time: by the server's own rules.

They are not in the queue until then. As long as they wait, those that they wait for are served by their
priority where that is higher (`jobs/dependency_rules.py`).
"""

import heapq
from collections.abc import Iterable, Sequence

from windlass_server.jobs.dependency_rules import (
    Edge,
    State,
    never_text,
    served_by,
    state_of,
    waiting_text,
)
from windlass_server.jobs.states import Status
from windlass_server.simulation.workload import TimedJob


class Waits:
    """Kept up with each job that comes, starts or ends.

    Args:
        jobs: all that will come.

    Attributes:
        let_in: ids of those that wait for nothing any more; who takes them empties the list.
        never: the same of those that never will start, with a sentence each.
        served_otherwise: ids of those whose inherited priority may be another one now.
    """

    def __init__(self, jobs: Iterable[TimedJob]) -> None:
        self._jobs = {job.demand.job_id: job for job in jobs}
        self._followers: dict[str, list[str]] = {}
        for job_id, job in self._jobs.items():
            for _, awaited in job.after:
                self._followers.setdefault(awaited, []).append(job_id)
        # Of those that have started or ended; the others are queued.
        self._status: dict[str, tuple[Status, bool]] = {}
        self._open: dict[str, set[str]] = {}
        self._due: list[tuple[int, str]] = []
        self._served: dict[str, int] = {}
        self.let_in: list[str] = []
        self.never: list[tuple[str, str]] = []
        self.served_otherwise: set[str] = set()

    @property
    def next_time(self) -> int | None:
        """When the next one's time comes; None: nobody waits for that alone."""
        return self._due[0][0] if self._due else None

    def priority(self, job_id: str) -> int:
        """What a job is served by."""
        known = self._served.get(job_id)
        return self._jobs[job_id].demand.priority if known is None else known

    def comes(self, job_id: str, now: int) -> None:
        """A job is submitted."""
        job = self._jobs[job_id]
        states = {awaited: self._state(kind, awaited) for kind, awaited in job.after}
        if State.NEVER in states.values():
            self._give_up(job_id, next(one for one in states if states[one] is State.NEVER))
            return
        awaited = {one for one, state in states.items() if state is State.OPEN}
        if awaited:
            self._open[job_id] = awaited
            self._serve_again(awaited)
        else:
            self._wait_for_time(job_id, now)

    def started(self, job_id: str, now: int) -> None:
        """A job has got its place."""
        if job_id in self._followers:
            self._changed(job_id, Status.RUNNING, now, started=True)

    def ended(self, job_id: str, status: Status, now: int, *, started: bool = True) -> None:
        """A job is over, or will never be."""
        if job_id in self._followers:
            self._changed(job_id, status, now, started=started)

    def pass_time(self, now: int) -> None:
        """Let in those whose time has come."""
        while self._due and self._due[0][0] <= now:
            self.let_in.append(heapq.heappop(self._due)[1])

    def still_held(self) -> Sequence[tuple[str, str]]:
        """Those that wait for others, each with a sentence."""
        return [
            (
                job_id,
                waiting_text(
                    [Edge(one, kind, State.OPEN) for kind, one in after if one in awaited]
                ),
            )
            for job_id, awaited in self._open.items()
            if (after := self._jobs[job_id].after)
        ]

    def _state(self, kind: int, awaited: str) -> State:
        status, started = self._status.get(awaited, (Status.QUEUED, False))
        return state_of(kind, status, started=started)

    def _wait_for_time(self, job_id: str, now: int) -> None:
        start_after = self._jobs[job_id].start_after
        if start_after > now:
            heapq.heappush(self._due, (start_after, job_id))
        else:
            self.let_in.append(job_id)

    def _changed(self, job_id: str, status: Status, now: int, *, started: bool) -> None:
        self._status[job_id] = status, started
        for follower in self._followers.get(job_id, ()):
            awaited = self._open.get(follower)
            if awaited is None or job_id not in awaited:
                continue
            kind = next(kind for kind, one in self._jobs[follower].after if one == job_id)
            state = self._state(kind, job_id)
            if state is State.MET:
                awaited.discard(job_id)
                if not awaited:
                    del self._open[follower]
                    self._wait_for_time(follower, now)
            elif state is State.NEVER:
                del self._open[follower]
                self._serve_again(awaited)
                self._give_up(follower, job_id)
        self._serve_again([job_id])

    def _give_up(self, job_id: str, awaited: str) -> None:
        kind = next(kind for kind, one in self._jobs[job_id].after if one == awaited)
        self._status[job_id] = Status.CANCELLED, False
        self.never.append((job_id, never_text(awaited, kind, self._status[awaited][0])))

    def _serve_again(self, awaited: Iterable[str]) -> None:
        """See by which priority these are served, and those that they wait for themselves."""
        left = [*awaited]
        while left:
            job_id = left.pop()
            behind = [
                self.priority(one)
                for one in self._followers[job_id]
                if job_id in self._open.get(one, ())
            ]
            now = served_by(self._jobs[job_id].demand.priority, max(behind, default=None))
            if now != self.priority(job_id):
                self._served[job_id] = now
                self.served_otherwise.add(job_id)
                left.extend(self._open.get(job_id, ()))
