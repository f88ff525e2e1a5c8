"""Runs of jobs at other clusters."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, bindparam, case, func, insert, select, update

from windlass_server.storage.partial_indexes import JOB_IN_QUEUE, JOB_LISTED, REMOTE_RUN_KEPT
from windlass_server.storage.tables import JobRow, RemoteRunRow, RunRow

_REMOTE = RemoteRunRow.__table__  # type: ignore[attr-defined]
_JOBS = JobRow.__table__  # type: ignore[attr-defined]
_RUNS = RunRow.__table__  # type: ignore[attr-defined]

_INSERT = insert(_REMOTE)
_GET = select(_REMOTE).where(_REMOTE.c.run_id == bindparam("run_id"))
_OF_JOB = select(_REMOTE).where(_REMOTE.c.job_id == bindparam("job_id")).order_by(_REMOTE.c.attempt)
_OPEN = (
    select(
        _REMOTE,
        _JOBS.c.spec,
        _JOBS.c.status_reason.label("job_reason"),
        _JOBS.c.status_message.label("job_message"),
    )
    .join(_JOBS, _JOBS.c.job_id == _REMOTE.c.job_id)
    .where(_REMOTE.c.cluster_id == bindparam("cluster_id"), REMOTE_RUN_KEPT)
    .order_by(_REMOTE.c.run_id)
)
_ACTIVE = (
    select(_REMOTE.c.cluster_id, func.count().label("jobs"))
    .where(_REMOTE.c.active, REMOTE_RUN_KEPT)
    .group_by(_REMOTE.c.cluster_id)
)
# Since when a job waits: since it was accepted, or since its last run ended.
_LAST_END = (
    select(func.max(_RUNS.c.end_noted_at)).where(_RUNS.c.job_id == _JOBS.c.job_id).scalar_subquery()
)
_WAITING = (
    select(
        _JOBS.c.job_id,
        _JOBS.c.project,
        _JOBS.c.priority,
        _JOBS.c.version,
        _JOBS.c.attempt,
        _JOBS.c.spec,
        _JOBS.c.status_reason,
        _JOBS.c.queue,
        case(
            (_JOBS.c.attempt == 0, _JOBS.c.created_at),
            else_=func.coalesce(_LAST_END, _JOBS.c.created_at),
        ).label("waiting_since"),
    )
    # Arrays stay here: another cluster knows nothing of their indices.
    .where(JOB_IN_QUEUE, JOB_LISTED)
    .order_by(_JOBS.c.priority.desc(), _JOBS.c.job_id)
    .limit(bindparam("size"))
)
_REFUSED = select(_REMOTE.c.job_id, _REMOTE.c.cluster_id, _REMOTE.c.ended_at).where(
    _REMOTE.c.job_id.in_(bindparam("job_ids", expanding=True)), _REMOTE.c.refusal != ""
)
_WANT_STOPPED = (
    update(_REMOTE).where(_REMOTE.c.run_id == bindparam("key"), _REMOTE.c.active).values(stop=True)
)
# Jobs of one statement: each is a parameter of it.
_JOBS_AT_ONCE = 500


class RemoteRunStore:
    """Runs at other clusters in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, run_id: str) -> RemoteRunRow | None:
        """The run, or None."""
        found = self._connection.execute(_GET, {"run_id": run_id}).first()
        return cast("RemoteRunRow | None", found)

    def of_job(self, job_id: str) -> Sequence[RemoteRunRow]:
        """All runs of a job at other clusters, the first attempt first."""
        rows = self._connection.execute(_OF_JOB, {"job_id": job_id}).all()
        return cast("Sequence[RemoteRunRow]", rows)

    def add(self, values: Mapping[str, Any]) -> None:
        """Add a run; IntegrityError when the job has an active one at another cluster."""
        self._connection.execute(_INSERT, values)

    def change(self, run_id: str, **values: Any) -> None:
        """Set columns of a run; the caller has read it in this transaction."""
        self._connection.execute(update(_REMOTE).where(_REMOTE.c.run_id == run_id).values(**values))

    def want_stopped(self, run_id: str) -> None:
        """Ask for the run's end; nothing changes when it has ended, or is none of these."""
        self._connection.execute(_WANT_STOPPED, {"key": run_id})

    def open_at(self, cluster_id: str) -> Sequence[Any]:
        """The runs at a cluster that are not over and done with, the oldest first.

        Rows of RemoteRunRow, with their jobs' `spec`, `job_reason` and `job_message`.
        """
        return self._connection.execute(_OPEN, {"cluster_id": cluster_id}).all()

    def count_active(self) -> Mapping[str, int]:
        """How many jobs each cluster has that may be running there; those without have no entry."""
        return {row.cluster_id: row.jobs for row in self._connection.execute(_ACTIVE)}

    def waiting(self, size: int) -> Sequence[Any]:
        """The first `size` jobs of the queue, in its order.

        Rows of job_id, project, priority, version, attempt, spec, status_reason, queue
        and waiting_since.
        """
        return self._connection.execute(_WAITING, {"size": size}).all()

    def refusals(self, job_ids: Sequence[str]) -> Sequence[Any]:
        """Which clusters did not take these jobs: rows of job_id, cluster_id and ended_at."""
        rows: list[Any] = []
        for first in range(0, len(job_ids), _JOBS_AT_ONCE):
            some = job_ids[first : first + _JOBS_AT_ONCE]
            rows += self._connection.execute(_REFUSED, {"job_ids": some}).all()
        return rows
