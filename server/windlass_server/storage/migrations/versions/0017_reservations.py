"""Parts of nodes that are kept for a time to come."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "reservations",
        sa.Column("reservation_id", sa.String(), primary_key=True),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("spec", sa.LargeBinary(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("cancelled_at", sa.BigInteger(), nullable=True),
    )
    op.create_index("reservations_by_end", "reservations", ["ends_at"])
    op.create_table(
        "reserved_parts",
        sa.Column(
            "reservation_id",
            sa.String(),
            sa.ForeignKey("reservations.reservation_id"),
            primary_key=True,
        ),
        sa.Column("node_id", sa.String(), sa.ForeignKey("nodes.node_id"), primary_key=True),
        sa.Column("cpu_millis", sa.BigInteger(), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column("gpu_count", sa.Integer(), nullable=False),
        sa.Column("gpu_type", sa.String(), nullable=False),
    )
    op.create_index("ix_reserved_parts_node_id", "reserved_parts", ["node_id"])
    op.add_column("jobs", sa.Column("longest_run", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "longest_run")
    op.drop_table("reserved_parts")
    op.drop_table("reservations")
