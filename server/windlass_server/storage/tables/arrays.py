"""Arrays of jobs, and how many of their indices are in which status."""

from sqlalchemy import Boolean, CheckConstraint, Column, Index, text, true
from sqlmodel import Field, SQLModel

COUNTED = (
    "queued",
    "scheduled",
    "running",
    "cancelling",
    "succeeded",
    "failed",
    "cancelled",
    "timed_out",
    "out_of_memory",
    "suspended",
    "suspending",
    "deadline_exceeded",
)
"""The columns of the statuses of jobs.v1.Job.Status, from 1 on."""


class JobArrayRow(SQLModel, table=True):
    """An array: what is counted, in the transactions that change it, of the jobs of its indices.

    Beside the job that it is, so that a narrow row is all that is written with each move of an index.
    """

    __tablename__ = "job_arrays"
    __table_args__ = (
        # Those that have not ended.
        Index(
            "job_arrays_active",
            "array_job_id",
            sqlite_where=text("active"),
            postgresql_where=text("active"),
        ),
        CheckConstraint("created <= total", name="job_arrays_within_total"),
        CheckConstraint(f"created = {' + '.join(COUNTED)}", name="job_arrays_all_counted"),
        CheckConstraint(
            " AND ".join(f"{one} >= 0" for one in COUNTED), name="job_arrays_not_negative"
        ),
    )

    array_job_id: str = Field(primary_key=True, foreign_key="jobs.job_id")
    # Indices that it has, and how many of them have a job: the first ones.
    total: int
    created: int
    # How many may be under way at once; 0: as many as there is room for.
    parallel: int
    # The jobs of its indices go on from the checkpoints of those that they retry.
    resumes: bool
    # They are stopped without their grace periods.
    forced: bool
    # Rises with each change of this row.
    changes: int
    active: bool = Field(sa_column=Column(Boolean, nullable=False, server_default=true()))
    # Jobs of its indices, by status.
    queued: int = 0
    scheduled: int = 0
    running: int = 0
    cancelling: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    timed_out: int = 0
    out_of_memory: int = 0
    suspended: int = 0
    suspending: int = 0
    deadline_exceeded: int = 0
