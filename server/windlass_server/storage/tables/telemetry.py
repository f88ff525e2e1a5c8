"""What nodes have measured, in buckets. Times are microseconds since 1970 (UTC).

Nodes are not referred to: what a node that is gone has measured ends with its retention.
"""

from sqlalchemy import BigInteger, Index, Integer, LargeBinary
from sqlmodel import Field, SQLModel

_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")


class TelemetrySegmentRow(SQLModel, table=True):
    """Some buckets of one field of one node, of all it was measured of; see `telemetry.segments`.

    A segment lies within one period, from which a segment of the next level is made.
    """

    __tablename__ = "telemetry_segments"
    __table_args__ = (
        Index("telemetry_segments_of_field", "node_id", "field", "level", "start_at"),
        Index("telemetry_segments_by_age", "level", "start_at"),
    )

    segment_id: int | None = Field(default=None, primary_key=True, sa_type=_SEQUENCE)
    node_id: str
    field: int
    level: int
    start_at: int = Field(sa_type=BigInteger)
    data: bytes = Field(sa_type=LargeBinary)


class TelemetryMarkRow(SQLModel, table=True):
    """Until when a node's values have been made into a level; none when nothing of it waits for that."""

    __tablename__ = "telemetry_marks"
    __table_args__ = (Index("telemetry_marks_due", "level", "made_until"),)

    node_id: str = Field(primary_key=True)
    level: int = Field(primary_key=True)
    made_until: int = Field(sa_type=BigInteger)
