"""How many bytes of artifacts projects and users may have, and have."""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"

_AMOUNTS = ("gpu_millis", "cpu_millis", "memory_bytes")
_JOBS = ("running_jobs", "queued_jobs")
_BYTES = "artifact_bytes"
# Of a project, and of a user in it: those who uploaded them, or whose jobs left them.
_COUNT = """
    UPDATE quotas SET used_artifact_bytes = (
        SELECT COALESCE(SUM(artifacts.size_bytes), 0)
        FROM artifacts JOIN jobs ON jobs.job_id = artifacts.job_id
        WHERE artifacts.project = quotas.project AND artifacts.status <> 3
        AND (
            quotas."user" = ''
            OR quotas."user" =
                CASE WHEN artifacts.run_id IS NULL THEN artifacts."user" ELSE jobs."user" END
        )
    )
    WHERE gpu_key = ''
"""


def upgrade() -> None:
    op.add_column("quotas", sa.Column(f"limit_{_BYTES}", sa.BigInteger(), nullable=True))
    used = sa.Column(f"used_{_BYTES}", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("quotas", used)
    op.execute(_COUNT)
    _constrain(_BYTES)


def downgrade() -> None:
    _constrain()
    with op.batch_alter_table("quotas") as table:
        table.drop_column(f"used_{_BYTES}")
        table.drop_column(f"limit_{_BYTES}")


def _constrain(*more: str) -> None:
    """Hold what is used to what is allowed, of these too."""
    within = " AND ".join(
        (
            *(f"used_{name} <= limit_{name}" for name in (*_AMOUNTS, "running_jobs", *more)),
            *(f"used_{name} <= guaranteed_{name} + borrowing_{name}" for name in _AMOUNTS),
        )
    )
    counted = (*_AMOUNTS, *_JOBS, *more)
    not_negative = " AND ".join(f"used_{name} >= 0" for name in counted)
    with op.batch_alter_table("quotas") as table:
        table.drop_constraint("quotas_not_exceeded", type_="check")
        table.drop_constraint("quotas_used_not_negative", type_="check")
        table.create_check_constraint("quotas_not_exceeded", f"lowered OR ({within})")
        table.create_check_constraint("quotas_used_not_negative", not_negative)
