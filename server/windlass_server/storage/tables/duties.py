"""Which server does what only one of several may do at a time."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class DutyRow(SQLModel, table=True):
    """A duty and who has it. No time of day is in it: servers' clocks may differ."""

    __tablename__ = "duties"

    duty: str = Field(primary_key=True)
    # Empty when whoever had it has given it back.
    holder: str
    # Rises whenever it is taken over: what is still committed under an earlier one is refused.
    epoch: int = Field(sa_type=BigInteger)
    # Rises for as long as its holder lives.
    beat: int = Field(sa_type=BigInteger)
    # Rises whenever a server that does not have it knows of work for it.
    asked: int = Field(sa_type=BigInteger)
