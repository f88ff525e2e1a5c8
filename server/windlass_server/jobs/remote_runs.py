"""Runs at other clusters: handed over, followed and ended, by what those clusters say.

A run is handed over by a row; whoever works with its cluster then submits it there under the run's id
as the request id. So it is the same job there however often that is tried, and a run that may have
arrived is never taken back: not because its cluster is silent, and not because somebody cancels it.
"""

from collections.abc import Callable, Sequence
from typing import Any

from windlass.jobs.v1 import job_pb2
from windlass_server import actors
from windlass_server.clock import MICROS_PER_SECOND, Clock
from windlass_server.errors import Conflict, InvalidInput
from windlass_server.ids import IdSource
from windlass_server.jobs import remote_rules
from windlass_server.jobs.moves import move
from windlass_server.jobs.remote_rules import State
from windlass_server.jobs.rules import shown
from windlass_server.jobs.states import Event, Status, after
from windlass_server.objects.logs import LogStore
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow, RemoteRunRow
from windlass_server.storage.transaction import Transaction
from windlass_server.timestamps import from_proto

# Longer than any network keeps a request that its sender has given up.
_DOUBT_SECONDS = 120


class RemoteRunsService:
    """The jobs that other clusters have.

    Args:
        job_queued: called with the id of a job that waits for a place here again.
        runs_changed: called with the id of a cluster at which something is to be done.
    """

    def __init__(
        self,
        database: Database,
        logs: LogStore,
        clock: Clock,
        ids: IdSource,
        *,
        job_queued: Callable[[str], None],
        runs_changed: Callable[[str], None],
    ) -> None:
        self._database = database
        self._logs = logs
        self._clock = clock
        self._ids = ids
        self._job_queued = job_queued
        self._runs_changed = runs_changed

    async def hand_over(self, job_id: str, version: int, cluster_id: str) -> bool:
        """Give a waiting job to a cluster; False when the world has changed since it was chosen."""

        def store(tx: Transaction) -> bool:
            job = tx.jobs.lock(job_id)
            if job is None or job.version != version or job.held or job.status != Status.QUEUED:
                return False
            self.place(tx, job, cluster_id)
            return True

        try:
            return await self._database.write(store)
        except Conflict:
            return False

    def place(self, tx: Transaction, job: JobRow, cluster_id: str) -> JobRow:
        """Give a waiting job, which the transaction has read, to a cluster."""
        run_id = self._ids.new("run")
        attempt = job.attempt + 1
        tx.remote_runs.add(
            {
                "run_id": run_id,
                "job_id": job.job_id,
                "attempt": attempt,
                "cluster_id": cluster_id,
                "state": int(State.NEW),
                "active": True,
                "stop": False,
                "forgotten": False,
                "remote_job_id": "",
                "in_doubt_until": 0,
                "log_cursor": "",
                "log_position": 0,
                "log_end": None,
                "log_lost": "",
                "refusal": "",
                "created_at": self._clock.now(),
                "ended_at": None,
            }
        )
        return self._move(
            tx,
            job,
            cluster_id,
            after(job.status, Event.PLACE, job.job_id),
            reason="PLACED",
            message=f"goes to cluster {cluster_id}",
            run_id=run_id,
            node_id="",
            gpu_uuids="",
            cluster=cluster_id,
            remote_job_id="",
            attempt=attempt,
            isolation=b"",
            started_at=None,
        )

    async def open_at(self, cluster_id: str) -> Sequence[Any]:
        """As `RemoteRunStore.open_at`."""
        return await self._database.read(lambda tx: tx.remote_runs.open_at(cluster_id))

    async def submitting(self, run_id: str) -> int | None:
        """Note that a run is about to be sent; None when it must not be.

        One that somebody cancelled before it was ever sent is over by that.

        Returns:
            Until when (µs) an earlier submission, whose answer was lost, may still arrive there.
        """

        def store(tx: Transaction) -> int | None:
            found = self._locked(tx, run_id)
            if found is None or found[1].state > State.SUBMITTED:
                return None
            job, run = found
            if run.stop and run.state == State.NEW:
                self._give_back(tx, job, run, "CANCELLED", "")
                return None
            until = self._clock.now() + _DOUBT_SECONDS * MICROS_PER_SECOND
            tx.remote_runs.change(run_id, state=int(State.SUBMITTED), in_doubt_until=until)
            return run.in_doubt_until

        return await self._database.write(store)

    async def accepted(self, run_id: str, remote: job_pb2.Job) -> None:
        """Take a cluster's answer that it has the job."""

        def store(tx: Transaction) -> None:
            found = self._locked(tx, run_id)
            if found is None or found[1].state > State.SUBMITTED:
                return
            job, run = found
            tx.remote_runs.change(
                run_id, state=int(State.ACCEPTED), remote_job_id=remote.job_id, in_doubt_until=0
            )
            self._apply(tx, job, run, remote, {"remote_job_id": remote.job_id})

        await self._database.write(store)

    async def refused(self, run_id: str, reason: str, message: str, *, doubt_until: int) -> bool:
        """Take a cluster's answer that it will not have the job, which waits here again.

        While an earlier submission may still arrive there (`doubt_until`, as `submitting` gave it), a
        refusal proves nothing: False, and the run stays as it is.
        """

        def store(tx: Transaction) -> bool:
            found = self._locked(tx, run_id)
            if found is None or found[1].state > State.SUBMITTED:
                return True
            job, run = found
            if self._clock.now() < doubt_until:
                tx.remote_runs.change(run_id, in_doubt_until=doubt_until)
                return False
            words = f"cluster {run.cluster_id} did not take it: {shown(message)}"
            self._give_back(tx, job, run, reason, words)
            return True

        return await self._database.write(store)

    async def take_back(self, run_id: str, message: str) -> bool:
        """Let a job wait here again that was never sent; False when it may have been."""

        def store(tx: Transaction) -> bool:
            found = self._locked(tx, run_id)
            if found is None or found[1].state != State.NEW:
                return False
            self._give_back(tx, *found, remote_rules.UNREACHABLE, message)
            return True

        return await self._database.write(store)

    async def report(self, run_id: str, remote: job_pb2.Job) -> None:
        """Take a cluster's word on a job that it has; what is known already changes nothing."""

        def store(tx: Transaction) -> None:
            found = self._locked(tx, run_id)
            if found is not None:
                self._apply(tx, *found, remote, {})

        await self._database.write(store)

    async def hold(self, run_id: str, reason: str, message: str) -> None:
        """Say of a job why nothing is known of it; its status stays as it was last heard."""

        def store(tx: Transaction) -> None:
            found = self._locked(tx, run_id)
            if found is None:
                return
            job, run = found
            if job.status != Status.CANCELLING and job.status_reason != reason:
                status = Status(job.status)
                self._move(tx, job, run.cluster_id, status, reason=reason, message=message)

        await self._database.write(store)

    async def lost(self, run_id: str, message: str) -> None:
        """End a job that is to be cancelled and that its cluster does not know."""

        def store(tx: Transaction) -> None:
            found = self._locked(tx, run_id)
            if found is None or found[0].status != Status.CANCELLING:
                return
            job, run = found
            tx.remote_runs.change(run_id, log_lost=shown(message))
            self._give_back(tx, job, run, remote_rules.UNKNOWN, message)

        await self._database.write(store)
        self._logs.wake(run_id)

    async def log_reaches(self, run_id: str, cursor: str, position: int) -> None:
        """Note how much of a run's log is here."""
        await self._database.write(
            lambda tx: tx.remote_runs.change(run_id, log_cursor=cursor, log_position=position)
        )

    async def log_is_whole(self, run_id: str, cursor: str, position: int, lost: str) -> None:
        """Note that nothing more of a run's log comes, and why the rest is lost, if some is."""

        def store(tx: Transaction) -> None:
            run = tx.remote_runs.get(run_id)
            if run is None:
                return
            tx.remote_runs.change(
                run_id,
                log_cursor=cursor,
                log_position=position,
                log_end=position,
                log_lost=shown(lost),
                forgotten=run.state == State.ENDED,
            )

        await self._database.write(store)
        self._logs.wake(run_id)

    def _locked(self, tx: Transaction, run_id: str) -> tuple[JobRow, RemoteRunRow] | None:
        """A run that is not over, and its job, held against others; None when it is over."""
        run = tx.remote_runs.get(run_id)
        if run is None:
            return None
        job = tx.jobs.lock(run.job_id)
        # Read again under the lock.
        run = tx.remote_runs.get(run_id)
        assert job is not None
        assert run is not None
        return (job, run) if run.active and job.run_id == run_id else None

    def _apply(
        self,
        tx: Transaction,
        job: JobRow,
        run: RemoteRunRow,
        remote: job_pb2.Job,
        values: dict[str, Any],
    ) -> None:
        seen = remote_rules.Seen(remote.status, remote.status_reason, remote.status_message)
        cancelling = job.status == Status.CANCELLING
        news = remote_rules.news(run.cluster_id, seen, cancelling=cancelling)
        if news is None:
            return
        now = self._clock.now()
        status, reason, message = (
            after(job.status, news.event, job.job_id),
            news.reason,
            news.message,
        )
        if news.event is Event.STOP or status is Status.CANCELLING:
            reason, message = job.status_reason, job.status_message
        if (status, reason) == (job.status, job.status_reason) and not values:
            if news.event is Event.AWAIT and message != job.status_message:
                # As with the words here of a job that waits: no event.
                tx.jobs.change(job.job_id, job.version, status_message=message)
            return
        if news.is_end:
            values |= _exit(remote)
            ended = {"state": int(State.ENDED), "active": False, "ended_at": now}
            tx.remote_runs.change(run.run_id, **ended, forgotten=run.log_end is not None)
        if remote.HasField("start_time") and news.event is not Event.AWAIT:
            values |= {
                "started_at": _time(remote, now),
                "isolation": remote.isolation.SerializeToString(),
            }
        elif status is Status.SCHEDULED:
            values |= {"started_at": None}
        self._move(tx, job, run.cluster_id, status, reason=reason, message=message, **values)

    def _give_back(
        self, tx: Transaction, job: JobRow, run: RemoteRunRow, refusal: str, message: str
    ) -> None:
        """End a run that the cluster certainly does not have."""
        tx.remote_runs.change(
            run.run_id,
            state=int(State.ENDED),
            active=False,
            forgotten=True,
            log_end=run.log_position,
            refusal=shown(refusal)[:128] or "REFUSED",
            ended_at=self._clock.now(),
        )
        status, reason = after(job.status, Event.REQUEUE, job.job_id), "REFUSED_BY_CLUSTER"
        if status is Status.CANCELLED:
            reason, message = job.status_reason, job.status_message
        else:
            tx.after_commit(lambda: self._job_queued(job.job_id))
        self._move(tx, job, run.cluster_id, status, reason=reason, message=message, started_at=None)

    def _move(
        self,
        tx: Transaction,
        job: JobRow,
        cluster_id: str,
        status: Status,
        *,
        reason: str,
        message: str,
        **values: Any,
    ) -> JobRow:
        tx.after_commit(lambda: self._runs_changed(cluster_id))
        heard = "run_id" not in values
        return move(
            tx,
            job,
            status,
            reason=reason,
            message=message,
            actor=actors.cluster(cluster_id) if heard else actors.FEDERATION,
            at=self._clock.now(),
            **values,
        )


def _exit(remote: job_pb2.Job) -> dict[str, Any]:
    return {
        "exit_code": remote.exit_code if remote.HasField("exit_code") else None,
        "exit_signal": remote.exit_signal if remote.HasField("exit_signal") else None,
    }


def _time(remote: job_pb2.Job, fallback: int) -> int:
    """When the command started, by the cluster's clock; `fallback` when it says no such time."""
    try:
        return from_proto(remote.start_time)
    except InvalidInput:
        return fallback
