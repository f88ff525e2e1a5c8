"""Jobs that are suspended, and those that must have ended by a time."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"

_NAME = "jobs_status_known"
# SQLite copies the table, and would not know again which way their columns go.
_DESCENDING = {
    "jobs_waiting": (sa.text("priority DESC"), "job_id"),
    "jobs_waiting_by_owner": ("project", "user", sa.text("priority DESC"), "job_id"),
}
_IN_QUEUE = sa.text("status = 1 AND held = 0")
_WITH_DEADLINE = sa.text("ended_at IS NULL AND end_by IS NOT NULL")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("end_by", sa.BigInteger(), nullable=True))
    op.create_index(
        "jobs_by_deadline",
        "jobs",
        ["end_by", "job_id"],
        sqlite_where=_WITH_DEADLINE,
        postgresql_where=_WITH_DEADLINE,
    )
    _statuses("status BETWEEN 1 AND 12")


def downgrade() -> None:
    _statuses("status BETWEEN 1 AND 9")
    op.drop_index("jobs_by_deadline", "jobs")
    op.drop_column("jobs", "end_by")


def _statuses(known: str) -> None:
    for name in _DESCENDING:
        op.drop_index(name, "jobs")
    with op.batch_alter_table("jobs") as jobs:
        jobs.drop_constraint(_NAME, type_="check")
        jobs.create_check_constraint(_NAME, sa.text(known))
    for name, columns in _DESCENDING.items():
        op.create_index(
            name, "jobs", [*columns], sqlite_where=_IN_QUEUE, postgresql_where=_IN_QUEUE
        )
