"""What jobs have saved for their next attempts."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("checkpoint_id", sa.String(), primary_key=True),
        sa.Column("job_id", sa.String(), sa.ForeignKey("jobs.job_id"), nullable=False),
        sa.Column("run_id", sa.String(), sa.ForeignKey("runs.run_id"), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("entry_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("saved_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("status BETWEEN 1 AND 3", name="checkpoints_status_known"),
    )
    op.create_index("checkpoints_by_job", "checkpoints", ["job_id", "checkpoint_id"])
    op.create_index("ix_checkpoints_run_id", "checkpoints", ["run_id"])
    op.add_column("jobs", sa.Column("checkpoint", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "checkpoint")
    op.drop_table("checkpoints")
