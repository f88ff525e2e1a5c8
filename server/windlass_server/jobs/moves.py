"""The one way in which a job changes its status: the new state, its reason and an event at once."""

from typing import Any

from windlass_server.jobs.states import FINAL, Status
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
    """
    values |= {"status": int(status), "status_reason": reason, "status_message": message}
    if status in FINAL:
        # Not before it began, however the server's clock was set meanwhile.
        values["ended_at"] = max(at, job.created_at)
    tx.jobs.change(job.job_id, job.version, **values)
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
