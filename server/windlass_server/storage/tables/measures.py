"""What holders used of what they held. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel


class MeasureRow(SQLModel, table=True):
    """What a run or an allocation used in an hour, as its node measured it; as `telemetry.Measured`."""

    __tablename__ = "measures"
    __table_args__ = (Index("measures_by_slot", "slot"),)

    # A run or an allocation.
    holder_id: str = Field(primary_key=True)
    # The beginning of the hour.
    slot: int = Field(primary_key=True, sa_type=BigInteger)
    gpu_used: int = Field(sa_type=BigInteger)
    gpu_known: int = Field(sa_type=BigInteger)
    energy: int = Field(sa_type=BigInteger)
    energy_known: int = Field(sa_type=BigInteger)
    cpu_used: int = Field(sa_type=BigInteger)
    cpu_known: int = Field(sa_type=BigInteger)
    memory_used: int = Field(sa_type=BigInteger)
    memory_known: int = Field(sa_type=BigInteger)
