"""Quotas: what projects and users may have, and what they have of it."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"

_AMOUNTS = ("gpu_millis", "cpu_millis", "memory_bytes")
_COUNTED = (*_AMOUNTS, "running_jobs", "queued_jobs")
_BOUNDS = (
    *(f"guaranteed_{name}" for name in _AMOUNTS),
    *(f"borrowing_{name}" for name in _AMOUNTS),
    *(f"limit_{name}" for name in _COUNTED),
)
_WITHIN = " AND ".join(
    (
        *(f"used_{name} <= limit_{name}" for name in (*_AMOUNTS, "running_jobs")),
        *(f"used_{name} <= guaranteed_{name} + borrowing_{name}" for name in _AMOUNTS),
    )
)
_NOT_NEGATIVE = " AND ".join(f"used_{name} >= 0" for name in _COUNTED)


def upgrade() -> None:
    op.create_table(
        "quotas",
        sa.Column("quota_id", sa.String(), primary_key=True),
        sa.Column("project", sa.String(), sa.ForeignKey("projects.project"), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("gpu_type", sa.String(), nullable=False),
        sa.Column("gpu_key", sa.String(), nullable=False),
        sa.Column("cohort", sa.String(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in _BOUNDS),
        *(sa.Column(f"used_{name}", sa.BigInteger(), nullable=False) for name in _COUNTED),
        sa.Column("lowered", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(f"lowered OR ({_WITHIN})", name="quotas_not_exceeded"),
        sa.CheckConstraint(_NOT_NEGATIVE, name="quotas_used_not_negative"),
    )
    op.create_index("quotas_of_owner", "quotas", ["project", "user", "gpu_key"], unique=True)
    op.create_index("quotas_by_cohort", "quotas", ["cohort", "quota_id"])


def downgrade() -> None:
    op.drop_table("quotas")
