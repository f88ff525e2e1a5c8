"""What runs and allocations used in each hour, as their nodes measured it."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_SUMS = (
    "gpu_used",
    "gpu_known",
    "energy",
    "energy_known",
    "cpu_used",
    "cpu_known",
    "memory_used",
    "memory_known",
)


def upgrade() -> None:
    op.create_table(
        "measures",
        sa.Column("holder_id", sa.String(), primary_key=True),
        sa.Column("slot", sa.BigInteger(), primary_key=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _SUMS),
    )
    op.create_index("measures_by_slot", "measures", ["slot"])


def downgrade() -> None:
    op.drop_table("measures")
