"""What runs and allocations held, for the ledger of usage."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, literal, or_, select

from windlass_server.storage.partial_indexes import RUN_ACTIVE
from windlass_server.storage.tables import (
    AllocationRow,
    JobLabelRow,
    JobRow,
    MeasureRow,
    RunRow,
)

_RUNS = RunRow.__table__  # type: ignore[attr-defined]
_JOBS = JobRow.__table__  # type: ignore[attr-defined]
_LABELS = JobLabelRow.__table__  # type: ignore[attr-defined]
_ALLOCATIONS = AllocationRow.__table__  # type: ignore[attr-defined]
_MEASURES = MeasureRow.__table__  # type: ignore[attr-defined]
_ACTIVE = 1  # as Allocation.Status
# Rows that are fetched at once: what is added up meanwhile is not kept.
_FETCHED = 250
# Jobs of one statement: each is a parameter of it.
_JOBS_AT_ONCE = 500

_OF_RUNS: Select[Any] = select(
    _JOBS.c.project,
    _JOBS.c.user,
    _JOBS.c.queue,
    _RUNS.c.job_id.label("holder_id"),
    _RUNS.c.node_id,
    _RUNS.c.pool_id,
    _RUNS.c.cpu_millis,
    _RUNS.c.memory_bytes,
    _RUNS.c.gpu_uuids,
    _RUNS.c.gpu_types,
    _RUNS.c.gpu_millis,
    _JOBS.c.gpu_type,
    _RUNS.c.created_at.label("start"),
    _RUNS.c.end_noted_at.label("end"),
    _RUNS.c.active,
    _RUNS.c.started_at,
    _RUNS.c.saved_at,
    _RUNS.c.end_cause,
    # What its job came to, and whether that was by the end of this attempt: of several runs by that of the
    # last.
    _JOBS.c.status,
    and_(
        _JOBS.c.attempt == _RUNS.c.attempt,
        or_(
            _JOBS.c.ended_at == _RUNS.c.end_noted_at,
            and_(_JOBS.c.nodes > 1, _JOBS.c.ended_at >= _RUNS.c.end_noted_at),
        ),
    ).label("decided"),
).join(_JOBS, _JOBS.c.job_id == _RUNS.c.job_id)
_OF_ALLOCATIONS: Select[Any] = select(
    _ALLOCATIONS.c.project,
    _ALLOCATIONS.c.user,
    _ALLOCATIONS.c.allocation_id.label("holder_id"),
    _ALLOCATIONS.c.node_id,
    _ALLOCATIONS.c.pool_id,
    _ALLOCATIONS.c.cpu_millis,
    _ALLOCATIONS.c.memory_bytes,
    _ALLOCATIONS.c.gpu_uuids,
    _ALLOCATIONS.c.gpu_types,
    _ALLOCATIONS.c.gpu_millis,
    _ALLOCATIONS.c.gpu_type,
    _ALLOCATIONS.c.created_at.label("start"),
    _ALLOCATIONS.c.ended_at.label("end"),
    (_ALLOCATIONS.c.status == literal(_ACTIVE)).label("active"),
)


@dataclass(frozen=True, slots=True)
class HeldFilter:
    """Which holders are asked for; empty values ask for all.

    Attributes:
        projects: only of these; None: of every project.
        labels: only jobs with all of these, as keys and values.
    """

    projects: tuple[str, ...] | None = None
    user: str = ""
    queue: str = ""
    node_id: str = ""
    pool_id: str = ""
    labels: tuple[tuple[str, str], ...] = ()


class UsageStore:
    """What was held, from the rows that say so."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def held_by_runs(
        self, wanted: HeldFilter, *, start: int, end: int, labels: Sequence[str]
    ) -> Iterator[Any]:
        """The runs that held something between two moments (µs), each once, in any order.

        Rows as of `_OF_RUNS`, and of `label_0`, `label_1` and so on: the values of these labels of
        their jobs, None where a job has no such label.
        """
        query = _of_runs(wanted, labels).where(_RUNS.c.created_at < end)
        # Apart, as each has an index of its own.
        yield from self._rows(query.where(RUN_ACTIVE))
        yield from self._rows(query.where(_RUNS.c.end_noted_at > start, ~_RUNS.c.active))

    def held_by_jobs(self, job_ids: Sequence[str]) -> Sequence[Any]:
        """All that runs of these jobs held, job by job: rows as of `_OF_RUNS`."""
        rows: list[Any] = []
        for first in range(0, len(job_ids), _JOBS_AT_ONCE):
            some = job_ids[first : first + _JOBS_AT_ONCE]
            query = _OF_RUNS.where(_RUNS.c.job_id.in_(some)).order_by(_RUNS.c.job_id)
            rows += self._connection.execute(query).all()
        return rows

    def held_by_allocations(self, wanted: HeldFilter, *, start: int, end: int) -> Iterator[Any]:
        """The allocations that held something between two moments (µs), each once, in any order.

        They have no queue and no labels, so a filter by these leaves none. Rows as of
        `_OF_ALLOCATIONS`.
        """
        if wanted.queue or wanted.labels:
            return
        query = _among(_OF_ALLOCATIONS, wanted, _ALLOCATIONS, _ALLOCATIONS)
        query = query.where(_ALLOCATIONS.c.created_at < end)
        yield from self._rows(query.where(_ALLOCATIONS.c.status == _ACTIVE))
        ended = query.where(_ALLOCATIONS.c.ended_at > start, _ALLOCATIONS.c.status != _ACTIVE)
        yield from self._rows(ended)

    def measured_of_runs(
        self, wanted: HeldFilter, *, start: int, end: int, labels: Sequence[str]
    ) -> Iterator[Any]:
        """What runs used, hour by hour, in the hours that begin in a span of time (µs).

        Rows as of `held_by_runs`, and of all columns of `MeasureRow` but `holder_id`.
        """
        query = _of_runs(wanted, labels).join(_MEASURES, _MEASURES.c.holder_id == _RUNS.c.run_id)
        yield from self._measured(query, start, end)

    def measured_of_allocations(self, wanted: HeldFilter, *, start: int, end: int) -> Iterator[Any]:
        """As `measured_of_runs`, of allocations."""
        if wanted.queue or wanted.labels:
            return
        query = _among(_OF_ALLOCATIONS, wanted, _ALLOCATIONS, _ALLOCATIONS)
        same = _MEASURES.c.holder_id == _ALLOCATIONS.c.allocation_id
        yield from self._measured(query.join(_MEASURES, same), start, end)

    def _measured(self, query: Any, start: int, end: int) -> Iterator[Any]:
        columns = (column for column in _MEASURES.columns if column.name != "holder_id")
        query = query.add_columns(*columns)
        yield from self._rows(query.where(_MEASURES.c.slot >= start, _MEASURES.c.slot < end))

    def _rows(self, query: Any) -> Iterator[Any]:
        options = {"yield_per": _FETCHED}
        with self._connection.execute(query, execution_options=options) as rows:
            yield from rows


def _of_runs(wanted: HeldFilter, labels: Sequence[str]) -> Any:
    query: Any = _OF_RUNS
    for number, key in enumerate(labels):
        query = query.add_columns(_label(key).label(f"label_{number}"))
    query = _among(query, wanted, _JOBS, _RUNS)
    if wanted.queue:
        query = query.where(_JOBS.c.queue == wanted.queue)
    for key, value in wanted.labels:
        query = query.where(_label(key) == value)
    return query


def _among(query: Any, wanted: HeldFilter, owner: Any, holder: Any) -> Any:
    if wanted.projects is not None:
        query = query.where(owner.c.project.in_(wanted.projects))
    if wanted.user:
        query = query.where(owner.c.user == wanted.user)
    if wanted.node_id:
        query = query.where(holder.c.node_id == wanted.node_id)
    if wanted.pool_id:
        query = query.where(holder.c.pool_id == wanted.pool_id)
    return query


def _label(key: str) -> ColumnElement[Any]:
    """The value of a label of a run's job."""
    return (
        select(_LABELS.c.value)
        .where(_LABELS.c.job_id == _JOBS.c.job_id, _LABELS.c.key == key)
        .scalar_subquery()
    )
