"""`Simulate` over REST and gRPC, in real processes."""

import asyncio
from typing import Any

import grpc
import httpx
import pytest

from tests.support.cluster import Cluster
from windlass.resources.v1 import resources_service_pb2, resources_service_pb2_grpc

SIMULATE = "/v1/resources:simulate"
NODES = [
    {"count": 2, "cpu_millis": 64000, "memory_bytes": 1 << 40, "gpu_count": 8, "gpu_type": "H100"}
]
JOB = {"run_time": "60s", "gpu_count": 8}

pytestmark = pytest.mark.asyncio(loop_scope="module")


def reason(answer: httpx.Response) -> str:
    return str(answer.json()["details"][0]["reason"])


async def test_jobs_are_played_over_rest_and_grpc_alike(server: Cluster):
    asked = {"jobs": [JOB] * 5, "nodes": NODES, "policies": ["fifo", "built-in"]}
    async with server.rest() as rest:
        answer = await rest.post(SIMULATE, json=asked)
    assert answer.status_code == 200, answer.text
    fifo, built_in = answer.json()["results"]
    assert (fifo["policy"], built_in["policy"]) == ("fifo", "built-in")
    assert fifo["start_seconds"] == [0, 0, 60, 60, 120]
    assert fifo["wait_seconds"]["max"] == 120
    stub: Any = resources_service_pb2_grpc.ResourcesServiceStub(server.channel)
    request = resources_service_pb2.SimulateRequest(policies=["fifo"])
    request.nodes.add(**NODES[0])
    for _ in range(5):
        request.jobs.add(gpu_count=8).run_time.FromSeconds(60)
    response = await stub.Simulate(request, metadata=server.metadata)
    assert list(response.results[0].start_seconds) == [0, 0, 60, 60, 120]


async def test_the_server_goes_on_answering_and_plays_one_at_a_time(server: Cluster):
    jobs = [JOB | {"submit_time": f"{n}s", "run_time": f"{60 + n}s"} for n in range(400)]
    async with server.rest() as rest:
        playing = asyncio.create_task(rest.post(SIMULATE, json={"jobs": jobs, "nodes": NODES}))
        refusals = 0
        while not playing.done():
            another = await rest.post(SIMULATE, json={"jobs": [JOB], "nodes": NODES})
            refusals += another.status_code == 429 and reason(another) == "SIMULATION_RUNNING"
            assert (await rest.get("/v1/system/info")).status_code == 200
        answer = await playing
    assert refusals >= 1 or reason(answer) == "SIMULATION_RUNNING"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "jobs"),
        ({"jobs": []}, "jobs"),
        ({"jobs": [{}], "nodes": NODES}, "jobs[0].run_time"),
        ({"jobs": [JOB | {"run_time": "-1s"}], "nodes": NODES}, "jobs[0].run_time"),
        ({"jobs": [JOB | {"gpu_count": -1}], "nodes": NODES}, "jobs[0].gpu_count"),
        ({"jobs": [JOB | {"priority": 1e9}], "nodes": NODES}, "jobs[0].priority"),
        ({"jobs": [JOB | {"gpu_types": ["H100", "a b"]}], "nodes": NODES}, "jobs[0].gpu_types[1]"),
        ({"jobs": [JOB | {"gpu_type": "L4", "gpu_types": ["H100"]}], "nodes": NODES}, "jobs[0]"),
        ({"jobs": [JOB], "policies": ["mine"], "nodes": NODES}, "policies[0]"),
        ({"jobs": [JOB], "policies": ["fifo", "fifo"], "nodes": NODES}, "policies"),
        ({"jobs": [JOB], "nodes": [NODES[0] | {"gpu_type": ""}]}, "nodes[0]"),
        ({"jobs": [JOB], "nodes": [NODES[0] | {"count": 1000}] * 3}, "nodes"),
        ({"jobs": [JOB], "nodes": NODES, "policy": {"aging": {"boost": -1}}}, "policy.policy_id"),
        ({"jobs": [JOB], "nodes": NODES, "bogus": 1}, "bogus"),
        ({"jobs": [JOB] * 5001, "nodes": NODES}, "jobs"),
    ],
)
async def test_what_cannot_be_played_is_refused_by_its_field(server: Cluster, asked, said: str):
    async with server.rest() as rest:
        answer = await rest.post(SIMULATE, json=asked)
    assert answer.status_code == 400, answer.text
    assert any(
        violation["field"] == said
        for detail in answer.json()["details"]
        for violation in detail.get("field_violations", detail.get("fieldViolations", []))
    ), answer.text


async def test_a_cluster_without_nodes_plays_nothing(server: Cluster):
    async with server.rest() as rest:
        answer = await rest.post(SIMULATE, json={"jobs": [JOB]})
    assert (answer.status_code, reason(answer)) == (400, "NO_NODES")


async def test_who_says_no_name_is_refused(server: Cluster):
    stub: Any = resources_service_pb2_grpc.ResourcesServiceStub(server.channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Simulate(resources_service_pb2.SimulateRequest())
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
