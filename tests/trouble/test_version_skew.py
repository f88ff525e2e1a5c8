"""An agent and a server of which one is a release older, over what both contracts can say."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.cluster import Cluster, Process, running_cluster
from tests.support.previous_contract import PreviousContract, previous_contract
from windlass.jobs.v1 import job_pb2

_PATIENCE_SECONDS = 30
SCRIPT = (
    'echo "in $PWD" > "${WINDLASS_CHECKPOINT_DIR:-.}/state"; for n in 1 2 3; do echo line $n; done'
)


@asynccontextmanager
async def a_release_apart(folder: Path) -> AsyncIterator[tuple[Cluster, PreviousContract]]:
    """A server and an agent of today that hear of each other only what the release before knew."""
    async with (
        running_cluster(folder, agent=False) as cluster,
        previous_contract(cluster.grpc) as (address, contract),
    ):
        cluster.agent = await Process.start(
            *("-m", "windlass_agent", "--server", address, "--simulate-gpus", "2xH100"),
            *("--data-dir", str(folder / "agent"), "--hide-paths", str(folder / "data")),
            WINDLASS_JOIN_TOKEN=await cluster.join_token(),
        )
        await cluster.agent.says("connected")
        yield cluster, contract


async def test_jobs_run_with_whole_logs_and_measured_gpus(tmp_path: Path) -> None:
    async with a_release_apart(tmp_path) as (cluster, contract):
        gpus = job_pb2.Job(resources={"gpu_count": 1}).resources
        job = await cluster.submit("sh", "-c", SCRIPT, name="train", resources=gpus)
        text, end = await cluster.follow(job.job_id)
        assert text == "line 1\nline 2\nline 3\n"
        assert not end.incomplete
        assert (await cluster.get(job.job_id)).status == job_pb2.Job.Status.SUCCEEDED
        (gpu, _) = await measured_gpus(cluster)
        assert gpu["power_limit_watts"] == 700
        # Nothing that is said today would have ended the stream of a server of the release before.
        assert contract.refused == []
        assert {"Join", "OpenSession", "StreamTelemetry"} <= set(contract.calls)


async def test_a_job_is_stopped_and_its_node_drained(tmp_path: Path) -> None:
    async with a_release_apart(tmp_path) as (cluster, contract):
        job = await cluster.submit("sh", "-c", "echo up; sleep 600")
        await cluster.wait_for_output(job.job_id, "up")
        async with cluster.rest() as rest:
            (node,) = (await rest.get("/v1/resources/nodes")).json()["nodes"]
            drained = await rest.put(
                f"/v1/resources/nodes/{node['node_id']}/drain", json={"mode": "FORCE"}
            )
            assert drained.status_code == 200, drained.text
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while (await rest.get("/v1/resources/nodes")).json()["nodes"][0][
                    "status"
                ] != "DRAINED":
                    pass
        assert (await cluster.get(job.job_id)).status == job_pb2.Job.Status.QUEUED
        assert contract.refused == []


async def test_an_agent_of_the_release_before_takes_no_part_in_a_job_of_several_nodes(
    tmp_path: Path,
) -> None:
    async with a_release_apart(tmp_path) as (cluster, _), cluster.another_agent("of today"):
        async with cluster.rest() as rest:
            body = {"command": ["true"], "nodes": 2}
            refused = await rest.post("/v1/jobs", json=body)
            assert refused.status_code == 400, refused.text
            assert "the agents of 1 are too old" in refused.json()["message"]
            one = (await rest.post("/v1/jobs", json={**body, "min_nodes": 1})).json()
        _, end = await cluster.follow(one["job_id"])
        assert end.status == job_pb2.Job.SUCCEEDED
        assert len((await cluster.get(one["job_id"])).placements) == 1


async def measured_gpus(cluster: Cluster) -> list[dict[str, object]]:
    """The GPUs of the node, when they have been measured."""
    async with asyncio.timeout(_PATIENCE_SECONDS), cluster.rest() as rest:
        while True:
            (node,) = (await rest.get("/v1/resources/nodes")).json()["nodes"]
            if all(gpu.get("sample_time") for gpu in node["gpus"]):
                return list(node["gpus"])
