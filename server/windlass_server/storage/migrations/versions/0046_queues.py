"""Queues as objects: the default one, and those that jobs are in or policies are for."""

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"

# No default has said when: the first start of the installation is what is nearest.
_IN_USE = """
    INSERT INTO queues (queue_id, spec, version, created_at, updated_at)
    SELECT named.queue_id, {nothing}, 1, named.at, named.at FROM (
        SELECT names.queue_id, (SELECT COALESCE(MIN(created_at), 0) FROM projects) AS at FROM (
            SELECT 'default' AS queue_id
            UNION SELECT queue FROM jobs
            UNION SELECT SUBSTR(policy_id, 7) FROM scheduling_policies WHERE policy_id LIKE 'queue.%'
        ) AS names
    ) AS named
    WHERE named.queue_id <> ''
"""


def upgrade() -> None:
    op.create_table(
        "queues",
        sa.Column("queue_id", sa.String(), primary_key=True),
        sa.Column("spec", sa.LargeBinary(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
    )
    op.execute(_IN_USE.format(nothing=_nothing()))
    op.create_index(
        "jobs_of_queue",
        "jobs",
        ["queue", "status", "user"],
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def _nothing() -> str:
    """No bytes, as the engine writes them."""
    return "X''" if op.get_bind().dialect.name == "sqlite" else "'\\x'::bytea"


def downgrade() -> None:
    op.drop_index("jobs_of_queue", "jobs")
    op.drop_table("queues")
