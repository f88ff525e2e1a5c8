"""What happened, and what has still to be told. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, Index, Integer, Text
from sqlmodel import Field, SQLModel

# SQLite numbers rows by itself only for a primary key of exactly INTEGER.
_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")


class EventRow(SQLModel, table=True):
    """One thing that happened to an object. Never changed, never removed."""

    __tablename__ = "events"
    __table_args__ = (Index("events_by_object", "object_id", "sequence"),)

    sequence: int | None = Field(default=None, primary_key=True, sa_type=_SEQUENCE)
    project: str
    object_id: str
    at: int = Field(sa_type=BigInteger)
    actor: str
    # The object's status after it.
    status: int
    reason: str
    message: str = Field(sa_type=Text)
    run_id: str


class OutboxRow(SQLModel, table=True):
    """An event that has still to be told to those who listen. Written with it, gone when told."""

    __tablename__ = "outbox"

    sequence: int = Field(primary_key=True, sa_type=BigInteger)
    topic: str


class RequestRow(SQLModel, table=True):
    """The answer to an idempotent create: one row for each (principal, method, request_id)."""

    __tablename__ = "requests"

    user: str = Field(primary_key=True)
    method: str = Field(primary_key=True)
    request_id: str = Field(primary_key=True)
    fingerprint: bytes
    object_id: str
    created_at: int = Field(sa_type=BigInteger)
