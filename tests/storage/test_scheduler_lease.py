"""Several servers on one database: one is the scheduler, and what the others still commit is refused."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.support.divisible import divisible
from tests.support.fake_clock import FakeClock
from tests.support.scheduled_world import ScheduledWorld
from windlass_server.controllers.scheduler_lease import (
    BEAT_SECONDS,
    LEASE_SECONDS,
    LOOK_SECONDS,
    SchedulerLease,
)
from windlass_server.controllers.scheduling import Scheduling
from windlass_server.errors import Conflict
from windlass_server.jobs.states import Status
from windlass_server.jobs.world import World
from windlass_server.resources.recent_usage import RecentUsage
from windlass_server.resources.remote_waits import RemoteWaits
from windlass_server.scheduler.partition import Change
from windlass_server.scheduler.plan import Placement
from windlass_server.scheduler.snapshot import Instance
from windlass_server.storage.duties import SCHEDULER, DutyStore
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import DutyRow
from windlass_server.storage.transaction import Transaction

pytestmark = pytest.mark.usefixtures("acting")


@dataclass
class Server:
    """One of several: its lease, and a clock of its own."""

    lease: SchedulerLease
    clock: FakeClock
    looks: list[int] = field(default_factory=list)
    """The epochs in which its scheduler was told to look."""

    @classmethod
    def start(cls, database: Database, holder: str, clock: FakeClock | None = None) -> "Server":
        clock = clock or FakeClock()
        looks: list[int] = []
        lease = SchedulerLease(
            database, clock, holder, alone=False, look=lambda: looks.append(lease.epoch or 0)
        )
        return cls(lease, clock, looks)

    async def lives(self, seconds: float) -> None:
        """It goes on for so long."""
        for _ in range(round(seconds / LOOK_SECONDS)):
            self.clock.advance(LOOK_SECONDS)
            await self.lease.cycle()


async def both_live(first: Server, second: Server, seconds: float) -> None:
    for _ in range(round(seconds / LOOK_SECONDS)):
        await first.lives(LOOK_SECONDS)
        await second.lives(LOOK_SECONDS)


async def test_who_is_first_is_the_scheduler_for_as_long_as_it_lives(database: Database) -> None:
    first, second = Server.start(database, "server-a"), Server.start(database, "server-b")
    await first.lease.cycle()
    await both_live(first, second, 5 * LEASE_SECONDS)
    assert (first.lease.epoch, second.lease.epoch) == (1, None)
    assert (first.looks, second.looks) == ([1], [])


async def test_another_takes_over_from_a_scheduler_that_is_silent_and_not_before(
    database: Database,
) -> None:
    first, second = Server.start(database, "server-a"), Server.start(database, "server-b")
    await first.lease.cycle()
    await both_live(first, second, LEASE_SECONDS)
    await second.lives(LEASE_SECONDS - BEAT_SECONDS - LOOK_SECONDS)
    assert second.lease.epoch is None
    await second.lives(BEAT_SECONDS + 2 * LOOK_SECONDS)
    assert (second.lease.epoch, second.looks) == (2, [2])
    # The first was only asleep; it finds out and does nothing more.
    await first.lease.cycle()
    assert first.lease.epoch is None
    await both_live(second, first, 3 * LEASE_SECONDS)
    assert (first.lease.epoch, second.lease.epoch) == (None, 2)


async def test_a_scheduler_that_stops_is_followed_at_once(database: Database) -> None:
    first, second = Server.start(database, "server-a"), Server.start(database, "server-b")
    await first.lease.cycle()
    await second.lease.cycle()
    await first.lease.give_back()
    await second.lives(LOOK_SECONDS)
    assert (first.lease.epoch, second.lease.epoch) == (None, 2)


async def test_a_server_that_starts_again_goes_on_at_once_in_a_new_epoch(
    database: Database,
) -> None:
    await Server.start(database, "server-a").lease.cycle()
    again = Server.start(database, "server-a")
    await again.lease.cycle()
    assert (again.lease.epoch, again.looks) == (2, [2])


async def test_two_servers_of_one_name_take_nothing_from_each_other_while_both_live(
    database: Database,
) -> None:
    """As when a data directory was copied."""
    first, copy = Server.start(database, "server-a"), Server.start(database, "server-a")
    await first.lease.cycle()
    await copy.lease.cycle()
    await both_live(copy, first, 3 * LEASE_SECONDS)
    assert (first.lease.epoch, copy.lease.epoch) == (None, 2)


async def test_clocks_that_differ_or_jump_change_nothing(database: Database) -> None:
    first = Server.start(database, "server-a")
    second = Server.start(database, "server-b", FakeClock(now=1))
    await first.lease.cycle()
    for seconds in (86_400, -86_400 * 365):
        first.clock.jump(seconds)
        await both_live(first, second, 2 * LEASE_SECONDS)
    assert (first.lease.epoch, second.lease.epoch) == (1, None)


async def test_news_that_another_server_has_reaches_the_scheduler(database: Database) -> None:
    first, second = Server.start(database, "server-a"), Server.start(database, "server-b")
    await first.lease.cycle()
    await second.lease.cycle()
    second.lease.ask()
    await both_live(second, first, 2 * LOOK_SECONDS)
    assert first.looks == [1, 1]
    await both_live(second, first, 2 * LOOK_SECONDS)
    assert first.looks == [1, 1]


async def test_of_several_that_take_over_at_once_one_does(database: Database) -> None:
    servers = [Server.start(database, f"server-{number}") for number in range(6)]
    for _ in range(3):
        await asyncio.gather(*(one.lease.cycle() for one in servers))
    assert [one.lease.epoch for one in servers if one.lease.epoch] == [1]


async def test_nobody_takes_over_from_a_scheduler_that_has_just_shown_that_it_lives(
    database: Database,
) -> None:
    await Server.start(database, "server-a").lease.cycle()
    seen = await database.read(lambda tx: tx.duties.get(SCHEDULER))
    assert seen is not None
    assert await database.write(lambda tx: tx.duties.beat(SCHEDULER, 1))
    assert not await database.write(lambda tx: tx.duties.take_over(seen, "server-b"))
    assert not await database.write(lambda tx: tx.duties.beat(SCHEDULER, 2))


async def test_a_server_without_others_writes_nothing_for_its_lease(database: Database) -> None:
    clock = FakeClock()
    lease = SchedulerLease(database, clock, "server-a", alone=True, look=lambda: None)
    await lease.cycle()
    clock.advance(10 * LEASE_SECONDS)
    await lease.cycle()
    row = await database.read(lambda tx: tx.duties.get(SCHEDULER))
    assert row is not None
    assert (lease.epoch, row.epoch, row.beat) == (1, 1, 0)


# --- what one that is the scheduler no more still commits ----------------------------------------


@dataclass
class Two:
    """Two servers' schedulers on one database; the first thinks that it still is the one."""

    world: ScheduledWorld
    first: Scheduling
    second: Scheduling

    async def cycle(self, scheduling: Scheduling) -> None:
        scheduling.world_changed()
        await scheduling.cycle()


