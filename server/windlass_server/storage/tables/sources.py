"""Archives of files that jobs bring along. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, CheckConstraint, Index
from sqlmodel import Field, SQLModel


class SourceRow(SQLModel, table=True):
    """One archive. Its object exists only while it has a row, so that none is forgotten."""

    __tablename__ = "sources"
    __table_args__ = (
        # Of those that are whole: the others have no digest.
        Index("sources_by_content", "project", "sha256", unique=True),
        Index("sources_by_project", "project", "source_id"),
        Index("sources_by_use", "status", "used_at"),
        CheckConstraint("status BETWEEN 1 AND 3", name="sources_status_known"),
    )

    source_id: str = Field(primary_key=True)
    project: str
    # As storage.sources.State.
    status: int
    size_bytes: int = Field(sa_type=BigInteger)
    # Hexadecimal; NULL before it is whole, and when it is removed.
    sha256: str | None
    user: str
    created_at: int = Field(sa_type=BigInteger)
    used_at: int = Field(sa_type=BigInteger)


class JobSourceRow(SQLModel, table=True):
    """The archive that a job brings along."""

    __tablename__ = "job_sources"

    job_id: str = Field(primary_key=True, foreign_key="jobs.job_id")
    # Archives are removed when nobody needs them; jobs stay.
    source_id: str = Field(index=True)
