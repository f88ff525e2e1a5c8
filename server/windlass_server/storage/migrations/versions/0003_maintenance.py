"""Whether nodes take new work and how they are emptied; what bounds the time of a run."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    # Every node is open; runs that there are have the grace period that jobs have by default.
    for name, kind, default in (
        ("maintenance", sa.Integer(), "1"),
        ("maintenance_reason", sa.String(), ""),
        ("maintenance_actor", sa.String(), ""),
        ("maintenance_at", sa.BigInteger(), "0"),
        ("drain_mode", sa.Integer(), "0"),
        ("drain_runs", sa.Integer(), "0"),
    ):
        op.add_column("nodes", sa.Column(name, kind, nullable=False, server_default=default))
    op.add_column("nodes", sa.Column("drain_deadline", sa.BigInteger(), nullable=True))
    op.create_index(
        "nodes_draining",
        "nodes",
        ["node_id"],
        sqlite_where=sa.text("maintenance = 3"),
        postgresql_where=sa.text("maintenance = 3"),
    )
    op.add_column(
        "runs", sa.Column("grace", sa.BigInteger(), nullable=False, server_default="10000000")
    )
    op.add_column("runs", sa.Column("time_limit", sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("stopping_since", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    for column in ("stopping_since", "time_limit", "grace"):
        op.drop_column("runs", column)
    op.drop_index("nodes_draining", "nodes")
    for column in (
        "drain_deadline",
        "drain_runs",
        "drain_mode",
        "maintenance_at",
        "maintenance_actor",
        "maintenance_reason",
        "maintenance",
    ):
        op.drop_column("nodes", column)
