"""Parts of nodes that are held without a job. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, String, Text, text
from sqlmodel import Field, SQLModel

# SQLite numbers rows by itself only for a primary key of exactly INTEGER.
_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")


class AllocationRow(SQLModel, table=True):
    """One allocation. Its sequence number is its fencing token: it never goes back."""

    __tablename__ = "allocations"
    __table_args__ = (
        Index("allocations_by_project", "project", "allocation_id"),
        Index(
            "allocations_active",
            "node_id",
            sqlite_where=text("status = 1"),
            postgresql_where=text("status = 1"),
        ),
        # The allocations that held something since some time.
        Index("allocations_by_end", "ended_at"),
        CheckConstraint("status BETWEEN 1 AND 4", name="allocations_status_known"),
        # What `AUTOINCREMENT` is called here: numbers of deleted rows are not given again.
        {"sqlite_autoincrement": True},
    )

    sequence: int | None = Field(default=None, primary_key=True, sa_type=_SEQUENCE)
    allocation_id: str = Field(unique=True)
    project: str = Field(foreign_key="projects.project")
    user: str
    status: int
    status_reason: str
    status_message: str = Field(sa_type=Text)
    node_id: str = Field(foreign_key="nodes.node_id")
    cpu_millis: int = Field(sa_type=BigInteger)
    memory_bytes: int = Field(sa_type=BigInteger)
    gpu_type: str
    # Of which profile its GPUs are instances, or how much memory was asked for of each; empty and 0: neither.
    mig_profile: str = Field(
        default="", sa_column=Column(String, nullable=False, server_default="")
    )
    gpu_memory_bytes: int = Field(
        default=0, sa_column=Column(BigInteger, nullable=False, server_default="0")
    )
    gpu_uuids: str = Field(sa_type=Text)
    # The type of each of its GPUs, in the order of `gpu_uuids`; and its node's pool when it was given.
    gpu_types: str = Field(default="", sa_column=Column(Text, nullable=False, server_default=""))
    pool_id: str = Field(
        default="default", sa_column=Column(String, nullable=False, server_default="default")
    )
    # As types.v1.Topology.Level.
    topology_level: int = Field(
        default=0, sa_column=Column(Integer, nullable=False, server_default="0")
    )
    # Its share of its GPU, in thousandths; 0: they are whole.
    gpu_millis: int = Field(
        default=0, sa_column=Column(Integer, nullable=False, server_default="0")
    )
    exclusive: bool
    ttl: int = Field(sa_type=BigInteger)
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
    ended_at: int | None = Field(sa_type=BigInteger)
