"""Drains of many nodes, on both engines, with the scheduler and no agents."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.databases import acting
from tests.support.nodes import an_inventory
from tests.support.upkeep import Upkeep
from windlass.resources.v1 import drain_pb2, node_pb2, resources_service_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import Conflict, Denied, InvalidInput, NotFound, WrongState
from windlass_server.ids import IdSource
from windlass_server.paging import PageTokens
from windlass_server.resources import drains as drains_module
from windlass_server.resources.drain_message import drain_message
from windlass_server.resources.drains import DrainsService
from windlass_server.resources.maintenance import DrainMode, State
from windlass_server.storage.engine import Database

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

Drain = drain_pb2.Drain
VIEWER = Caller("eve", roles={"default": Role.VIEWER})


class World(Upkeep):
    """A cluster of three nodes, each of which runs a job."""

    ids: IdSource
    nodes: list[str]

    @property
    def drains(self) -> DrainsService:
        return DrainsService(
            self.database, self.upkeep, self.clock, self.ids, PageTokens(b"page tokens")
        )

    async def fill(self) -> None:
        """Three nodes, a job on each that takes all of it."""
        self.ids = IdSource(self.clock)
        self.nodes = [await self.add_node(f"n{number}") for number in range(3)]
        self.jobs = {}
        for _ in self.nodes:
            job_id, _ = await self.placed_job(cpu_millis=8000)
            self.jobs[(await self.job(job_id)).node_id] = job_id

    async def drain(self, *node_ids: str, **wanted: Any) -> str:
        request = resources_service_pb2.DrainNodesRequest(node_ids=node_ids, **wanted)
        return (await self.drains.create(ADMIN, request)).row.drain_id

    async def leave(self, node_id: str) -> None:
        """Let what runs on a node end, and the server notice."""
        await self.report(self.jobs[node_id], "EXITED", cause="COMPLETED", exit_code=0)
        await self.look()

    async def look(self) -> None:
        await self.upkeep.empty_draining()
        await self.drains.advance_all()

    async def seen(self, drain_id: str) -> tuple[str, list[str]]:
        """The drain's status, and how far each node is."""
        message = drain_message(await self.drains.get(ADMIN, drain_id))
        states = [drain_pb2.DrainedNode.State.Name(node.state) for node in message.nodes]
        return Drain.Status.Name(message.status), states

    async def maintenance(self) -> list[State]:
        return [State((await self.node(node_id)).maintenance) for node_id in self.nodes]


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[World]:
    world = await World.start(database, tmp_path)
    await world.fill()
    yield world
    await world.logs.close()


WAITING, DRAINING, DRAINED, OPENED, SKIPPED = (
    name for name, number in drain_pb2.DrainedNode.State.items() if number
)


async def test_the_next_node_has_its_turn_when_the_one_before_is_empty(world: World):
    drain = await world.drain(*world.nodes, reason="kernel")
    assert await world.seen(drain) == ("RUNNING", [DRAINING, WAITING, WAITING])
    await world.look()
    assert await world.maintenance() == [State.DRAINING, State.OPEN, State.OPEN]

    await world.leave(world.nodes[0])
    assert await world.seen(drain) == ("RUNNING", [DRAINED, DRAINING, WAITING])
    await world.leave(world.nodes[1])
    await world.leave(world.nodes[2])
    assert await world.seen(drain) == ("COMPLETED", [DRAINED] * 3)
    assert await world.maintenance() == [State.DRAINED] * 3
    assert (await world.node(world.nodes[1])).maintenance_reason == "kernel"


async def test_no_more_nodes_are_closed_at_once_than_may_be(world: World):
    drain = await world.drain(*world.nodes, max_unavailable=2)
    assert await world.seen(drain) == ("RUNNING", [DRAINING, DRAINING, WAITING])
    # In whichever order they are done.
    await world.leave(world.nodes[1])
    assert await world.seen(drain) == ("RUNNING", [DRAINING, DRAINED, DRAINING])
    message = drain_message(await world.drains.get(ADMIN, drain))
    assert (message.waiting_count, message.draining_count, message.done_count) == (0, 2, 1)
    assert [node.runs_left for node in message.nodes] == [1, 0, 1]
    assert [node.HasField("end_time") for node in message.nodes] == [False, True, False]


