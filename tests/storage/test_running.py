"""What holds parts of nodes, as the scheduler sees it, on both engines."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import acting
from tests.support.fake_clock import START
from tests.support.nodes import an_inventory
from tests.support.scheduled_world import ScheduledWorld
from windlass.jobs.v1 import job_pb2
from windlass.resources.v1 import resources_service_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.resources.running import SeenRunning
from windlass_server.scheduler.snapshot import Running, RunTime
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

ADA = Caller("ada", default_project="default", roles={"default": Role.DEVELOPER})
SECOND = 1_000_000


class Known:
    """The same is known of all jobs."""

    def __init__(self, of_all: RunTime | None) -> None:
        self._of_all = of_all

    def load(self, tx: Transaction, whose: Iterable[tuple[str, str, str]]) -> None:
        """Nothing has to be read for that."""

    def of(self, project: str, user: str, name: str) -> RunTime | None:
        return self._of_all


class World(ScheduledWorld):
    """A cluster that is looked at for what runs."""

    async def gpu_node(self, name: str = "n1") -> str:
        inventory = an_inventory(gpus=8)
        return await self.add_node(name, inventory=inventory.SerializeToString())

    async def placed(self, *, limit: int | None = None, **values: Any) -> str:
        """A job that has its place, with a limit in seconds and a grace of 10."""
        spec = job_pb2.Job()
        spec.grace_period.FromSeconds(10)
        if limit is not None:
            spec.time_limit.FromSeconds(limit)
        job_id = await self.add_job(spec=spec.SerializeToString(), **values)
        await self.cycle(job_id)
        return job_id

    async def look(self, seen: SeenRunning, learned: RunTime | None = None) -> list[Running]:
        known = Known(learned)
        running = await self.database.read(lambda tx: seen.load(tx, self.clock.now(), known))
        return sorted(running, key=lambda one: one.run_id)


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> World:
    return await World.start(database, tmp_path)


async def test_a_run_is_seen_with_what_it_holds_and_until_when(world: World):
    node_id = await world.gpu_node()
    job_id = await world.placed(
        limit=60, gpu_count=2, gpu_type="H100", queue="nightly", priority=7, user="bob"
    )
    run_id = (await world.job(job_id)).run_id
    seen = SeenRunning()
    end = START + 70 * SECOND
    assert await world.look(seen) == [
        Running(
            job_id=job_id, run_id=run_id, project="default", user="bob", queue="nightly",
            priority=7, node_id=node_id, cpu_millis=1000, memory_bytes=1 << 28,
            gpu_uuids=("GPU-0", "GPU-1"), gpu_type="H100", gpu_millis=0, started_at=START,
            likely_end=end, expected_end=end, limit_end=end, saved_at=START, preemptible=True,
            leaving=False,
        )
    ]  # fmt: skip


async def test_its_time_counts_from_when_its_command_began(world: World):
    await world.gpu_node()
    job_id = await world.placed(limit=60)
    seen = SeenRunning()
    world.clock.advance(100)
    (placed,) = await world.look(seen)
    await world.report(job_id, "RUNNING")
    world.clock.advance(20)
    (running,) = await world.look(seen)
    now = world.clock.now()
    assert placed.limit_end == now + 50 * SECOND
    assert (running.started_at, running.limit_end) == (now - 20 * SECOND, now + 50 * SECOND)


async def test_what_was_learned_and_outlived_is_corrected(world: World):
    await world.gpu_node()
    job_id = await world.placed()
    await world.report(job_id, "RUNNING")
    seen, learned = SeenRunning(), RunTime(5 * SECOND, 100 * SECOND)
    ends = []
    for seconds in (0, 50, 100, 0):
        world.clock.advance(seconds)
        (running,) = await world.look(seen, learned)
        assert running.limit_end is None
        ends.append((running.likely_end, running.expected_end))
    assert [tuple((end - START) // SECOND for end in each) for each in ends] == [
        (5, 100), (100, 100), (200, 200), (200, 200),
    ]  # fmt: skip


async def test_what_is_stopped_is_over_when_its_grace_is(world: World):
    await world.gpu_node()
    job_id = await world.placed()
    await world.report(job_id, "RUNNING")
    run_id = (await world.job(job_id)).run_id
    seen = SeenRunning()
    (before,) = await world.look(seen)
    await world.runs.evict(run_id, kill=False, why="for a test")
    (leaving,) = await world.look(seen)
    world.clock.advance(30)
    (late,) = await world.look(seen)
    assert (before.leaving, before.expected_end) == (False, None)
    assert (leaving.leaving, leaving.expected_end) == (True, START + 10 * SECOND)
    assert late.expected_end == START + 70 * SECOND


async def test_what_has_ended_holds_nothing(world: World):
    await world.gpu_node()
    job_id = await world.placed()
    seen = SeenRunning()
    assert len(await world.look(seen)) == 1
    await world.report(job_id, "EXITED", cause="COMPLETED", exit_code=0)
    assert await world.look(seen) == []


async def test_an_allocation_is_seen_until_it_expires_and_for_ever_once_it_was_renewed(
    world: World,
):
    node_id = await world.gpu_node()
    request = resources_service_pb2.AllocateRequest()
    request.ttl.FromSeconds(60)
    row = await world.allocations.allocate(ADA, request)
    seen = SeenRunning()
    (fresh,) = await world.look(seen)
    world.clock.advance(30)
    await world.allocations.renew(ADA, row.allocation_id, None)
    (renewed,) = await world.look(seen)
    assert (fresh.run_id, fresh.job_id, fresh.node_id) == (row.allocation_id, "", node_id)
    assert (fresh.expected_end, fresh.preemptible) == (START + 60 * SECOND, False)
    assert (renewed.expected_end, renewed.limit_end) == (None, START + 90 * SECOND)
