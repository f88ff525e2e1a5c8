"""How jobs are spread, and with whom."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("spread", sa.LargeBinary(), nullable=True))
    op.add_column("jobs", sa.Column("spread_group", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("jobs", "spread_group")
    op.drop_column("jobs", "spread")
