"""Which jobs wait for which."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Select,
    bindparam,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)

from windlass_server.storage.partial_indexes import DEPENDENCY_OPEN, DEPENDENCY_STALLED
from windlass_server.storage.tables import JobDependencyRow, JobRow

_EDGES = JobDependencyRow.__table__  # type: ignore[attr-defined]
_JOBS = JobRow.__table__  # type: ignore[attr-defined]

# As dependency_rules.State and Kind.
_OPEN, _MET, _STALLED = 0, 1, 4
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
_EITHER = (DEPENDENCY_OPEN, DEPENDENCY_STALLED)
_FOLLOW = [
    update(_EDGES)
    .where(_EDGES.c.awaited_id == bindparam("awaited"), _EDGES.c.follows, condition)
    .values(awaited_id=bindparam("retry"), state=_OPEN)
    for condition in _EITHER
]
_FOLLOWING = [
    select(_EDGES.c.awaited_id)
    .where(_EDGES.c.awaited_id.in_(_IN), _EDGES.c.follows, condition)
    .distinct()
    for condition in _EITHER
]
_STALLED_BEHIND = (
    select(_EDGES.c.awaited_id)
    .where(_EDGES.c.awaited_id > bindparam("behind"), DEPENDENCY_STALLED)
    .distinct()
    .order_by(_EDGES.c.awaited_id)
    .limit(bindparam("size"))
)
_FOLLOWERS_OF_RETRIES = [
    select(_EDGES.c.job_id, _EDGES.c.state)
    .where(
        _EDGES.c.awaited_id == bindparam("awaited_id"),
        _EDGES.c.follows,
        _EDGES.c.job_id > bindparam("behind"),
        condition,
    )
    .order_by(_EDGES.c.job_id)
    .limit(bindparam("size"))
    for condition in _EITHER
]
_ANOTHER = _EDGES.alias("another")
_MOVE = (
    update(_EDGES)
    .where(
        _EDGES.c.job_id == bindparam("follower"),
        _EDGES.c.awaited_id == bindparam("awaited"),
        _EDGES.c.kind == _AFTER_OK,
        ~exists().where(
            _ANOTHER.c.job_id == bindparam("follower"),
            _ANOTHER.c.awaited_id == bindparam("retry"),
            _ANOTHER.c.kind == _AFTER_OK,
        ),
    )
    .values(awaited_id=bindparam("retry"), state=_OPEN)
)


def _line() -> Select[Any]:
    """A job, the one that it retries, the one that this retries, and so on."""
    line = (
        select(_JOBS.c.job_id, _JOBS.c.retry_of, literal(0).label("steps"))
        .where(_JOBS.c.job_id == bindparam("job_id"))
        .cte("line", recursive=True)
    )
    before = select(_JOBS.c.job_id, _JOBS.c.retry_of, line.c.steps + 1).where(
        _JOBS.c.job_id == line.c.retry_of
    )
    line = line.union_all(before)
    return select(line.c.job_id).order_by(line.c.steps)


def _retries() -> Select[Any]:
    """Jobs, their retries, the retries of these, and so on."""
    tree = (
        select(_JOBS.c.job_id.label("first_id"), _JOBS.c.job_id, _JOBS.c.status, _JOBS.c.started_at)
        .where(_JOBS.c.job_id.in_(_IN))
        .cte("tree", recursive=True)
    )
    tree = tree.union_all(
        select(tree.c.first_id, _JOBS.c.job_id, _JOBS.c.status, _JOBS.c.started_at).where(
            _JOBS.c.retry_of == tree.c.job_id
        )
    )
    return select(tree).order_by(tree.c.job_id)


def _reached() -> Select[Any]:
    """What jobs wait for, what those wait for, and so on: where retries are followed on the way."""
    edge = (
        select(_EDGES.c.job_id, _EDGES.c.awaited_id, _EDGES.c.follows)
        .join(_JOBS, _JOBS.c.job_id == _EDGES.c.job_id)
        .where(_EDGES.c.state.in_((_OPEN, _STALLED)), _JOBS.c.ended_at.is_(None))
    )
    reached = edge.where(_EDGES.c.job_id.in_(_IN)).cte("reached", recursive=True)
    reached = reached.union(edge.where(_EDGES.c.job_id == reached.c.awaited_id))
    return select(reached.c.job_id, reached.c.awaited_id).where(reached.c.follows)


_LINE, _RETRIES, _REACHED = _line(), _retries(), _reached()
_ROOTS = (
    select(_JOBS.c.root_job_id)
    .where(_JOBS.c.job_id.in_(_IN), _JOBS.c.root_job_id.is_not(None))
    .distinct()
)


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
        """The jobs that others wait for, or for a retry of, by id: the first `size` behind this one."""
        values = {"behind": behind, "size": size}
        found: set[str] = set()
        for statement in (_AWAITED_BEHIND, _STALLED_BEHIND):
            found.update(self._connection.execute(statement, values).scalars())
        return sorted(found)[:size]

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

    def roots(self, job_ids: Sequence[str]) -> Sequence[str]:
        """The first jobs of the lineages of those of these jobs that are retries."""
        return [row.root_job_id for row in self._of(_ROOTS, job_ids)]

    def line(self, job_id: str) -> Sequence[str]:
        """A job, the one that it retries, the one that this retries, and so on."""
        return self._connection.execute(_LINE, {"job_id": job_id}).scalars().all()

    def retries(self, job_ids: Sequence[str]) -> Sequence[Any]:
        """Jobs, their retries, the retries of these, and so on, of each the oldest first.

        Rows of first_id, which is one of those asked for, job_id, status and started_at.
        """
        return self._of(_RETRIES, job_ids)

    def following(self, job_ids: Sequence[str]) -> Sequence[str]:
        """Those of these jobs for which, or for a retry of which, somebody waits who follows retries."""
        return sorted(
            {row.awaited_id for statement in _FOLLOWING for row in self._of(statement, job_ids)}
        )

    def followers_of_retries(self, awaited_id: str, behind: str, size: int) -> Sequence[Any]:
        """Who waits for a job or for a retry of it and follows retries, by id: the first `size` behind this one.

        Rows of job_id and state.
        """
        values = {"awaited_id": awaited_id, "behind": behind, "size": size}
        found = [
            row
            for statement in _FOLLOWERS_OF_RETRIES
            for row in self._connection.execute(statement, values)
        ]
        return sorted(found, key=lambda row: str(row.job_id))[:size]

    def reached(self, job_ids: Sequence[str]) -> Sequence[Any]:
        """Who follows retries of these jobs, of those that they wait for, and so on.

        Rows of job_id, and of awaited_id, the job that this waits for, or for a retry of.
        """
        return self._of(_REACHED, job_ids)

    def move(self, job_id: str, awaited_id: str, retry_id: str) -> None:
        """Let a job that waits for one to succeed wait for another one, unless it does already."""
        values = {"follower": job_id, "awaited": awaited_id, "retry": retry_id}
        self._connection.execute(_MOVE, values)

    def follow(self, awaited_id: str, retry_id: str) -> bool:
        """Let those that follow the retries of a job wait for this one; whether there are any."""
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
