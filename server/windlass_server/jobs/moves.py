"""The one way in which jobs change their status: the new state, its reason and an event at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from windlass_server.access import quota_use
from windlass_server.jobs.states import FINAL, Event, Status, after
from windlass_server.scheduler.quota import Dimension
from windlass_server.storage.rows import changed
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction

_SUSPENDED = (Status.SUSPENDING, Status.SUSPENDED)
DEADLINE = "DEADLINE_EXCEEDED"
"""Why a job is stopped whose deadline has come."""


@dataclass(frozen=True, slots=True)
class Move:
    """What becomes of a job.

    Attributes:
        job: the job as it is before.
        status: its new status.
        reason: UPPER_SNAKE.
        message: the same for people.
        actor: who does that.
        at: when (µs).
        values: other columns that change along.
    """

    job: JobRow
    status: Status
    reason: str
    message: str
    actor: str
    at: int
    values: Mapping[str, Any] = field(default_factory=dict)


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
    (moved,) = move_all(tx, [Move(job, status, reason, message, actor, at, values)])
    return moved


def move_all(tx: Transaction, moves: Sequence[Move]) -> list[JobRow]:
    """Move several jobs, each once; returns them as they are then. Raises as `move`, for any of them."""
    moves = [_as_it_ends(one) for one in moves]
    columns = [_columns(one) for one in moves]
    tx.jobs.change_all(
        [
            (one.job.job_id, one.job.version, values)
            for one, values in zip(moves, columns, strict=True)
        ]
    )
    for one, values in zip(moves, columns, strict=True):
        _count(tx, one.job, changed(one.job, **values))
    tx.arrays.count((one.job.array_job_id, one.job.status, one.status) for one in moves)
    tx.events.record_all(
        [
            {
                "project": one.job.project,
                "object_id": one.job.job_id,
                "at": one.at,
                "actor": one.actor,
                "status": int(one.status),
                "reason": one.reason,
                "message": one.message,
                "run_id": values.get("run_id", one.job.run_id),
            }
            for one, values in zip(moves, columns, strict=True)
        ]
    )
    return [
        changed(one.job, **values, version=one.job.version + 1)
        for one, values in zip(moves, columns, strict=True)
    ]


def _as_it_ends(one: Move) -> Move:
    """What was cancelled because its deadline has come has missed that, and was cancelled by nobody."""
    leaving = one.job.status == Status.CANCELLING and one.status is Status.CANCELLED
    if not leaving or one.reason != DEADLINE:
        return one
    return replace(one, status=after(one.job.status, Event.MISS_DEADLINE, one.job.job_id))


def _columns(one: Move) -> dict[str, Any]:
    """All columns of its job that change."""
    values = {
        **one.values,
        "status": int(one.status),
        "status_reason": one.reason,
        "status_message": one.message,
    }
    if one.job.frozen and one.status not in _SUSPENDED:
        values["frozen"] = False
    if one.status in FINAL:
        # Not before it began, however the server's clock was set meanwhile.
        values["ended_at"] = max(one.at, one.job.created_at)
    return values


def _count(tx: Transaction, job: JobRow, moved: JobRow) -> None:
    """Note for quotas that a job begins or ends to wait, or to have a place here."""
    before, now = _counted_as(job), _counted_as(moved)
    if before is now:
        return
    if now is Dimension.RUNNING:
        quota_use.take(tx, quota_use.one_job(job.project, job.user, now))
    elif now is not None:
        # However many wait: it was let in once.
        quota_use.add(tx, quota_use.one_job(job.project, job.user, now))
    if before is not None:
        quota_use.give_back(tx, quota_use.one_job(job.project, job.user, before))


def _counted_as(job: JobRow) -> Dimension | None:
    if job.array_count:
        # For all of its indices that wait, or will.
        return None if job.status in FINAL else Dimension.QUEUED
    if job.status == Status.QUEUED:
        return None if job.array_job_id else Dimension.QUEUED
    # What another cluster has is bounded there, and what is suspended has nothing unless it is frozen.
    suspended = job.status == Status.SUSPENDED and not job.frozen
    none = job.status in FINAL or suspended or job.cluster
    return None if none else Dimension.RUNNING
