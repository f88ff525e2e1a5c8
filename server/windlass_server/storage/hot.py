"""Statements of the paths that every call takes, compiled once and run by the driver itself.

SQLAlchemy needs about ten times as long around a statement as SQLite needs for it. These are written
as Core statements like all others, and only executed without that machinery where the driver can be
called directly; see docs/decisions/0003.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Executable
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.sql.compiler import SQLCompiler

_SQLITE = SQLiteDialect_pysqlite()


class Hot:
    """A statement whose columns and parameters need no conversion: numbers, text and bytes.

    Rows have the attributes of their columns and `_asdict()`, on either engine.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        compiled = cast("SQLCompiler", statement.compile(dialect=_SQLITE))  # type: ignore[attr-defined]
        self._sql = compiled.string
        self._names = tuple(compiled.positiontup or ())
        # Values that the statement brings along, such as SQLite's OFFSET 0.
        self._own = {name: own for name, own in compiled.params.items() if own is not None}
        columns = getattr(statement, "selected_columns", ())
        # Columns of an INSERT's RETURNING are taken by position.
        self._row = _row_maker([column.name for column in columns])

    def all(self, connection: Connection, values: Mapping[str, Any]) -> Sequence[Any]:
        """Every row."""
        driver = driver_of(connection)
        if driver is None:
            return connection.execute(self._statement, values).all()
        make = self._row
        return [make(row) for row in driver.execute(self._sql, self._in_order(values))]

    def first(self, connection: Connection, values: Mapping[str, Any]) -> Any | None:
        """The first row, or None."""
        driver = driver_of(connection)
        if driver is None:
            return connection.execute(self._statement, values).first()
        row = driver.execute(self._sql, self._in_order(values)).fetchone()
        return None if row is None else self._row(row)

    def run(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """Execute; returns the number of rows that it changed."""
        driver = driver_of(connection)
        if driver is None:
            return connection.execute(self._statement, values).rowcount
        return driver.execute(self._sql, self._in_order(values)).rowcount

    def run_many(self, connection: Connection, values: Sequence[Mapping[str, Any]]) -> int:
        """Execute once for each of `values`; returns the number of rows that they changed together."""
        if not values:
            return 0
        driver = driver_of(connection)
        if driver is None:
            return connection.execute(self._statement, values).rowcount
        return driver.executemany(self._sql, [self._in_order(one) for one in values]).rowcount

    def _in_order(self, values: Mapping[str, Any]) -> list[Any]:
        if self._own:
            values = self._own | dict(values)
        return [values[name] for name in self._names]


def _row_maker(names: Sequence[str]) -> Callable[[Iterable[Any]], Any]:
    return cast("Any", namedtuple("Row", names))._make if names else tuple


def driver_of(connection: Connection) -> sqlite3.Connection | None:
    """The driver's connection where it can be called directly, which psycopg's async one cannot."""
    driver = connection.connection.driver_connection
    return driver if isinstance(driver, sqlite3.Connection) else None
