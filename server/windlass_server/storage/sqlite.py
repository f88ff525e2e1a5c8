"""SQLite: one writer with group commit, reads on the event loop, no thread hop for either.

Measured in docs/decisions/0001: an aiosqlite call costs about ten times the statement that it
carries, most of it handing work to a thread and back. So statements run on the event loop, where
they take microseconds, and only what can block goes to a thread: the commit with its fsync, and a
read that has run for longer than `_LONG_READ_STEPS`.
"""

import asyncio
import contextvars
import fcntl
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import StaticPool

from windlass_server.errors import BadConfiguration
from windlass_server.storage import node_changes
from windlass_server.storage.engine import Work, run_hooks
from windlass_server.storage.guard import require_decision
from windlass_server.storage.migrations import HEAD, current_revision, migrate_connection
from windlass_server.storage.transaction import Transaction

T = TypeVar("T")

# Virtual machine steps after which a read leaves the event loop: about 5 ms.
_LONG_READ_STEPS = 200_000
_STEPS_BETWEEN_CHECKS = 10_000
# How long reads share a snapshot. This process is the only writer and ends it with each commit of its
# own; the bound is for an operator's command that writes beside it. Taking and leaving a snapshot
# costs more than most reads, because SQLite locks the file for it.
_SNAPSHOT_SECONDS = 0.05
# Writes that share one commit at most, so that the first of them does not wait for ever.
_MAX_GROUP = 256


@dataclass(slots=True)
class _Pending:
    """A write that waits for its turn, in the context of whoever asked for it."""

    work: Callable[[Transaction], Any]
    done: asyncio.Future[Any]
    context: contextvars.Context


class SqliteDatabase:
    """A `Database` on one file, owned by this process."""

    name = "sqlite"

    def __init__(self, path: Path, lock: int | None) -> None:
        self._path = path
        self._lock = lock
        self._writer = _connect(path, readonly=False)
        self._reader = _connect(path, readonly=True)
        self._pending: list[_Pending] = []
        self._wake = asyncio.Event()
        # Apart, so that no commit waits for long reads.
        self._committer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite-commit")
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="sqlite-read")
        self._reading = Transaction(self._reader)
        # Set while the reader holds a snapshot: ends it when it has become old.
        self._snapshot: asyncio.TimerHandle | None = None
        self._steps = 0
        _driver(self._reader).set_progress_handler(self._count_steps, _STEPS_BETWEEN_CHECKS)
        self._task = asyncio.create_task(self._write_groups(), name="sqlite-writer")
        self._closing = False

    @classmethod
    async def open(cls, path: Path, *, shared: bool = False) -> "SqliteDatabase":
        """Open and migrate; `BadConfiguration` when the file cannot be used, or a server has it.

        Args:
            path: the file.
            shared: open it beside the server that has it, for an operator's command.
        """
        lock = None
        try:
            lock = None if shared else _lock(path)
            await asyncio.to_thread(_prepare, path, owned=not shared)
            return cls(path, lock)
        except BaseException as error:
            if lock is not None:
                os.close(lock)
            if not isinstance(error, DBAPIError | sqlite3.Error | OSError):
                raise
            reason = error.strerror if isinstance(error, OSError) else getattr(error, "orig", error)
            message = f"cannot open the database {path}: {reason}"
            raise BadConfiguration(message) from None

    async def read(self, work: Work[T], *, long: bool = False) -> T:
        """Run `work` on a snapshot: on the event loop while it is short, in a thread when not."""
        require_decision()
        if long:
            return await self._in_thread(work)
        self._steps = 0
        if self._snapshot is None:
            _driver(self._reader).execute("BEGIN")
            loop = asyncio.get_running_loop()
            self._snapshot = loop.call_later(_SNAPSHOT_SECONDS, self._end_snapshot)
        try:
            return work(self._reading)
        except (OperationalError, sqlite3.OperationalError) as error:
            self._end_snapshot()
            if "interrupted" not in str(error):
                raise
        return await self._in_thread(work)

    async def _in_thread(self, work: Work[T]) -> T:
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        return await loop.run_in_executor(self._threads, context.run, self._long_read, work)

    async def write(self, work: Work[T]) -> T:
        """Run `work` with the group that is being gathered; returns after its commit."""
        require_decision()
        if self._closing:
            message = "the database is closed"
            raise RuntimeError(message)
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._pending.append(_Pending(work, done, contextvars.copy_context()))
        self._wake.set()
        return await done

    async def close(self) -> None:
        """Commit what waits, then close."""
        self._closing = True
        self._wake.set()
        await self._task
        self._committer.shutdown()
        self._threads.shutdown()
        self._end_snapshot()
        self._reader.close()
        self._writer.close()
        self._reader.engine.dispose()
        self._writer.engine.dispose()
        if self._lock is not None:
            os.close(self._lock)

    def _end_snapshot(self) -> None:
        """Let the next read see what has been committed since the present snapshot was taken."""
        if self._snapshot is not None:
            self._snapshot.cancel()
            self._snapshot = None
            _driver(self._reader).rollback()

    def _count_steps(self) -> int:
        self._steps += _STEPS_BETWEEN_CHECKS
        return int(self._steps > _LONG_READ_STEPS)

    def _long_read(self, work: Work[T]) -> T:
        connection = _connect(self._path, readonly=True)
        try:
            return _run(connection, work, "BEGIN")
        finally:
            connection.close()
            connection.engine.dispose()

    async def _write_groups(self) -> None:
        while self._pending or not self._closing:
            if not self._pending:
                self._wake.clear()
                await self._wake.wait()
                continue
            group, self._pending = self._pending[:_MAX_GROUP], self._pending[_MAX_GROUP:]
            if group := [one for one in group if not one.done.cancelled()]:
                await self._write_group(group)

    async def _write_group(self, group: list[_Pending]) -> None:
        """Run each write in a savepoint of one transaction, commit once, then tell everyone."""
        driver = _driver(self._writer)
        loop = asyncio.get_running_loop()
        try:
            driver.execute("BEGIN IMMEDIATE")
            outcomes = [one.context.run(_attempt, self._writer, one) for one in group]
            # Before the commit, whose checkpoint a snapshot would hold up; and after it, because a read
            # may have come meanwhile.
            self._end_snapshot()
            await loop.run_in_executor(self._committer, driver.commit)
            self._end_snapshot()
        except Exception as error:
            # Nothing of the group is durable (disk full, I/O error): everyone hears of it.
            outcomes = [_Outcome(one, None, None, error) for one in group]
            if driver.in_transaction:
                driver.rollback()
        for outcome in outcomes:
            outcome.tell()


