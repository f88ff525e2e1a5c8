"""Which jobs wait for which."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, func, insert, select, update

from windlass_server.storage.partial_indexes import DEPENDENCY_OPEN, DEPENDENCY_STALLED
from windlass_server.storage.tables import JobDependencyRow, JobRow

_EDGES = JobDependencyRow.__table__  # type: ignore[attr-defined]
_JOBS = JobRow.__table__  # type: ignore[attr-defined]

# As dependency_rules.State and Kind.
_OPEN, _MET = 0, 1
_AFTER_OK, _SINGLETON = 2, 5
# Jobs of one statement: each is a parameter of it.
_JOBS_AT_ONCE = 500

_IN: BindParameter[Any] = bindparam("job_ids", expanding=True)
_HEADS = select(
    _JOBS.c.job_id,
    _JOBS.c.project,
    _JOBS.c.status,
    _JOBS.c.started_at,
    _JOBS.c.priority,
    _JOBS.c.asked_priority,
    _JOBS.c.version,
).where(_JOBS.c.job_id.in_(_IN))
_FOLLOWED = (
    select(_EDGES.c.awaited_id).where(_EDGES.c.awaited_id.in_(_IN), DEPENDENCY_OPEN).distinct()
)
_AWAITED_BEHIND = (
    select(_EDGES.c.awaited_id)
    .where(_EDGES.c.awaited_id > bindparam("behind"), DEPENDENCY_OPEN)
    .distinct()
    .order_by(_EDGES.c.awaited_id)
    .limit(bindparam("size"))
)
_FOLLOWERS = (
    select(_EDGES.c.job_id, _EDGES.c.kind, _EDGES.c.follows)
    .where(
        _EDGES.c.awaited_id == bindparam("awaited_id"),
        DEPENDENCY_OPEN,
        _EDGES.c.kind.in_(bindparam("kinds", expanding=True)),
    )
    .order_by(_EDGES.c.job_id)
    .limit(bindparam("size"))
)
_UNMET = (select(_EDGES).where(_EDGES.c.job_id.in_(_IN), _EDGES.c.state != _MET)).order_by(
    _EDGES.c.job_id, _EDGES.c.awaited_id
)
_OPEN_OF = (
    select(
        _EDGES.c.job_id,
        _EDGES.c.awaited_id,
        _EDGES.c.kind,
        _JOBS.c.status,
        _JOBS.c.priority,
    )
    .join(_JOBS, _JOBS.c.job_id == _EDGES.c.job_id)
    .where(_EDGES.c.job_id.in_(_IN), _EDGES.c.state == _OPEN)
    .order_by(_EDGES.c.job_id, _EDGES.c.awaited_id)
)
_HIGHEST = (
    select(func.max(_JOBS.c.priority))
    .select_from(_EDGES)
    .join(_JOBS, _JOBS.c.job_id == _EDGES.c.job_id)
    .where(_EDGES.c.awaited_id == bindparam("awaited_id"), DEPENDENCY_OPEN, _JOBS.c.status == 1)
)
_SETTLE = (
    update(_EDGES)
    .where(
        _EDGES.c.job_id == bindparam("follower"),
        _EDGES.c.awaited_id == bindparam("awaited"),
        _EDGES.c.kind == bindparam("way"),
    )
    .values(state=bindparam("now"))
)
_TURN = (
    update(_EDGES)
    .where(
        _EDGES.c.job_id == bindparam("follower"),
        _EDGES.c.awaited_id == bindparam("awaited"),
        _EDGES.c.kind == _SINGLETON,
    )
    .values(awaited_id=bindparam("another"))
)
# One statement for each index.
_FOLLOW = [
    update(_EDGES)
    .where(_EDGES.c.awaited_id == bindparam("awaited"), _EDGES.c.kind == _AFTER_OK, condition)
    .values(awaited_id=bindparam("retry"), state=_OPEN)
    for condition in (DEPENDENCY_OPEN, DEPENDENCY_STALLED)
]


class DependencyStore:
    """The edges between jobs, in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, job_id: str, edges: Sequence[tuple[str, int, int, bool]]) -> None:
        """Note for whom a job waits: `(awaited_id, kind, state, follows)` of each."""
        if edges:
            names = ("awaited_id", "kind", "state", "follows")
            rows = [{"job_id": job_id} | dict(zip(names, edge, strict=True)) for edge in edges]
            self._connection.execute(insert(_EDGES), rows)

    def heads(self, job_ids: Sequence[str]) -> dict[str, Any]:
        """Those of these jobs that there are, by id.

        Rows of job_id, project, status, started_at, priority, asked_priority and version.
        """
        return {row.job_id: row for row in self._of(_HEADS, job_ids)}

    def followed(self, job_ids: Sequence[str]) -> Sequence[str]:
        """Those of these jobs that others wait for."""
        return [row.awaited_id for row in self._of(_FOLLOWED, job_ids)]

    def awaited_behind(self, behind: str, size: int) -> Sequence[str]:
        """The jobs that others wait for, by id: the first `size` behind this one."""
        values = {"behind": behind, "size": size}
        return self._connection.execute(_AWAITED_BEHIND, values).scalars().all()

    def followers(self, awaited_id: str, kinds: Sequence[int], size: int) -> Sequence[Any]:
        """Those that wait for a job in one of these ways, by id: rows of job_id, kind and follows."""
        values = {"awaited_id": awaited_id, "kinds": [*map(int, kinds)], "size": size}
        return self._connection.execute(_FOLLOWERS, values).all()

    def unmet(self, job_ids: Sequence[str]) -> Sequence[JobDependencyRow]:
        """What these jobs still wait for, job by job."""
        return self._of(_UNMET, job_ids)

    def open_of(self, job_ids: Sequence[str]) -> Sequence[Any]:
        """What is not decided of what these jobs wait for, job by job.

        Rows of job_id, awaited_id, kind, and of status and priority of the one that waits.
        """
        return self._of(_OPEN_OF, job_ids)

    def highest_priority_behind(self, awaited_id: str) -> int | None:
        """The highest priority of those that wait for a job; None when nobody does."""
        values = {"awaited_id": awaited_id}
        highest: int | None = self._connection.execute(_HIGHEST, values).scalar()
        return highest

    def follow(self, awaited_id: str, retry_id: str) -> bool:
        """Let those that wait for a job to succeed wait for a retry of it; whether there are any."""
        values = {"awaited": awaited_id, "retry": retry_id}
        moved = [self._connection.execute(one, values).rowcount for one in _FOLLOW]
        return any(moved)

    def turn(self, job_id: str, awaited_id: str, another_id: str) -> None:
        """Let a singleton that waits for one job wait for another one."""
        values = {"follower": job_id, "awaited": awaited_id, "another": another_id}
        self._connection.execute(_TURN, values)

    def settle(self, edges: Sequence[tuple[str, str, int, int]]) -> None:
        """Say what has become of edges: `(job_id, awaited_id, kind, state)`."""
        if edges:
            names = ("follower", "awaited", "way", "now")
            self._connection.execute(
                _SETTLE, [dict(zip(names, edge, strict=True)) for edge in edges]
            )

    def _of(self, statement: Any, job_ids: Sequence[str]) -> list[Any]:
        rows: list[Any] = []
        for first in range(0, len(job_ids), _JOBS_AT_ONCE):
            some = {"job_ids": list(job_ids[first : first + _JOBS_AT_ONCE])}
            rows += self._connection.execute(statement, some).all()
        return rows
