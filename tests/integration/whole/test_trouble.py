"""Killed servers and agents hurt no running task, and nothing is lost or doubled."""

import signal
from pathlib import Path

from tests.support.cluster import Cluster, running_cluster
from windlass.jobs.v1 import job_pb2

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
