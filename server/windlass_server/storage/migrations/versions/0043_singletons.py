"""Jobs of which one runs at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"

_NOT_ENDED = sa.text("ended_at IS NULL")
_COLUMNS = "job_id, awaited_id, kind, state, follows"


def upgrade() -> None:
    op.create_table(
        "singleton_turns",
        sa.Column("project", sa.String(), sa.ForeignKey("projects.project"), primary_key=True),
        sa.Column("user", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("job_id", sa.String(), nullable=False),
    )
    op.create_index(
        "jobs_by_name",
        "jobs",
        ["project", "user", "name", "job_id"],
        sqlite_where=_NOT_ENDED,
        postgresql_where=_NOT_ENDED,
    )
    # A singleton may wait for a job for which it waits in another way, too.
    _dependencies(kinds=5, kind_in_key=True)


def downgrade() -> None:
    op.execute("DELETE FROM job_dependencies WHERE kind = 5")
    _dependencies(kinds=4, kind_in_key=False)
    op.drop_index("jobs_by_name", "jobs")
    op.drop_table("singleton_turns")


def _dependencies(*, kinds: int, kind_in_key: bool) -> None:
    """Make the table anew: SQLite changes neither a key nor what is checked."""
    op.drop_index("job_dependencies_open", "job_dependencies")
    op.drop_index("job_dependencies_stalled", "job_dependencies")
    op.rename_table("job_dependencies", "job_dependencies_before")
    # Names of constraints are the table's own in SQLite, and in PostgreSQL go with it.
    op.create_table(
        "job_dependencies",
        sa.Column("job_id", sa.String(), sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("awaited_id", sa.String(), sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("kind", sa.Integer(), nullable=False, primary_key=kind_in_key),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("follows", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.CheckConstraint(f"kind BETWEEN 1 AND {kinds}", name="job_dependencies_kind_known"),
        sa.CheckConstraint("job_id <> awaited_id", name="job_dependencies_not_itself"),
    )
    op.execute(
        f"INSERT INTO job_dependencies ({_COLUMNS}) SELECT {_COLUMNS} FROM job_dependencies_before"  # noqa: S608
    )
    op.drop_table("job_dependencies_before")
    for name, state in (("job_dependencies_open", 0), ("job_dependencies_stalled", 4)):
        only = sa.text(f"state = {state}")
        op.create_index(
            name,
            "job_dependencies",
            ["awaited_id", "job_id"],
            sqlite_where=only,
            postgresql_where=only,
        )
