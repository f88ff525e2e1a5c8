"""Jobs and allocations that ask for instances of a profile, or for memory of a GPU."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

_TABLES = ("jobs", "allocations")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(
            table, sa.Column("mig_profile", sa.String(), nullable=False, server_default="")
        )
        op.add_column(
            table,
            sa.Column("gpu_memory_bytes", sa.BigInteger(), nullable=False, server_default="0"),
        )


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "gpu_memory_bytes")
        op.drop_column(table, "mig_profile")
