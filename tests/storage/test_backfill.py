"""Jobs that wait keep what they wait for from those behind them, on both engines, without agents."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import acting
from tests.support.nodes import an_inventory
from tests.support.scheduled_world import ScheduledWorld
from windlass.jobs.v1 import job_pb2
from windlass_server.jobs.states import Status
from windlass_server.storage.engine import Database
from windlass_server.storage.holders import HolderStore

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

MINUTE = 60_000_000


class World(ScheduledWorld):
    """A cluster with one node of eight GPUs."""

    async def submit(self, gpus: int, *, minutes: int | None = None, **values: Any) -> str:
        """A job for so many GPUs, and for so long at most."""
        spec = job_pb2.Job()
        longest = None
        if minutes is not None:
            spec.time_limit.FromMicroseconds(longest := minutes * MINUTE)
        return await self.add_job(
            gpu_count=gpus,
            gpu_type="H100",
            longest_run=longest,
            spec=spec.SerializeToString(),
            **values,
        )

    async def look_at_new(self, job_id: str) -> Status:
        """Let the scheduler look at a job that was just submitted."""
        self.scheduling.job_queued(job_id)
        await self.scheduling.cycle()
        return Status((await self.job(job_id)).status)


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> World:
    world = await World.start(database, tmp_path)
    inventory = an_inventory(gpus=8)
    await world.add_node("n1", inventory=inventory.SerializeToString())
    return world


async def test_behind_a_big_job_a_short_one_starts_and_none_that_may_go_on(world: World):
    first = await world.submit(4, minutes=30)
    assert (await world.cycle(first)).status == Status.SCHEDULED
    await world.report(first, "RUNNING")
    big = await world.submit(8, minutes=60)
    assert (await world.cycle(big)).status_reason == "INSUFFICIENT_GPUS"
    ever, long, short = [await world.submit(1, minutes=one) for one in (None, 31, 30)]
    await world.cycle(big)
    jobs = [await world.job(job_id) for job_id in (ever, long, short)]
    held = "WOULD_DELAY_EARLIER_JOB"
    assert [job.status_reason for job in jobs] == [held, held, "PLACED"]
    assert big in jobs[0].status_message
    world.clock.advance(30 * 60)
    for job_id in (first, short):
        await world.report(job_id, "EXITED", cause="COMPLETED", exit_code=0)
    assert (await world.cycle(big)).status == Status.SCHEDULED


async def test_what_is_new_does_not_take_what_is_kept_either(world: World):
    first = await world.submit(4, minutes=30)
    await world.cycle(first)
    big = await world.submit(8, minutes=60)
    await world.cycle(big)
    assert await world.look_at_new(await world.submit(1)) == Status.QUEUED
    assert await world.look_at_new(await world.submit(1, minutes=20)) == Status.SCHEDULED
    assert await world.look_at_new(await world.submit(1, priority=5)) == Status.SCHEDULED
    assert (await world.job(big)).status == Status.QUEUED


async def test_what_is_new_does_not_take_what_is_kept_until_nobody_knows_when(world: World):
    first = await world.submit(4)
    await world.cycle(first)
    big = await world.submit(8)
    await world.cycle(big)
    for _ in range(2):
        assert await world.look_at_new(await world.submit(1)) == Status.QUEUED
    assert await world.look_at_new(await world.submit(1, minutes=20)) == Status.SCHEDULED
    assert (await world.job(big)).status == Status.QUEUED


async def test_what_runs_is_read_only_where_jobs_wait_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    reads = 0
    read: Callable[[HolderStore], Any] = HolderStore.runs

    def counted(store: HolderStore) -> Any:
        nonlocal reads
        reads += 1
        return read(store)

    monkeypatch.setattr(HolderStore, "runs", counted)
    first = await world.submit(8)
    await world.cycle(first)
    await world.cycle(first)
    assert reads == 0
    second = await world.submit(8)
    await world.cycle(second)
    assert reads == 1
    await world.report(first, "EXITED", cause="COMPLETED", exit_code=0)
    await world.cycle(second)
    await world.cycle(second)
    assert reads == 2
