"""Jobs that are suspended where they are."""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"
_ADDED = (("jobs", "frozen"), ("runs", "want_frozen"), ("runs", "frozen"))


def upgrade() -> None:
    for table, name in _ADDED:
        op.add_column(
            table, sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())
        )


def downgrade() -> None:
    for table, name in reversed(_ADDED):
        op.drop_column(table, name)
