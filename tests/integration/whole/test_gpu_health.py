"""A real server and a real agent whose simulated GPUs fail by a script, over REST."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.cluster import Cluster

# As real times, only shorter.
HEALTH = json.dumps({"quiet_seconds": 0.5, "burn_in_seconds": 0.5})
Seen = Callable[[dict[str, Any]], bool]


@asynccontextmanager
async def failing(folder: Path, script: str, gpus: str = "2xH100") -> AsyncIterator[Cluster]:
    """A server and an agent whose GPUs fail by the script."""
    cluster = Cluster(folder, gpus=gpus, environment={"WINDLASS_HEALTH": HEALTH})
    try:
        await cluster.start_server()
        cluster.environment = {"WINDLASS_AGENT_SIMULATE_FAULTS": script}
        await cluster.start_agent()
        yield cluster
    finally:
        await cluster.stop()


async def node_once(rest: httpx.AsyncClient, seen: Seen) -> dict[str, Any]:
    """The only node, when it is as wanted."""
    async with asyncio.timeout(60):
        while True:
            (node,) = (await rest.get("/v1/resources/nodes")).json()["nodes"]
            if seen(node):
                return dict(node)


def health(node: dict[str, Any], index: int = 0) -> str:
    return str(node["gpus"][index]["health"])


def condition(node: dict[str, Any], kind: str) -> tuple[str, str]:
    (one,) = [one for one in node["conditions"] if one["type"] == kind]
    return one["status"], one["reason"]


async def test_a_gpu_that_fails_under_a_job_is_reset_and_the_job_runs_on_the_other(
    tmp_path: Path,
) -> None:
    command = "trap 'exit 3' TERM; echo attempt $WINDLASS_ATTEMPT on $CUDA_VISIBLE_DEVICES; "
    command += '[ "$WINDLASS_ATTEMPT" = 1 ] || exit 0; while :; do sleep 0.05; done'
    # Time enough for the job to start on a busy machine.
    script = "8s * xid 95; 8s * ecc-uncorrected 1"
    async with failing(tmp_path, script, gpus="1xH100") as cluster, cluster.rest() as rest:
        job = await cluster.submit("sh", "-c", command, resources={"gpu_count": 1})
        await cluster.wait_for_output(job.job_id, "attempt 1 on SIM-")
        bad = await node_once(rest, lambda node: health(node) != "HEALTHY")
        assert condition(bad, "GpusHealthy")[0] == "FALSE"

        text, _ = await cluster.follow(job.job_id)

        ended = await cluster.get(job.job_id)
        assert (ended.status_reason, ended.attempt) == ("COMPLETED", 2)
        assert "attempt 2 on SIM-" in text
        node = await node_once(rest, lambda node: health(node) == "HEALTHY")
        faults = {fault["kind"]: fault for fault in node["gpus"][0]["faults"]}
        assert faults["XID_95"]["action"] == "RESET_GPU"
        assert faults["XID_95"]["job_id"] == job.job_id
        assert node["gpus"][0]["ecc_errors"]["uncorrected_volatile"] == "0"
        assert node["gpus"][0]["ecc_errors"]["uncorrected_aggregate"] == "1"
        events = (await rest.get(f"/v1/jobs/{job.job_id}/events")).json()["events"]
        told = [event["message"] for event in events if event["reason"] == "GPU_FAULT"]
        assert any("XID_95" in message for message in told)


async def test_a_card_that_falls_off_the_bus_drains_its_node_until_it_is_back(
    tmp_path: Path,
) -> None:
    script = "1s 1 xid 79; 1s 1 lost; 3s 1 heal"
    async with failing(tmp_path, script) as cluster, cluster.rest() as rest:
        node = await node_once(rest, lambda node: node["status"] == "DRAINED")
        assert node["maintenance"]["actor"] == "system/health"
        assert "fallen off the bus" in node["maintenance"]["reason"]
        assert (health(node), health(node, 1)) == ("HEALTHY", "UNHEALTHY")
        node = await node_once(rest, lambda node: health(node, 1) == "HEALTHY")
        assert node["status"] == "READY"


async def test_a_node_that_lacks_a_card_after_its_restart_is_drained_for_that(
    tmp_path: Path,
) -> None:
    async with failing(tmp_path, "") as cluster, cluster.rest() as rest:
        whole = await node_once(rest, lambda node: len(node["gpus"]) == 2)
        assert cluster.agent is not None
        await cluster.agent.kill()
        cluster.environment = {"WINDLASS_AGENT_SIMULATE_FAULTS": "0s 1 missing"}
        await cluster.start_agent()
        node = await node_once(rest, lambda node: node["status"] == "DRAINED")
        missing = whole["gpus"][1]["uuid"]
        assert node["maintenance"]["reason"] == f"GPU {missing} is missing"
        assert condition(node, "InventoryComplete") == ("FALSE", "GPU_MISSING")
        opened = await rest.put(f"/v1/resources/nodes/{node['node_id']}/uncordon", json={})
        assert opened.json()["status"] == "READY"
        assert condition(opened.json(), "AgentConnected")[0] == "TRUE"


async def test_a_full_disk_and_a_stalled_agent_are_seen_and_over_by_themselves(
    tmp_path: Path,
) -> None:
    cluster = Cluster(tmp_path, gpus="1xT4", environment={"WINDLASS_HEARTBEAT_SECONDS": "0.3"})
    try:
        await cluster.start_server()
        script = "1s node disk-full; 3s node disk-free; 4s node stall 3"
        cluster.environment = {"WINDLASS_AGENT_SIMULATE_FAULTS": script}
        await cluster.start_agent()
        async with cluster.rest() as rest:
            node = await node_once(rest, lambda node: node["status"] == "CORDONED")
            assert condition(node, "DiskSpaceLeft") == ("FALSE", "DISK_FULL")
            node = await node_once(rest, lambda node: node["status"] == "UNREACHABLE")
            assert condition(node, "AgentConnected")[0] == "FALSE"
            assert condition(node, "DiskSpaceLeft")[0] == "UNKNOWN"
            node = await node_once(rest, lambda node: node["status"] == "READY")
            assert {one["status"] for one in node["conditions"]} == {"TRUE"}
    finally:
        await cluster.stop()


@pytest.mark.parametrize(
    "health", ['{"actions": {"XID_x": "DRAIN"}}', '{"actions": {"XID_1": "EXPLODE"}}', "{"]
)
async def test_a_policy_that_cannot_be_is_refused_at_the_start(tmp_path: Path, health: str) -> None:
    cluster = Cluster(tmp_path, environment={"WINDLASS_HEALTH": health})
    with pytest.raises(AssertionError, match="health"):
        await cluster.start_server()
    assert cluster.server is not None
    assert await cluster.server.ended() == 2


async def test_jobs_get_an_instance_each_of_a_card_that_is_divided(tmp_path: Path) -> None:
    command = "echo on $CUDA_VISIBLE_DEVICES; sleep 2"
    async with failing(tmp_path, "", gpus="1xH100/3g.40gb+2x2g.20gb") as cluster:
        wanted = {"gpu_count": 1, "gpu_type": "h100-2g.20gb"}
        jobs = [await cluster.submit("sh", "-c", command, resources=wanted) for _ in range(2)]
        texts = [(await cluster.follow(job.job_id))[0] for job in jobs]
        ends = [(await cluster.get(job.job_id)).status_reason for job in jobs]
        assert ends == ["COMPLETED", "COMPLETED"]
        used = {text.split()[1] for text in texts}
        async with cluster.rest() as rest:
            (node,) = (await rest.get("/v1/resources/nodes")).json()["nodes"]
        instances = {gpu["uuid"]: gpu["mig_instance"]["profile"] for gpu in node["gpus"]}
        assert sorted(instances.values()) == ["2g.20gb", "2g.20gb", "3g.40gb"]
        assert len(used) == 2
        assert {instances[uuid] for uuid in used} == {"2g.20gb"}
