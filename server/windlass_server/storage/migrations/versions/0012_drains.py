"""Drains of many nodes, a few at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "drains",
        sa.Column("drain_id", sa.String(), primary_key=True),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("mode", sa.Integer(), nullable=False),
        sa.Column("afterwards", sa.Integer(), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("max_unavailable", sa.Integer(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("status BETWEEN 1 AND 3", name="drains_status_known"),
    )
    op.create_index(
        "drains_running",
        "drains",
        ["drain_id"],
        sqlite_where=sa.text("status = 1"),
        postgresql_where=sa.text("status = 1"),
    )
    op.create_table(
        "drain_nodes",
        sa.Column("drain_id", sa.String(), sa.ForeignKey("drains.drain_id"), primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True),
        sa.Column("node_id", sa.String(), sa.ForeignKey("nodes.node_id"), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state BETWEEN 1 AND 5", name="drain_nodes_state_known"),
    )
    op.create_index(
        "drain_nodes_one_active",
        "drain_nodes",
        ["node_id"],
        unique=True,
        sqlite_where=sa.text("active"),
        postgresql_where=sa.text("active"),
    )


def downgrade() -> None:
    op.drop_table("drain_nodes")
    op.drop_table("drains")
