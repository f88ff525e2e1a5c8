"""Which nodes have changed, so that a look at all of them reads those alone.

In SQLite writes come one after the other: what is committed later has a higher number. There triggers note each
change, so that no statement can forget to.

In PostgreSQL a row says which transaction has written it, and a snapshot which transactions had all ended by then:
what is not seen in it is of one with that number or a higher one. So nothing is noted, and where a transaction goes
on for long what others changed meanwhile is read more than once. Whatever takes a part of a node or gives it back
writes the node's row too (`holdings.py`). How cards are divided is in rows of its own, which may be gone: nodes
with such, now or at the look before, count as changed.
"""

import sqlite3
from collections.abc import Collection, Iterator

from sqlalchemy import Connection, text

from windlass_server.storage.hot import driver_of
from windlass_server.storage.tables import NodeRow

_NODES = NodeRow.__table__  # type: ignore[attr-defined]
_OF_NODES = ("gpu_claims", "gpu_layouts", "gpu_shares")
# When a node was heard changes all the time and says nothing of what can be placed on it.
_WATCHED = ", ".join(column.name for column in _NODES.columns if column.name != "last_seen_at")
_TABLE = """
CREATE TABLE IF NOT EXISTS node_changes (node_id TEXT PRIMARY KEY, number INTEGER NOT NULL)
"""
_INDEX = "CREATE INDEX IF NOT EXISTS node_changes_by_number ON node_changes (number)"
_NOTE = """
CREATE TRIGGER {name} AFTER {event} BEGIN
  INSERT INTO node_changes (node_id, number)
  VALUES ({row}.node_id, (SELECT coalesce(max(number), 0) + 1 FROM node_changes))
  ON CONFLICT (node_id) DO UPDATE SET number = excluded.number;
END
"""
# Of a snapshot the number has 64 bits, of a row the lower 32: half of these are taken as later ones.
_ROWS_NUMBERS = (1 << 32) - 1
_ALL_ENDED_BEFORE = text(
    "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)"
)
_WRITTEN_SINCE = text(
    "SELECT node_id FROM nodes "
    "WHERE ((CAST(CAST(xmin AS text) AS bigint) - :low) & 4294967295) < 2147483648 "
    "UNION SELECT node_id FROM gpu_layouts"
)


class NodeChanges:
    """What is kept of changes of nodes, their claims, shares and layouts."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._driver = driver_of(connection)

    def newest(self) -> int:
        """The number up to which all changes are seen in this transaction; 0 before the first."""
        if self._driver is None:
            return int(self._connection.execute(_ALL_ENDED_BEFORE).scalar_one())
        query = "SELECT coalesce(max(number), 0) FROM node_changes"
        return int(self._driver.execute(query).fetchone()[0])

    def since(self, number: int, divided: Collection[str] = ()) -> set[str]:
        """The ids of the nodes that have changed since `newest` was that number, and perhaps of some that have not.

        Args:
            number: as `newest` said, in a transaction that saw everything that is known of the nodes.
            divided: those that had cards then that may be divided.
        """
        if self._driver is None:
            low = {"low": number & _ROWS_NUMBERS}
            return {*divided, *self._connection.execute(_WRITTEN_SINCE, low).scalars()}
        query = "SELECT node_id FROM node_changes WHERE number > ?"
        return {node_id for (node_id,) in self._driver.execute(query, (number,))}


def watch(driver: sqlite3.Connection) -> None:
    """Begin to note changes, of the columns that there are now."""
    driver.execute("BEGIN IMMEDIATE")
    unwatch(driver)
    driver.execute(_TABLE)
    driver.execute(_INDEX)
    for name, event, row in _triggers():
        driver.execute(_NOTE.format(name=name, event=event, row=row))
    driver.execute("COMMIT")


def unwatch(driver: sqlite3.Connection) -> None:
    """Stop it, so that tables can be changed; within a transaction of the caller's."""
    for name, _, _ in _triggers():
        driver.execute(f"DROP TRIGGER IF EXISTS {name}")


def _triggers() -> Iterator[tuple[str, str, str]]:
    """The name of each, what it waits for, and which row names the node."""
    yield "nodes_note_insert", "INSERT ON nodes", "NEW"
    yield "nodes_note_update", f"UPDATE OF {_WATCHED} ON nodes", "NEW"
    for table in _OF_NODES:
        for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
            yield f"{table}_note_{event.lower()}", f"{event} ON {table}", row
