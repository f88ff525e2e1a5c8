"""What nodes have measured."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import BindParameter, Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from windlass_server.storage.hot import Hot
from windlass_server.storage.tables import TelemetryMarkRow, TelemetrySegmentRow

_SEGMENTS = TelemetrySegmentRow.__table__  # type: ignore[attr-defined]
_MARKS = TelemetryMarkRow.__table__  # type: ignore[attr-defined]
_NODE: BindParameter[str] = bindparam("node_id")
_LEVEL: BindParameter[int] = bindparam("level")

_ADD = Hot(insert(_SEGMENTS).values({c.name: bindparam(c.name) for c in list(_SEGMENTS.c)[1:]}))
_OF_NODE = _SEGMENTS.c.node_id == _NODE, _SEGMENTS.c.level == _LEVEL
_READ = (
    select(_SEGMENTS.c.field, _SEGMENTS.c.data)
    .where(*_OF_NODE, _SEGMENTS.c.start_at.between(bindparam("first"), bindparam("last")))
    .order_by(_SEGMENTS.c.start_at, _SEGMENTS.c.segment_id)
)
_FIRST = select(func.min(_SEGMENTS.c.start_at)).where(
    *_OF_NODE, _SEGMENTS.c.start_at >= bindparam("first")
)
_OLDEST = (
    select(_SEGMENTS.c.segment_id)
    .where(_SEGMENTS.c.level == _LEVEL, _SEGMENTS.c.start_at < bindparam("before"))
    .limit(bindparam("size"))
)
_MARKS_OF = select(_MARKS.c.level, _MARKS.c.made_until).where(_MARKS.c.node_id == _NODE)
_LOCK = (
    select(_MARKS)
    .where(
        _MARKS.c.node_id == _NODE,
        _MARKS.c.level == _LEVEL,
        _MARKS.c.made_until == bindparam("made_until"),
    )
    .with_for_update()
)
_DUE = (
    select(_MARKS)
    .where(_MARKS.c.level == _LEVEL, _MARKS.c.made_until <= bindparam("before"))
    .order_by(_MARKS.c.made_until)
    .limit(bindparam("size"))
)


class TelemetryStore:
    """Segments of buckets, and the marks up to which coarser ones have been made of them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, segments: Sequence[Mapping[str, Any]]) -> None:
        """Add segments; each has every column but its id."""
        _ADD.run_many(self._connection, segments)

    def read(
        self, node_id: str, level: int, fields: Collection[int] | None, first: int, last: int
    ) -> Sequence[tuple[int, bytes]]:
        """Field and data of a node's segments that begin in [first, last], oldest first.

        Args:
            node_id: whose.
            level: of detail.
            fields: which; None: all.
            first: in microseconds.
            last: in microseconds.
        """
        query = _READ if fields is None else _READ.where(_SEGMENTS.c.field.in_(sorted(fields)))
        values = {"node_id": node_id, "level": level, "first": first, "last": last}
        rows = self._connection.execute(query, values).all()
        return cast("Sequence[tuple[int, bytes]]", rows)

    def first_start(self, node_id: str, level: int, first: int) -> int | None:
        """When the first segment at or behind `first` begins; None when there is none."""
        values = {"node_id": node_id, "level": level, "first": first}
        return cast("int | None", self._connection.scalar(_FIRST, values))

    def oldest(self, level: int, before: int, size: int) -> Sequence[int]:
        """Ids of at most `size` segments of a level that begin before a time."""
        values = {"level": level, "before": before, "size": size}
        return self._connection.scalars(_OLDEST, values).all()

    def remove(self, segment_ids: Sequence[int]) -> None:
        """Remove segments; those that are gone already do not matter."""
        gone = _SEGMENTS.c.segment_id.in_(segment_ids)
        self._connection.execute(delete(_SEGMENTS).where(gone))

    def marks(self, node_id: str) -> dict[int, int]:
        """A node's marks by level."""
        rows = self._connection.execute(_MARKS_OF, {"node_id": node_id}).all()
        return {row.level: row.made_until for row in rows}

    def mark(self, node_id: str, level: int, made_until: int) -> None:
        """Note that there is something to make from `made_until` on, unless that is noted.

        Either way nobody else moves the mark before this transaction ends.
        """
        dialect = sqlite if self._connection.dialect.name == "sqlite" else postgresql
        statement = dialect.insert(_MARKS).on_conflict_do_update(
            index_elements=["node_id", "level"], set_={"made_until": _MARKS.c.made_until}
        )
        values = {"node_id": node_id, "level": level, "made_until": made_until}
        self._connection.execute(statement, values)

    def is_at(self, node_id: str, level: int, made_until: int) -> bool:
        """Whether a mark is there still; nobody else moves it before this transaction ends."""
        values = {"node_id": node_id, "level": level, "made_until": made_until}
        return self._connection.execute(_LOCK, values).first() is not None

    def due(self, level: int, before: int, size: int) -> Sequence[TelemetryMarkRow]:
        """The marks of a level at or before a time, oldest first."""
        values = {"level": level, "before": before, "size": size}
        rows = self._connection.execute(_DUE, values).all()
        return cast("Sequence[TelemetryMarkRow]", rows)

    def advance(self, node_id: str, level: int, to: int | None) -> None:
        """Move a mark that is held, or remove it."""
        here = (_MARKS.c.node_id == node_id, _MARKS.c.level == level)
        if to is None:
            self._connection.execute(delete(_MARKS).where(*here))
        else:
            self._connection.execute(update(_MARKS).where(*here).values(made_until=to))
