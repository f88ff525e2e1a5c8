"""A list shows each node as it is shown alone, also when only a part of it was made anew."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from tests.support.fake_agent import samples, series
from tests.support.jobs import add_projects
from tests.support.nodes import GIB, add_run, an_inventory
from tests.support.resources_world import ADMIN, VIEWER, ResourcesWorld
from tests.support.wire import twice
from windlass.agents.v1 import agent_pb2
from windlass.resources.v1 import node_pb2, resources_service_pb2
from windlass_server.access.policy import Caller
from windlass_server.resources.maintenance import DrainMode
from windlass_server.resources.node_lists import NodeLists
from windlass_server.resources.node_message import node_message
from windlass_server.resources.service import NodeFilter, NodeView
from windlass_server.resources.upkeep import Drain, NodeUpkeep
from windlass_server.storage.engine import Database

pytestmark = pytest.mark.usefixtures("acting")


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[ResourcesWorld]:
    world = await ResourcesWorld.start(database, tmp_path)
    await database.write(lambda tx: add_projects(tx, "secret"))
    yield world
    await world.scheduled.logs.close()


async def views(world: ResourcesWorld, who: Caller = ADMIN) -> Sequence[NodeView]:
    found, _ = await world.resources.list(who, NodeFilter(), size=1000, token="")
    return found


async def page(lists: NodeLists, found: Sequence[NodeView], now: int) -> list[node_pb2.Node]:
    serialized = await lists.page(found, now)
    assert not twice(serialized, resources_service_pb2.ListNodesResponse.DESCRIPTOR)
    return list(resources_service_pb2.ListNodesResponse.FromString(serialized).nodes)


async def test_while_a_long_list_is_made_others_get_their_turns(
    world: ResourcesWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if each node took as long as others can wait.
    monkeypatch.setattr("windlass_server.turns._SLICE_S", 0)
    await world.joined("n")
    (view,) = await views(world)
    making = asyncio.create_task(page(NodeLists(world.latest), [view] * 20, world.clock.now()))
    turns = 0
    while not making.done():
        turns += 1
        await asyncio.sleep(0)
    assert len(await making) == 20
    assert turns >= 20


def takes(*measured: agent_pb2.Series, **more: object) -> Callable[[ResourcesWorld, str], object]:
    told = samples(*measured, **more)  # type: ignore[arg-type]
    return lambda world, node_id: world.latest.take(node_id, told.samples)


def upkeep(world: ResourcesWorld) -> NodeUpkeep:
    return NodeUpkeep(
        world.database,
        world.clock,
        evict=world.scheduled.runs.evict,
        revoke=world.scheduled.allocations.revoke,
        capacity_changed=lambda: None,
        drain_began=lambda: None,
    )


PROCESS = agent_pb2.GpuProcessSample(gpu_uuid="GPU-1", pid=7, memory_used_bytes=GIB, name="p")
CHANGES: dict[str, Callable[[ResourcesWorld, str], object]] = {
    "nothing": lambda _world, _node_id: None,
    "a measured value": takes(series("GPU_POWER_WATTS", "GPU-1", 99.5)),
    "a value of the machine": takes(series("LOAD_1M", "", 3.5)),
    "a card that its node calls ill": takes(series("GPU_HEALTHY", "GPU-0", 0.0)),
    "a process": takes(series("GPU_POWER_WATTS", "GPU-1", 1), processes=[PROCESS]),
    "other hardware": lambda world, node_id: world.membership.hello(
        node_id, an_inventory(gpus=1, gpu_type="A100")
    ),
    "a heartbeat": lambda world, node_id: world.membership.touch(node_id),
    "the connection": lambda world, node_id: world.membership.lost(
        node_id, seen_at=world.clock.now()
    ),
    "a run": lambda world, node_id: world.running(node_id),
    "a cordon": lambda world, node_id: upkeep(world).cordon(ADMIN, node_id, "fan"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_list_that_is_asked_for_again_shows_what_has_changed(
    world: ResourcesWorld, change: Callable[[ResourcesWorld, str], object]
) -> None:
    node_id = await world.joined("first", gpus=2)
    await world.joined("second", gpus=8, gpu_type="L40S")
    takes(series("GPU_POWER_WATTS", "GPU-1", 50.0))(world, node_id)
    lists = NodeLists(world.latest)
    await page(lists, await views(world), world.clock.now())
    world.clock.advance(1)
    done = change(world, node_id)
    if isinstance(done, Awaitable):
        await done
    found, now = await views(world), world.clock.now()
    alone = [node_message(view, world.latest, now) for view in found]
    assert await page(lists, found, now) == alone
    assert await page(NodeLists(world.latest), found, now) == alone


async def test_a_list_shows_when_a_drain_should_end_at_the_time_it_is_asked_for(
    world: ResourcesWorld,
) -> None:
    node_id = await world.joined("first", gpus=2)
    await world.running(node_id)
    lists = NodeLists(world.latest)
    drain = Drain(mode=DrainMode.WAIT, deadline=60_000_000, reason="kernel")
    await upkeep(world).drain(ADMIN, node_id, drain)
    ends = []
    for _ in range(2):
        (node,) = await page(lists, await views(world), world.clock.now())
        ends.append(node.maintenance.estimated_end_time.ToMicroseconds())
        world.clock.advance(100)
    assert ends[1] > ends[0]


async def test_a_list_shows_to_each_caller_what_that_one_may_see(world: ResourcesWorld) -> None:
    node_id = await world.joined("first", gpus=2)
    run_id = await world.database.write(lambda tx: add_run(tx, node_id, project="secret"))
    lists = NodeLists(world.latest)
    seen = []
    for who in (ADMIN, VIEWER, ADMIN):
        (node,) = await page(lists, await views(world, who), world.clock.now())
        seen.append([run.run_id for run in node.runs])
    assert seen == [[run_id], [""], [run_id]]


async def test_lists_of_more_nodes_than_are_remembered_are_whole(
    world: ResourcesWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        await world.joined(name)
    monkeypatch.setattr("windlass_server.resources.node_lists._REMEMBERED", 2)
    lists = NodeLists(world.latest)
    for _ in range(2):
        shown = await page(lists, await views(world), world.clock.now())
        assert [node.name for node in shown] == ["a", "b", "c"]
