"""All nodes of a job of several for which others are stopped."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    op.create_table(
        "kept_places",
        sa.Column("for_job_id", sa.String(), sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("node_id", sa.String(), primary_key=True),
    )


def downgrade() -> None:
    op.drop_table("kept_places")
