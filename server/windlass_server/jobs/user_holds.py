"""Keeps jobs that wait out of the queue for as long as somebody wants it, and lets them in again."""

from collections.abc import Callable
from functools import partial

from windlass_server.access.policy import Caller, absent, require_object
from windlass_server.clock import Clock
from windlass_server.jobs.array_rules import RUNS
from windlass_server.jobs.dependency_rules import Edge, Held
from windlass_server.jobs.holding import hold_of
from windlass_server.jobs.moves import move
from windlass_server.jobs.states import Event, Status, after
from windlass_server.scheduler.explain import Reason
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import changed
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction


class UserHolds:
    """Holds and releases jobs.

    Args:
        first_reason: why a job waits that no cycle has looked at yet: a reason and a sentence.
        job_queued: called with the id of a job that is in the queue from now on.
        job_held: called when one is not any more.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        first_reason: Callable[[], tuple[str, str]],
        job_queued: Callable[[str], None],
        job_held: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._first_reason = first_reason
        self._job_queued = job_queued
        self._job_held = job_held

    async def hold(self, who: Caller, job_id: str, *, reason: str) -> JobRow:
        """Keep a QUEUED job from starting; one that is held stays as it is.

        Raises:
            NotFound: no such job, or foreign.
            WrongState: it does not wait.
        """

        def decide(tx: Transaction) -> JobRow:
            job = _locked(tx, who, job_id)
            status = after(job.status, Event.HOLD, job_id, array=bool(job.array_count))
            if job.held == Held.USER:
                return job
            tx.after_commit(self._job_held)
            return move(
                tx,
                job,
                status,
                reason=Reason.JOB_HELD,
                message=f"held by {who.user}" + (f": {reason}" if reason else ""),
                actor=who.user,
                at=self._clock.now(),
                held=int(Held.USER),
            )

        return await self._database.write(decide)

    async def release(self, who: Caller, job_id: str, *, reason: str) -> JobRow:
        """Let a job wait for its place again, or for what it waited for before; others stay as they are.

        Raises:
            NotFound: no such job, or foreign.
            WrongState: it does not wait.
        """

        def decide(tx: Transaction) -> JobRow:
            job = _locked(tx, who, job_id)
            after(job.status, Event.RELEASE, job_id, array=bool(job.array_count))
            return self._release(tx, who, job, reason) if job.held == Held.USER else job

        return await self._database.write(decide)

    def _release(self, tx: Transaction, who: Caller, job: JobRow, reason: str) -> JobRow:
        now = self._clock.now()
        edges = [
            Edge(edge.awaited_id, edge.kind, edge.state)
            for edge in tx.dependencies.unmet([job.job_id])
        ]
        hold = hold_of(edges, job.start_after, now, array=bool(job.array_count))
        words = hold.reason, hold.message
        values: dict[str, object] = {"held": int(hold.by)}
        if job.status == Status.RUNNING:
            words = "STARTED", RUNS
        if hold.by is Held.NOTHING:
            words = self._first_reason()
            values["eligible_at"] = now
            tx.after_commit(partial(self._job_queued, job.job_id))
        else:
            tx.after_commit(self._job_held)
        values |= {"status_reason": words[0], "status_message": words[1]}
        tx.jobs.change(job.job_id, job.version, **values)
        tx.events.record(
            project=job.project,
            object_id=job.job_id,
            at=now,
            actor=who.user,
            status=job.status,
            reason="RELEASED",
            message=f"released by {who.user}" + (f": {reason}" if reason else ""),
            run_id=job.run_id,
        )
        return changed(job, **values, version=job.version + 1)


def _locked(tx: Transaction, who: Caller, job_id: str) -> JobRow:
    job = tx.jobs.lock(job_id)
    if job is None:
        raise absent("job", job_id)
    require_object(who, "jobs.cancel", job.project, kind="job", object_id=job_id)
    return job
