"""What was taken of nodes and given back since some time, for the fair share.

Each query costs as much as there is in its answer: ids are in the order of time, and ends have an index.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, literal, select

from windlass_server.storage.hot import Hot
from windlass_server.storage.partial_indexes import RUN_ACTIVE, RUN_KEPT
from windlass_server.storage.tables import AllocationRow, JobRow, RunRow

_RUNS = RunRow.__table__  # type: ignore[attr-defined]
_JOBS = JobRow.__table__  # type: ignore[attr-defined]
_ALLOCATIONS = AllocationRow.__table__  # type: ignore[attr-defined]
_ACTIVE = 1  # as Allocation.Status
# Ids of one statement: each is a parameter of it.
_IDS_AT_ONCE = 500

_OF_RUNS: Select[Any] = select(
    _RUNS.c.run_id.label("holder_id"),
    _JOBS.c.project,
    _JOBS.c.user,
    _RUNS.c.cpu_millis,
    _RUNS.c.memory_bytes,
    _RUNS.c.gpu_uuids,
    _RUNS.c.gpu_types,
    _RUNS.c.gpu_millis,
    _RUNS.c.created_at.label("start"),
    _RUNS.c.end_noted_at.label("end"),
    _RUNS.c.active,
).join(_JOBS, _JOBS.c.job_id == _RUNS.c.job_id)
_OF_ALLOCATIONS: Select[Any] = select(
    _ALLOCATIONS.c.allocation_id.label("holder_id"),
    _ALLOCATIONS.c.project,
    _ALLOCATIONS.c.user,
    _ALLOCATIONS.c.cpu_millis,
    _ALLOCATIONS.c.memory_bytes,
    _ALLOCATIONS.c.gpu_uuids,
    _ALLOCATIONS.c.gpu_types,
    _ALLOCATIONS.c.gpu_millis,
    _ALLOCATIONS.c.created_at.label("start"),
    _ALLOCATIONS.c.ended_at.label("end"),
    (_ALLOCATIONS.c.status == literal(_ACTIVE)).label("active"),
)
# None that is active is forgotten; to say so is what lets an index serve it.
_HELD = (
    Hot(_OF_RUNS.where(RUN_KEPT, RUN_ACTIVE)),
    Hot(_OF_ALLOCATIONS.where(_ALLOCATIONS.c.status == _ACTIVE)),
)
_TAKEN = (
    Hot(_OF_RUNS.where(_RUNS.c.run_id >= bindparam("run_id"), RUN_ACTIVE)),
    Hot(
        _OF_ALLOCATIONS.where(
            _ALLOCATIONS.c.allocation_id >= bindparam("allocation_id"),
            _ALLOCATIONS.c.status == _ACTIVE,
        )
    ),
)
_GIVEN_BACK = tuple(
    Hot(
        query.where(end >= bindparam("since"), ~active)
        .order_by(end.desc())
        .limit(bindparam("most"))
    )
    for query, end, active in (
        (_OF_RUNS, _RUNS.c.end_noted_at, _RUNS.c.active),
        (_OF_ALLOCATIONS, _ALLOCATIONS.c.ended_at, _ALLOCATIONS.c.status == _ACTIVE),
    )
)


class ChargeStore:
    """Who held how much from when to when. Rows as of `_OF_RUNS`, of allocations too."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def held(self) -> Sequence[Any]:
        """All that is held now."""
        return [row for each in _HELD for row in each.all(self._connection, {})]

    def taken(self, run_id: str, allocation_id: str) -> Sequence[Any]:
        """What is held of all that was taken by runs and allocations from these ids on."""
        values = {"run_id": run_id, "allocation_id": allocation_id}
        return [row for each in _TAKEN for row in each.all(self._connection, values)]

    def given_back(self, since: int, most: int) -> Sequence[Any]:
        """What was given back since a moment (µs), of runs and of allocations the last `most` each."""
        values = {"since": since, "most": most}
        return [row for each in _GIVEN_BACK for row in each.all(self._connection, values)]

    def of(self, ids: Sequence[str]) -> Sequence[Any]:
        """What these runs and allocations hold or held."""
        rows: list[Any] = []
        for first in range(0, len(ids), _IDS_AT_ONCE):
            some = ids[first : first + _IDS_AT_ONCE]
            for query, column in (
                (_OF_RUNS, _RUNS.c.run_id),
                (_OF_ALLOCATIONS, _ALLOCATIONS.c.allocation_id),
            ):
                rows += self._connection.execute(query.where(column.in_(some))).all()
        return rows
