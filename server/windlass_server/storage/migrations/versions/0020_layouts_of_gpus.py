"""How cards shall be divided; a GPU can also be held because its card is being divided, or be shared."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

_ONE_OF_FOUR = (
    "(CASE WHEN run_id IS NULL THEN 0 ELSE 1 END)"
    " + (CASE WHEN allocation_id IS NULL THEN 0 ELSE 1 END)"
    " + (CASE WHEN layout IS NULL THEN 0 ELSE 1 END)"
    " + (CASE WHEN shared_millis IS NULL THEN 0 ELSE 1 END) = 1"
)


def upgrade() -> None:
    op.create_table(
        "gpu_layouts",
        sa.Column("node_id", sa.String(), sa.ForeignKey("nodes.node_id"), primary_key=True),
        sa.Column("card_uuid", sa.String(), primary_key=True),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("instances", sa.Text(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state BETWEEN 1 AND 3", name="gpu_layouts_state_known"),
    )
    op.create_index(
        "gpu_layouts_changing",
        "gpu_layouts",
        ["node_id"],
        sqlite_where=sa.text("state = 1"),
        postgresql_where=sa.text("state = 1"),
    )
    with op.batch_alter_table("gpu_claims") as claims:
        claims.add_column(sa.Column("layout", sa.String(), nullable=True))
        claims.add_column(sa.Column("shared_millis", sa.Integer(), nullable=True))
        claims.drop_constraint("gpu_claims_one_holder", type_="check")
        claims.create_check_constraint("gpu_claims_one_holder", _ONE_OF_FOUR)
        claims.create_check_constraint("gpu_claims_one_card", "shared_millis BETWEEN 1 AND 1000")
        claims.create_foreign_key(
            "gpu_claims_layout",
            "gpu_layouts",
            ["node_id", "layout"],
            ["node_id", "card_uuid"],
        )


def downgrade() -> None:
    op.execute("DELETE FROM gpu_claims WHERE run_id IS NULL AND allocation_id IS NULL")
    with op.batch_alter_table("gpu_claims") as claims:
        claims.drop_constraint("gpu_claims_layout", type_="foreignkey")
        claims.drop_constraint("gpu_claims_one_card", type_="check")
        claims.drop_constraint("gpu_claims_one_holder", type_="check")
        claims.create_check_constraint(
            "gpu_claims_one_holder", "(run_id IS NULL) <> (allocation_id IS NULL)"
        )
        claims.drop_column("shared_millis")
        claims.drop_column("layout")
    op.drop_table("gpu_layouts")