async def test_a_node_under_work_keeps_its_place_until_somebody_opens_it(world: World):
    drain = await world.drain(*world.nodes, afterwards="AWAIT_UNCORDON")
    await world.leave(world.nodes[0])
    assert await world.seen(drain) == ("RUNNING", [DRAINED, WAITING, WAITING])
    await world.upkeep.cordon(ADMIN, world.nodes[0], "still not well")
    await world.look()
    assert await world.seen(drain) == ("RUNNING", [DRAINED, WAITING, WAITING])
    await world.upkeep.uncordon(ADMIN, world.nodes[0])
    await world.look()
    assert await world.seen(drain) == ("RUNNING", [OPENED, DRAINING, WAITING])


async def test_nodes_can_be_opened_as_soon_as_they_are_empty(world: World):
    drain = await world.drain(*world.nodes, afterwards="UNCORDON", max_unavailable=3)
    for node_id in world.nodes:
        await world.leave(node_id)
    assert await world.seen(drain) == ("COMPLETED", [OPENED] * 3)
    assert await world.maintenance() == [State.OPEN] * 3


@pytest.mark.parametrize("afterwards", ["STAY_DRAINED", "UNCORDON"])
async def test_nodes_that_run_nothing_need_no_turn_of_their_own(
    world: World, monkeypatch: pytest.MonkeyPatch, afterwards: str
):
    monkeypatch.setattr(drains_module, "_BEGUN_AT_ONCE", 2)
    empty = [await world.add_node(f"empty{number}") for number in range(5)]
    drain = await world.drain(*empty, world.nodes[0], afterwards=afterwards)
    await world.drains.advance_all()
    done = DRAINED if afterwards == "STAY_DRAINED" else OPENED
    assert await world.seen(drain) == ("RUNNING", [done] * 5 + [DRAINING])


async def test_each_node_has_the_mode_and_its_own_deadline_from_its_turn_on(world: World):
    request = resources_service_pb2.DrainNodesRequest(
        node_ids=world.nodes, mode="CHECKPOINT_REQUEUE"
    )
    request.deadline.FromSeconds(600)
    await world.drains.create(ADMIN, request)
    world.clock.advance(1000)
    await world.leave(world.nodes[0])
    node = await world.node(world.nodes[1])
    assert node.drain_mode == DrainMode.CHECKPOINT_REQUEUE
    assert node.drain_deadline == world.clock.now() + 600_000_000


@pytest.mark.parametrize("verb", ["uncordon", "cordon"])
async def test_a_node_that_somebody_takes_back_is_left_alone(world: World, verb: str):
    drain = await world.drain(*world.nodes)
    if verb == "cordon":
        await world.upkeep.cordon(ADMIN, world.nodes[0], "wait")
    else:
        await world.upkeep.uncordon(ADMIN, world.nodes[0])
    await world.look()
    assert await world.seen(drain) == ("RUNNING", [SKIPPED, DRAINING, WAITING])


async def test_a_cancelled_drain_opens_what_is_not_empty_and_begins_nothing(world: World):
    drain = await world.drain(*world.nodes)
    await world.leave(world.nodes[0])
    for _ in range(2):
        await world.drains.cancel(ADMIN, drain)
        await world.look()
        assert await world.seen(drain) == ("CANCELLED", [DRAINED, SKIPPED, SKIPPED])
        assert await world.maintenance() == [State.DRAINED, State.OPEN, State.OPEN]
    again = await world.drain(*world.nodes[1:])
    assert await world.seen(again) == ("RUNNING", [DRAINING, WAITING])


async def test_a_drain_that_is_done_cannot_be_cancelled(world: World):
    drain = await world.drain(world.nodes[0])
    await world.leave(world.nodes[0])
    with pytest.raises(WrongState) as refused:
        await world.drains.cancel(ADMIN, drain)
    assert refused.value.reason == "DRAIN_COMPLETED"


