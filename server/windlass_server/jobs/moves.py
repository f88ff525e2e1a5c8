"""The one way in which a job changes its status: the new state, its reason and an event at once."""

from typing import Any

from windlass_server.access import quota_use
from windlass_server.jobs.states import FINAL, Status
from windlass_server.scheduler.quota import Dimension
from windlass_server.storage.rows import changed
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction


def move(
    tx: Transaction,
    job: JobRow,
    status: Status,
    *,
    reason: str,
    message: str,
    actor: str,
    at: int,
    **values: Any,
) -> JobRow:
    """Move a job to `status`, with other columns that change along; returns it as it is then.

    Raises:
        LostRace: somebody changed the job since it was read.
        QuotaExceeded: it would get a place here, and its project or user has too many that have one.
    """
    values |= {"status": int(status), "status_reason": reason, "status_message": message}
    if status in FINAL:
        # Not before it began, however the server's clock was set meanwhile.
        values["ended_at"] = max(at, job.created_at)
    tx.jobs.change(job.job_id, job.version, **values)
    _count(tx, job, status, values.get("cluster", job.cluster))
    tx.events.record(
        project=job.project,
        object_id=job.job_id,
        at=at,
        actor=actor,
        status=int(status),
        reason=reason,
        message=message,
        run_id=values.get("run_id", job.run_id),
    )
    return changed(job, **values, version=job.version + 1)


def _count(tx: Transaction, job: JobRow, status: Status, cluster: str) -> None:
    """Note for quotas that a job begins or ends to wait, or to have a place here."""
    before, now = _counted_as(job.status, job.cluster), _counted_as(status, cluster)
    if before is now:
        return
    if now is Dimension.RUNNING:
        quota_use.take(tx, quota_use.one_job(job.project, job.user, now))
    elif now is not None:
        # However many wait: it was let in once.
        quota_use.add(tx, quota_use.one_job(job.project, job.user, now))
    if before is not None:
        quota_use.give_back(tx, quota_use.one_job(job.project, job.user, before))


def _counted_as(status: int, cluster: str) -> Dimension | None:
    if status == Status.QUEUED:
        return Dimension.QUEUED
    # What another cluster has is bounded there.
    return None if status in FINAL or cluster else Dimension.RUNNING