@dataclass(slots=True)
class _Outcome:
    """What became of a write; its transaction where there is something to follow the commit."""

    pending: _Pending
    transaction: Transaction | None
    result: Any
    error: Exception | None

    def tell(self) -> None:
        if self.transaction is not None:
            run_hooks(self.transaction)
        done = self.pending.done
        # Whoever asked may have gone; what was written is written all the same.
        if done.done():
            return
        if self.error is not None:
            done.set_exception(self.error)
        else:
            done.set_result(self.result)


def _attempt(connection: Connection, pending: _Pending) -> _Outcome:
    driver = _driver(connection)
    transaction = Transaction(connection)
    driver.execute("SAVEPOINT one")
    try:
        result = pending.work(transaction)
    except Exception as error:
        driver.execute("ROLLBACK TO one")
        driver.execute("RELEASE one")
        return _Outcome(pending, None, None, error)
    driver.execute("RELEASE one")
    return _Outcome(pending, transaction, result, None)


def _run(connection: Connection, work: Work[T], begin: str) -> T:
    driver = _driver(connection)
    driver.execute(begin)
    try:
        return work(Transaction(connection))
    finally:
        driver.rollback()


def _lock(path: Path) -> int:
    """Take the file for this process, until the descriptor is closed.

    Two servers would each give the other old snapshots, and take its nodes for lost. The lock is on a
    file beside it: closing any descriptor of the database itself would drop SQLite's own locks.
    """
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        message = f"another windlass server uses the database {path}"
        raise BadConfiguration(message) from None
    return lock


def _create(path: Path) -> None:
    """Make the file, for its owner alone, unless it is there.

    SQLite would make it as the umask says, and gives what it keeps beside it (`-wal`, `-shm`) the
    mode of the file itself.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _prepare(path: Path, *, owned: bool) -> None:
    """Bring the file to HEAD, and begin to note changes of nodes unless another process has."""
    _create(path)
    engine = _engine(path)
    try:
        with engine.connect() as connection:
            behind = current_revision(connection) != HEAD
            if behind:
                _migrate(path, connection)
            if owned or behind:
                node_changes.watch(_driver(connection))
    finally:
        engine.dispose()


def _migrate(path: Path, connection: Connection) -> None:
    """Migrate in one transaction; another process that does so is waited for."""
    driver = _driver(connection)
    # A table is changed by copying it, which its references would forbid.
    driver.execute("PRAGMA foreign_keys = OFF")
    driver.execute("BEGIN IMMEDIATE")
    try:
        node_changes.unwatch(driver)
        migrate_connection(connection)
        broken = driver.execute("PRAGMA foreign_key_check").fetchone()
        if broken is not None:
            message = f"{path} has rows of {broken[0]} that refer to nothing"
            raise BadConfiguration(message)
        driver.commit()
    finally:
        if driver.in_transaction:
            driver.rollback()


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def _connect(path: Path, *, readonly: bool) -> Connection:
    connection = _engine(path).connect()
    if readonly:
        _driver(connection).execute("PRAGMA query_only = ON")
    return connection


def _engine(path: Path) -> Engine:
    """An engine with one connection whose transactions are begun and ended by us alone."""
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=StaticPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"check_same_thread": False, "timeout": 10},
        # A row's values are what was bound, so nothing is gained by looking at each of them.
        query_cache_size=1024,
    )

    @event.listens_for(engine, "connect")
    def set_pragmas(driver: sqlite3.Connection, _record: object) -> None:
        driver.isolation_level = None
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            "busy_timeout = 10000",
            "trusted_schema = OFF",
            "cache_size = -16384",
            "temp_store = MEMORY",
        ):
            driver.execute(f"PRAGMA {pragma}")

    return engine
