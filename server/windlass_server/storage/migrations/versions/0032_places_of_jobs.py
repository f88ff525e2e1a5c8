"""Which nodes jobs may run on, of which types their GPUs may be, and who has a node alone."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("gpu_types", sa.Text(), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("constraints", sa.LargeBinary(), nullable=True))
    for table in ("jobs", "nodes"):
        op.add_column(
            table,
            sa.Column("exclusive", sa.Boolean(), nullable=False, server_default=sa.false()),
        )


def downgrade() -> None:
    for table in ("jobs", "nodes"):
        op.drop_column(table, "exclusive")
    op.drop_column("jobs", "constraints")
    op.drop_column("jobs", "gpu_types")
