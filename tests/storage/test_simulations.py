"""Simulations that a caller asks for: on the nodes of the cluster, and not for long."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.support.access import ORG_ADMIN
from tests.support.databases import acting
from tests.unit.simulation.timed import a_node
from windlass.resources.v1 import resources_service_pb2
from windlass_server.errors import Exhausted, InvalidInput
from windlass_server.resources.simulations import SimulationsService
from windlass_server.scheduler.snapshot import NodeState
from windlass_server.storage.engine import Database

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")


def a_service(
    database: Database, nodes: Sequence[NodeState], seconds: float = 60
) -> SimulationsService:
    return SimulationsService(database, lambda _: nodes, seconds=seconds)


def a_request(jobs: int = 3) -> resources_service_pb2.SimulateRequest:
    request = resources_service_pb2.SimulateRequest(policies=["greedy"])
    for _ in range(jobs):
        request.jobs.add(gpu_count=8).run_time.FromSeconds(60)
    return request


async def test_the_nodes_of_the_cluster_are_taken_where_none_are_named(database: Database):
    nodes = a_node("n1"), a_node("n2"), a_node("n3", gpus=0)
    found = await a_service(database, nodes).simulate(ORG_ADMIN, a_request())
    assert list(found.results[0].start_seconds) == [0, 0, 60]


async def test_what_takes_too_long_is_ended(database: Database):
    service = a_service(database, [a_node()], seconds=0.001)
    for _ in range(2):
        with pytest.raises(Exhausted) as caught:
            await service.simulate(ORG_ADMIN, a_request())
        assert caught.value.reason == "SIMULATION_TOO_LONG"


async def test_one_is_played_at_a_time_and_who_goes_away_makes_room(database: Database):
    service = a_service(database, [a_node()])
    first = asyncio.create_task(service.simulate(ORG_ADMIN, a_request()))
    await asyncio.sleep(0)
    with pytest.raises(Exhausted) as caught:
        await service.simulate(ORG_ADMIN, a_request())
    assert caught.value.reason == "SIMULATION_RUNNING"
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await service.simulate(ORG_ADMIN, a_request(1))).results[0].finished == 1


@pytest.mark.parametrize(("count", "reason"), [(0, "NO_NODES"), (2001, "TOO_MANY_NODES")])
async def test_no_nodes_and_too_many_are_refused(database: Database, count: int, reason: str):
    with pytest.raises(InvalidInput) as caught:
        await a_service(database, [a_node()] * count).simulate(ORG_ADMIN, a_request())
    assert caught.value.reason == reason
