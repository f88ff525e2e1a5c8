"""Arrays of jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"

_COUNTED = (
    "queued",
    "scheduled",
    "running",
    "cancelling",
    "succeeded",
    "failed",
    "cancelled",
    "timed_out",
    "out_of_memory",
    "suspended",
    "suspending",
    "deadline_exceeded",
)
_LISTED = {
    "jobs_by_project": ["project", "job_id"],
    "jobs_by_status": ["project", "status", "job_id"],
    "jobs_by_user": ["project", "user", "job_id"],
}
_OF_ARRAYS = {
    "jobs_of_array": ["array_index"],
    "jobs_of_array_newest": ["job_id"],
    "jobs_of_array_by_status": ["status", "array_index"],
}


def _partial_index(name: str, columns: list[str], condition: str, *, unique: bool = False) -> None:
    where = sa.text(condition)
    op.create_index(
        name, "jobs", columns, unique=unique, sqlite_where=where, postgresql_where=where
    )


def upgrade() -> None:
    op.add_column("jobs", sa.Column("array_job_id", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("array_index", sa.Integer(), nullable=True))
    op.add_column(
        "jobs", sa.Column("array_count", sa.Integer(), nullable=False, server_default="0")
    )
    for name, columns in _LISTED.items():
        op.drop_index(name, "jobs")
        _partial_index(name, columns, "array_job_id IS NULL")
    for name, columns in _OF_ARRAYS.items():
        unique = name == "jobs_of_array"
        whole = ["array_job_id", *columns]
        _partial_index(name, whole, "array_job_id IS NOT NULL", unique=unique)
    op.create_table(
        "job_arrays",
        sa.Column("array_job_id", sa.String(), sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("created", sa.Integer(), nullable=False),
        sa.Column("parallel", sa.Integer(), nullable=False),
        sa.Column("resumes", sa.Boolean(), nullable=False),
        sa.Column("forced", sa.Boolean(), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False, server_default=sa.true()),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in _COUNTED),
        sa.CheckConstraint("created <= total", name="job_arrays_within_total"),
        sa.CheckConstraint(f"created = {' + '.join(_COUNTED)}", name="job_arrays_all_counted"),
        sa.CheckConstraint(
            " AND ".join(f"{name} >= 0" for name in _COUNTED), name="job_arrays_not_negative"
        ),
    )
    active = sa.text("active")
    op.create_index(
        "job_arrays_active",
        "job_arrays",
        ["array_job_id"],
        sqlite_where=active,
        postgresql_where=active,
    )


def downgrade() -> None:
    op.drop_table("job_arrays")
    for name in _OF_ARRAYS:
        op.drop_index(name, "jobs")
    for name, columns in _LISTED.items():
        op.drop_index(name, "jobs")
        op.create_index(name, "jobs", columns)
    for name in ("array_count", "array_index", "array_job_id"):
        op.drop_column("jobs", name)
