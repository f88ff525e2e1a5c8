"""Parts of nodes that are held without a job; a GPU is held by a run or by one of these."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "allocations",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True
        ),
        sa.Column("allocation_id", sa.String(), nullable=False, unique=True),
        sa.Column("project", sa.String(), sa.ForeignKey("projects.project"), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("status_reason", sa.String(), nullable=False),
        sa.Column("status_message", sa.Text(), nullable=False),
        sa.Column("node_id", sa.String(), sa.ForeignKey("nodes.node_id"), nullable=False),
        sa.Column("cpu_millis", sa.BigInteger(), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column("gpu_type", sa.String(), nullable=False),
        sa.Column("gpu_uuids", sa.Text(), nullable=False),
        sa.Column("exclusive", sa.Boolean(), nullable=False),
        sa.Column("ttl", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("status BETWEEN 1 AND 4", name="allocations_status_known"),
        sqlite_autoincrement=True,
    )
    op.create_index("allocations_by_project", "allocations", ["project", "allocation_id"])
    op.create_index(
        "allocations_active",
        "allocations",
        ["node_id"],
        sqlite_where=sa.text("status = 1"),
        postgresql_where=sa.text("status = 1"),
    )
    with op.batch_alter_table("gpu_claims") as claims:
        claims.alter_column("run_id", existing_type=sa.String(), nullable=True)
        claims.add_column(sa.Column("allocation_id", sa.String(), nullable=True))
        claims.create_foreign_key(
            "gpu_claims_allocation", "allocations", ["allocation_id"], ["allocation_id"]
        )
        claims.create_check_constraint(
            "gpu_claims_one_holder", "(run_id IS NULL) <> (allocation_id IS NULL)"
        )
        claims.create_index("ix_gpu_claims_allocation_id", ["allocation_id"])


def downgrade() -> None:
    op.execute("DELETE FROM gpu_claims WHERE run_id IS NULL")
    with op.batch_alter_table("gpu_claims") as claims:
        claims.drop_index("ix_gpu_claims_allocation_id")
        claims.drop_constraint("gpu_claims_one_holder", type_="check")
        claims.drop_constraint("gpu_claims_allocation", type_="foreignkey")
        claims.drop_column("allocation_id")
        claims.alter_column("run_id", existing_type=sa.String(), nullable=False)
    op.drop_table("allocations")
