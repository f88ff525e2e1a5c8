"""How the scheduler decides. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class SchedulingPolicyRow(SQLModel, table=True):
    """A policy that somebody set; `default`, or the kind and name of what it is for, is its id."""

    __tablename__ = "scheduling_policies"

    policy_id: str = Field(primary_key=True)
    # What callers said of it: a serialized resources.v1.SchedulingPolicy.
    spec: bytes
    version: int = Field(sa_type=BigInteger)
    # Who changed it last.
    user: str
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)
