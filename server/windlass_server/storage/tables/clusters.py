"""Clusters. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

DEFAULT_CLUSTER = "default"
"""The cluster that always exists."""


class ClusterRow(SQLModel, table=True):
    """A place with machines of its own; its name is its id."""

    __tablename__ = "clusters"

    cluster_id: str = Field(primary_key=True)
    # As Cluster.Kind.
    kind: int
    # What callers said of it: a serialized resources.v1.Cluster.
    spec: bytes
    version: int
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)
