"""Secrets of projects."""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    op.create_table(
        "secrets",
        sa.Column("project", sa.String(), sa.ForeignKey("projects.project"), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("secret_id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.CheckConstraint("version > 0", name="secrets_version_positive"),
    )
    op.create_index("secrets_by_id", "secrets", ["secret_id"], unique=True)
    op.create_table(
        "secret_versions",
        sa.Column("project", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("is_text", sa.Boolean(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_secret_versions_key_id", "secret_versions", ["key_id"])


def downgrade() -> None:
    op.drop_table("secret_versions")
    op.drop_table("secrets")
