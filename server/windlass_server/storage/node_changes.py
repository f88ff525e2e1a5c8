"""Which nodes have changed, so that a look at all of them reads those alone.

Kept for SQLite, whose writes come one after the other: what is committed later has a higher number. There
triggers note each change, so that no statement can forget to. In PostgreSQL numbers are not committed in
their order, and others write too: nothing is kept, and whoever looks reads everything.
"""

import sqlite3
from collections.abc import Iterator

from sqlalchemy import Connection

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


class NodeChanges:
    """What is kept of changes of nodes, their claims, shares and layouts."""

    def __init__(self, connection: Connection) -> None:
        self._driver = driver_of(connection)

    def newest(self) -> int | None:
        """The number of the last change; 0 before the first, None where they are not kept."""
        if self._driver is None:
            return None
        query = "SELECT coalesce(max(number), 0) FROM node_changes"
        return int(self._driver.execute(query).fetchone()[0])

    def since(self, number: int) -> set[str]:
        """The ids of the nodes that have changed since the change of that number."""
        assert self._driver is not None, "they are not kept"
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
