"""Takes jobs' places away until they are resumed, and ends those whose deadline has come."""

from collections.abc import Callable
from functools import partial

from windlass_server import actors
from windlass_server.access.policy import Caller, absent, require_object
from windlass_server.clock import Clock
from windlass_server.errors import WrongState
from windlass_server.jobs.dependency_rules import Held
from windlass_server.jobs.elsewhere import Elsewhere
from windlass_server.jobs.moves import DEADLINE, move
from windlass_server.jobs.states import FINAL, LEAVING, Event, Status, after
from windlass_server.scheduler.wording import time_text
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction

_AT_ONCE = 200


class Suspensions:
    """Suspends and resumes jobs, and keeps deadlines.

    Args:
        elsewhere: the other clusters.
        runs_changed: called with the id of each node of whose runs something else is wanted.
        job_queued: called with the id of a job that is in the queue again.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        elsewhere: Elsewhere,
        runs_changed: Callable[[str], None],
        job_queued: Callable[[str], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._elsewhere = elsewhere
        self._runs_changed = runs_changed
        self._job_queued = job_queued

    async def suspend(self, who: Caller, job_id: str, *, reason: str) -> JobRow:
        """Take a job's place away; what is suspended, or is being, stays as it is.

        Raises:
            NotFound: no such job, or foreign.
            WrongState: it has no place, or one at another cluster (`JOB_AT_OTHER_CLUSTER`), or is an array
                (`JOB_IS_ARRAY`).
        """

        def decide(tx: Transaction) -> JobRow:
            job = _locked(tx, who, job_id)
            _require_no_array(job)
            status = after(job.status, Event.SUSPEND, job_id)
            if status == job.status:
                return job
            if job.cluster:
                message = f"cluster {job.cluster} has the job: it can be suspended there"
                raise WrongState(
                    message, reason="JOB_AT_OTHER_CLUSTER", subject=job_id, cluster=job.cluster
                )
            message = f"suspended by {who.user}" + (f": {reason}" if reason else "")
            self._stop(tx, job)
            return move(
                tx,
                job,
                status,
                reason="SUSPEND_REQUESTED",
                message=message,
                actor=who.user,
                at=self._clock.now(),
            )

        return await self._database.write(decide)

    async def resume(self, who: Caller, job_id: str, *, reason: str) -> JobRow:
        """Queue a suspended job again; what is not suspended stays as it is.

        Raises:
            NotFound: no such job, or foreign.
            WrongState: it has ended, or is not suspended yet, or is an array (`JOB_IS_ARRAY`).
        """

        def decide(tx: Transaction) -> JobRow:
            job = _locked(tx, who, job_id)
            _require_no_array(job)
            status = after(job.status, Event.RESUME, job_id)
            if status == job.status:
                return job
            now = self._clock.now()
            tx.after_commit(partial(self._job_queued, job_id))
            return move(
                tx,
                job,
                status,
                reason="RESUMED",
                message=f"resumed by {who.user}" + (f": {reason}" if reason else ""),
                actor=who.user,
                at=now,
                held=int(Held.NOTHING),
                # Who resumes a job that would wait for its next attempt wants it now.
                start_after=min(job.start_after, now),
                eligible_at=now,
            )

        return await self._database.write(decide)

    async def end_due(self) -> int | None:
        """End the jobs whose deadline has come; when the next one comes (µs), None: none will."""
        while True:
            part = await self._database.read(lambda tx: tx.jobs.by_deadline(_AT_ONCE))
            now = self._clock.now()
            due = [one for one in part if one.end_by is not None and one.end_by <= now]
            for one in due:
                await self._database.write(lambda tx, job_id=one.job_id: self._miss(tx, job_id))  # type: ignore[misc]
            if len(due) < len(part):
                return part[len(due)].end_by
            if len(part) < _AT_ONCE:
                return None

    def _miss(self, tx: Transaction, job_id: str) -> None:
        job = tx.jobs.lock(job_id)
        if job is None or job.status in FINAL or job.end_by is None:
            return
        if job.status == Status.CANCELLING:
            # Somebody was faster; it is not looked at any more.
            tx.jobs.change(job_id, job.version, end_by=None)
            return
        status = after(job.status, Event.MISS_DEADLINE, job_id, array=bool(job.array_count))
        if status is Status.CANCELLING:
            if job.status not in LEAVING:
                self._stop(tx, job)
            self._elsewhere.stop(tx, job)
        move(
            tx,
            job,
            status,
            reason=DEADLINE,
            message=f"its deadline has come: it had until {time_text(job.end_by)}",
            actor=actors.DEADLINES,
            at=self._clock.now(),
            end_by=None,
        )

    def _stop(self, tx: Transaction, job: JobRow) -> None:
        for node_id in tx.runs.want_all_stopped(job.job_id, job.attempt, self._clock.now()):
            tx.after_commit(partial(self._runs_changed, node_id))


def _require_no_array(job: JobRow) -> None:
    if job.array_count:
        message = (
            "an array has no place to give up: hold it, so that no more of its indices start, or suspend the "
            "jobs of its indices"
        )
        raise WrongState(message, reason="JOB_IS_ARRAY", subject=job.job_id)


def _locked(tx: Transaction, who: Caller, job_id: str) -> JobRow:
    job = tx.jobs.lock(job_id)
    if job is None:
        raise absent("job", job_id)
    require_object(who, "jobs.cancel", job.project, kind="job", object_id=job_id)
    return job
