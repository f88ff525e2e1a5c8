"""Which job retries which, with whose checkpoint it begins, and who waits for retries."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"

_COLUMNS = ("retry_of", "root_job_id", "checkpoint_of")


def upgrade() -> None:
    for name in _COLUMNS:
        op.add_column("jobs", sa.Column(name, sa.String(), nullable=True))
    _index("jobs_by_retry", "jobs", ("retry_of", "job_id"), "retry_of IS NOT NULL")
    _index("jobs_by_checkpoint", "jobs", ("checkpoint_of",), "checkpoint_of IS NOT NULL")
    op.add_column(
        "job_dependencies",
        sa.Column("follows", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    _index("job_dependencies_stalled", "job_dependencies", ("awaited_id", "job_id"), "state = 4")


def downgrade() -> None:
    op.drop_index("job_dependencies_stalled", "job_dependencies")
    op.drop_column("job_dependencies", "follows")
    op.drop_index("jobs_by_checkpoint", "jobs")
    op.drop_index("jobs_by_retry", "jobs")
    for name in reversed(_COLUMNS):
        op.drop_column("jobs", name)


def _index(name: str, table: str, columns: tuple[str, ...], of: str) -> None:
    only = sa.text(of)
    op.create_index(name, table, [*columns], sqlite_where=only, postgresql_where=only)
