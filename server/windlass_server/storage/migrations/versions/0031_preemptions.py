"""Runs that were stopped for other jobs, and jobs that may not be."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.create_table(
        "preemptions",
        sa.Column("run_id", sa.String(), sa.ForeignKey("runs.run_id"), primary_key=True),
        sa.Column("job_id", sa.String(), sa.ForeignKey("jobs.job_id"), nullable=False),
        sa.Column("for_job_id", sa.String(), sa.ForeignKey("jobs.job_id"), nullable=False),
        sa.Column("for_project", sa.String(), nullable=False),
        sa.Column("for_priority", sa.Integer(), nullable=False),
        sa.Column("node_id", sa.String(), nullable=False),
        sa.Column("kept", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )
    op.create_index(
        "preemptions_kept",
        "preemptions",
        ["for_job_id"],
        sqlite_where=sa.text("kept"),
        postgresql_where=sa.text("kept"),
    )
    op.create_index("preemptions_by_time", "preemptions", ["at"])
    op.add_column(
        "jobs",
        sa.Column("preemptible", sa.Boolean(), nullable=False, server_default=sa.true()),
    )


def downgrade() -> None:
    op.drop_column("jobs", "preemptible")
    op.drop_table("preemptions")
