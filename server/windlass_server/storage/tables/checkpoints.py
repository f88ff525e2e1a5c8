"""What jobs have saved for their next attempts. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, CheckConstraint, Index
from sqlmodel import Field, SQLModel


class CheckpointRow(SQLModel, table=True):
    """One checkpoint. Its objects exist only while it has a row, so that none is forgotten."""

    __tablename__ = "checkpoints"
    __table_args__ = (
        Index("checkpoints_by_job", "job_id", "checkpoint_id"),
        CheckConstraint("status BETWEEN 1 AND 3", name="checkpoints_status_known"),
    )

    checkpoint_id: str = Field(primary_key=True)
    job_id: str = Field(foreign_key="jobs.job_id")
    run_id: str = Field(foreign_key="runs.run_id", index=True)
    attempt: int
    # As storage.checkpoints.State.
    status: int
    size_bytes: int = Field(sa_type=BigInteger)
    entry_count: int
    created_at: int = Field(sa_type=BigInteger)
    saved_at: int | None = Field(sa_type=BigInteger)
