"""Drains of many nodes. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, CheckConstraint, Index, text
from sqlmodel import Field, SQLModel


class DrainRow(SQLModel, table=True):
    """One drain."""

    __tablename__ = "drains"
    __table_args__ = (
        Index(
            "drains_running",
            "drain_id",
            sqlite_where=text("status = 1"),
            postgresql_where=text("status = 1"),
        ),
        CheckConstraint("status BETWEEN 1 AND 3", name="drains_status_known"),
    )

    drain_id: str = Field(primary_key=True)
    # As resources.v1.Drain.Status, Maintenance.DrainMode and Drain.Afterwards.
    status: int
    mode: int
    afterwards: int
    deadline: int | None = Field(sa_type=BigInteger)
    reason: str
    max_unavailable: int
    user: str
    created_at: int = Field(sa_type=BigInteger)
    ended_at: int | None = Field(sa_type=BigInteger)


class DrainNodeRow(SQLModel, table=True):
    """A node of a drain, and how far it is."""

    __tablename__ = "drain_nodes"
    __table_args__ = (
        # Two drains would undo each other's work on a node.
        Index(
            "drain_nodes_one_active",
            "node_id",
            unique=True,
            sqlite_where=text("active"),
            postgresql_where=text("active"),
        ),
        CheckConstraint("state BETWEEN 1 AND 5", name="drain_nodes_state_known"),
    )

    drain_id: str = Field(primary_key=True, foreign_key="drains.drain_id")
    position: int = Field(primary_key=True)
    node_id: str = Field(foreign_key="nodes.node_id")
    # As resources.v1.DrainedNode.State.
    state: int
    # The drain is not done with it.
    active: bool
    started_at: int | None = Field(sa_type=BigInteger)
    ended_at: int | None = Field(sa_type=BigInteger)
