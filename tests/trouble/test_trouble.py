"""Killed servers and agents hurt no running task, and nothing is lost or doubled."""

import asyncio
import os
import shutil
import signal
from pathlib import Path

import psutil

from tests.support.cluster import Cluster, living_shims, running_cluster
from windlass.jobs.v1 import job_pb2, jobs_service_pb2

LINES = 60
# Prints a numbered line every 50 ms. A second start would show in its output.
COUNTING = f"""
import time
for number in range({LINES}):
    print("line", number, flush=True)
    time.sleep(0.05)
"""
WHOLE_OUTPUT = "".join(f"line {number}\n" for number in range(LINES))


async def counting_job(cluster: Cluster) -> job_pb2.Job:
    return await cluster.submit("python3", "-c", COUNTING)


async def test_a_job_survives_the_death_of_its_agent_and_then_of_its_server(
    any_cluster: Cluster,
):
    job = await counting_job(any_cluster)
    await any_cluster.wait_for_output(job.job_id, "line 5\n")
    await any_cluster.agent.kill()
    await any_cluster.start_agent()
    await any_cluster.wait_for_output(job.job_id, "line 20\n")
    await any_cluster.server.kill()
    await any_cluster.start_server()

    text, end = await any_cluster.follow(job.job_id)

    assert text == WHOLE_OUTPUT
    assert (end.status, end.exit_code) == (job_pb2.Job.SUCCEEDED, 0)
    ended = await any_cluster.get(job.job_id)
    assert ended.attempt == 1


async def test_both_dead_at_once_the_job_ends_alone_and_is_accounted_for_later(cluster: Cluster):
    job = await counting_job(cluster)
    await cluster.wait_for_output(job.job_id, "line 3\n")
    await cluster.server.kill()
    await cluster.agent.kill()
    await cluster.start_server()
    waiting = await cluster.get(job.job_id)
    assert waiting.status == job_pb2.Job.RUNNING
    await cluster.start_agent()

    text, end = await cluster.follow(job.job_id)

    assert text == WHOLE_OUTPUT
    assert end.status == job_pb2.Job.SUCCEEDED


async def test_a_job_whose_agent_is_gone_is_not_failed(cluster: Cluster):
    job = await cluster.submit("sh", "-c", "echo up; sleep 600")
    await cluster.wait_for_output(job.job_id, "up")
    await cluster.agent.kill()
    async with cluster.rest() as rest:
        (node,) = (await rest.get("/v1/resources/nodes?status=UNREACHABLE")).json()["nodes"] or [
            (await _unreachable_node(cluster))
        ]
        assert node["status_reason"] == "AGENT_DISCONNECTED"
        shown = (await rest.get(f"/v1/jobs/{job.job_id}")).json()
        assert shown["status"] == "RUNNING"
        waits = await rest.post("/v1/jobs", json={"command": ["true"]})
        assert waits.json()["status_reason"] in {"NODES_UNREACHABLE", "PENDING_SCHEDULING"}


async def _unreachable_node(cluster: Cluster) -> dict[str, object]:
    """The node, once the server has noticed that its agent is gone."""
    async with cluster.rest() as rest:
        while True:
            nodes = (await rest.get("/v1/resources/nodes?status=UNREACHABLE")).json()["nodes"]
            if nodes:
                return nodes[0]


async def test_without_an_agent_jobs_wait_and_say_so(tmp_path: Path):
    async with running_cluster(tmp_path, agent=False) as cluster:
        job = await cluster.submit("true")
        assert (job.status, job.status_reason) == (job_pb2.Job.QUEUED, "NO_NODES")
        await cluster.start_agent()
        _, end = await cluster.follow(job.job_id)
        assert end.status == job_pb2.Job.SUCCEEDED


async def test_a_job_cancelled_while_its_node_is_away_is_stopped_when_it_is_back(
    cluster: Cluster,
):
    job = await cluster.submit("sh", "-c", "echo up; sleep 600")
    await cluster.wait_for_output(job.job_id, "up")
    await cluster.agent.kill()
    async with cluster.rest() as rest:
        url = f"/v1/jobs/{job.job_id}/status"
        assert (await rest.patch(url, json={"action": "CANCEL"})).json()["status"] == "CANCELLING"
    await cluster.start_agent()
    _, end = await cluster.follow(job.job_id)
    assert end.status == job_pb2.Job.CANCELLED


async def test_a_server_that_is_told_to_stop_leaves_tasks_alone_and_exits_with_0(cluster: Cluster):
    job = await counting_job(cluster)
    await cluster.wait_for_output(job.job_id, "line 3\n")
    assert await cluster.server.kill(signal.SIGTERM) == 0
    assert await cluster.agent.kill(signal.SIGTERM) == 0
    await cluster.start_server()
    await cluster.start_agent()
    text, end = await cluster.follow(job.job_id)
    assert text == WHOLE_OUTPUT
    assert end.status == job_pb2.Job.SUCCEEDED


async def test_a_node_whose_directory_was_wiped_starts_no_run_a_second_time(any_cluster: Cluster):
    job = await any_cluster.submit("sh", "-c", "echo up; sleep 600")
    await any_cluster.wait_for_output(job.job_id, "up")
    first = (await any_cluster.get(job.job_id)).placement.run_id
    await any_cluster.agent.kill()
    forget_everything(any_cluster.directory / "agent")
    await any_cluster.start_agent()
    # It is queued again, and the only node is not tried again at once.
    async with asyncio.timeout(30):
        while (await any_cluster.get(job.job_id)).status_reason != "NODE_AVOIDED":
            pass
    request = jobs_service_pb2.CancelJobRequest(job_id=job.job_id)
    await any_cluster.jobs.CancelJob(request, metadata=any_cluster.metadata)

    text, end = await any_cluster.follow(job.job_id)

    assert (text, end.status) == ("up\n", job_pb2.Job.CANCELLED)
    assert [(one.run_id, one.reason) for one in end.incomplete] == [(first, "LOG_LOST_BY_NODE")]


def forget_everything(agent: Path) -> None:
    """End the tasks of a killed agent and remove what it knew of them, but not who it is."""
    for shim in living_shims(agent):
        os.kill(shim, signal.SIGKILL)
    shutil.rmtree(agent / "runs")


async def test_output_that_was_lost_with_the_nodes_disk_is_not_waited_for(cluster: Cluster):
    job = await counting_job(cluster)
    await cluster.wait_for_output(job.job_id, "line 5\n")
    await cluster.server.kill()
    agent = cluster.directory / "agent"
    (shim,) = living_shims(agent)
    await asyncio.to_thread(psutil.Process(shim).wait, 30)
    await cluster.agent.kill()
    remove_logs(agent)
    await cluster.start_server()
    await cluster.start_agent()

    text, end = await cluster.follow(job.job_id)

    assert (end.status, end.exit_code) == (job_pb2.Job.SUCCEEDED, 0)
    assert WHOLE_OUTPUT.startswith(text)
    assert text != WHOLE_OUTPUT
    assert "not on the node's disk any more" in end.incomplete[0].message


def remove_logs(agent: Path) -> None:
    (log,) = agent.glob("runs/*/output.log")
    log.unlink()
