"""What jobs measure themselves, in the database."""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import Connection, Executable, Table, bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from windlass_server.storage.tables import CustomMetricRow, MetricTallyRow

_PARTS = CustomMetricRow.__table__  # type: ignore[attr-defined]
_TALLIES = MetricTallyRow.__table__  # type: ignore[attr-defined]

_TALLY = select(_TALLIES).where(_TALLIES.c.run_id == bindparam("run_id")).with_for_update()
_NAMES = (
    select(_PARTS.c.name)
    .where(_PARTS.c.job_id == bindparam("job_id"), _PARTS.c.part == 0)
    .distinct()
    .order_by(_PARTS.c.name)
)


class CustomMetricStore:
    """Parts of curves, and what became of what runs have sent."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def tally(self, run_id: str) -> MetricTallyRow | None:
        """What a run has sent so far, held against other writers until the transaction ends."""
        row = self._connection.execute(_TALLY, {"run_id": run_id}).first()
        return cast("MetricTallyRow | None", row)

    def set_tally(self, values: Mapping[str, Any]) -> None:
        """Note what a run has sent so far; `values` has every column of MetricTallyRow."""
        self._put(_TALLIES, [values])

    def tallies(self, job_id: str) -> Sequence[MetricTallyRow]:
        """What the runs of a job have sent."""
        some = select(_TALLIES).where(_TALLIES.c.job_id == job_id).order_by(_TALLIES.c.run_id)
        return cast("Sequence[MetricTallyRow]", self._connection.execute(some).all())

    def names(self, job_id: str) -> Sequence[str]:
        """The names that a job has used, sorted."""
        return self._connection.scalars(_NAMES, {"job_id": job_id}).all()

    def newest(self, run_id: str, names: Collection[str]) -> Sequence[CustomMetricRow]:
        """The parts to which more can come."""
        some = select(_PARTS).where(
            _PARTS.c.run_id == run_id, _PARTS.c.part == 0, _PARTS.c.name.in_(names)
        )
        return cast("Sequence[CustomMetricRow]", self._connection.execute(some).all())

    def put(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add or replace parts; each has every column of CustomMetricRow."""
        self._put(_PARTS, rows)

    def finished(self, run_id: str, name: str) -> Sequence[bytes]:
        """The data of all parts but the newest, in order."""
        one = (_PARTS.c.run_id == run_id, _PARTS.c.name == name, _PARTS.c.part > 0)
        some = select(_PARTS.c.data).where(*one).order_by(_PARTS.c.part)
        return self._connection.scalars(some).all()

    def remove_finished(self, run_id: str, name: str) -> None:
        """Remove all parts but the newest."""
        one = (_PARTS.c.run_id == run_id, _PARTS.c.name == name, _PARTS.c.part > 0)
        self._connection.execute(delete(_PARTS).where(*one))

    def extent(self, job_id: str, names: Collection[str]) -> tuple[int, int]:
        """How many curves of these names a job has, and how many points in finished parts together."""
        some = select(func.count(), func.coalesce(func.sum(_PARTS.c.points), 0)).where(
            _PARTS.c.job_id == job_id, _PARTS.c.part == 0, _PARTS.c.name.in_(names)
        )
        curves, points = self._connection.execute(some).one()
        return int(curves), int(points)

    def curve(self, run_id: str, names: Collection[str]) -> Sequence[tuple[str, bytes]]:
        """Names and data of a run's parts, of each name in order."""
        # The newest part is behind those before it.
        order = (_PARTS.c.name, _PARTS.c.part == 0, _PARTS.c.part)
        some = (
            select(_PARTS.c.name, _PARTS.c.data)
            .where(_PARTS.c.run_id == run_id, _PARTS.c.name.in_(names))
            .order_by(*order)
        )
        return cast("Sequence[tuple[str, bytes]]", self._connection.execute(some).all())

    def _put(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            statement = _putting(self._connection.dialect.name, table)
            self._connection.execute(statement, list(rows))


@lru_cache
def _putting(engine: str, table: Table) -> Executable:
    """Adds a row, or replaces the one with its key. Made once: that takes longer than to execute it."""
    dialect = sqlite if engine == "sqlite" else postgresql
    statement = dialect.insert(table)
    key = [column.name for column in table.primary_key]
    columns = {c.name: statement.excluded[c.name] for c in table.c if c.name not in key}
    putting: Executable = statement.on_conflict_do_update(index_elements=key, set_=columns)
    return putting
