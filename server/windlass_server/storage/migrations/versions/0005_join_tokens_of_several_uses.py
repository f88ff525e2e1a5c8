"""A join token may let several nodes join."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "join_token_uses",
        sa.Column("token_id", sa.String(), sa.ForeignKey("join_tokens.token_id"), primary_key=True),
        sa.Column("node_id", sa.String(), primary_key=True),
    )
    op.execute(
        "INSERT INTO join_token_uses (token_id, node_id)"
        " SELECT token_id, node_id FROM join_tokens WHERE node_id IS NOT NULL"
    )
    with op.batch_alter_table("join_tokens") as tokens:
        tokens.add_column(sa.Column("max_uses", sa.Integer(), nullable=False, server_default="1"))
        tokens.add_column(sa.Column("uses", sa.Integer(), nullable=False, server_default="0"))
    op.execute("UPDATE join_tokens SET uses = 1 WHERE node_id IS NOT NULL")
    with op.batch_alter_table("join_tokens") as tokens:
        tokens.drop_column("node_id")
        tokens.alter_column("max_uses", existing_type=sa.Integer(), server_default=None)
        tokens.alter_column("uses", existing_type=sa.Integer(), server_default=None)
        tokens.create_check_constraint("join_tokens_not_overused", "uses BETWEEN 0 AND max_uses")


def downgrade() -> None:
    with op.batch_alter_table("join_tokens") as tokens:
        tokens.add_column(sa.Column("node_id", sa.String(), nullable=True))
    op.execute(
        "UPDATE join_tokens SET node_id = (SELECT min(node_id) FROM join_token_uses"
        " WHERE join_token_uses.token_id = join_tokens.token_id)"
    )
    with op.batch_alter_table("join_tokens") as tokens:
        tokens.drop_constraint("join_tokens_not_overused", type_="check")
        tokens.drop_column("max_uses")
        tokens.drop_column("uses")
    op.drop_table("join_token_uses")
