"""Machines that are gone are forgotten, and what was done on them is not, on both engines."""

import asyncio
from pathlib import Path

import pytest

from tests.support.nodes import an_inventory
from tests.support.resources_world import ADMIN, ResourcesWorld
from windlass.resources.v1 import resources_service_pb2
from windlass_server.errors import NotFound, Unauthenticated, WrongState
from windlass_server.storage.engine import Database

pytestmark = pytest.mark.usefixtures("acting")


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> ResourcesWorld:
    return await ResourcesWorld.start(database, tmp_path)


async def lost(world: ResourcesWorld, name: str) -> str:
    """A node that was connected and is not any more."""
    node_id = await world.joined(name, gpus=1)
    await lose(world, node_id)
    return node_id


async def lose(world: ResourcesWorld, node_id: str) -> None:
    # Its hello counts as heard a moment after it joined.
    world.clock.advance(1)
    await world.membership.lost(node_id, seen_at=world.clock.now())


async def test_a_connected_node_is_not_removed(world: ResourcesWorld):
    node_id = await world.joined("n1")
    for force in (False, True):
        with pytest.raises(WrongState) as refused:
            await world.removal.delete(ADMIN, node_id, force=force)
        assert refused.value.reason == "NODE_CONNECTED"
    assert await world.names() == ["n1"]
    assert world.removed == []


async def test_a_node_that_is_gone_is_not_one_any_more(world: ResourcesWorld):
    node_id = await lost(world, "n1")
    await world.joined("n2")
    view = await world.removal.delete(ADMIN, node_id, force=False)
    assert view.row.name == "n1"
    assert world.removed == [node_id]

    assert await world.names() == ["n2"]
    with pytest.raises(NotFound):
        await world.resources.get(ADMIN, node_id)
    with pytest.raises(NotFound):
        await world.removal.delete(ADMIN, node_id, force=True)
    with pytest.raises(NotFound):
        await world.membership.hello(node_id, an_inventory())
    reasons = await world.database.read(
        lambda tx: [event.reason for event in tx.events.page(node_id, after=0, size=9)]
    )
    assert reasons[-1] == "REMOVED"


async def test_the_key_of_a_removed_node_is_refused_for_good(world: ResourcesWorld):
    node_id = await lost(world, "n1")
    key = await world.database.read(lambda tx: tx.access.node_key(node_id))
    assert key is not None
    await world.removal.delete(ADMIN, node_id, force=False)
    assert await world.database.read(lambda tx: tx.access.node_key(node_id)) is None
    token = await world.resources.create_join_token(ADMIN, None)
    with pytest.raises(Unauthenticated) as refused:
        await world.membership.join(token.text, key, an_inventory())
    assert refused.value.reason == "NODE_REMOVED"
    # The token was not used up: the machine can have it with another key.
    assert await world.membership.join(token.text, b"k" * 32, an_inventory()) != node_id


async def test_what_a_node_holds_keeps_it_unless_by_force(world: ResourcesWorld):
    world_nodes = world.scheduled
    node_id = await world.joined("n1", gpus=1)
    job_id = await world_nodes.add_job(gpu_count=1)
    await world_nodes.cycle(job_id)
    held = await world_nodes.allocations.allocate(
        ADMIN, resources_service_pb2.AllocateRequest(project="default")
    )
    await world_nodes.report(job_id, "RUNNING")
    await lose(world, node_id)
    with pytest.raises(WrongState) as refused:
        await world.removal.delete(ADMIN, node_id, force=False)
    assert refused.value.reason == "NODE_HELD"
    assert refused.value.metadata == {"node_id": node_id, "runs": "1", "allocations": "1"}

    await world.removal.delete(ADMIN, node_id, force=True)
    job = await world_nodes.job(job_id)
    assert (job.status_reason, job.status_message) == ("NODE_SHUTDOWN", "its node was removed")
    (run,) = await world.database.read(lambda tx: tx.runs.of_job(job_id))
    assert (run.node_id, run.active, run.forgotten) == (node_id, False, True)
    part = await world_nodes.allocations.get(ADMIN, held.allocation_id)
    assert (part.node_id, part.status_reason) == (node_id, "NODE_REMOVED")
    assert await world.database.read(lambda tx: tx.nodes.all_claims()) == []
    # Its log ends, and says what is missing.
    world.clock.advance(600)
    assert await world.joined("n2", gpus=1)
    job = await world_nodes.cycle(job_id)
    assert job.node_id not in ("", node_id)


async def test_a_node_that_only_owes_the_rest_of_a_log_is_removed_without_force(
    world: ResourcesWorld,
):
    scheduled = world.scheduled
    node_id = await world.joined("n1")
    job_id = await scheduled.add_job()
    await scheduled.cycle(job_id)
    await scheduled.report(job_id, "EXITED", exit_code=0, cause=1, log_end=10)
    await lose(world, node_id)
    await world.removal.delete(ADMIN, node_id, force=False)
    text, end = await scheduled.follow(job_id)
    assert text == ""
    assert [one.reason for one in end.incomplete] == ["LOG_LOST_BY_NODE"]
    assert end.incomplete[0].message == "its node was removed"


async def test_a_node_that_says_hello_while_it_is_removed_is_either_there_or_not(
    world: ResourcesWorld,
):
    told = an_inventory()
    for number in range(10):
        node_id = await lost(world, f"n{number}")
        removed, greeted = await asyncio.gather(
            world.removal.delete(ADMIN, node_id, force=False),
            world.membership.hello(node_id, told),
            return_exceptions=True,
        )
        node = await world.database.read(lambda tx, node_id=node_id: tx.nodes.get(node_id))  # type: ignore[misc]
        if node is None:
            assert isinstance(greeted, NotFound)
        else:
            assert isinstance(removed, WrongState)
            assert node.status == 1
