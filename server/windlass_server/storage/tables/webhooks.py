"""Who is told of events, and what of. Times are microseconds since 1970 (UTC)."""

from sqlalchemy import BigInteger, CheckConstraint, Index, Text
from sqlmodel import Field, SQLModel


class WebhookRow(SQLModel, table=True):
    """A receiver of a project's events."""

    __tablename__ = "webhooks"
    __table_args__ = (
        Index("webhooks_by_project", "project", "webhook_id"),
        CheckConstraint("failures >= 0", name="webhooks_failures_not_negative"),
    )

    webhook_id: str = Field(primary_key=True)
    project: str = Field(foreign_key="projects.project")
    user: str
    # What callers say of it, as access.v1.Webhook.
    spec: bytes
    enabled: bool
    # Why the server has switched it off; empty when it has not.
    disabled_reason: str
    # Sealed, as is the one before, which signs beside it for a while.
    secret: bytes
    previous_secret: bytes | None
    previous_until: int | None = Field(sa_type=BigInteger)
    # Up to which event it was found out what it is to be told of.
    cursor: int = Field(sa_type=BigInteger)
    # Attempts since the last success, whatever they were to tell of; and nothing is tried before then.
    failures: int
    failing_since: int | None = Field(sa_type=BigInteger)
    paused_until: int = Field(sa_type=BigInteger)
    succeeded_at: int | None = Field(sa_type=BigInteger)
    version: int
    created_at: int = Field(sa_type=BigInteger)
    updated_at: int = Field(sa_type=BigInteger)


class WebhookDeliveryRow(SQLModel, table=True):
    """An event that a webhook is told of."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        # Each event once.
        Index("webhook_deliveries_of_event", "webhook_id", "sequence", unique=True),
        Index("webhook_deliveries_by_webhook", "webhook_id", "delivery_id"),
        Index("webhook_deliveries_due", "webhook_id", "status", "next_at"),
        Index("webhook_deliveries_by_age", "created_at"),
        CheckConstraint("status BETWEEN 1 AND 3", name="webhook_deliveries_status_known"),
    )

    delivery_id: str = Field(primary_key=True)
    webhook_id: str
    sequence: int = Field(sa_type=BigInteger)
    # As access.v1.WebhookDelivery.Status.
    status: int
    # Sent once, also while the webhook is not enabled.
    test: bool
    type: str = Field(sa_type=Text)
    object_id: str
    # Attempts in all, and since it was last asked for.
    attempts: int
    tries: int
    # The last attempts, as access.v1.WebhookDelivery.
    log: bytes
    # Not tried before; also while an attempt is under way, whose server may be gone.
    next_at: int = Field(sa_type=BigInteger)
    created_at: int = Field(sa_type=BigInteger)
    ended_at: int | None = Field(sa_type=BigInteger)


class JobNotificationRow(SQLModel, table=True):
    """That a webhook is told when a job gets a status."""

    __tablename__ = "job_notifications"

    job_id: str = Field(primary_key=True, foreign_key="jobs.job_id")
    webhook_id: str = Field(primary_key=True)
    # As jobs.v1.Job.Status.
    status: int = Field(primary_key=True)
