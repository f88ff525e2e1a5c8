"""Jobs of several nodes: what they ask for, where their ranks are, and one run for each rank."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"

_ACTIVE = sa.text("active")
_GATHERS = sa.text("active AND master_port > 0")
# With what each has that was there before.
_COUNTS = {"nodes": "1", "min_nodes": "1", "topology_required": "0", "topology_preferred": "0"}
_OF_RUNS = ("rank", "master_port")


def upgrade() -> None:
    for name, before in _COUNTS.items():
        column = sa.Column(name, sa.Integer(), server_default=before, nullable=False)
        op.add_column("jobs", column)
    op.add_column("jobs", sa.Column("ranks", sa.LargeBinary(), nullable=True))
    op.add_column("jobs", sa.Column("verdict", sa.LargeBinary(), nullable=True))
    for name in _OF_RUNS:
        column = sa.Column(name, sa.Integer(), server_default="0", nullable=False)
        op.add_column("runs", column)
    _index_runs("rank")
    op.create_index(
        "runs_master_port",
        "runs",
        ["node_id", "master_port"],
        unique=True,
        sqlite_where=_GATHERS,
        postgresql_where=_GATHERS,
    )


def downgrade() -> None:
    op.execute("DELETE FROM gpu_claims WHERE run_id IN (SELECT run_id FROM runs WHERE rank > 0)")
    op.execute("DELETE FROM runs WHERE rank > 0")
    op.drop_index("runs_master_port", table_name="runs")
    _index_runs()
    for name in _OF_RUNS:
        op.drop_column("runs", name)
    for name in ("verdict", "ranks", *_COUNTS):
        op.drop_column("jobs", name)


def _index_runs(*more: str) -> None:
    """Let a job have one run of an attempt, and one that is active, for each of these."""
    op.drop_index("runs_by_job", table_name="runs")
    op.create_index("runs_by_job", "runs", ["job_id", "attempt", *more], unique=True)
    op.drop_index("runs_one_active", table_name="runs")
    op.create_index(
        "runs_one_active",
        "runs",
        ["job_id", *more],
        unique=True,
        sqlite_where=_ACTIVE,
        postgresql_where=_ACTIVE,
    )
