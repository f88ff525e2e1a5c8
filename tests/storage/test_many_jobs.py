"""However many jobs there are, a page and a cycle of the scheduler read no more than they need."""

import sqlite3
from collections.abc import Callable
from typing import Any, cast

import pytest
from sqlalchemy import Connection, create_engine

from tests.support.databases import Engines
from tests.support.fake_clock import FakeClock
from tests.support.jobs import add_projects
from tests.support.many_jobs import fill
from windlass_server.jobs import world as scheduler_world
from windlass_server.jobs.world import World
from windlass_server.resources.cluster import Cluster
from windlass_server.resources.recent_usage import RecentUsage
from windlass_server.storage.engine import Database
from windlass_server.storage.jobs import JobFilter
from windlass_server.storage.transaction import Transaction

pytestmark = pytest.mark.usefixtures("acting")

# Most have ended; of each status there are more the more jobs there are, but none is CANCELLED.
STATUS = (
    "CASE WHEN i % 100 < 86 THEN 5 WHEN i % 100 < 90 THEN 6 WHEN i % 100 < 99 THEN 1 ELSE 3 END"
)
PROJECT = "CASE WHEN i % 2 = 0 THEN 'default' ELSE 'other' END"
FEW, MANY = 4_000, 32_000
STEPS = 100
"""Instructions of SQLite's machine between two that are counted."""

Read = Callable[[Transaction], Any]


def page(*statuses: int, before: str = "") -> Read:
    wanted = JobFilter("default", statuses)
    return lambda tx: tx.jobs.page_of_heads(wanted, before=before, size=51)


READS: list[Read] = [
    page(),
    page(3),
    page(1, 3),
    page(1, 2, 3, 4),
    page(6, 3),
    page(7, 8),
    page(1, 3, before="job-000000000000000000" + "00000500"),
    lambda tx: tx.jobs.queued(100),
    lambda tx: tx.jobs.queued(100, tx.jobs.queued(100)[-1]),
    lambda tx: tx.jobs.owners_of_queued(3),
    lambda tx: tx.jobs.owners_of_queued(2, ("default", "u1")),
    lambda tx: tx.jobs.queued_by("default", "u0", 20),
]


@pytest.mark.parametrize("read", READS)
def test_what_is_read_again_and_again_costs_the_same_of_many_jobs_as_of_few(
    engines: Engines, read: Read
) -> None:
    few, many = (_steps(engines, count, read) for count in (FEW, MANY))
    assert many <= 2 * few + 5, f"{few} of {FEW} jobs, {many} of {MANY}"


def _steps(engines: Engines, count: int, read: Read) -> int:
    """What SQLite's machine does for it, in hundreds of instructions."""
    engine = create_engine(engines.by_name("sqlite").new(migrated=True))
    with engine.begin() as connection:
        add_projects(Transaction(connection), "default", "other")
        by_row = {"status": STATUS, "project": PROJECT, "priority": "i % 3"}
        fill(connection, count, {"user": "'u' || CAST(i % 7 AS TEXT)", **by_row})
        counted: list[None] = []
        _driver(connection).set_progress_handler(lambda: counted.append(None), STEPS)
        read(Transaction(connection))
        _driver(connection).set_progress_handler(None, 0)
    engine.dispose()
    return len(counted)


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.driver_connection)


@pytest.mark.parametrize("statuses", [(1,), (1, 3), (3, 5, 6), (7, 1), (3, 3), (7, 8), ()])
async def test_pages_of_several_statuses_are_one_list(
    database: Database, statuses: tuple[int, ...]
) -> None:
    count = 300

    def store(tx: Transaction) -> None:
        add_projects(tx, "default", "other")
        fill(tx.connection, count, {"status": STATUS, "project": PROJECT})

    await database.write(store)
    wanted = JobFilter("default", statuses)
    found, before = list[str](), ""
    while heads := await database.read(
        lambda tx, last=before: tx.jobs.page_of_heads(wanted, before=last, size=17)
    ):
        found += [head.job_id for head in heads]
        before = found[-1]

    def status(number: int) -> int:
        part = number % 100
        return 5 if part < 86 else 6 if part < 90 else 1 if part < 99 else 3

    assert found == [
        f"job-{number:026}"
        for number in range(count - 1, -1, -1)
        if number % 2 == 0 and (not statuses or status(number) in statuses)
    ]


async def test_a_cycle_looks_at_a_bounded_number_of_jobs_some_of_each_owner(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of more owners than one looks at, at others in each cycle: all of them have their turn."""
    monkeypatch.setattr(scheduler_world, "QUEUE_DEPTH", 60)
    monkeypatch.setattr(scheduler_world, "_READ_AT_ONCE", 20)
    monkeypatch.setattr(scheduler_world, "_OWNERS", 4)
    user = "CASE WHEN i < 4000 THEN 'first' ELSE 'u' || CAST(i % 10 AS TEXT) END"

    def store(tx: Transaction) -> None:
        add_projects(tx, "default")
        fill(tx.connection, 5_000, {"user": user})

    await database.write(store)
    clock = FakeClock()
    cluster = Cluster(database, (), lambda _node_id: frozenset())
    world = World(database, cluster, clock, RecentUsage(database, clock))
    seen: set[str] = set()
    for _ in range(3):
        snapshot, rows = await world.look()
        assert len(rows) == len(snapshot.queue) <= 2 * 60
        seen |= {one.user for one in snapshot.queue}
    assert seen == {"first", *(f"u{number}" for number in range(10))}
