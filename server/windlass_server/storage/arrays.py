"""Arrays of jobs, and the jobs of their indices."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, and_, bindparam, exists, insert, not_, or_, select, update

from windlass_server.storage.hot import Hot
from windlass_server.storage.partial_indexes import (
    ARRAY_ACTIVE,
    DEPENDENCY_OPEN,
    JOB_OF_ARRAY,
    RUN_ACTIVE,
)
from windlass_server.storage.tables import JobArrayRow, JobDependencyRow, JobRow, RunRow
from windlass_server.storage.tables.arrays import COUNTED

_ARRAYS = JobArrayRow.__table__  # type: ignore[attr-defined]
_JOBS = JobRow.__table__  # type: ignore[attr-defined]
_RUNS = RunRow.__table__  # type: ignore[attr-defined]
_EDGES = JobDependencyRow.__table__  # type: ignore[attr-defined]

_COUNT = Hot(
    update(_ARRAYS)
    .where(_ARRAYS.c.array_job_id == bindparam("key"))
    .values(
        created=_ARRAYS.c.created + bindparam("more"),
        changes=_ARRAYS.c.changes + 1,
        **{name: _ARRAYS.c[name] + bindparam(f"more_{name}") for name in COUNTED},
    )
)
_GET = Hot(select(_ARRAYS).where(_ARRAYS.c.array_job_id == bindparam("key")))
_ACTIVE_BEHIND = (
    select(_ARRAYS.c.array_job_id)
    .where(ARRAY_ACTIVE, _ARRAYS.c.array_job_id > bindparam("behind"))
    .order_by(_ARRAYS.c.array_job_id)
    .limit(bindparam("size"))
)
_IDS: Any = bindparam("job_ids", expanding=True)
_TOUCHED_BY_INDICES = (
    select(_JOBS.c.array_job_id)
    .where(_JOBS.c.job_id.in_(_IDS), _JOBS.c.array_job_id.is_not(None))
    .distinct()
)
_TOUCHED = select(_ARRAYS.c.array_job_id).where(_ARRAYS.c.array_job_id.in_(_IDS), ARRAY_ACTIVE)
_OF_ARRAY = _JOBS.c.array_job_id == bindparam("key")
_FROM = (
    select(_JOBS)
    .where(_OF_ARRAY, JOB_OF_ARRAY, _JOBS.c.array_index >= bindparam("first"))
    .order_by(_JOBS.c.array_index)
    .limit(bindparam("size"))
)
_IN_STATUS = _FROM.where(_JOBS.c.status.in_(bindparam("statuses", expanding=True)))
_AT = select(_JOBS).where(
    JOB_OF_ARRAY,
    _JOBS.c.array_job_id == bindparam("key"),
    _JOBS.c.array_index.in_(bindparam("indices", expanding=True)),
)
_INDICES_IN = (
    select(_JOBS.c.array_index)
    .where(_OF_ARRAY, JOB_OF_ARRAY, _JOBS.c.status == bindparam("status"))
    .order_by(_JOBS.c.array_index)
)
# In the queue, or waiting for a time to come.
_NOT_HELD = (
    select(_JOBS)
    .where(_OF_ARRAY, JOB_OF_ARRAY, _JOBS.c.status == 1, _JOBS.c.held != 3)
    .order_by(_JOBS.c.array_index)
    .limit(bindparam("size"))
    .with_for_update()
)
_HELD_FOR = (
    select(_JOBS)
    .where(
        _OF_ARRAY,
        JOB_OF_ARRAY,
        _JOBS.c.status == 1,
        _JOBS.c.held == 3,
        _JOBS.c.status_reason == bindparam("reason"),
    )
    .order_by(_JOBS.c.array_index)
    .limit(bindparam("size"))
    .with_for_update()
)
# Being stopped, with runs that nobody has made leave by force.
_WITH_GRACE = (
    select(_JOBS.c.job_id, _JOBS.c.attempt, _JOBS.c.array_index)
    .join(
        _RUNS,
        and_(_RUNS.c.job_id == _JOBS.c.job_id, _RUNS.c.attempt == _JOBS.c.attempt),
    )
    .where(
        _OF_ARRAY,
        JOB_OF_ARRAY,
        _JOBS.c.status == 4,
        RUN_ACTIVE,
        _RUNS.c.forced_at.is_(None),
    )
    .distinct()
    .order_by(_JOBS.c.array_index)
    .limit(bindparam("size"))
)
_LOCK_IN_STATUS = _IN_STATUS.with_for_update()
_IS_AWAITED = exists(
    select(_EDGES.c.job_id)
    .where(_EDGES.c.awaited_id == _JOBS.c.job_id, DEPENDENCY_OPEN)
    .correlate(_JOBS)
)
_SERVE_BY = (
    update(_JOBS)
    .where(
        _OF_ARRAY,
        JOB_OF_ARRAY,
        _JOBS.c.status == 1,
        or_(
            _JOBS.c.priority < bindparam("served"),
            # Those that others wait for have a higher one of these, perhaps.
            and_(
                _JOBS.c.priority > bindparam("served"),
                _JOBS.c.asked_priority.is_not(None),
                not_(_IS_AWAITED),
            ),
        ),
    )
    .values(
        asked_priority=bindparam("own"),
        priority=bindparam("served"),
        version=_JOBS.c.version + 1,
    )
)


class ArrayStore:
    """Arrays in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add_all(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add arrays whose jobs this transaction has added: `array_job_id`, `total`, `parallel` and `resumes`."""
        if rows:
            fresh = dict.fromkeys(COUNTED, 0)
            fresh |= {"created": 0, "changes": 0, "forced": False, "active": True}
            self._connection.execute(insert(_ARRAYS), [fresh | dict(row) for row in rows])

    def get(self, array_job_id: str) -> JobArrayRow | None:
        """The array, or None."""
        return cast("JobArrayRow | None", _GET.first(self._connection, {"key": array_job_id}))

    def of(self, array_job_ids: Sequence[str]) -> dict[str, JobArrayRow]:
        """Those of these arrays that there are, by id."""
        if not array_job_ids:
            return {}
        query = select(_ARRAYS).where(_ARRAYS.c.array_job_id.in_(array_job_ids))
        rows = self._connection.execute(query).all()
        return {row.array_job_id: cast("JobArrayRow", row) for row in rows}

    def count(self, moves: Iterable[tuple[str | None, int | None, int]]) -> None:
        """Count jobs that go from one status to another: `(array_job_id, before, after)` of each.

        Those of no array are left out; those without a status before are new.
        """
        changes: dict[str, Counter[str]] = {}
        for array_job_id, before, after in moves:
            if array_job_id is None or before == after:
                continue
            changed = changes.setdefault(array_job_id, Counter())
            changed[COUNTED[after - 1]] += 1
            if before is None:
                changed[""] += 1
            else:
                changed[COUNTED[before - 1]] -= 1
        for array_job_id in sorted(changes):
            changed = changes[array_job_id]
            values = {"key": array_job_id, "more": changed[""]}
            values |= {f"more_{name}": changed[name] for name in COUNTED}
            _COUNT.run(self._connection, values)

    def indices_in(self, array_job_id: str, status: int) -> Sequence[int]:
        """The indices whose jobs are in a status, in order."""
        values = {"key": array_job_id, "status": int(status)}
        return self._connection.execute(_INDICES_IN, values).scalars().all()

    def change(self, array_job_id: str, **values: Any) -> None:
        """Set columns of an array; the caller has locked its job."""
        self._connection.execute(
            update(_ARRAYS)
            .where(_ARRAYS.c.array_job_id == array_job_id)
            .values(changes=_ARRAYS.c.changes + 1, **values)
        )

    def active_behind(self, behind: str, size: int) -> Sequence[str]:
        """The arrays that have not ended, by id: the first `size` behind this one."""
        values = {"behind": behind, "size": size}
        return self._connection.execute(_ACTIVE_BEHIND, values).scalars().all()

    def touched(self, job_ids: Sequence[str]) -> Sequence[str]:
        """The arrays that have not ended among these jobs, and those of which they are indices."""
        values = {"job_ids": [*job_ids]}
        of_indices = self._connection.execute(_TOUCHED_BY_INDICES, values).scalars().all()
        values = {"job_ids": [*{*job_ids, *of_indices}]}
        return sorted(self._connection.execute(_TOUCHED, values).scalars().all())

    def jobs_from(
        self, array_job_id: str, first: int, size: int, statuses: Sequence[int] = ()
    ) -> Sequence[JobRow]:
        """The jobs of an array's indices from `first` on, by index; only in these statuses, if any are said."""
        values: dict[str, Any] = {"key": array_job_id, "first": first, "size": size}
        statement = _FROM
        if statuses:
            statement, values["statuses"] = _IN_STATUS, [*map(int, statuses)]
        return cast("Sequence[JobRow]", self._connection.execute(statement, values).all())

    def jobs_at(self, array_job_id: str, indices: Sequence[int]) -> dict[int, JobRow]:
        """The jobs of these indices, by index."""
        values = {"key": array_job_id, "indices": [*indices]}
        rows = self._connection.execute(_AT, values).all()
        return {row.array_index: cast("JobRow", row) for row in rows}

    def lock_in(
        self, array_job_id: str, statuses: Sequence[int], size: int, first: int = 0
    ) -> Sequence[JobRow]:
        """The first `size` jobs of an array in these statuses from an index on, held against other writers."""
        values = {
            "key": array_job_id,
            "first": first,
            "statuses": [*map(int, statuses)],
            "size": size,
        }
        return cast("Sequence[JobRow]", self._connection.execute(_LOCK_IN_STATUS, values).all())

    def lock_not_held(self, array_job_id: str, size: int) -> Sequence[JobRow]:
        """The first `size` jobs of an array that wait and that nobody holds, held against other writers."""
        rows = self._connection.execute(_NOT_HELD, {"key": array_job_id, "size": size}).all()
        return cast("Sequence[JobRow]", rows)

    def lock_held_for(self, array_job_id: str, reason: str, size: int) -> Sequence[JobRow]:
        """The first `size` jobs of an array that are held for this reason, held against other writers."""
        values = {"key": array_job_id, "reason": reason, "size": size}
        return cast("Sequence[JobRow]", self._connection.execute(_HELD_FOR, values).all())

    def with_grace(self, array_job_id: str, size: int) -> Sequence[Any]:
        """The first `size` jobs of an array that are being stopped, but not killed: rows of job_id and attempt."""
        values = {"key": array_job_id, "size": size}
        return self._connection.execute(_WITH_GRACE, values).all()

    def serve_by(self, array_job_id: str, priority: int, own: int | None) -> None:
        """Have the jobs of an array that wait served by its priority, but for those that are lent a higher one.

        Args:
            array_job_id: the array.
            priority: by which it is served.
            own: its own, where that is another; else None.
        """
        values = {"key": array_job_id, "served": priority, "own": own}
        self._connection.execute(_SERVE_BY, values)
