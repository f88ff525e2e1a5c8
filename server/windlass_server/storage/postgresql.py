"""PostgreSQL through psycopg's async driver; a transaction that loses a race is run again."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from windlass_server.errors import BadConfiguration, LostRace, Unavailable
from windlass_server.storage.engine import Work, run_hooks
from windlass_server.storage.guard import require_decision
from windlass_server.storage.migrations import migrate_connection
from windlass_server.storage.transaction import Transaction

T = TypeVar("T")

# serialization_failure, deadlock_detected, and unique_violation: keys are chosen by reading, so that
# whoever runs again finds what the other one stored.
_RETRYABLE = {"40001", "40P01", "23505"}
# connection_exception, insufficient_resources, the server's shutting down.
_GONE = ("08", "53", "57P")
_OPEN_SECONDS = 10


class PostgresqlDatabase:
    """A `Database` on a PostgreSQL server, shared by any number of processes."""

    name = "postgresql"

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing: set[asyncio.Future[Any]] = set()

    @classmethod
    async def open(cls, url: URL) -> "PostgresqlDatabase":
        """Connect and migrate; `BadConfiguration` when that cannot be."""
        engine = create_async_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_size=16,
            max_overflow=16,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": _OPEN_SECONDS,
                "options": "-c statement_timeout=30000 -c lock_timeout=10000"
                " -c idle_in_transaction_session_timeout=30000",
            },
        )
        try:
            async with engine.begin() as connection:
                await connection.run_sync(migrate_connection)
        except BaseException as error:
            await engine.dispose()
            if not isinstance(error, DBAPIError):
                raise
            reason = " ".join(str(error.orig).split())
            # Options may hold a password too.
            where = url.set(query={}).render_as_string(hide_password=True)
            message = f"cannot open the database {where}: {reason}"
            raise BadConfiguration(message) from None
        return cls(engine)

    async def read(self, work: Work[T], *, long: bool = False) -> T:
        """Run `work` on one snapshot."""
        require_decision()
        with _reached():
            async with self._engine.connect() as connection:
                await connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
                return await connection.run_sync(lambda sync: work(Transaction(sync)))

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction of its own, again when it loses a race."""
        require_decision()
        # Shielded: a caller that gives up meanwhile must not part the commit from what follows it.
        writing = asyncio.ensure_future(self._write(work))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        return await asyncio.shield(writing)

    async def _write(self, work: Work[T]) -> T:
        result, transaction = await self._attempts(work)
        run_hooks(transaction)
        return result

    async def _attempts(self, work: Work[T]) -> tuple[T, Transaction]:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(_lost_a_race),
            stop=stop_after_attempt(6),
            wait=wait_random_exponential(multiplier=0.005, max=0.5),
            reraise=True,
        ):
            with attempt:
                return await self._once(work)
        raise AssertionError

    async def _once(self, work: Work[T]) -> tuple[T, Transaction]:
        def run(sync: Connection) -> tuple[T, Transaction]:
            transaction = Transaction(sync)
            return work(transaction), transaction

        with _reached():
            async with self._engine.begin() as connection:
                return await connection.run_sync(run)

    async def close(self) -> None:
        """Finish what was begun and give the connections back."""
        await asyncio.gather(*self._writing, return_exceptions=True)
        await asyncio.shield(self._engine.dispose())


@contextmanager
def _reached() -> Iterator[None]:
    """Raise Unavailable for a server that is not there, goes away, or has no connection left."""
    try:
        yield
    except PoolTimeout as error:
        message = "the database is too busy"
        raise Unavailable(message, reason="DATABASE_UNAVAILABLE") from error
    except DBAPIError as error:
        # What the server refuses has a state; what never reached it has none.
        state = getattr(error.orig, "sqlstate", None) or ""
        lost = not state and isinstance(error.orig, psycopg.OperationalError)
        if lost or state.startswith(_GONE):
            message = "the database cannot be reached"
            raise Unavailable(message, reason="DATABASE_UNAVAILABLE") from error
        raise


def _lost_a_race(error: BaseException) -> bool:
    if isinstance(error, LostRace):
        return True
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", "") in _RETRYABLE
