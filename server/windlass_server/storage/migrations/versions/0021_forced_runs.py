"""When a run was made to leave its node by force."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("runs", sa.Column("forced_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("runs", "forced_at")
