"""Up to when what a run did is in a checkpoint, and so not lost with it."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.add_column("runs", sa.Column("saved_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("runs", "saved_at")
