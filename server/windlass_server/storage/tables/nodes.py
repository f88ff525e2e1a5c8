"""Nodes and what of them is taken. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    false,
    text,
)
from sqlmodel import Field, SQLModel


class NodeRow(SQLModel, table=True):
    """A machine that joined, with the sums of what its active runs hold."""

    __tablename__ = "nodes"
    __table_args__ = (
        # Capacity is a constraint too. A node that comes back smaller than what runs on it is
        # marked, and takes nothing until enough of that has ended.
        CheckConstraint(
            "shrunk OR (cpu_held <= cpu_millis AND memory_held <= memory_bytes)",
            name="nodes_capacity",
        ),
        CheckConstraint("cpu_held >= 0 AND memory_held >= 0", name="nodes_held_not_negative"),
        # The drains' look at the nodes that are on their way.
        Index(
            "nodes_draining",
            "node_id",
            sqlite_where=text("maintenance = 3"),
            postgresql_where=text("maintenance = 3"),
        ),
        # The look at the nodes whose health time can change.
        Index(
            "nodes_ailing", "node_id", sqlite_where=text("ailing"), postgresql_where=text("ailing")
        ),
    )

    node_id: str = Field(primary_key=True)
    name: str
    public_key: bytes = Field(unique=True)
    status: int
    status_reason: str
    status_message: str
    inventory: bytes
    # What of it may be held: what its inventory says it has, times the overcommit of its pool.
    cpu_millis: int = Field(sa_type=BigInteger)
    memory_bytes: int = Field(sa_type=BigInteger)
    cpu_held: int = Field(sa_type=BigInteger)
    memory_held: int = Field(sa_type=BigInteger)
    shrunk: bool
    # A job has it alone: nobody else is given a part of it, whatever would be left.
    exclusive: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=false())
    )
    created_at: int = Field(sa_type=BigInteger)
    # When it last said hello; None when it never has.
    connected_at: int | None = Field(sa_type=BigInteger)
    last_seen_at: int = Field(sa_type=BigInteger)
    # Whether it takes new work: as Maintenance.State; why, who said so, and since when.
    maintenance: int
    maintenance_reason: str
    maintenance_actor: str
    maintenance_at: int = Field(sa_type=BigInteger)
    # Of a drain: its mode (0 without one), when waiting ends, and how many runs it began with.
    drain_mode: int
    drain_deadline: int | None = Field(sa_type=BigInteger)
    drain_runs: int
    # As agents.v1.NodeHealth; and whether something about it can change by itself.
    health: bytes
    ailing: bool
    # The cluster that its join token named.
    cluster: str
    # The pool that it is in, by what it said last and by the pools that there are.
    pool: str
    # When it was removed: the row stays for what was done on it, and to refuse its key. Every other
    # query leaves it out.
    removed_at: int | None = Field(sa_type=BigInteger)


class GpuClaimRow(SQLModel, table=True):
    """A GPU that is not free, and by what: the primary key forbids a second of any kind.

    A run or an allocation holds it; or a layout does, because it will be gone when its card is divided
    anew; or it is shared.
    """

    __tablename__ = "gpu_claims"
    __table_args__ = (
        CheckConstraint(
            "(CASE WHEN run_id IS NULL THEN 0 ELSE 1 END)"
            " + (CASE WHEN allocation_id IS NULL THEN 0 ELSE 1 END)"
            " + (CASE WHEN layout IS NULL THEN 0 ELSE 1 END)"
            " + (CASE WHEN shared_millis IS NULL THEN 0 ELSE 1 END) = 1",
            name="gpu_claims_one_holder",
        ),
        CheckConstraint("shared_millis BETWEEN 1 AND 1000", name="gpu_claims_one_card"),
        ForeignKeyConstraint(
            ["node_id", "layout"],
            ["gpu_layouts.node_id", "gpu_layouts.card_uuid"],
            name="gpu_claims_layout",
        ),
    )

    node_id: str = Field(primary_key=True, foreign_key="nodes.node_id")
    gpu_uuid: str = Field(primary_key=True)
    run_id: str | None = Field(default=None, index=True, foreign_key="runs.run_id")
    allocation_id: str | None = Field(
        default=None,
        sa_column=Column(
            ForeignKey("allocations.allocation_id", name="gpu_claims_allocation"), index=True
        ),
    )
    # UUID of the card that is being divided anew.
    layout: str | None = None
    # Thousandths of it that are taken, by several.
    shared_millis: int | None = None


class GpuShareRow(SQLModel, table=True):
    """A share of a GPU that several hold. Its claim has the sum of all, which bounds them."""

    __tablename__ = "gpu_shares"
    __table_args__ = (
        ForeignKeyConstraint(
            ["node_id", "gpu_uuid"],
            ["gpu_claims.node_id", "gpu_claims.gpu_uuid"],
            name="gpu_shares_claim",
        ),
        CheckConstraint("millis BETWEEN 1 AND 999", name="gpu_shares_part"),
        Index("gpu_shares_by_gpu", "node_id", "gpu_uuid"),
    )

    # A run or an allocation.
    holder: str = Field(primary_key=True)
    node_id: str
    gpu_uuid: str
    # Thousandths of the GPU.
    millis: int


class JoinTokenRow(SQLModel, table=True):
    """A token with which so many nodes may join."""

    __tablename__ = "join_tokens"
    __table_args__ = (
        CheckConstraint("uses BETWEEN 0 AND max_uses", name="join_tokens_not_overused"),
    )

    token_id: str = Field(primary_key=True)
    secret_digest: bytes
    created_by: str
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
    max_uses: int
    uses: int
    # The cluster that the nodes belong to.
    cluster: str


class JoinTokenUseRow(SQLModel, table=True):
    """A node that joined with a token, which is how its repeated question is told from another's."""

    __tablename__ = "join_token_uses"

    token_id: str = Field(primary_key=True, foreign_key="join_tokens.token_id")
    node_id: str = Field(primary_key=True)
