"""Takes jobs' places away until they are resumed, or freezes them there; ends those whose deadline has come."""

from collections.abc import Callable
from functools import partial

from windlass.agents.v1 import agent_pb2
from windlass_server import actors
from windlass_server.access.policy import Caller, absent, require_object
from windlass_server.clock import Clock
from windlass_server.errors import WrongState
from windlass_server.jobs.dependency_rules import Held
from windlass_server.jobs.elsewhere import Elsewhere
from windlass_server.jobs.moves import DEADLINE, move
from windlass_server.jobs.states import FINAL, Event, Status, after, leave, standing
from windlass_server.resources.inventories import parsed
from windlass_server.scheduler.wording import time_text
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction

_AT_ONCE = 200
_Want = agent_pb2.RunDirective


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
            status = after(standing(job.status, frozen=job.frozen), Event.SUSPEND, job_id)
            if status == job.status and not job.frozen:
                return job
            _require_here(job)
            self._stop(tx, job)
            return move(
                tx,
                job,
                status,
                reason="SUSPEND_REQUESTED",
                message=_said("suspended", who, reason),
                actor=who.user,
                at=self._clock.now(),
                frozen=False,
            )

        return await self._database.write(decide)

    async def freeze(self, who: Caller, job_id: str, *, reason: str) -> JobRow:
        """Stop a running job's processes where they are; what is suspended, or is being, stays as it is.

        Raises:
            NotFound: no such job, or foreign.
            WrongState: it does not run, or runs at another cluster (`JOB_AT_OTHER_CLUSTER`), is being stopped
                (`JOB_IS_LEAVING`), or a node of it has an agent that cannot (`FREEZE_UNSUPPORTED`).
        """

        def decide(tx: Transaction) -> JobRow:
            job = _locked(tx, who, job_id)
            status = after(job.status, Event.FREEZE, job_id)
            if status == job.status:
                return job
            _require_here(job)
            _require_freezable(tx, job)
            self._want_frozen(tx, job, frozen=True)
            return move(
                tx,
                job,
                status,
                reason="FREEZE_REQUESTED",
                message=_said("frozen", who, reason),
                actor=who.user,
                at=self._clock.now(),
                frozen=True,
            )

        return await self._database.write(decide)

    async def resume(self, who: Caller, job_id: str, *, reason: str) -> JobRow:
        """Queue a suspended job again, or thaw one that is frozen; what is not suspended stays as it is.

        Raises:
            NotFound: no such job, or foreign.
            WrongState: it has ended, or is not suspended yet, or is an array (`JOB_IS_ARRAY`).
        """

        def decide(tx: Transaction) -> JobRow:
            job = _locked(tx, who, job_id)
            _require_no_array(job)
            if job.frozen:
                self._want_frozen(tx, job, frozen=False)
                return move(
                    tx,
                    job,
                    after(job.status, Event.THAW, job_id),
                    reason="RESUMED",
                    message=_said("resumed", who, reason),
                    actor=who.user,
                    at=self._clock.now(),
                )
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
                message=_said("resumed", who, reason),
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
        event, array = Event.MISS_DEADLINE, bool(job.array_count)
        status, stops = leave(job.status, event, job_id, frozen=job.frozen, array=array)
        if stops:
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

    def _want_frozen(self, tx: Transaction, job: JobRow, *, frozen: bool) -> None:
        for node_id in tx.runs.want_all_frozen(job.job_id, job.attempt, frozen=frozen):
            tx.after_commit(partial(self._runs_changed, node_id))


def _said(what: str, who: Caller, reason: str) -> str:
    return f"{what} by {who.user}" + (f": {reason}" if reason else "")


def _require_here(job: JobRow) -> None:
    if job.cluster:
        message = f"cluster {job.cluster} has the job: it can be suspended there"
        raise WrongState(
            message, reason="JOB_AT_OTHER_CLUSTER", subject=job.job_id, cluster=job.cluster
        )


def _require_freezable(tx: Transaction, job: JobRow) -> None:
    """Refuse to freeze a job that is on its way out, or whose nodes cannot."""
    runs = [one for one in tx.runs.of_attempt(job.job_id, job.attempt) if one.active]
    if not runs or any(one.want != _Want.RUNNING for one in runs):
        message = "the job is being stopped already, and saves its work: it cannot be frozen"
        raise WrongState(message, reason="JOB_IS_LEAVING", subject=job.job_id)
    for node in tx.nodes.some(sorted({one.node_id for one in runs})):
        if not parsed(node.inventory).can_freeze:
            message = (
                f"the agent of node {node.node_id} is too old to freeze jobs: upgrade it, or suspend "
                "with mode EVICT"
            )
            raise WrongState(
                message, reason="FREEZE_UNSUPPORTED", subject=job.job_id, node_id=node.node_id
            )


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
