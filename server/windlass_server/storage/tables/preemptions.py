"""Runs that were stopped for other jobs. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field, SQLModel


class PreemptionRow(SQLModel, table=True):
    """A run that was asked to stop so that another job gets its place."""

    __tablename__ = "preemptions"
    __table_args__ = (
        # Those whose place is still kept for the job that they were stopped for.
        Index(
            "preemptions_kept",
            "for_job_id",
            sqlite_where=text("kept"),
            postgresql_where=text("kept"),
        ),
        Index("preemptions_by_time", "at"),
    )

    run_id: str = Field(primary_key=True, foreign_key="runs.run_id")
    job_id: str = Field(foreign_key="jobs.job_id")
    for_job_id: str = Field(foreign_key="jobs.job_id")
    for_project: str
    for_priority: int
    # Where that one gets its place.
    node_id: str
    kept: bool
    at: int = Field(sa_type=BigInteger)


class KeptPlaceRow(SQLModel, table=True):
    """A node of a job of several for which others were stopped: of all that it gets, also where nobody was."""

    __tablename__ = "kept_places"

    for_job_id: str = Field(primary_key=True, foreign_key="jobs.job_id")
    node_id: str = Field(primary_key=True)
