"""Parts of nodes that are kept for a time to come. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel


class ReservationRow(SQLModel, table=True):
    """A reservation: what callers said of it, and when it is over for ever."""

    __tablename__ = "reservations"
    __table_args__ = (Index("reservations_by_end", "ends_at"),)

    reservation_id: str = Field(primary_key=True)
    # Whom it is for; empty for maintenance.
    project: str
    # As resources.v1.Reservation, without what has columns here.
    spec: bytes
    version: int
    user: str
    # When its first time begins, and its last one ends (None: never).
    starts_at: int = Field(sa_type=BigInteger)
    ends_at: int | None = Field(sa_type=BigInteger)
    created_at: int = Field(sa_type=BigInteger)
    cancelled_at: int | None = Field(sa_type=BigInteger)


class ReservedPartRow(SQLModel, table=True):
    """What a reservation keeps of a node, each time."""

    __tablename__ = "reserved_parts"

    reservation_id: str = Field(primary_key=True, foreign_key="reservations.reservation_id")
    node_id: str = Field(primary_key=True, foreign_key="nodes.node_id", index=True)
    cpu_millis: int = Field(sa_type=BigInteger)
    memory_bytes: int = Field(sa_type=BigInteger)
    gpu_count: int
    gpu_type: str
