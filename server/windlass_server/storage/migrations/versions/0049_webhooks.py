"""Who is told of events."""

import sqlalchemy as sa
from alembic import op

revision = "0049"
down_revision = "0048"


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("webhook_id", sa.String(), primary_key=True),
        sa.Column("project", sa.String(), sa.ForeignKey("projects.project"), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("spec", sa.LargeBinary(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.String(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("previous_secret", sa.LargeBinary(), nullable=True),
        sa.Column("previous_until", sa.BigInteger(), nullable=True),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        sa.Column("paused_until", sa.BigInteger(), nullable=False),
        sa.Column("succeeded_at", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("failures >= 0", name="webhooks_failures_not_negative"),
    )
    op.create_index("webhooks_by_project", "webhooks", ["project", "webhook_id"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("delivery_id", sa.String(), primary_key=True),
        sa.Column("webhook_id", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("test", sa.Boolean(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("log", sa.LargeBinary(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("status BETWEEN 1 AND 3", name="webhook_deliveries_status_known"),
    )
    deliveries = "webhook_deliveries"
    op.create_index(f"{deliveries}_of_event", deliveries, ["webhook_id", "sequence"], unique=True)
    op.create_index(f"{deliveries}_by_webhook", deliveries, ["webhook_id", "delivery_id"])
    op.create_index(f"{deliveries}_due", deliveries, ["webhook_id", "status", "next_at"])
    op.create_index(f"{deliveries}_by_age", deliveries, ["created_at"])
    op.create_table(
        "job_notifications",
        sa.Column("job_id", sa.String(), sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("webhook_id", sa.String(), primary_key=True),
        sa.Column("status", sa.Integer(), primary_key=True),
    )


def downgrade() -> None:
    op.drop_table("job_notifications")
    op.drop_table("webhook_deliveries")
    op.drop_table("webhooks")
