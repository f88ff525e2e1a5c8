"""What ended a run, when the server heard of it, what of its log was lost; when a node connected."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # Of runs that have ended before, nothing is known.
    op.add_column("runs", sa.Column("end_cause", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("end_noted_at", sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("log_lost", sa.String(), nullable=False, server_default=""))
    op.add_column("nodes", sa.Column("connected_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("nodes", "connected_at")
    for column in ("log_lost", "end_noted_at", "end_cause"):
        op.drop_column("runs", column)
