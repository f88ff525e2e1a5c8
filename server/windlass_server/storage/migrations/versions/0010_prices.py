"""What resources cost, from when on."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "prices",
        sa.Column("price_id", sa.String(), primary_key=True),
        sa.Column("resource", sa.Integer(), nullable=False),
        sa.Column("gpu_type", sa.String(), nullable=False),
        sa.Column("gpu_key", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("resource", "gpu_key", "start_at", name="prices_one_at_a_time"),
        sa.CheckConstraint("amount >= 0", name="prices_not_negative"),
    )


def downgrade() -> None:
    op.drop_table("prices")
