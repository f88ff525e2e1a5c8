"""A job that nothing could ever hold is refused at once; one that something could hold may wait."""

import json
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2
from grpc import aio
from grpc_status import rpc_status

from tests.support.cluster import Cluster
from windlass.jobs.v1 import job_pb2

# What no machine that runs tests has.
HUGE_MEMORY = 1 << 50
HUGE_CPU = 10_000_000
POOLS = [
    {
        "name": "big",
        "count": 2,
        "cpu_millis": 64_000,
        "memory_bytes": 1 << 40,
        "gpu_type": "B200",
        "gpu_count": 16,
    }
]

BEYOND_THE_NODE = [
    pytest.param({"gpu_count": 9}, "gpu_count", id="more GPUs than a node has"),
    pytest.param({"gpu_count": 1, "gpu_type": "B200"}, "gpu_type", id="a type that there is not"),
    pytest.param({"mig_profile": "1g.10gb"}, "mig_profile", id="a part, though no card is divided"),
    pytest.param({"gpu_memory_bytes": str(81 << 30)}, "gpu_memory_bytes", id="memory of a GPU"),
    pytest.param({"memory_bytes": str(HUGE_MEMORY)}, "memory_bytes", id="memory"),
    pytest.param({"cpu_millis": str(HUGE_CPU)}, "cpu_millis", id="processors"),
]


async def submit(rest: httpx.AsyncClient, resources: dict[str, Any]) -> httpx.Response:
    return await rest.post("/v1/jobs", json={"command": ["true"], "resources": resources})


def assert_names(refused: httpx.Response, dimension: str) -> None:
    assert refused.status_code == 400, refused.text
    details = refused.json()["details"]
    (info,) = (one for one in details if one["@type"].endswith("ErrorInfo"))
    assert info["reason"] == "UNSATISFIABLE_RESOURCES"
    assert info["metadata"]["dimension"] == dimension
    (bad,) = (one for one in details if one["@type"].endswith("BadRequest"))
    assert [one["field"] for one in bad["field_violations"]] == [f"job.resources.{dimension}"]


async def test_what_no_node_could_ever_hold_is_refused_by_its_dimension(cluster: Cluster):
    async with cluster.rest() as rest:
        for case in BEYOND_THE_NODE:
            resources, dimension = case.values
            assert_names(await submit(rest, resources), dimension)
        assert (await rest.get("/v1/jobs")).json()["jobs"] == []
        # All that the node has fits, though a part of it may be in use.
        assert (await submit(rest, {"gpu_count": 8})).status_code == 200

    with pytest.raises(aio.AioRpcError) as refused:
        await cluster.submit("true", resources={"gpu_count": 9})
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    info = error_details_pb2.ErrorInfo()
    assert rpc_status.from_call(refused.value).details[0].Unpack(info)
    assert (info.reason, info.metadata["dimension"]) == ("UNSATISFIABLE_RESOURCES", "gpu_count")


async def test_what_only_an_unreachable_node_could_hold_waits_for_it(cluster: Cluster):
    await cluster.agent.kill()
    async with cluster.rest() as rest:
        await until_unreachable(rest)
        waits = (await submit(rest, {"gpu_count": 8, "gpu_type": "H100"})).json()
        assert (waits["status"], waits["status_reason"]) == ("QUEUED", "NODES_UNREACHABLE")
        assert_names(await submit(rest, {"gpu_count": 9}), "gpu_count")
    # So also for a server that has never seen the node itself.
    await cluster.server.kill()
    await cluster.start_server()
    async with cluster.rest() as rest:
        assert (await submit(rest, {"gpu_count": 8})).status_code == 200
    await cluster.start_agent()
    _, end = await cluster.follow(waits["job_id"])
    assert end.status == job_pb2.Job.SUCCEEDED


async def test_what_a_declared_pool_could_hold_waits_though_no_node_is_there(tmp_path: Path):
    cluster = Cluster(tmp_path, environment={"WINDLASS_POOLS": json.dumps(POOLS)})
    try:
        await cluster.start_server()
        async with cluster.rest() as rest:
            waits = await submit(rest, {"gpu_count": 16, "gpu_type": "B200"})
            assert waits.status_code == 200, waits.text
            assert waits.json()["status"] == "QUEUED"
            assert waits.json()["status_reason"] == "NO_NODES"
            refused = await submit(rest, {"gpu_count": 17, "gpu_type": "B200"})
            assert_names(refused, "gpu_count")
            assert "pool big" in refused.json()["message"]
            assert_names(await submit(rest, {"gpu_count": 1, "gpu_type": "H100"}), "gpu_type")
    finally:
        await cluster.stop()


async def until_unreachable(rest: httpx.AsyncClient) -> None:
    """Return when the server has noticed that the agent is gone."""
    while not (await rest.get("/v1/resources/nodes?status=UNREACHABLE")).json()["nodes"]:
        pass
