"""Other installations that take jobs, and the runs there."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "remote_clusters",
        sa.Column(
            "cluster_id", sa.String(), sa.ForeignKey("clusters.cluster_id"), primary_key=True
        ),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("state_message", sa.Text(), nullable=False),
        sa.Column("state_at", sa.BigInteger(), nullable=False),
        sa.Column("contacted_at", sa.BigInteger(), nullable=True),
        sa.Column("remote_version", sa.String(), nullable=False),
        sa.Column("nodes", sa.LargeBinary(), nullable=False),
        sa.Column("lease_holder", sa.String(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "remote_runs",
        sa.Column("run_id", sa.String(), primary_key=True),
        sa.Column("job_id", sa.String(), sa.ForeignKey("jobs.job_id"), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("cluster_id", sa.String(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("stop", sa.Boolean(), nullable=False),
        sa.Column("forgotten", sa.Boolean(), nullable=False),
        sa.Column("remote_job_id", sa.String(), nullable=False),
        sa.Column("in_doubt_until", sa.BigInteger(), nullable=False),
        sa.Column("log_cursor", sa.String(), nullable=False),
        sa.Column("log_position", sa.BigInteger(), nullable=False),
        sa.Column("log_end", sa.BigInteger(), nullable=True),
        sa.Column("log_lost", sa.String(), nullable=False),
        sa.Column("refusal", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state BETWEEN 0 AND 3", name="remote_runs_state_known"),
    )
    op.create_index(
        "remote_runs_one_active",
        "remote_runs",
        ["job_id"],
        unique=True,
        sqlite_where=sa.text("active"),
        postgresql_where=sa.text("active"),
    )
    op.create_index("remote_runs_by_job", "remote_runs", ["job_id", "attempt"], unique=True)
    op.create_index(
        "remote_runs_open",
        "remote_runs",
        ["cluster_id"],
        sqlite_where=sa.text("NOT forgotten"),
        postgresql_where=sa.text("NOT forgotten"),
    )
    for name in ("cluster", "remote_job_id"):
        op.add_column("jobs", sa.Column(name, sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    for name in ("remote_job_id", "cluster"):
        op.drop_column("jobs", name)
    op.drop_table("remote_runs")
    op.drop_table("remote_clusters")