async def test_a_node_is_in_one_drain_at_a_time(world: World):
    first = await world.drain(*world.nodes[:2])
    with pytest.raises(WrongState) as refused:
        await world.drain(*world.nodes)
    assert refused.value.reason == "NODE_IN_DRAIN"
    assert refused.value.metadata == {"node_id": world.nodes[0], "drain_id": first}
    await world.leave(world.nodes[0])
    # The first drain is done with that one.
    assert await world.seen(await world.drain(world.nodes[0])) == ("COMPLETED", [DRAINED])


async def test_the_same_request_makes_one_drain(world: World):
    first = await world.drain(world.nodes[0], request_id="r1")
    assert await world.drain(world.nodes[0], request_id="r1") == first
    with pytest.raises(Conflict):
        await world.drain(world.nodes[1], request_id="r1")


async def test_a_selector_takes_the_nodes_that_are_like_it(world: World):
    inventory = an_inventory(gpus=1)
    inventory.labels["rack"] = "7"
    like = await world.add_node("like", inventory=inventory.SerializeToString())
    for selector in ({"labels": ["rack=7"]}, {"gpu_type": "h100"}):
        wanted = resources_service_pb2.DrainNodesRequest(selector=selector)
        view = await world.drains.create(ADMIN, wanted)
        assert [node.node_id for node in view.nodes or ()] == [like]
    every = resources_service_pb2.DrainNodesRequest(selector={"all": True})
    view = await world.drains.create(ADMIN, every)
    assert {node.node_id for node in view.nodes or ()} == {like, *world.nodes}


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({}, "NODES_NOT_NAMED"),
        ({"node_ids": ["node-1"], "selector": {"zone": "a"}}, "NODES_NOT_NAMED"),
        ({"selector": {"zone": "nowhere"}}, "NO_NODE_SELECTED"),
    ],
)
async def test_a_drain_without_nodes_is_refused(world: World, wanted: dict[str, Any], reason: str):
    request = resources_service_pb2.DrainNodesRequest(**wanted)
    with pytest.raises(InvalidInput) as refused:
        await world.drains.create(ADMIN, request)
    assert refused.value.reason == reason


async def test_what_there_is_not_is_not_found(world: World):
    with pytest.raises(NotFound):
        await world.drain(world.nodes[0], "node-no")
    with pytest.raises(NotFound):
        await world.drains.get(ADMIN, "drain-no")
    with pytest.raises(NotFound):
        await world.drains.cancel(ADMIN, "drain-no")
    assert await world.maintenance() == [State.OPEN] * 3


async def test_only_an_administrator_of_all_drains_and_everybody_may_look(world: World):
    request = resources_service_pb2.DrainNodesRequest(node_ids=world.nodes)
    with pytest.raises(Denied):
        await world.drains.create(VIEWER, request)
    drain = await world.drain(*world.nodes)
    with pytest.raises(Denied):
        await world.drains.cancel(VIEWER, drain)
    assert (await world.drains.get(VIEWER, drain)).row.drain_id == drain


async def test_drains_are_listed_newest_first_by_status_and_page(world: World):
    made = [await world.drain(node_id) for node_id in world.nodes]
    await world.leave(world.nodes[0])
    first, token = await world.drains.list(VIEWER, status=0, size=2, token="")
    second, end = await world.drains.list(VIEWER, status=0, size=2, token=token)
    assert [view.row.drain_id for view in (*first, *second)] == made[::-1]
    assert end == ""
    assert all(view.nodes is None for view in first)
    running, _ = await world.drains.list(VIEWER, status=Drain.RUNNING, size=9, token="")
    assert [view.row.drain_id for view in running] == made[:0:-1]
    with pytest.raises(InvalidInput):
        await world.drains.list(VIEWER, status=Drain.RUNNING, size=2, token=token)


def test_the_modes_of_the_contract_are_those_of_the_rules():
    modes = {name: number for name, number in node_pb2.Maintenance.DrainMode.items() if number}
    assert modes == {mode.name: int(mode) for mode in DrainMode}
