"""For developers: prints the body of the next migration (see README.md beside this file).

python -m windlass_server.storage.migrations.draft
"""

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.migration import MigrationContext
from sqlalchemy import Column, Connection, create_engine
from sqlmodel import SQLModel

from windlass_server.storage import tables  # noqa: F401 - registers the tables
from windlass_server.storage.migrations import migrate_connection


def differences(connection: Connection) -> list[Any]:
    """What the tables' classes say and the database does not, or the other way round."""
    return list(compare_metadata(_context(connection), SQLModel.metadata))


def draft(connection: Connection) -> str:
    """The bodies of `upgrade` and `downgrade` that lead from the database to the classes."""
    script = produce_migrations(_context(connection), SQLModel.metadata)
    assert script.upgrade_ops is not None
    assert script.downgrade_ops is not None
    parts: Iterable[str] = (
        "def upgrade() -> None:",
        "    " + render_python_code(script.upgrade_ops),
        "def downgrade() -> None:",
        "    " + render_python_code(script.downgrade_ops),
    )
    return "\n".join(parts).replace("sqlmodel.sql.sqltypes.AutoString()", "sa.String()")


def _context(connection: Connection) -> MigrationContext:
    if connection.dialect.name != "sqlite":
        return MigrationContext.configure(connection)
    # SQLite cannot tell what an index on an expression is like.
    hidden = {
        index.name
        for table in SQLModel.metadata.tables.values()
        for index in table.indexes
        if not all(isinstance(one, Column) for one in index.expressions)
    }

    def shown(_thing: object, name: str, kind: str, *_rest: object) -> bool:
        return kind != "index" or name not in hidden

    return MigrationContext.configure(connection, opts={"include_object": shown})


def main() -> None:
    """Print the draft for the difference between versions/ and the tables' classes."""
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder) / 'draft.db'}")
        with engine.begin() as connection:
            if any((Path(__file__).parent / "versions").glob("[0-9]*.py")):
                migrate_connection(connection)
            sys.stdout.write(draft(connection) + "\n")
        engine.dispose()


if __name__ == "__main__":
    main()
