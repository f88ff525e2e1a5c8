"""What resources cost. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, CheckConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel


class PriceRow(SQLModel, table=True):
    """The price of a resource from some time on."""

    __tablename__ = "prices"
    __table_args__ = (
        UniqueConstraint("resource", "gpu_key", "start_at", name="prices_one_at_a_time"),
        CheckConstraint("amount >= 0", name="prices_not_negative"),
    )

    price_id: str = Field(primary_key=True)
    # As Price.Resource.
    resource: int
    gpu_type: str
    # The type as types are compared: case matters not.
    gpu_key: str
    # For one of it and an hour, in billionths of the currency.
    amount: int = Field(sa_type=BigInteger)
    currency: str
    start_at: int = Field(sa_type=BigInteger)
    user: str
    created_at: int = Field(sa_type=BigInteger)
