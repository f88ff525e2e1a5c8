"""Quotas, and what their owners have. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, CheckConstraint, Index
from sqlmodel import Field, SQLModel

_AMOUNTS = ("gpu_millis", "cpu_millis", "memory_bytes")
_COUNTED = (*_AMOUNTS, "running_jobs", "queued_jobs", "artifact_bytes")
# What waits may be more: what ran already may always wait again.
_WITHIN = " AND ".join(
    (
        *(f"used_{one} <= limit_{one}" for one in (*_AMOUNTS, "running_jobs", "artifact_bytes")),
        *(f"used_{one} <= guaranteed_{one} + borrowing_{one}" for one in _AMOUNTS),
    )
)


class QuotaRow(SQLModel, table=True):
    """A quota: what is not said is NULL, which every comparison lets pass.

    What its owner has is counted in the transactions that give it and take it back.
    """

    __tablename__ = "quotas"
    __table_args__ = (
        # One of each owner and type.
        Index("quotas_of_owner", "project", "user", "gpu_key", unique=True),
        # Those who lend to each other.
        Index("quotas_by_cohort", "cohort", "quota_id"),
        # The most is a constraint too. One that was set below what is held is marked, until enough of that
        # has ended.
        CheckConstraint(f"lowered OR ({_WITHIN})", name="quotas_not_exceeded"),
        CheckConstraint(
            " AND ".join(f"used_{one} >= 0" for one in _COUNTED), name="quotas_used_not_negative"
        ),
    )

    quota_id: str = Field(primary_key=True)
    project: str = Field(foreign_key="projects.project")
    # Empty: of the whole project.
    user: str
    # Empty: of everything; and the type as types are compared.
    gpu_type: str
    gpu_key: str
    cohort: str
    guaranteed_gpu_millis: int | None = Field(sa_type=BigInteger)
    guaranteed_cpu_millis: int | None = Field(sa_type=BigInteger)
    guaranteed_memory_bytes: int | None = Field(sa_type=BigInteger)
    borrowing_gpu_millis: int | None = Field(sa_type=BigInteger)
    borrowing_cpu_millis: int | None = Field(sa_type=BigInteger)
    borrowing_memory_bytes: int | None = Field(sa_type=BigInteger)
    limit_gpu_millis: int | None = Field(sa_type=BigInteger)
    limit_cpu_millis: int | None = Field(sa_type=BigInteger)
    limit_memory_bytes: int | None = Field(sa_type=BigInteger)
    limit_running_jobs: int | None = Field(sa_type=BigInteger)
    limit_queued_jobs: int | None = Field(sa_type=BigInteger)
    # The highest priority that its jobs can be given; None: any.
    max_priority: int | None = None
    limit_artifact_bytes: int | None = Field(sa_type=BigInteger)
    used_gpu_millis: int = Field(sa_type=BigInteger)
    used_cpu_millis: int = Field(sa_type=BigInteger)
    used_memory_bytes: int = Field(sa_type=BigInteger)
    used_running_jobs: int = Field(sa_type=BigInteger)
    used_queued_jobs: int = Field(sa_type=BigInteger)
    used_artifact_bytes: int = Field(sa_type=BigInteger)
    # More is held than is allowed: it was set below that.
    lowered: bool
    version: int
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)
