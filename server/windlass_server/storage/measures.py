"""What holders used."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, select, union_all
from sqlalchemy.dialects import postgresql, sqlite

from windlass_server.storage.tables import AllocationRow, MeasureRow, RunRow

_MEASURES: Table = MeasureRow.__table__  # type: ignore[attr-defined]
_RUNS: Table = RunRow.__table__  # type: ignore[attr-defined]
_ALLOCATIONS: Table = AllocationRow.__table__  # type: ignore[attr-defined]

_KEY = ("holder_id", "slot")
_SUMS = tuple(column.name for column in _MEASURES.columns if column.name not in _KEY)


class MeasureStore:
    """What holders used, in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add to what is known of some holders and hours; each has every column, and no two one key."""
        dialect: Any = sqlite if self._connection.dialect.name == "sqlite" else postgresql
        insert = dialect.insert(_MEASURES)
        sums = {name: _MEASURES.c[name] + insert.excluded[name] for name in _SUMS}
        adding = insert.on_conflict_do_update(index_elements=_KEY, set_=sums)
        self._connection.execute(adding, list(rows))

    def nodes_of(self, holders: Sequence[str]) -> dict[str, str]:
        """The node of each of these that there is."""
        query = union_all(
            select(_RUNS.c.run_id, _RUNS.c.node_id).where(_RUNS.c.run_id.in_(holders)),
            select(_ALLOCATIONS.c.allocation_id, _ALLOCATIONS.c.node_id).where(
                _ALLOCATIONS.c.allocation_id.in_(holders)
            ),
        )
        return {one[0]: one[1] for one in self._connection.execute(query)}
