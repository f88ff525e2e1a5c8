"""Inside which reservation a job runs."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"


def upgrade() -> None:
    op.add_column(
        "jobs", sa.Column("reservation_id", sa.String(), nullable=False, server_default="")
    )


def downgrade() -> None:
    op.drop_column("jobs", "reservation_id")
