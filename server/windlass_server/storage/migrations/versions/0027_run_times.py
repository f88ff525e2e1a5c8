"""How long jobs have run lately."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.create_table(
        "run_times",
        sa.Column("project", sa.String(), primary_key=True),
        sa.Column("user", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("durations", sa.LargeBinary(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("run_times_by_change", "run_times", ["changed_at"])
    op.create_table(
        "run_time_marks",
        sa.Column("mark", sa.Integer(), primary_key=True),
        sa.Column("end_noted_at", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("run_time_marks")
    op.drop_table("run_times")
