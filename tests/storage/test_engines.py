"""What every `Database` promises, on both engines."""

import asyncio
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.support.databases import Engines
from windlass_server.errors import BadConfiguration, Conflict, LostRace, Unavailable
from windlass_server.storage.engine import Database, open_database
from windlass_server.storage.guard import acting_as
from windlass_server.storage.sqlite import SqliteDatabase
from windlass_server.storage.transaction import Transaction

acting = pytest.mark.usefixtures("acting")


def found(tx: Transaction, name: str) -> None:
    tx.access.found_organisation(name, name, 1)


def count(tx: Transaction) -> int:
    return tx.connection.scalar(text("SELECT count(*) FROM organisations")) or 0


def burn(steps: int) -> str:
    """A query that takes about 10 virtual machine steps for each of `steps`."""
    return (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        f" WHERE i < {steps}) SELECT count(*) FROM n"
    )


@acting
async def test_what_is_written_is_read(database: Database) -> None:
    await database.write(lambda tx: found(tx, "a"))
    assert await database.read(count) == 1


@acting
async def test_a_write_answers_what_its_work_answers(database: Database) -> None:
    assert await database.write(lambda _tx: "answer") == "answer"


async def test_nothing_runs_without_a_decision(database: Database) -> None:
    with pytest.raises(RuntimeError, match="without an authorisation decision"):
        await database.read(count)
    with pytest.raises(RuntimeError, match="without an authorisation decision"):
        await database.write(lambda tx: found(tx, "a"))
    with acting_as("test"):
        assert await database.read(count) == 0


@acting
async def test_what_raises_is_rolled_back(database: Database) -> None:
    def fail(tx: Transaction) -> None:
        found(tx, "a")
        message = "no"
        raise Conflict(message, reason="NO")

    with pytest.raises(Conflict, match="no"):
        await database.write(fail)
    assert await database.read(count) == 0


@acting
async def test_a_write_that_fails_leaves_its_neighbours_alone(database: Database) -> None:
    def break_a_rule(tx: Transaction) -> None:
        found(tx, "bad")
        tx.connection.execute(text("INSERT INTO organisations SELECT * FROM organisations"))

    def fail(tx: Transaction) -> None:
        found(tx, "worse")
        raise ZeroDivisionError

    works = [lambda tx, n=n: found(tx, f"good{n}") for n in range(5)]
    works[1:1] = [break_a_rule]
    works[4:4] = [fail]
    answers = await asyncio.gather(*(database.write(one) for one in works), return_exceptions=True)
    failed = [n for n, answer in enumerate(answers) if isinstance(answer, Exception)]
    assert failed == [1, 4]
    assert await database.read(count) == 5


@acting
async def test_hooks_run_after_the_commit_and_only_then(database: Database) -> None:
    seen: list[str] = []

    def good(tx: Transaction) -> None:
        found(tx, "a")
        tx.after_commit(lambda: seen.append("committed"))
        seen.append("worked")

    def bad(tx: Transaction) -> None:
        tx.after_commit(lambda: seen.append("never"))
        raise ZeroDivisionError

    await database.write(good)
    with pytest.raises(ZeroDivisionError):
        await database.write(bad)
    assert seen == ["worked", "committed"]


@acting
async def test_a_hook_that_fails_is_reported_and_harms_no_write(database: Database) -> None:
    reports: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: reports.append(context["exception"])
    )

    def work(tx: Transaction) -> None:
        found(tx, "a")
        tx.after_commit(lambda: 1 / 0)

    await database.write(work)
    await database.write(lambda tx: found(tx, "b"))
    assert [type(one) for one in reports] == [ZeroDivisionError]
    assert await database.read(count) == 2


@acting
async def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises(Exception, match=r"read-?only"):
        await database.read(lambda tx: found(tx, "a"))
    assert await database.read(count) == 0


@acting
async def test_a_read_sees_one_snapshot(database: Database, database_url: str) -> None:
    """Also when somebody commits in its middle."""
    other = create_engine(database_url)

    def counts(tx: Transaction) -> tuple[int, int]:
        before = count(tx)
        with other.begin() as connection:
            connection.execute(text("INSERT INTO organisations VALUES ('a', 'a', 1)"))
        return before, count(tx)

    assert await database.read(counts) == (0, 0)
    # SQLite's reads may share a snapshot for a moment.
    async with asyncio.timeout(10):
        while await database.read(count) != 1:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)
    other.dispose()


@acting
async def test_a_foreign_key_is_kept(database: Database) -> None:
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        await database.write(lambda tx: tx.access.add_project("p", "nobody", "", 1))


@acting
async def test_a_postgresql_write_that_loses_a_race_runs_again(engines: Engines) -> None:
    database = await open_database(engines.by_name("postgresql").new(migrated=True))
    attempts: list[int] = []

    def work(tx: Transaction) -> None:
        attempts.append(1)
        tx.after_commit(lambda: attempts.append(100))
        if len(attempts) < 3:
            message = "again"
            raise LostRace(message, reason="AGAIN")
        found(tx, "a")

    await database.write(work)
    assert attempts == [1, 1, 1, 100]
    assert await database.read(count) == 1
    await database.close()


@acting
async def test_a_lost_connection_is_unavailable(engines: Engines) -> None:
    database = await open_database(engines.by_name("postgresql").new(migrated=True))

    def cut(tx: Transaction) -> None:
        tx.connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(Unavailable):
        await database.write(cut)
    with pytest.raises(Unavailable):
        await database.read(cut)
    assert await database.read(count) == 0
    await database.close()


