"""Adding a row unless there is one of its key."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(connection: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert unless there is a row of that key, without spoiling the transaction.

    Returns:
        Whether the row was added; waits for another who is just doing so.
    """
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).on_conflict_do_nothing().returning(*table.primary_key)
    return connection.execute(statement, dict(values)).first() is not None
