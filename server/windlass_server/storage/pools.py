"""Pools."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Table, bindparam, delete, func, select, update

from windlass_server.storage.hot import Hot
from windlass_server.storage.inserting import insert_new
from windlass_server.storage.partial_indexes import RUN_ACTIVE
from windlass_server.storage.tables import DEFAULT_POOL, JobRow, NodeRow, PoolRow, RunRow

_POOLS: Table = PoolRow.__table__  # type: ignore[attr-defined]
_JOBS: Table = JobRow.__table__  # type: ignore[attr-defined]
_RUNS: Table = RunRow.__table__  # type: ignore[attr-defined]
_NODES: Table = NodeRow.__table__  # type: ignore[attr-defined]

_QUEUED = 1  # as Job.Status

_ALL = Hot(select(_POOLS).order_by(_POOLS.c.pool_id))
_GET = select(_POOLS).where(_POOLS.c.pool_id == bindparam("pool_id"))
# Which pool each node is in is decided by all pools together. Whoever changes one locks this row, and
# whoever puts a node into one holds it, so that each sees what the other has done.
_DEFAULT = select(_POOLS.c.pool_id).where(_POOLS.c.pool_id == DEFAULT_POOL)
_LOCK = _DEFAULT.with_for_update()
_HOLD = _DEFAULT.with_for_update(read=True)
_PLACED = (
    select(_NODES.c.pool, _JOBS.c.status, func.count().label("jobs"))
    .select_from(_RUNS)
    .join(_NODES, _NODES.c.node_id == _RUNS.c.node_id)
    .join(_JOBS, _JOBS.c.job_id == _RUNS.c.job_id)
    .where(RUN_ACTIVE)
    .group_by(_NODES.c.pool, _JOBS.c.status)
)
_WAITING = (
    select(_JOBS.c.project, _JOBS.c.pool, func.count().label("jobs"))
    .where(_JOBS.c.status == _QUEUED, _JOBS.c.array_count == 0)
    .group_by(_JOBS.c.project, _JOBS.c.pool)
)
# The commonest classes of waiting jobs with GPUs; of very many those that few jobs have are left out.
_WAITING_CLASSES = (
    select(
        _JOBS.c.project,
        _JOBS.c.pool,
        _JOBS.c.gpu_count,
        _JOBS.c.gpu_type,
        _JOBS.c.gpu_millis,
        _JOBS.c.cpu_millis,
        _JOBS.c.memory_bytes,
        func.count().label("jobs"),
    )
    .where(
        _JOBS.c.status == _QUEUED,
        _JOBS.c.array_count == 0,
        _JOBS.c.gpu_count > 0,
        # What those that take parts of cards would make of idle ones is not told by their number.
        _JOBS.c.mig_profile == "",
        _JOBS.c.gpu_memory_bytes == 0,
    )
    .group_by(
        _JOBS.c.project,
        _JOBS.c.pool,
        _JOBS.c.gpu_count,
        _JOBS.c.gpu_type,
        _JOBS.c.gpu_millis,
        _JOBS.c.cpu_millis,
        _JOBS.c.memory_bytes,
    )
    .order_by(func.count().desc())
    .limit(1000)
)


class PoolStore:
    """Pools in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, pool_id: str) -> PoolRow | None:
        """The pool, or None."""
        return cast("PoolRow | None", self._connection.execute(_GET, {"pool_id": pool_id}).first())

    def all(self) -> Sequence[PoolRow]:
        """Every pool, by name."""
        return cast("Sequence[PoolRow]", _ALL.all(self._connection, {}))

    def all_held(self) -> Sequence[PoolRow]:
        """Every pool, by name; none of them changes until the transaction ends."""
        self._connection.execute(_HOLD)
        return self.all()

    def all_locked(self) -> Sequence[PoolRow]:
        """Every pool, by name; nobody else puts nodes into any until the transaction ends."""
        self._connection.execute(_LOCK)
        return self.all()

    def add(self, values: Mapping[str, Any]) -> bool:
        """Add a pool; `values` has every column. False when there is one of that name."""
        return insert_new(self._connection, _POOLS, values)

    def change(self, pool_id: str, **values: Any) -> None:
        """Set columns of a pool, when all are locked."""
        self._connection.execute(update(_POOLS).where(_POOLS.c.pool_id == pool_id).values(**values))

    def remove(self, pool_id: str) -> None:
        """Remove a pool, when all are locked."""
        self._connection.execute(delete(_POOLS).where(_POOLS.c.pool_id == pool_id))

    def placed_jobs(self) -> dict[tuple[str, int], int]:
        """How many jobs of each status hold a part of the nodes of each pool."""
        rows = self._connection.execute(_PLACED).all()
        return {(row.pool, row.status): row.jobs for row in rows}

    def waiting_jobs(self) -> dict[tuple[str, str], int]:
        """How many jobs of each project wait for each pool; the empty name: for any."""
        rows = self._connection.execute(_WAITING).all()
        return {(row.project, row.pool): row.jobs for row in rows}

    def waiting_classes(self) -> Sequence[Any]:
        """Waiting jobs with GPUs that ask for the same, the most jobs first, at most 1,000.

        Rows of project, pool, gpu_count, gpu_type, gpu_millis, cpu_millis, memory_bytes, and how many
        `jobs`.
        """
        return self._connection.execute(_WAITING_CLASSES).all()
