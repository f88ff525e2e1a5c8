"""Archives of files that jobs bring along."""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"


def upgrade() -> None:
    op.create_table(
        "sources",
        sa.Column("source_id", sa.String(), primary_key=True),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("status BETWEEN 1 AND 3", name="sources_status_known"),
    )
    op.create_index("sources_by_content", "sources", ["project", "sha256"], unique=True)
    op.create_index("sources_by_project", "sources", ["project", "source_id"])
    op.create_index("sources_by_use", "sources", ["status", "used_at"])
    op.create_table(
        "job_sources",
        sa.Column("job_id", sa.String(), sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("source_id", sa.String(), nullable=False),
    )
    op.create_index("ix_job_sources_source_id", "job_sources", ["source_id"])


def downgrade() -> None:
    op.drop_table("job_sources")
    op.drop_table("sources")
