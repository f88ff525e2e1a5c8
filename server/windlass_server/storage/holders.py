"""What holds parts of nodes now: active runs, and allocations."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from windlass_server.storage.hot import Hot
from windlass_server.storage.partial_indexes import RUN_ACTIVE, RUN_KEPT
from windlass_server.storage.tables import AllocationRow, JobRow, RunRow

_RUNS = RunRow.__table__  # type: ignore[attr-defined]
_JOBS = JobRow.__table__  # type: ignore[attr-defined]
_ALLOCATIONS = AllocationRow.__table__  # type: ignore[attr-defined]

# None that is active is forgotten; to say so is what lets an index serve it.
_ALL_RUNS = Hot(
    select(
        _RUNS.c.run_id,
        _RUNS.c.job_id,
        _JOBS.c.project,
        _JOBS.c.user,
        _JOBS.c.queue,
        _JOBS.c.name,
        _JOBS.c.priority,
        _JOBS.c.preemptible,
        _RUNS.c.node_id,
        _RUNS.c.cpu_millis,
        _RUNS.c.memory_bytes,
        _RUNS.c.gpu_uuids,
        _RUNS.c.gpu_types,
        _RUNS.c.gpu_millis,
        _RUNS.c.want,
        _RUNS.c.time_limit,
        _RUNS.c.grace,
        _RUNS.c.stopping_since,
        _RUNS.c.created_at,
        _RUNS.c.started_at,
        _RUNS.c.saved_at,
    )
    .join(_JOBS, _JOBS.c.job_id == _RUNS.c.job_id)
    .where(RUN_KEPT, RUN_ACTIVE)
)
_ALL_ALLOCATIONS = Hot(
    select(
        _ALLOCATIONS.c.allocation_id,
        _ALLOCATIONS.c.project,
        _ALLOCATIONS.c.user,
        _ALLOCATIONS.c.node_id,
        _ALLOCATIONS.c.cpu_millis,
        _ALLOCATIONS.c.memory_bytes,
        _ALLOCATIONS.c.gpu_uuids,
        _ALLOCATIONS.c.gpu_types,
        _ALLOCATIONS.c.gpu_millis,
        _ALLOCATIONS.c.ttl,
        _ALLOCATIONS.c.created_at,
        _ALLOCATIONS.c.expires_at,
    ).where(_ALLOCATIONS.c.status == 1)
)


class HolderStore:
    """Who holds what, in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def runs(self) -> Sequence[Any]:
        """Every run that holds something, in any order.

        Rows of run_id, job_id, project, user, queue, name, priority and preemptible of the job, node_id, cpu_millis,
        memory_bytes, gpu_uuids, gpu_types, gpu_millis, want, time_limit, grace, stopping_since,
        created_at, started_at, saved_at.
        """
        return _ALL_RUNS.all(self._connection, {})

    def allocations(self) -> Sequence[Any]:
        """Every allocation that holds something, in any order.

        Rows of allocation_id, project, user, node_id, cpu_millis, memory_bytes, gpu_uuids,
        gpu_types, gpu_millis, ttl, created_at, expires_at.
        """
        return _ALL_ALLOCATIONS.all(self._connection, {})
