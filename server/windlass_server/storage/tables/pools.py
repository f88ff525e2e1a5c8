"""Pools. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

DEFAULT_POOL = "default"
"""The pool that always exists, of the nodes that no other one takes."""


class PoolRow(SQLModel, table=True):
    """A group of nodes with its own rules; its name is its id."""

    __tablename__ = "pools"

    pool_id: str = Field(primary_key=True)
    # What callers said of it: a serialized resources.v1.Pool.
    spec: bytes
    version: int
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)
