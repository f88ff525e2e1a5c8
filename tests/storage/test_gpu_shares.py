"""Shares of GPUs never add up to more than a GPU, on both engines."""

import asyncio
import random
from collections import Counter

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from tests.support.databases import acting
from tests.support.jobs import add_projects
from tests.support.nodes import add_node, add_run, hold_all
from windlass_server.errors import Conflict
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import GpuClaimRow, GpuShareRow
from windlass_server.storage.transaction import Transaction

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")


class World:
    """A node whose GPUs are held by runs that ask for them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.node_id = ""

    async def start(self) -> None:
        def store(tx: Transaction) -> str:
            add_projects(tx, "default")
            return add_node(tx, cpu_millis=10**6, memory_bytes=1 << 50)

        self.node_id = await self.database.write(store)

    async def hold(self, gpu: str = "GPU-0", millis: int = 0, *, most: int = 1000) -> str:
        """Let a new run hold a GPU, or of it so many thousandths; Conflict when it cannot."""

        def store(tx: Transaction) -> str:
            run_id = add_run(tx, self.node_id, gpu_uuids=gpu, gpu_millis=millis)
            hold_all(tx, run_id, most=most)
            return run_id

        return await self.database.write(store)

    async def end(self, run_id: str) -> None:
        def store(tx: Transaction) -> None:
            tx.runs.change(run_id, active=False)
            tx.nodes.release(self.node_id, run_id)

        await self.database.write(store)

    async def claims(self) -> dict[str, int | None]:
        """What is claimed of each GPU: None when it is held whole."""
        rows = await self.database.read(lambda tx: tx.nodes.all_claims())
        return {row.gpu_uuid: row.shared_millis for row in rows}

    async def shares(self) -> dict[tuple[str, str], int]:
        rows = await self.database.read(lambda tx: tx.gpu_shares.all())
        return {(row.gpu_uuid, row.holder): row.millis for row in rows}

    async def refused(self, gpu: str = "GPU-0", millis: int = 0, *, most: int = 1000) -> str:
        """Why that cannot be held; nothing is left of the attempt."""
        before = await self.claims(), await self.shares()
        with pytest.raises(Conflict) as refusal:
            await self.hold(gpu, millis, most=most)
        assert (await self.claims(), await self.shares()) == before
        return refusal.value.reason


@pytest.fixture
async def world(database: Database) -> World:
    world = World(database)
    await world.start()
    return world


async def test_shares_add_up_to_the_last_thousandth_and_no_further(world: World):
    first, second = await world.hold(millis=999), await world.hold(millis=1)
    assert await world.claims() == {"GPU-0": 1000}
    assert await world.shares() == {("GPU-0", first): 999, ("GPU-0", second): 1}
    assert await world.refused(millis=1) == "GPU_TAKEN"
    await world.hold("GPU-1", 1)
    assert await world.claims() == {"GPU-0": 1000, "GPU-1": 1}


async def test_a_gpu_is_shared_or_held_whole(world: World):
    await world.hold("GPU-0", 1)
    await world.hold("GPU-1")
    assert await world.refused("GPU-0") == "GPU_TAKEN"
    assert await world.refused("GPU-1", 1) == "GPU_TAKEN"


async def test_no_more_share_a_gpu_than_may(world: World):
    await world.hold(millis=1, most=2)
    await world.hold(millis=1, most=2)
    assert await world.refused(millis=1, most=2) == "GPU_TAKEN"
    await world.hold(millis=1, most=3)


async def test_one_may_have_a_share_where_nobody_else_may(world: World):
    await world.hold(millis=1, most=1)
    assert await world.refused(millis=1, most=1) == "GPU_TAKEN"


async def test_what_is_given_back_is_counted_anew_and_the_last_gives_the_gpu_back(world: World):
    first, second = await world.hold(millis=600), await world.hold(millis=300)
    for _ in range(2):
        await world.end(first)
        assert await world.claims() == {"GPU-0": 300}
    assert await world.shares() == {("GPU-0", second): 300}
    await world.end(second)
    assert (await world.claims(), await world.shares()) == ({}, {})
    await world.hold()
    assert await world.claims() == {"GPU-0": None}


async def test_a_gpu_that_is_kept_for_a_layout_is_not_shared(world: World):
    def begin(tx: Transaction) -> None:
        tx.layouts.begin(world.node_id, "GPU-0", generation=1, instances="", going=["GPU-0"], at=1)

    await world.database.write(begin)
    assert await world.refused(millis=1) == "GPU_TAKEN"


async def test_no_layout_takes_a_gpu_that_is_shared(world: World):
    await world.hold(millis=1)
    with pytest.raises(Conflict) as refusal:
        await world.database.write(
            lambda tx: tx.layouts.begin(
                world.node_id, "GPU-0", generation=1, instances="", going=["GPU-0"], at=1
            )
        )
    assert refusal.value.reason == "GPU_TAKEN"


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (GpuClaimRow, {"shared_millis": 1001}),
        (GpuClaimRow, {"shared_millis": 0}),
        (GpuShareRow, {"millis": 1000}),
        (GpuShareRow, {"millis": 0}),
        # A share of what nobody claims.
        (GpuShareRow, {"gpu_uuid": "GPU-9"}),
    ],
)
async def test_the_database_refuses_what_cannot_be(
    world: World, table: type, values: dict[str, object]
):
    await world.hold(millis=500)

    def store(tx: Transaction) -> None:
        tx.connection.execute(update(table).values(**values))

    with pytest.raises(IntegrityError):
        await world.database.write(store)


@pytest.mark.parametrize("seed", range(4))
async def test_takes_and_releases_at_once_never_exceed_a_gpu(world: World, seed: int):
    draw, most = random.Random(seed), 4
    held: list[str] = []

    async def take() -> None:
        gpu = draw.choice(["GPU-0", "GPU-1"])
        try:
            held.append(await world.hold(gpu, draw.choice([0, 1, 250, 500, 999]), most=most))
        except Conflict:
            return

    for _ in range(6):
        leaving = [held.pop(draw.randrange(len(held))) for _ in held[:2]]
        ends = [world.end(run_id) for run_id in leaving]
        await asyncio.gather(*(take() for _ in range(6)), *ends)
        sums: Counter[str] = Counter()
        sharers: Counter[str] = Counter()
        for (gpu, holder), millis in (await world.shares()).items():
            assert holder in held
            sums[gpu] += millis
            sharers[gpu] += 1
        assert all(one <= most for one in sharers.values())
        shared = {gpu: millis for gpu, millis in (await world.claims()).items() if millis}
        assert shared == dict(sums)
        assert all(millis <= 1000 for millis in sums.values())
    for run_id in held:
        await world.end(run_id)
    assert (await world.claims(), await world.shares()) == ({}, {})
