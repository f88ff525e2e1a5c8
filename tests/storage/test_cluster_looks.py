"""A look at the nodes that reads only what has changed sees what one sees that reads all of them."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import psycopg
import pytest

from tests.support.divisible import divisible
from tests.support.jobs import add_projects
from tests.support.nodes import add_run, an_inventory, hold_all
from tests.support.resources_world import ADMIN, ResourcesWorld
from windlass.resources.v1 import pool_pb2
from windlass_server.resources.cluster import Cluster
from windlass_server.resources.maintenance import State
from windlass_server.scheduler.snapshot import NodeState
from windlass_server.storage.engine import Database, open_database
from windlass_server.storage.nodes import NodeStore
from windlass_server.storage.tables import NodeRow
from windlass_server.storage.transaction import Transaction

pytestmark = pytest.mark.usefixtures("acting")

Change = Callable[[Transaction, str], object]


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[ResourcesWorld]:
    world = await ResourcesWorld.start(database, tmp_path)
    await database.write(lambda tx: add_projects(tx, "default"))
    for name in ("first", "second", "third"):
        await world.joined(name, gpus=2)
    yield world
    await world.scheduled.logs.close()


class Looks:
    """One who looks again and again, and what somebody sees who has never looked."""

    def __init__(self, database: Database) -> None:
        self.unhealthy: dict[str, frozenset[str]] = {}
        self._database = database
        self._cluster = self._new()

    def _new(self) -> Cluster:
        return Cluster(self._database, (), lambda node_id: self.unhealthy.get(node_id, frozenset()))

    async def look(self) -> tuple[NodeState, ...]:
        seen = await self._database.read(self._cluster.load)
        assert seen == await self._database.read(self._new().load)
        return seen


def holds(**values: object) -> Change:
    return lambda tx, node_id: hold_all(tx, add_run(tx, node_id, **values), most=3)


def shrinks(tx: Transaction, node_id: str) -> None:
    tx.nodes.assign([(node_id, "default", 100, 100)])


CHANGES: dict[str, Change] = {
    "a run": holds(gpu_uuids="GPU-0"),
    "a run without GPUs": holds(),
    "a share of a GPU": holds(gpu_uuids="GPU-1", gpu_millis=300),
    "less room": shrinks,
    "a cordon": lambda tx, node_id: tx.nodes.change(node_id, maintenance=int(State.CORDONED)),
    "a layout": lambda tx, node_id: tx.layouts.begin(
        node_id, "GPU-1", generation=1, instances="", going=["GPU-1"], at=1
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_what_a_write_changes_is_seen(world: ResourcesWorld, change: Change) -> None:
    looks = Looks(world.database)
    before = await looks.look()
    node_id = before[1].node_id
    await world.database.write(lambda tx: change(tx, node_id))
    after = await looks.look()
    assert after[1] != before[1]
    assert (after[0], after[2]) == (before[0], before[2])


@pytest.mark.parametrize("millis", [0, 400])
async def test_what_is_given_back_is_seen(world: ResourcesWorld, millis: int) -> None:
    looks = Looks(world.database)
    before = await looks.look()
    node_id = before[0].node_id

    def run(tx: Transaction) -> str:
        run_id = add_run(tx, node_id, gpu_uuids="GPU-0", gpu_millis=millis)
        hold_all(tx, run_id, most=3)
        return run_id

    run_id = await world.database.write(run)
    assert (await looks.look())[0].gpus[0].held
    await world.database.write(lambda tx: tx.nodes.release(node_id, run_id))
    assert await looks.look() == before


async def test_nodes_that_come_and_go_are_seen(world: ResourcesWorld) -> None:
    looks = Looks(world.database)
    before = await looks.look()
    joined = await world.joined("fourth", gpus=4)
    assert [node.node_id for node in await looks.look()] == [
        *(node.node_id for node in before),
        joined,
    ]
    world.clock.advance(1)
    await world.membership.lost(before[0].node_id, seen_at=world.clock.now())
    await world.removal.delete(ADMIN, before[0].node_id, force=True)
    assert joined in [node.node_id for node in await looks.look()]
    await world.membership.hello(joined, divisible(None, "1g.10gb@0"))
    assert len((await looks.look())[-1].cards) == 2
    world.clock.advance(1)
    await world.membership.lost(joined, seen_at=world.clock.now())
    assert not (await looks.look())[-1].ready


async def test_what_nodes_say_of_their_gpus_is_seen(world: ResourcesWorld) -> None:
    looks = Looks(world.database)
    (first, *_) = await looks.look()
    for said, healthy in ((("GPU-1",), [True, False]), ((), [True, True])):
        looks.unhealthy[first.node_id] = frozenset(said)
        (seen, *_) = await looks.look()
        assert [gpu.healthy for gpu in seen.gpus] == healthy


async def test_whoever_may_share_gpus_is_seen_of_every_node(world: ResourcesWorld) -> None:
    looks = Looks(world.database)
    await looks.look()
    sharing = pool_pb2.GpuSharing(enabled=True, max_jobs_per_gpu=4)
    pool = pool_pb2.Pool(pool_id="default", sharing=sharing)
    await world.pools.update(ADMIN, pool, ["sharing"])
    assert [node.max_sharers for node in await looks.look()] == [4, 4, 4]


async def test_a_node_that_is_only_heard_is_the_same_object(world: ResourcesWorld) -> None:
    looks = Looks(world.database)
    before = await looks.look()
    world.clock.advance(60)
    await world.membership.touch(before[0].node_id)
    assert all(one is other for one, other in zip(before, await looks.look(), strict=True))


async def test_what_a_write_did_that_failed_is_not_seen(world: ResourcesWorld) -> None:
    looks = Looks(world.database)
    before = await looks.look()

    def fails(tx: Transaction) -> None:
        hold_all(tx, add_run(tx, before[0].node_id, gpu_uuids="GPU-0"))
        raise LookupError

    with pytest.raises(LookupError):
        await world.database.write(fails)
    assert await looks.look() == before


async def test_only_what_may_have_changed_is_read(
    world: ResourcesWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = Looks(world.database)
    before = await looks.look()
    read = list[str]()
    some = NodeStore.some

    def noting(store: NodeStore, node_ids: Sequence[str]) -> Sequence[NodeRow]:
        read.extend(node_ids)
        return some(store, node_ids)

    monkeypatch.setattr(NodeStore, "some", noting)
    await looks.look()
    await world.database.write(lambda tx: holds()(tx, before[1].node_id))
    read.clear()
    await looks.look()
    assert read == [before[1].node_id]


async def test_what_began_before_a_look_and_ends_behind_it_is_seen(
    world: ResourcesWorld, database_url: str
) -> None:
    """Where several write at once, what is committed last may have begun first."""
    if not database_url.startswith("postgresql"):
        pytest.skip("there one writes after the other")
    looks = Looks(world.database)
    before = await looks.look()
    first, other = before[0].node_id, before[1].node_id
    with psycopg.connect(database_url.replace("+psycopg", "")) as slow:
        slow.execute("UPDATE nodes SET cpu_held = 1000 WHERE node_id = %s", [first])
        for _ in range(3):
            await world.database.write(lambda tx: holds()(tx, other))
            assert (await looks.look())[0] == before[0]
    assert (await looks.look())[0].cpu_free == before[0].cpu_free - 1000


async def test_changes_are_noted_after_a_restart_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'windlass.db'}"
    for _ in range(2):
        database = await open_database(url)
        world = await ResourcesWorld.start(database, tmp_path)
        node_id = await world.joined("n", gpus=1)
        looks = Looks(database)
        before = await looks.look()
        await world.membership.hello(node_id, an_inventory(gpus=3))
        assert await looks.look() != before
        await world.scheduled.logs.close()
        await database.close()
