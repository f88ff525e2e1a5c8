"""What jobs measure themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"


def upgrade() -> None:
    op.create_table(
        "custom_metrics",
        sa.Column("run_id", sa.String(), sa.ForeignKey("runs.run_id"), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "name", "part"),
    )
    op.create_index("custom_metrics_of_job", "custom_metrics", ["job_id", "name"])
    op.create_table(
        "metric_tallies",
        sa.Column("run_id", sa.String(), sa.ForeignKey("runs.run_id"), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("source", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("values", sa.BigInteger(), nullable=False),
        sa.Column("malformed_lines", sa.BigInteger(), nullable=False),
        sa.Column("last_malformed", sa.String(), nullable=False),
        sa.Column("dropped_values", sa.BigInteger(), nullable=False),
        sa.Column("refused_values", sa.BigInteger(), nullable=False),
        sa.Column("refused_by_job", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_index("ix_metric_tallies_job_id", "metric_tallies", ["job_id"])


def downgrade() -> None:
    op.drop_table("metric_tallies")
    op.drop_table("custom_metrics")
