"""How long jobs have run lately, in the database."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    Connection,
    Table,
    and_,
    bindparam,
    delete,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from windlass_server.storage.hot import Hot
from windlass_server.storage.inserting import insert_new
from windlass_server.storage.tables import JobRow, RunRow, RunTimeMarkRow, RunTimeRow

_TIMES: Table = RunTimeRow.__table__  # type: ignore[attr-defined]
_MARKS: Table = RunTimeMarkRow.__table__  # type: ignore[attr-defined]
_RUNS = RunRow.__table__  # type: ignore[attr-defined]
_JOBS = JobRow.__table__  # type: ignore[attr-defined]

# As RunExit.Cause and jobs.v1.Job.Status.
_COMPLETED, _TIME_LIMIT = 1, 3
_SUCCEEDED = 5

_KEY = ("project", "user", "name")
_THE_MARK = _MARKS.c.mark == 1
_LOCK_MARK = select(_MARKS).where(_THE_MARK).with_for_update()
_CHANGED = Hot(select(_TIMES).where(_TIMES.c.changed_at > bindparam("since")))
# Those that did what they were to do, or as much of it as they were given time for. A run that began
# where an earlier one had ended says nothing of how long the whole takes.
_ENDED = (
    select(
        _RUNS.c.run_id,
        _RUNS.c.end_noted_at,
        _JOBS.c.project,
        _JOBS.c.user,
        _JOBS.c.name,
        (_RUNS.c.ended_at - _RUNS.c.started_at).label("took"),
        and_(
            _RUNS.c.started_at.is_not(None),
            or_(
                _RUNS.c.end_cause == _TIME_LIMIT,
                and_(
                    _RUNS.c.end_cause == _COMPLETED,
                    _JOBS.c.status == _SUCCEEDED,
                    _JOBS.c.attempt == _RUNS.c.attempt,
                ),
            ),
            or_(_RUNS.c.attempt == 1, _JOBS.c.checkpoint.is_(None)),
        ).label("counts"),
    )
    .join(_JOBS, _JOBS.c.job_id == _RUNS.c.job_id)
    .where(
        # Said twice, so that the index is entered where it begins.
        _RUNS.c.end_noted_at >= bindparam("after"),
        tuple_(_RUNS.c.end_noted_at, _RUNS.c.run_id)
        > tuple_(bindparam("after"), bindparam("after_id")),
        _RUNS.c.end_noted_at <= bindparam("until"),
    )
    .order_by(_RUNS.c.end_noted_at, _RUNS.c.run_id)
    .limit(bindparam("size"))
)
# Keys of one statement: each is a parameter of it.
_NAMES_AT_ONCE = 500


class Key(NamedTuple):
    """Whose jobs, and what they are called."""

    project: str
    user: str
    name: str


class RunTimeStore:
    """How long jobs have run lately."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lock_mark(self) -> RunTimeMarkRow:
        """Up to where was learned, held against others who learn until the transaction ends."""
        values = {"mark": 1, "end_noted_at": 0, "run_id": ""}
        insert_new(self._connection, _MARKS, values)
        return cast("RunTimeMarkRow", self._connection.execute(_LOCK_MARK).one())

    def set_mark(self, end_noted_at: int, run_id: str) -> None:
        """Note up to where was learned."""
        values = {"end_noted_at": end_noted_at, "run_id": run_id}
        self._connection.execute(update(_MARKS).where(_THE_MARK).values(**values))

    def ended(self, after: RunTimeMarkRow, until: int, size: int) -> Sequence[Any]:
        """The first `size` runs behind a mark whose end was noted up to a time (µs), in turn.

        Rows of run_id, end_noted_at, the job's project, user and name, took (µs), and counts: whether
        something is to be learned from it.
        """
        values = {
            "after": after.end_noted_at,
            "after_id": after.run_id,
            "until": until,
            "size": size,
        }
        return self._connection.execute(_ENDED, values).all()

    def of(self, keys: Iterable[Key]) -> Sequence[RunTimeRow]:
        """What is known of these."""
        names: dict[tuple[str, str], list[str]] = {}
        for key in keys:
            names.setdefault((key.project, key.user), []).append(key.name)
        rows: list[Any] = []
        for (project, user), mine in names.items():
            whose = (_TIMES.c.project == project) & (_TIMES.c.user == user)
            for first in range(0, len(mine), _NAMES_AT_ONCE):
                some = _TIMES.c.name.in_(mine[first : first + _NAMES_AT_ONCE])
                rows += self._connection.execute(select(_TIMES).where(whose, some)).all()
        return rows

    def changed(self, since: int) -> Sequence[RunTimeRow]:
        """What was changed after a time (µs)."""
        return cast("Sequence[RunTimeRow]", _CHANGED.all(self._connection, {"since": since}))

    def put(self, key: Key, durations: bytes, at: int) -> None:
        """Store what is known of one."""
        dialect: Any = sqlite if self._connection.dialect.name == "sqlite" else postgresql
        news: Mapping[str, Any] = {"durations": durations, "changed_at": at}
        insert = dialect.insert(_TIMES).values(**key._asdict(), **news)
        self._connection.execute(insert.on_conflict_do_update(index_elements=_KEY, set_=news))

    def keep_newest(self, project: str, user: str, count: int) -> None:
        """Forget all but so many names of a user's that were used last."""
        whose = (_TIMES.c.project == project) & (_TIMES.c.user == user)
        there = select(func.count(literal(1))).select_from(_TIMES).where(whose)
        more = self._connection.execute(there).scalar_one() - count
        if more > 0:
            oldest = (
                select(_TIMES.c.name)
                .where(whose)
                .order_by(_TIMES.c.changed_at, _TIMES.c.name)
                .limit(more)
            )
            self._connection.execute(delete(_TIMES).where(whose, _TIMES.c.name.in_(oldest)))
