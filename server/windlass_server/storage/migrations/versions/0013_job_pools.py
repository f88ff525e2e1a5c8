"""The pool that a job asks for."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("pool", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("jobs", "pool")
