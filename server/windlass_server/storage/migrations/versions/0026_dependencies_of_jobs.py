"""What jobs wait for before they are in the queue: other jobs, and their time."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

_QUEUE = sa.text("priority DESC"), "job_id"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("asked_priority", sa.Integer(), nullable=True))
    for name, kind in (("start_after", sa.BigInteger()), ("held", sa.Integer())):
        op.add_column("jobs", sa.Column(name, kind, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("eligible_at", sa.BigInteger(), nullable=True))
    op.drop_index("jobs_waiting", "jobs")
    _index("jobs_waiting", _QUEUE, "status = 1 AND held = 0")
    _index("jobs_by_start", ("start_after", "job_id"), "status = 1 AND held = 2")
    op.create_table(
        "job_dependencies",
        sa.Column("job_id", sa.String(), sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("awaited_id", sa.String(), sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.CheckConstraint("kind BETWEEN 1 AND 4", name="job_dependencies_kind_known"),
        sa.CheckConstraint("job_id <> awaited_id", name="job_dependencies_not_itself"),
    )
    _index("job_dependencies_open", ("awaited_id", "job_id"), "state = 0", "job_dependencies")


def downgrade() -> None:
    op.drop_table("job_dependencies")
    op.drop_index("jobs_by_start", "jobs")
    op.drop_index("jobs_waiting", "jobs")
    _index("jobs_waiting", _QUEUE, "status = 1")
    for name in ("eligible_at", "held", "start_after", "asked_priority"):
        op.drop_column("jobs", name)


def _index(
    name: str, columns: tuple[sa.TextClause | str, ...], of: str, table: str = "jobs"
) -> None:
    only = sa.text(of)
    op.create_index(name, table, [*columns], sqlite_where=only, postgresql_where=only)
