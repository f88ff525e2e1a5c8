"""Jobs of several nodes have others stopped: all of their nodes are kept until the last is there, on both engines."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.storage.test_jobs_of_several_nodes import World
from tests.storage.test_preemption import store_policy
from tests.support.databases import acting
from windlass.resources.v1 import scheduling_policy_pb2
from windlass_server.jobs.states import Status
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")


class Racks(World):
    """Three nodes of two GPUs each, and jobs that may be stopped for others."""

    async def open(self) -> list[str]:
        spec = scheduling_policy_pb2.Preemption(enabled=True)
        spec.min_run_time.FromSeconds(60)
        await store_policy(self.database, spec)
        return await self.add_nodes("a", "b", "c")

    async def works(self, nodes: int = 1, **values: Any) -> str:
        """A job of this many nodes that runs since two minutes."""
        asked: dict[str, Any] = {"gpu_count": 2, "nodes": nodes, "min_nodes": nodes}
        job_id = await self.add_job(**(asked | values))
        await self.cycle(job_id)
        for rank in range(nodes):
            await self.tell(job_id, rank, "RUNNING")
        self.clock.advance(120)
        return job_id

    async def high(self, nodes: int, least: int = 0) -> str:
        least = least or nodes
        return await self.add_job(gpu_count=2, nodes=nodes, min_nodes=least, priority=100)

    async def state(self, job_id: str) -> tuple[str, str]:
        job = await self.job(job_id)
        return Status(job.status).name, job.status_reason

    async def kept(self) -> dict[str, tuple[str, ...]]:
        return await self.database.read(lambda tx: tx.preemptions.places())


@pytest.fixture
async def racks(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[Racks]:
    made = await Racks.start(database, tmp_path)
    yield made
    await made.logs.close()


async def test_a_job_of_several_nodes_gets_all_of_them_and_none_before(
    racks: Racks, tmp_path: Path
):
    nodes = tuple(sorted(await racks.open()))
    wide = await racks.works(nodes=2)
    alone = await racks.works(gpu_count=1)
    high = await racks.high(3)
    job = await racks.cycle(high)
    assert job.status_message == "2 jobs are being stopped for it on 3 nodes"
    assert await racks.kept() == {high: nodes}
    assert [await racks.asked(one) for one in (wide, alone)] == [[2, 2], [2]]

    # What is free by then is for nobody behind it, and a server that starts meanwhile knows of that.
    await racks.ends(alone, 0, cause=2)
    small = await racks.add_job(gpu_count=1)
    again = await Racks.start(racks.database, tmp_path / "again", racks.clock)
    again.clock.advance(20)
    job = await again.cycle(high)
    assert job.status_message == "2 jobs are being stopped for it on 3 nodes; 2 of them still there"
    await again.ends(wide, 0, cause=2)
    await again.cycle(high)
    assert [(await again.state(one))[0] for one in (high, small)] == ["QUEUED", "QUEUED"]
    await again.ends(wide, 1, cause=2)
    await again.cycle(high)
    assert sorted(run.node_id for run in await again.ranks(high)) == [*nodes]
    await again.cycle(small)
    assert await again.kept() == {}
    assert await again.reasons(high) == ["MAKING_ROOM", "PLACED"]
    assert (await again.reasons(wide)).count("PREEMPTING") == 1
    assert (await again.reasons(wide))[-1] == "PREEMPTED"
    await again.logs.close()


async def test_one_that_makes_do_with_fewer_has_no_more_stopped_than_for_those(racks: Racks):
    await racks.open()
    jobs = [await racks.works() for _ in range(3)]
    high = await racks.high(3, least=2)
    await racks.cycle(high)
    stopped = [one for one in jobs if await racks.asked(one) == [2]]
    assert len(stopped) == 2
    for one in stopped:
        await racks.ends(one, 0, cause=2)
    await racks.cycle(high)
    assert len(await racks.ranks(high)) == 2


async def test_its_nodes_are_let_go_when_it_is_cancelled(racks: Racks):
    await racks.open()
    low = await racks.works()
    high = await racks.high(3)
    await racks.cycle(high)
    assert [*await racks.kept()] == [high]

    def cancel(tx: Transaction) -> None:
        job = tx.jobs.get(high)
        assert job is not None
        tx.jobs.change(high, job.version, status=int(Status.CANCELLED))

    await racks.database.write(cancel)
    await racks.ends(low, 0, cause=2)
    await racks.cycle(low)
    assert await racks.kept() == {}
    assert (await racks.state(low))[0] == "SCHEDULED"


async def test_others_are_stopped_elsewhere_when_one_of_its_nodes_is_gone_for_good(racks: Racks):
    nodes = await racks.open()
    jobs = [await racks.works() for _ in nodes]
    high = await racks.high(2)
    await racks.cycle(high)
    before = (await racks.kept())[high]
    lost = before[0]
    await racks.database.write(lambda tx: tx.nodes.change(lost, maintenance=2))
    await racks.cycle(high)
    (third,) = set(nodes) - set(before)
    assert (await racks.kept())[high] == tuple(sorted({*nodes} - {lost}))
    assert [await racks.asked(one) for one in jobs] == [[2]] * 3
    for one in jobs:
        await racks.ends(one, 0, cause=2)
    await racks.cycle(high)
    assert third in {run.node_id for run in await racks.ranks(high)}
