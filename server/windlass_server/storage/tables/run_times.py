"""How long jobs have run lately. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, Index, LargeBinary
from sqlmodel import Field, SQLModel


class RunTimeRow(SQLModel, table=True):
    """How long the last runs took of a user's jobs of a name in a project; see `jobs/learning.py`."""

    __tablename__ = "run_times"
    __table_args__ = (Index("run_times_by_change", "changed_at"),)

    project: str = Field(primary_key=True)
    user: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    # The last ones, the oldest first, each as 8 bytes.
    durations: bytes = Field(sa_type=LargeBinary)
    changed_at: int = Field(sa_type=BigInteger)


class RunTimeMarkRow(SQLModel, table=True):
    """Up to which ended run was learned from; there is one."""

    __tablename__ = "run_time_marks"

    mark: int = Field(primary_key=True)
    end_noted_at: int = Field(sa_type=BigInteger)
    run_id: str