def a_scheduling(world: ScheduledWorld, lease: SchedulerLease) -> Scheduling:
    return Scheduling(
        world.database,
        World(world.database, world.cluster, world.clock, RecentUsage(world.database, world.clock)),
        world.runs,
        world.layouts,
        world.clock,
        RemoteWaits(),
        lease,
    )


@pytest.fixture
async def two(database: Database, tmp_path: Path) -> Two:
    world = await ScheduledWorld.start(database, tmp_path)
    second = Server.start(database, "server-2", world.clock)
    await second.lives(2 * LEASE_SECONDS)
    assert (world.lease.epoch, second.lease.epoch) == (1, 2)
    return Two(world, world.scheduling, a_scheduling(world, second.lease))


async def test_one_plans_and_the_others_placements_are_refused(two: Two) -> None:
    await two.world.add_node("n")
    job_id = await two.world.add_job()
    await two.cycle(two.first)
    job = await two.world.job(job_id)
    assert (job.status, job.version) == (Status.QUEUED, 1)
    assert await two.world.database.read(lambda tx: tx.runs.of_job(job_id)) == []
    await two.cycle(two.second)
    assert (await two.world.job(job_id)).status == Status.SCHEDULED


async def test_a_plan_that_was_made_before_another_server_took_over_is_refused(two: Two) -> None:
    node_id = await two.world.add_node("n")
    job = await two.world.job(await two.world.add_job())
    placement = Placement(job.job_id, node_id, ())
    values = {"attempt": 1, "version": job.version}
    assert not await two.world.runs.place(placement, **values, epoch=1)
    assert not await two.world.runs.place(placement, **values, epoch=3)
    assert await two.world.runs.place(placement, **values, epoch=2)


