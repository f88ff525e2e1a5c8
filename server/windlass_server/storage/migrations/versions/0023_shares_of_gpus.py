"""Shares of GPUs: who has how much of which, and what jobs ask for and runs and allocations hold."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"

_HAVE_SHARES = ("jobs", "runs", "allocations")


def upgrade() -> None:
    op.create_table(
        "gpu_shares",
        sa.Column("holder", sa.String(), primary_key=True),
        sa.Column("node_id", sa.String(), nullable=False),
        sa.Column("gpu_uuid", sa.String(), nullable=False),
        sa.Column("millis", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["node_id", "gpu_uuid"],
            ["gpu_claims.node_id", "gpu_claims.gpu_uuid"],
            name="gpu_shares_claim",
        ),
        sa.CheckConstraint("millis BETWEEN 1 AND 999", name="gpu_shares_part"),
    )
    op.create_index("gpu_shares_by_gpu", "gpu_shares", ["node_id", "gpu_uuid"])
    for table in _HAVE_SHARES:
        column = sa.Column("gpu_millis", sa.Integer(), nullable=False, server_default="0")
        op.add_column(table, column)


def downgrade() -> None:
    for table in _HAVE_SHARES:
        op.drop_column(table, "gpu_millis")
    op.execute("DELETE FROM gpu_shares")
    op.execute("DELETE FROM gpu_claims WHERE shared_millis IS NOT NULL")
    op.drop_table("gpu_shares")
