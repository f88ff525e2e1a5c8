"""What happened to a node is read by those who may read the node, and names nobody's work."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.databases import acting
from tests.support.jobs import add_projects
from tests.support.nodes import add_run, hold_all
from tests.support.resources_world import ADMIN, VIEWER, ResourcesWorld
from windlass.resources.v1 import node_pb2
from windlass_server.access.policy import Caller
from windlass_server.errors import Denied, InvalidInput, NotFound
from windlass_server.resources.maintenance import DrainMode
from windlass_server.resources.node_message import event_message
from windlass_server.resources.upkeep import Drain, NodeUpkeep
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[ResourcesWorld]:
    world = await ResourcesWorld.start(database, tmp_path)
    yield world
    await world.scheduled.logs.close()


def upkeep(world: ResourcesWorld) -> NodeUpkeep:
    return NodeUpkeep(
        world.database,
        world.clock,
        evict=world.scheduled.runs.evict,
        revoke=world.scheduled.allocations.revoke,
        capacity_changed=lambda: None,
        drain_began=lambda: None,
    )


async def told(world: ResourcesWorld, who: Caller, node_id: str) -> list[node_pb2.NodeEvent]:
    found, token = await world.resources.events(who, node_id, size=0, token="")
    assert token == ""
    return [event_message(row) for row in found]


async def test_a_node_tells_what_happened_to_it_oldest_first(world: ResourcesWorld):
    node_id, other = await world.joined("n"), await world.joined("other")
    at = world.clock.now()
    await upkeep(world).cordon(ADMIN, node_id, "fan")
    await upkeep(world).cordon(ADMIN, other, "dust")
    await upkeep(world).uncordon(ADMIN, node_id)
    events = await told(world, VIEWER, node_id)
    assert [(one.reason, one.actor, one.status) for one in events] == [
        ("JOINED", f"node/{node_id}", node_pb2.Node.UNREACHABLE),
        ("AGENT_CONNECTED", f"node/{node_id}", node_pb2.Node.READY),
        ("CORDONED", "ada", node_pb2.Node.CORDONED),
        ("OPENED", "ada", node_pb2.Node.READY),
    ]
    assert events[2].message == "takes no new work: fan"
    assert {one.node_id for one in events} == {node_id}
    assert events[2].time.ToMicroseconds() == at
    sequences = [one.sequence for one in events]
    assert sequences == sorted(set(sequences))


async def test_they_are_read_page_by_page(world: ResourcesWorld):
    node_id, other = await world.joined("n"), await world.joined("other")
    whole = [one.reason for one in await told(world, ADMIN, node_id)]
    token, read = "", []
    for _ in whole:
        found, token = await world.resources.events(ADMIN, node_id, size=1, token=token)
        read += [row.reason for row in found]
        if token:
            with pytest.raises(InvalidInput):
                await world.resources.events(ADMIN, other, size=1, token=token)
    assert (read, token) == (whole, "")
    assert len(whole) == 2


async def test_they_name_no_work_whoever_asks(world: ResourcesWorld):
    node_id = await world.joined("n", gpus=1)

    def store(tx: Transaction) -> str:
        add_projects(tx, "secret")
        run_id = add_run(tx, node_id, project="secret", gpu_uuids="GPU-0", cpu_millis=10)
        hold_all(tx, run_id)
        return run_id

    run_id = await world.database.write(store)
    job_id = (await world.database.read(lambda tx: tx.runs.get(run_id))).job_id
    await upkeep(world).drain(ADMIN, node_id, Drain(DrainMode.FORCE, None, "fire"))
    everything = await told(world, ADMIN, node_id)
    assert everything[-1].reason == "DRAINING"
    assert not any(name in str(everything) for name in (run_id, job_id, "secret"))
    assert await told(world, VIEWER, node_id) == everything


async def test_who_may_not_read_the_node_may_not_read_its_events(world: ResourcesWorld):
    node_id = await world.joined("n")
    with pytest.raises(Denied):
        await told(world, Caller("nobody"), node_id)
    with pytest.raises(NotFound):
        await told(world, VIEWER, "node-none")


async def test_a_removed_node_is_none(world: ResourcesWorld):
    node_id = await world.joined("n", connected=False)
    await world.removal.delete(ADMIN, node_id, force=False)
    with pytest.raises(NotFound):
        await told(world, ADMIN, node_id)