async def test_what_it_would_say_of_waiting_jobs_is_not_said(two: Two) -> None:
    job_id = await two.world.add_job()
    before = await two.world.job(job_id)
    await two.cycle(two.first)
    assert (await two.world.job(job_id)).status_message == before.status_message
    await two.cycle(two.second)
    assert (await two.world.job(job_id)).status_reason == "NO_NODES"


async def test_what_it_would_have_divided_stays_whole(two: Two) -> None:
    inventory = divisible(None)
    node_id = await two.world.add_node("n", inventory=inventory.SerializeToString())
    change = Change(node_id, "GPU-0", frozenset(), (Instance("1g.10gb", 6),))
    assert not await two.world.layouts.begin(change, 1)
    assert await two.world.database.read(lambda tx: tx.layouts.pending(node_id)) == []
    assert await two.world.layouts.begin(change, 2)


async def test_a_server_that_is_not_the_scheduler_reads_and_plans_nothing(two: Two) -> None:
    idle = Server.start(two.world.database, "server-3", two.world.clock)
    await idle.lease.cycle()
    scheduling = a_scheduling(two.world, idle.lease)
    job_id = await two.world.add_job()
    scheduling.job_queued(job_id)
    await scheduling.cycle()
    row = await two.world.database.read(lambda tx: tx.duties.get(SCHEDULER))
    await idle.lease.cycle()
    after = await two.world.database.read(lambda tx: tx.duties.get(SCHEDULER))
    assert row is not None
    assert after is not None
    assert after.asked == row.asked + 1
    assert (await two.world.job(job_id)).status == Status.QUEUED


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_commit_waits_for_whoever_is_just_taking_over(
    database: Database, database_url: str
) -> None:
    """Two transactions at once: the take-over comes first, and the commit finds it."""
    await Server.start(database, "server-a").lease.cycle()

    def commit(tx: Transaction) -> None:
        tx.duties.require(SCHEDULER, 1)

    await database.write(commit)
    engine = create_engine(database_url)
    with engine.connect() as other:
        duties = DutyStore(other)
        row: DutyRow | None = duties.get(SCHEDULER)
        assert row is not None
        assert duties.take_over(row, "server-b")
        late = asyncio.create_task(database.write(commit))
        async with asyncio.timeout(20):
            while not await database.read(_somebody_waits):
                pass
        assert not late.done()
        other.commit()
    engine.dispose()
    with pytest.raises(Conflict) as refused:
        await late
    assert refused.value.reason == "DUTY_TAKEN_OVER"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_whoever_takes_over_waits_for_commits_that_have_begun(
    database: Database, database_url: str
) -> None:
    """So nothing of the old epoch is committed behind the first commit of the new one."""
    await Server.start(database, "server-a").lease.cycle()
    seen = await database.read(lambda tx: tx.duties.get(SCHEDULER))
    assert seen is not None
    engine = create_engine(database_url)
    with engine.connect() as other:
        DutyStore(other).require(SCHEDULER, 1)
        # Another commit of the same epoch does not wait.
        await database.write(lambda tx: tx.duties.require(SCHEDULER, 1))
        late = asyncio.create_task(database.write(lambda tx: tx.duties.take_over(seen, "server-b")))
        async with asyncio.timeout(20):
            while not await database.read(_somebody_waits):
                pass
        assert not late.done()
        other.commit()
    engine.dispose()
    assert await late


def _somebody_waits(tx: Transaction) -> bool:
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    return bool(tx.connection.execute(text(query)).scalar())
