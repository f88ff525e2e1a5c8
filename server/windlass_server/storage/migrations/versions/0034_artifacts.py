"""Files that belong to jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    op.create_table(
        "artifacts",
        sa.Column("artifact_id", sa.String(), primary_key=True),
        sa.Column("job_id", sa.String(), sa.ForeignKey("jobs.job_id"), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("type", sa.Integer(), nullable=False),
        sa.Column("details", sa.LargeBinary(), nullable=False),
        sa.Column("wanted_sha256", sa.String(), nullable=False),
        sa.Column("wanted_bytes", sa.BigInteger(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), sa.ForeignKey("runs.run_id"), nullable=True),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("status BETWEEN 1 AND 3", name="artifacts_status_known"),
        sa.CheckConstraint("size_bytes >= 0", name="artifacts_size_not_negative"),
    )
    op.create_index("artifacts_by_job", "artifacts", ["job_id", "artifact_id"])
    op.create_index("artifacts_versions", "artifacts", ["job_id", "name", "version"], unique=True)
    op.create_index("artifacts_by_project", "artifacts", ["project", "user"])
    op.create_index("artifacts_by_status", "artifacts", ["status", "changed_at"])
    op.create_index("ix_artifacts_run_id", "artifacts", ["run_id"])
    op.create_table(
        "artifact_parts",
        sa.Column(
            "artifact_id", sa.String(), sa.ForeignKey("artifacts.artifact_id"), primary_key=True
        ),
        sa.Column("position", sa.BigInteger(), primary_key=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("object_name", sa.String(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("artifact_parts")
    op.drop_table("artifacts")
