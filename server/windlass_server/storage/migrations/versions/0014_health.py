"""What is known of the health of nodes and their GPUs, and which runs a GPU has failed."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    # Nothing is known of any node: so nothing is wrong with it.
    op.add_column(
        "nodes", sa.Column("health", sa.LargeBinary(), nullable=False, server_default=sa.text("''"))
    )
    op.add_column(
        "nodes", sa.Column("ailing", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_index(
        "nodes_ailing",
        "nodes",
        ["node_id"],
        sqlite_where=sa.text("ailing"),
        postgresql_where=sa.text("ailing"),
    )
    op.add_column("runs", sa.Column("device_fault", sa.String(), nullable=False, server_default=""))
    op.create_index(
        "runs_failed_by_nodes",
        "runs",
        ["end_noted_at"],
        sqlite_where=sa.text("end_cause IN (5, 7)"),
        postgresql_where=sa.text("end_cause IN (5, 7)"),
    )


def downgrade() -> None:
    op.drop_index("runs_failed_by_nodes", "runs")
    op.drop_column("runs", "device_fault")
    op.drop_index("nodes_ailing", "nodes")
    op.drop_column("nodes", "ailing")
    op.drop_column("nodes", "health")
