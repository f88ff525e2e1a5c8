"""Nodes are closed, emptied and opened again, with real agents and tasks, over REST."""

import asyncio
from typing import Any

import pytest

from tests.support.cluster import Cluster
from windlass.jobs.v1 import job_pb2

# Runs until it is told to leave; the second time it ends by itself.
LEAVES = """
exec 2>/dev/null  # where the shell tells that its sleep was ended
trap 'echo saved; exit 85' TERM
echo attempt $WINDLASS_ATTEMPT
[ "$WINDLASS_ATTEMPT" = 1 ] || exit 0
while :; do sleep 0.05; done
"""
STAYS = "trap '' TERM; echo here; while :; do sleep 0.05; done"


async def the_node(cluster: Cluster) -> dict[str, Any]:
    async with cluster.rest() as rest:
        (node,) = (await rest.get("/v1/resources/nodes")).json()["nodes"]
    return dict(node)


async def order(cluster: Cluster, verb: str, **body: str) -> dict[str, Any]:
    """Ask for something of the only node."""
    node_id = (await the_node(cluster))["node_id"]
    async with cluster.rest() as rest:
        answer = await rest.put(f"/v1/resources/nodes/{node_id}/{verb}", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def drained(cluster: Cluster) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while (node := await the_node(cluster))["status"] == "DRAINING":
            pass
    return node


async def ended(cluster: Cluster, job_id: str) -> job_pb2.Job:
    await cluster.follow(job_id)
    return await cluster.get(job_id)


async def test_a_drained_jobs_state_is_saved_and_it_goes_on_when_the_node_is_back(
    any_cluster: Cluster,
):
    job = await any_cluster.submit("sh", "-c", LEAVES)
    await any_cluster.wait_for_output(job.job_id, "attempt 1")

    begun = await order(any_cluster, "drain", mode="CHECKPOINT_REQUEUE", reason="kernel")
    assert begun["status"] == "DRAINING"
    assert begun["maintenance"]["runs_left"] == 1
    node = await drained(any_cluster)

    assert (node["status"], node["runs"]) == ("DRAINED", [])
    assert node["maintenance"]["reason"] == "kernel"
    waiting = await any_cluster.get(job.job_id)
    assert waiting.status == job_pb2.Job.QUEUED
    async with any_cluster.rest() as rest:
        listed = await rest.get("/v1/resources/nodes", params={"status": "DRAINED"})
    assert [one["node_id"] for one in listed.json()["nodes"]] == [node["node_id"]]

    assert (await order(any_cluster, "uncordon"))["status"] == "READY"
    text, end = await any_cluster.follow(job.job_id)
    assert (end.status, text) == (job_pb2.Job.SUCCEEDED, "attempt 1\nsaved\nattempt 2\n")


async def test_force_does_not_wait_for_a_task_that_will_not_leave(cluster: Cluster):
    job = job_pb2.Job()
    job.grace_period.FromSeconds(3600)
    stubborn = await cluster.submit("sh", "-c", STAYS, grace_period=job.grace_period)
    await cluster.wait_for_output(stubborn.job_id, "here")
    patient = await order(cluster, "drain", mode="CHECKPOINT_REQUEUE")
    assert patient["maintenance"]["mode"] == "CHECKPOINT_REQUEUE"
    await order(cluster, "drain", mode="FORCE", reason="fire")
    assert (await drained(cluster))["status"] == "DRAINED"


@pytest.mark.parametrize("died", ["agent", "server"])
async def test_a_drain_goes_on_behind_the_death_of_an_agent_or_a_server(
    cluster: Cluster, died: str
):
    job = await cluster.submit("sh", "-c", LEAVES)
    await cluster.wait_for_output(job.job_id, "attempt 1")
    process = getattr(cluster, died)
    await process.kill()
    if died == "server":
        await cluster.start_server()
    async with asyncio.timeout(30):
        while (await the_node(cluster))["status"] == "READY" and died == "agent":
            pass
    await order(cluster, "drain", mode="CHECKPOINT_REQUEUE")
    if died == "agent":
        # Nobody knows whether its task still lives.
        assert (await the_node(cluster))["status"] == "UNREACHABLE"
        assert (await the_node(cluster))["maintenance"]["state"] == "DRAINING"
        await cluster.start_agent()
    async with asyncio.timeout(30):
        while (await the_node(cluster))["status"] in ("DRAINING", "UNREACHABLE"):
            pass
    assert (await the_node(cluster))["status"] == "DRAINED"
    await order(cluster, "uncordon")
    assert (await ended(cluster, job.job_id)).status == job_pb2.Job.SUCCEEDED
