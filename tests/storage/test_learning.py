"""How long jobs run is learned from those that have run, on both engines."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import acting
from tests.support.fake_clock import START
from tests.support.jobs import add_projects
from tests.support.nodes import an_inventory
from tests.support.scheduled_world import ScheduledWorld
from windlass.jobs.v1 import job_pb2
from windlass_server.jobs.learning import Learned, Learning
from windlass_server.jobs.states import Status
from windlass_server.jobs.world import World as SeenWorld
from windlass_server.resources.recent_usage import RecentUsage
from windlass_server.scheduler.snapshot import RunTime
from windlass_server.storage.engine import Database
from windlass_server.storage.run_times import Key

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

SECOND = 1_000_000
TRAIN = Key("default", "ada", "train")


class World(ScheduledWorld):
    """A cluster whose jobs are learned from."""

    async def run(
        self, *seconds: float, cause: str = "COMPLETED", exit_code: int = 0, **values: Any
    ) -> str:
        """Jobs that run for so long, one after the other; returns the last one's id."""
        job_id = ""
        for each in seconds:
            job_id = await self.add_job(**values)
            await self.cycle(job_id)
            await self.report(job_id, "RUNNING")
            self.clock.advance(each)
            await self.report(job_id, "EXITED", cause=cause, exit_code=exit_code)
        return job_id

    async def learn(self, *, at_once: bool = False) -> None:
        if not at_once:
            self.clock.advance(10)
        await Learning(self.database, self.clock).cycle()

    async def known(self, key: Key = TRAIN, learned: Learned | None = None) -> RunTime | None:
        learned = learned or Learned()
        await self.database.read(lambda tx: learned.load(tx, [key]))
        return learned.of(*key)


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> World:
    world = await World.start(database, tmp_path)
    inventory = an_inventory(gpus=8)
    await world.add_node("n1", inventory=inventory.SerializeToString())
    return world


def seconds(p50: float, p90: float) -> RunTime:
    return RunTime(round(p50 * SECOND), round(p90 * SECOND))


async def test_nothing_is_known_before_three_such_jobs_have_run(world: World):
    await world.run(5, 9)
    await world.learn()
    assert await world.known() is None
    await world.run(7)
    await world.learn()
    assert await world.known() == seconds(7, 9)


async def test_who_runs_it_where_and_what_it_is_called_tell_it_from_others(world: World):
    await world.database.write(lambda tx: add_projects(tx, "vision"))
    for number, own in enumerate([{}, {"user": "bob"}, {"name": "eval"}, {"project": "vision"}], 1):
        await world.run(number, number, number, **own)
    await world.learn()
    keys = [TRAIN, TRAIN._replace(user="bob"), TRAIN._replace(name="eval")]
    keys.append(TRAIN._replace(project="vision"))
    assert [await world.known(key) for key in keys] == [seconds(n, n) for n in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("end", "counts"),
    [
        ({"cause": "COMPLETED"}, True),
        ({"cause": "TIME_LIMIT"}, True),
        ({"cause": "COMPLETED", "exit_code": 1}, False),
        ({"cause": "OUT_OF_MEMORY"}, False),
        ({"cause": "STOPPED"}, False),
    ],
)
async def test_only_what_did_its_work_or_used_up_its_time_says_how_long_it_takes(
    world: World, end: dict[str, Any], counts: bool
):
    await world.run(5, 5, **end)
    await world.run(5)
    await world.learn()
    assert (await world.known() is not None) == counts


async def test_the_rest_of_an_interrupted_run_says_nothing(world: World):
    await world.run(100, 100)
    job_id = await world.add_job(attempt=1, checkpoint=b"saved")
    await world.cycle(job_id)
    await world.report(job_id, "RUNNING")
    world.clock.advance(1)
    await world.report(job_id, "EXITED", cause="COMPLETED", exit_code=0)
    await world.learn()
    assert await world.known() is None


async def test_each_run_counts_once_whoever_learns_and_however_often(world: World):
    await world.run(10, 10, 10, 1, 1, 1)
    for _ in range(3):
        await world.learn()
    (row,) = await world.database.read(lambda tx: tx.run_times.of([TRAIN]))
    assert len(row.durations) == 6 * 8


async def test_the_last_runs_count(world: World):
    await world.run(*[100] * 30, *[1] * 32)
    await world.learn()
    assert await world.known() == seconds(1, 1)


async def test_what_ended_just_now_is_learned_from_later(world: World):
    await world.run(5, 5, 5)
    await world.learn(at_once=True)
    # The last ended this moment: one that ended before it may still be on its way.
    assert await world.known() is None
    await world.learn()
    assert await world.known() == seconds(5, 5)


async def test_what_was_learned_meanwhile_is_seen(world: World):
    learned = Learned()
    assert await world.known(learned=learned) is None
    await world.run(5, 5, 5)
    await world.learn()
    assert await world.known(learned=learned) == seconds(5, 5)
    await world.run(*[9] * 32)
    await world.learn()
    assert await world.known(learned=learned) == seconds(9, 9)


async def test_of_a_user_so_many_names_are_remembered(world: World):
    def store(count: int) -> None:
        for number in range(count):
            tx_key = TRAIN._replace(name=f"name-{number:04}")
            keys.append((tx_key, START + number))

    keys: list[tuple[Key, int]] = []
    store(210)
    await world.database.write(
        lambda tx: [tx.run_times.put(key, b"", at) for key, at in keys] and None
    )
    await world.run(5)
    await world.learn()
    names = {row.name for row in await world.database.read(lambda tx: tx.run_times.changed(0))}
    assert len(names) == 200
    assert {"train", "name-0209"} < names
    assert "name-0000" not in names


async def test_the_scheduler_sees_what_was_learned(world: World):
    await world.run(5, 5, 5)
    await world.learn()
    waiting = await world.add_job(gpu_count=64, gpu_type="H100")
    held = await world.add_job()
    await world.cycle(held)
    assert (await world.job(held)).status == Status.SCHEDULED
    usage = RecentUsage(world.database, world.clock)
    seen = SeenWorld(world.database, world.cluster, world.clock, usage)
    snapshot, _ = await seen.look(running=True)
    (demand,), (running,) = snapshot.queue, snapshot.running
    assert (demand.job_id, demand.expected_run) == (waiting, seconds(5, 5))
    assert running.expected_end == world.clock.now() + 5 * SECOND


async def test_a_job_behind_is_let_in_by_what_such_jobs_took(world: World):
    await world.run(5, 5, 5)
    await world.learn()
    spec = job_pb2.Job()
    spec.time_limit.FromSeconds(60)
    first = await world.add_job(gpu_count=4, gpu_type="H100", spec=spec.SerializeToString())
    await world.cycle(first)
    await world.add_job(gpu_count=8, gpu_type="H100", name="other")
    short = await world.add_job(gpu_count=1, gpu_type="H100")
    unknown = await world.add_job(gpu_count=1, gpu_type="H100", name="other")
    assert (await world.cycle(short)).status == Status.SCHEDULED
    assert (await world.job(unknown)).status_reason == "WOULD_DELAY_EARLIER_JOB"
