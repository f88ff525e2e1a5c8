"""The queue of each owner, in its order."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    op.create_index(
        "jobs_waiting_by_owner",
        "jobs",
        ["project", "user", sa.text("priority DESC"), "job_id"],
        sqlite_where=sa.text("status = 1 AND held = 0"),
        postgresql_where=sa.text("status = 1 AND held = 0"),
    )


def downgrade() -> None:
    op.drop_index("jobs_waiting_by_owner", "jobs")
