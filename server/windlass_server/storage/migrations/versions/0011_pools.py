"""Pools, and in which of them each node is. All nodes are in the default one."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "pools",
        sa.Column("pool_id", sa.String(), primary_key=True),
        sa.Column("spec", sa.LargeBinary(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
    )
    op.add_column("nodes", sa.Column("pool", sa.String(), nullable=False, server_default="default"))


def downgrade() -> None:
    op.drop_column("nodes", "pool")
    op.drop_table("pools")
