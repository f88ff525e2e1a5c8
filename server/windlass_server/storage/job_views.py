"""What lies around jobs: their runs, what was told of these, who waits for them, and who retries them.

Each query is of many jobs at once.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select

from windlass_server.storage.partial_indexes import DEPENDENCY_OPEN
from windlass_server.storage.tables import EventRow, JobDependencyRow, JobRow, RunRow

_JOBS = JobRow.__table__  # type: ignore[attr-defined]
_RUNS = RunRow.__table__  # type: ignore[attr-defined]
_EDGES = JobDependencyRow.__table__  # type: ignore[attr-defined]
_EVENTS = EventRow.__table__  # type: ignore[attr-defined]
# Ids of one statement: each is a parameter of it.
_AT_ONCE = 500

_AWAITED = _JOBS.alias("awaited")
_RUNS_OF = (
    select(
        _RUNS.c.job_id,
        _RUNS.c.run_id,
        _RUNS.c.attempt,
        _RUNS.c.rank,
        _RUNS.c.node_id,
        _RUNS.c.want,
        _RUNS.c.active,
        _RUNS.c.forgotten,
        _RUNS.c.log_lost,
        _RUNS.c.end_cause,
        _RUNS.c.created_at,
        _RUNS.c.started_at,
        _RUNS.c.stopping_since,
        _RUNS.c.end_noted_at,
    )
    .where(_RUNS.c.job_id.in_(bindparam("ids", expanding=True)))
    .order_by(_RUNS.c.job_id, _RUNS.c.attempt, _RUNS.c.rank)
)
_TOLD_OF = (
    select(_EVENTS.c.object_id, _EVENTS.c.at, _EVENTS.c.reason, _EVENTS.c.message)
    .where(
        _EVENTS.c.object_id.in_(bindparam("ids", expanding=True)),
        _EVENTS.c.reason.in_(bindparam("reasons", expanding=True)),
    )
    .order_by(_EVENTS.c.sequence)
)


def _first_of(query: Select[Any], of: Any, by: Any) -> Select[Any]:
    """The first `most` rows of a query for each value of a column."""
    number = func.row_number().over(partition_by=of, order_by=by).label("number")
    numbered = query.add_columns(number).subquery()
    return (
        select(numbered.c.of_id, numbered.c.job_id)
        .where(numbered.c.number <= bindparam("most"))
        .order_by(numbered.c.of_id, numbered.c.job_id)
    )


_DEPENDENTS_OF = _first_of(
    select(_EDGES.c.awaited_id.label("of_id"), _EDGES.c.job_id)
    .join(_JOBS, _JOBS.c.job_id == _EDGES.c.job_id)
    .join(_AWAITED, _AWAITED.c.job_id == _EDGES.c.awaited_id)
    .where(
        _EDGES.c.awaited_id.in_(bindparam("ids", expanding=True)),
        DEPENDENCY_OPEN,
        _JOBS.c.project == _AWAITED.c.project,
    )
    .group_by(_EDGES.c.awaited_id, _EDGES.c.job_id),
    _EDGES.c.awaited_id,
    _EDGES.c.job_id,
)
_RETRIES_OF = _first_of(
    select(_JOBS.c.retry_of.label("of_id"), _JOBS.c.job_id).where(
        _JOBS.c.retry_of.in_(bindparam("ids", expanding=True))
    ),
    _JOBS.c.retry_of,
    _JOBS.c.job_id,
)


class JobViewStore:
    """Reads what lies around jobs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def runs(self, job_ids: Sequence[str]) -> Sequence[Any]:
        """All runs of these jobs, job by job, in the order of attempts and ranks."""
        return self._of(_RUNS_OF, job_ids)

    def told(self, job_ids: Sequence[str], reasons: Sequence[str]) -> Sequence[Any]:
        """The events of these jobs that have one of these reasons, the oldest first."""
        return self._of(_TOLD_OF, job_ids, reasons=list(reasons))

    def dependents(self, job_ids: Sequence[str], most: int) -> Sequence[Any]:
        """The first `most` jobs that wait for each of these, and are of its project: `of_id` and `job_id`."""
        return self._of(_DEPENDENTS_OF, job_ids, most=most)

    def retries(self, job_ids: Sequence[str], most: int) -> Sequence[Any]:
        """The first `most` retries of each of these jobs: `of_id` and `job_id`."""
        return self._of(_RETRIES_OF, job_ids, most=most)

    def _of(self, query: Any, job_ids: Sequence[str], **values: Any) -> list[Any]:
        rows: list[Any] = []
        for first in range(0, len(job_ids), _AT_ONCE):
            some = {"ids": list(job_ids[first : first + _AT_ONCE]), **values}
            rows += self._connection.execute(query, some).all()
        return rows
