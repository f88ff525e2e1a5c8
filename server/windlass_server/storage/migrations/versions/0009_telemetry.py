"""What nodes have measured, in buckets."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "telemetry_segments",
        sa.Column(
            "segment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True
        ),
        sa.Column("node_id", sa.String(), nullable=False),
        sa.Column("field", sa.Integer(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
    )
    op.create_index(
        "telemetry_segments_of_field",
        "telemetry_segments",
        ["node_id", "field", "level", "start_at"],
    )
    op.create_index("telemetry_segments_by_age", "telemetry_segments", ["level", "start_at"])
    op.create_table(
        "telemetry_marks",
        sa.Column("node_id", sa.String(), primary_key=True),
        sa.Column("level", sa.Integer(), primary_key=True),
        sa.Column("made_until", sa.BigInteger(), nullable=False),
    )
    op.create_index("telemetry_marks_due", "telemetry_marks", ["level", "made_until"])


def downgrade() -> None:
    op.drop_table("telemetry_marks")
    op.drop_table("telemetry_segments")
