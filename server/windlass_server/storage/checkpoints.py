"""Checkpoints of jobs: which there are, and which nobody needs any more."""

import enum
from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, and_, bindparam, delete, insert, or_, select, update

from windlass_server.storage.tables import CheckpointRow, JobRow, RunRow

_CHECKPOINTS = CheckpointRow.__table__  # type: ignore[attr-defined]
_JOBS = JobRow.__table__  # type: ignore[attr-defined]
_RUNS = RunRow.__table__  # type: ignore[attr-defined]


class State(enum.IntEnum):
    """Where a checkpoint is in its life."""

    SAVING = 1
    SAVED = 2
    UNNEEDED = 3


_GET = select(_CHECKPOINTS).where(_CHECKPOINTS.c.checkpoint_id == bindparam("checkpoint_id"))
_SAVED_OF_JOB = (
    select(_CHECKPOINTS)
    .where(_CHECKPOINTS.c.job_id == bindparam("job_id"), _CHECKPOINTS.c.status == State.SAVED)
    .order_by(_CHECKPOINTS.c.attempt.desc(), _CHECKPOINTS.c.checkpoint_id.desc())
)
_PAGE_OF_JOB = (
    select(_CHECKPOINTS)
    .where(
        _CHECKPOINTS.c.job_id == bindparam("job_id"),
        _CHECKPOINTS.c.status != State.UNNEEDED,
        or_(bindparam("before") == "", _CHECKPOINTS.c.checkpoint_id < bindparam("before")),
    )
    .order_by(_CHECKPOINTS.c.checkpoint_id.desc())
    .limit(bindparam("size"))
)
_SAVING_OF_RUN = select(_CHECKPOINTS).where(
    _CHECKPOINTS.c.run_id == bindparam("run_id"), _CHECKPOINTS.c.status == State.SAVING
)
# As jobs.v1.Job.Status.
_SUCCEEDED = 5
# Jobs that have not ended and begin with a checkpoint of another.
_HEIRS = _JOBS.alias("heirs")
_HAS_HEIRS = (
    select(1)
    .where(_HEIRS.c.checkpoint_of == _CHECKPOINTS.c.job_id, _HEIRS.c.ended_at.is_(None))
    .exists()
)
# Of jobs that have ended long enough ago, replaced by newer ones, or left behind by half.
_UNNEEDED = (
    select(_CHECKPOINTS)
    .join(_JOBS, _JOBS.c.job_id == _CHECKPOINTS.c.job_id)
    .join(_RUNS, _RUNS.c.run_id == _CHECKPOINTS.c.run_id)
    .where(
        or_(
            and_(
                or_(
                    and_(
                        _JOBS.c.ended_at <= bindparam("ended_before"), _JOBS.c.status == _SUCCEEDED
                    ),
                    _JOBS.c.ended_at <= bindparam("failed_before"),
                ),
                ~_HAS_HEIRS,
            ),
            _CHECKPOINTS.c.status == State.UNNEEDED,
            and_(_CHECKPOINTS.c.status == State.SAVING, ~_RUNS.c.active),
        )
    )
    .order_by(_CHECKPOINTS.c.checkpoint_id)
    .limit(bindparam("size"))
)


class CheckpointStore:
    """Checkpoints in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, checkpoint_id: str) -> CheckpointRow | None:
        """The checkpoint, or None."""
        row = self._connection.execute(_GET, {"checkpoint_id": checkpoint_id}).first()
        return cast("CheckpointRow | None", row)

    def saving(self, run_id: str) -> CheckpointRow | None:
        """The checkpoint that a run is saving, or None."""
        row = self._connection.execute(_SAVING_OF_RUN, {"run_id": run_id}).first()
        return cast("CheckpointRow | None", row)

    def saved(self, job_id: str) -> Sequence[CheckpointRow]:
        """The checkpoints that a job has, those of the latest attempt first."""
        rows = self._connection.execute(_SAVED_OF_JOB, {"job_id": job_id}).all()
        return cast("Sequence[CheckpointRow]", rows)

    def page(self, job_id: str, *, before: str, size: int) -> Sequence[CheckpointRow]:
        """The newest `size` checkpoints of a job made before one (empty: all), newest first."""
        values = {"job_id": job_id, "before": before, "size": size}
        rows = self._connection.execute(_PAGE_OF_JOB, values).all()
        return cast("Sequence[CheckpointRow]", rows)

    def add(self, values: Mapping[str, Any]) -> None:
        """Add a checkpoint; `values` has every column of CheckpointRow."""
        self._connection.execute(insert(_CHECKPOINTS), values)

    def change(self, checkpoint_id: str, **values: Any) -> None:
        """Set columns of a checkpoint; the caller has locked its job in this transaction."""
        one = _CHECKPOINTS.c.checkpoint_id == checkpoint_id
        self._connection.execute(update(_CHECKPOINTS).where(one).values(**values))

    def unneeded(
        self, *, ended_before: int, failed_before: int, size: int
    ) -> Sequence[CheckpointRow]:
        """Up to `size` checkpoints that nobody needs, oldest first.

        Args:
            ended_before: those of jobs that SUCCEEDED then or before (µs) are not needed, unless a job that
                has not ended begins with one.
            failed_before: the same of jobs that ended otherwise.
            size: how many at most.
        """
        values = {"ended_before": ended_before, "failed_before": failed_before, "size": size}
        rows = self._connection.execute(_UNNEEDED, values).all()
        return cast("Sequence[CheckpointRow]", rows)

    def remove(self, checkpoint_id: str) -> None:
        """Forget a checkpoint whose objects are gone."""
        one = _CHECKPOINTS.c.checkpoint_id == checkpoint_id
        self._connection.execute(delete(_CHECKPOINTS).where(one))
