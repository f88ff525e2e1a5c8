"""What a ledger of usage needs to know of runs and allocations beside how much they held."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    for table in ("runs", "allocations"):
        # Of what was held before, the types are those that were asked for.
        op.add_column(table, sa.Column("gpu_types", sa.Text(), nullable=False, server_default=""))
        op.add_column(
            table, sa.Column("pool_id", sa.String(), nullable=False, server_default="default")
        )
    op.add_column("runs", sa.Column("started_at", sa.BigInteger(), nullable=True))
    # Before 0002 only the node said when a run ended.
    op.execute("UPDATE runs SET end_noted_at = ended_at WHERE NOT active AND end_noted_at IS NULL")
    op.create_index("runs_by_end", "runs", ["end_noted_at"])
    op.create_index("allocations_by_end", "allocations", ["ended_at"])


def downgrade() -> None:
    op.drop_index("allocations_by_end", "allocations")
    op.drop_index("runs_by_end", "runs")
    op.drop_column("runs", "started_at")
    for table in ("runs", "allocations"):
        op.drop_column(table, "pool_id")
        op.drop_column(table, "gpu_types")