@acting
async def test_a_server_that_lets_nobody_in_is_unavailable(engines: Engines) -> None:
    url = make_url(engines.by_name("postgresql").new(migrated=True))
    database = await open_database(url.render_as_string(hide_password=False))
    other = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with other.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false"))
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": url.database},
        )
    other.dispose()
    with pytest.raises(Unavailable):
        await database.read(count)
    with pytest.raises(Unavailable):
        await database.write(count)
    await database.close()


@acting
async def test_a_read_that_is_said_to_be_long_is_not_tried_on_the_loop(engines: Engines) -> None:
    database = await open_database(engines.sqlite.new(migrated=True))
    here = await database.read(lambda _: threading.current_thread())
    there = await database.read(lambda _: threading.current_thread(), long=True)
    await database.close()
    assert here is threading.main_thread()
    assert there is not threading.main_thread()


@acting
async def test_a_long_read_leaves_the_loop_and_is_right(engines: Engines) -> None:
    """While it runs, the loop serves others; and it commits, which uses a thread too."""
    database = await open_database(engines.by_name("sqlite").new(migrated=True))
    entered: list[int] = []
    written = threading.Event()

    def long(tx: Transaction) -> int:
        entered.append(1)
        if threading.current_thread() is not threading.main_thread():
            assert written.wait(60)
        return tx.connection.scalar(text(burn(400_000))) or 0

    reading = [asyncio.create_task(database.read(long)) for _ in range(4)]
    await asyncio.sleep(0)
    await asyncio.wait_for(database.write(lambda tx: found(tx, "a")), 60)
    assert not any(one.done() for one in reading)
    written.set()
    assert await asyncio.gather(*reading) == [400_000] * 4
    assert len(entered) == 8, "each was tried on the loop, given up and run in a thread"
    assert await database.read(count) == 1
    await database.close()


@acting
async def test_short_reads_stay_on_the_loop_however_many(engines: Engines) -> None:
    database = await open_database(engines.by_name("sqlite").new(migrated=True))
    entered: list[int] = []

    def short(tx: Transaction) -> int:
        entered.append(1)
        return tx.connection.scalar(text(burn(5_000))) or 0

    for _ in range(20):
        assert await database.read(short) == 5_000
    assert len(entered) == 20
    await database.close()


@acting
async def test_a_write_that_nobody_waits_for_any_more_is_not_begun(engines: Engines) -> None:
    database = await open_database(engines.by_name("sqlite").new(migrated=True))
    gone = asyncio.create_task(database.write(lambda tx: found(tx, "a")))
    await asyncio.sleep(0)
    gone.cancel()
    await database.write(lambda tx: found(tx, "b"))
    assert gone.cancelled()
    assert await database.read(count) == 1
    await database.close()


@acting
async def test_closing_commits_what_waits(engines: Engines) -> None:
    url = engines.by_name("sqlite").new(migrated=True)
    database = await open_database(url)
    writes = [
        asyncio.create_task(database.write(lambda tx, n=n: found(tx, str(n)))) for n in range(300)
    ]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*writes)
    with pytest.raises(RuntimeError, match="closed"):
        await database.write(count)
    again = await open_database(url)
    assert await again.read(count) == 300
    await again.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "not a URL"),
        ("mysql://host/db", "windlass knows sqlite and postgresql"),
        ("sqlite://", "needs a file"),
        ("sqlite:////nowhere/at/all.db", "No such file or directory"),
        ("sqlite:////tmp/windlass.db?mode=ro", "the database url has mode"),
        ("postgresql://host:port/db", "not a URL"),
        ("postgresql://127.0.0.1:1/db?password=secret", "cannot open the database"),
        ("postgresql://user:secret@127.0.0.1:1/db", "cannot open the database"),
    ],
)
async def test_a_database_that_cannot_be_opened_says_why(url: str, says: str) -> None:
    with pytest.raises(BadConfiguration, match=says) as caught:
        await open_database(url)
    assert "secret" not in str(caught.value)


@acting
async def test_a_sqlite_file_has_one_server_at_a_time(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'windlass.db'}"
    database = await open_database(url)
    await database.write(lambda tx: found(tx, "a"))
    with pytest.raises(BadConfiguration, match="another windlass server uses the database"):
        await open_database(url)
    beside = await open_database(url, shared=True)
    assert await beside.read(count) == 1
    await beside.close()
    await database.close()
    await (await open_database(url)).close()


async def test_a_file_that_is_no_database_says_so(tmp_path: Path) -> None:
    path = tmp_path / "windlass.db"
    path.write_text("this is a letter to my aunt, and long enough to look like a header" * 50)
    with pytest.raises(BadConfiguration, match="not a database"):
        await SqliteDatabase.open(path)


@pytest.fixture
def open_umask() -> Iterator[None]:
    """A process whose files everybody may read."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
async def test_nobody_but_its_owner_reads_a_new_sqlite_file_or_what_lies_beside_it(
    tmp_path: Path,
) -> None:
    database = await SqliteDatabase.open(tmp_path / "windlass.db")
    with acting_as("test"):
        await database.write(lambda tx: found(tx, "a"))
    modes = modes_in(tmp_path)
    await database.close()
    names = ("windlass.db", "windlass.db-wal", "windlass.db-shm", "windlass.db.lock")
    assert modes == dict.fromkeys(names, 0o600)


def modes_in(folder: Path) -> dict[str, int]:
    """Who may do what with each file, as chmod numbers it."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@acting
async def test_what_is_acknowledged_survives_a_power_cut(tmp_path: Path) -> None:
    database = await SqliteDatabase.open(tmp_path / "windlass.db")
    try:
        for pragma, wanted in (("synchronous", 2), ("journal_mode", "wal")):  # 2 is FULL
            query = text(f"PRAGMA {pragma}")
            assert await database.write(lambda tx, q=query: tx.connection.scalar(q)) == wanted
    finally:
        await database.close()
