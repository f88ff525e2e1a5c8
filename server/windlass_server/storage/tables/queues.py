"""Queues. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class QueueRow(SQLModel, table=True):
    """A queue; `default` is there from the first migration on."""

    __tablename__ = "queues"

    queue_id: str = Field(primary_key=True)
    # What callers said of it: a serialized jobs.v1.Queue.
    spec: bytes
    version: int = Field(sa_type=BigInteger)
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)
