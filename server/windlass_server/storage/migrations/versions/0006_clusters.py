"""Clusters, to which nodes belong by their join tokens; nodes that were removed."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "clusters",
        sa.Column("cluster_id", sa.String(), primary_key=True),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("spec", sa.LargeBinary(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
    )
    for table in ("nodes", "join_tokens"):
        op.add_column(
            table, sa.Column("cluster", sa.String(), nullable=False, server_default="default")
        )
    op.add_column("nodes", sa.Column("removed_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("nodes", "removed_at")
    for table in ("join_tokens", "nodes"):
        op.drop_column(table, "cluster")
    op.drop_table("clusters")
