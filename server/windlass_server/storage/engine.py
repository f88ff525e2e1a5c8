"""The database as the rest of the server sees it, whichever engine is behind."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from windlass_server.errors import BadConfiguration
from windlass_server.storage.transaction import Transaction

T = TypeVar("T")
Work = Callable[[Transaction], T]


class Database(Protocol):
    """Runs transactions. Each is a function of a `Transaction` and refused without a decision."""

    @property
    def name(self) -> str:
        """`sqlite` or `postgresql`."""
        ...

    async def read(self, work: Work[T], *, long: bool = False) -> T:
        """Run `work` on one consistent snapshot.

        Args:
            work: what to do.
            long: it goes through much, so that others must not wait for it.
        """
        ...

    async def write(self, work: Work[T]) -> T:
        """Run `work` atomically; returns when it is on disk. What it raises rolls it back."""
        ...

    async def close(self) -> None:
        """Finish what was begun and close."""
        ...


def parse_database_url(url: str) -> URL:
    """The parts of a SQLAlchemy URL.

    Raises:
        BadConfiguration: the URL is none of ours.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        message = "database url is not a URL such as sqlite:///windlass.db or postgresql://…"
        raise BadConfiguration(message) from None
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        message = f"database url names {backend!r}; windlass knows sqlite and postgresql"
        raise BadConfiguration(message)
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            message = "sqlite needs a file: sqlite:///path/to/windlass.db"
            raise BadConfiguration(message)
        if parsed.query:
            message = f"sqlite takes no options; the database url has {', '.join(parsed.query)}"
            raise BadConfiguration(message)
    return parsed


async def open_database(url: str, *, shared: bool = False) -> Database:
    """Open and migrate the database behind a SQLAlchemy URL.

    Args:
        url: of SQLite or PostgreSQL.
        shared: open it also when it is SQLite's and a server has it.

    Raises:
        BadConfiguration: the URL is none of ours, or the database cannot be opened.
    """
    parsed = parse_database_url(url)
    if parsed.get_backend_name() == "sqlite":
        from windlass_server.storage.sqlite import SqliteDatabase

        return await SqliteDatabase.open(Path(parsed.database or ""), shared=shared)
    from windlass_server.storage.postgresql import PostgresqlDatabase

    return await PostgresqlDatabase.open(parsed)


def run_hooks(transaction: Transaction) -> None:
    """Run what shall follow a commit.

    A hook that fails is reported to the event loop and to nobody else: the write is durable, and
    whoever asked for it must hear so.
    """
    for hook in transaction.hooks:
        try:
            hook()
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a hook failed after its transaction was committed", "exception": error}
            )
