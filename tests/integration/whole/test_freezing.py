"""Jobs that are frozen in place, on a real node, over REST."""

import asyncio
import signal
from typing import Any

from tests.support.cluster import Cluster

TICKS = "n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.05; done"


async def act(cluster: Cluster, job_id: str, **action: str) -> dict[str, Any]:
    async with cluster.rest() as rest:
        answer = await rest.patch(f"/v1/jobs/{job_id}/status", json=action)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def becomes(cluster: Cluster, job_id: str, status: str) -> dict[str, Any]:
    async with asyncio.timeout(60), cluster.rest() as rest:
        while True:
            job = (await rest.get(f"/v1/jobs/{job_id}")).json()
            if job["status"] == status:
                return job


async def log(cluster: Cluster, job_id: str) -> str:
    async with cluster.rest() as rest:
        return (await rest.get(f"/v1/jobs/{job_id}/logs")).text


async def test_a_frozen_job_keeps_its_place_and_goes_on_where_it_was(any_cluster: Cluster):
    job = await any_cluster.submit("sh", "-c", TICKS, resources={"gpu_count": 8})
    await any_cluster.wait_for_output(job.job_id, "tick 3")
    asked = await act(any_cluster, job.job_id, action="SUSPEND", mode="FREEZE", reason="demo")
    assert (asked["status"], asked["status_reason"]) == ("SUSPENDING", "FREEZE_REQUESTED")
    frozen = await becomes(any_cluster, job.job_id, "SUSPENDED")
    assert (frozen["status_reason"], frozen["frozen"]) == ("FROZEN", True)
    assert frozen["status_message"] == "frozen by admin: demo"
    assert frozen["start_time"]
    again = await act(any_cluster, job.job_id, action="SUSPEND", mode="FREEZE")
    assert again["etag"] == frozen["etag"]
    # Its GPUs are its own still.
    other = await any_cluster.submit("true", resources={"gpu_count": 1})
    # An agent that starts anew finds it as it is.
    assert any_cluster.agent is not None
    await any_cluster.agent.kill(signal.SIGKILL)
    await any_cluster.start_agent()
    before = await log(any_cluster, job.job_id)
    await asyncio.sleep(0.3)
    assert await log(any_cluster, job.job_id) == before
    assert (await any_cluster.get(other.job_id)).status == 1
    assert (await act(any_cluster, job.job_id, action="RESUME"))["status"] == "RUNNING"
    seen = before.count("tick")
    await any_cluster.wait_for_output(job.job_id, f"tick {seen + 3}")
    shown = await becomes(any_cluster, job.job_id, "RUNNING")
    assert (shown["attempt"], shown["frozen"]) == (1, False)
    await act(any_cluster, job.job_id, action="CANCEL")
    await becomes(any_cluster, job.job_id, "CANCELLED")
    await becomes(any_cluster, other.job_id, "SUCCEEDED")


async def test_a_frozen_job_is_cancelled_with_its_grace_period(cluster: Cluster):
    script = "trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    job = await cluster.submit("sh", "-c", script)
    await cluster.wait_for_output(job.job_id, "ready")
    await act(cluster, job.job_id, action="SUSPEND", mode="FREEZE")
    await becomes(cluster, job.job_id, "SUSPENDED")
    assert (await act(cluster, job.job_id, action="CANCEL"))["status"] == "CANCELLING"
    ended = await becomes(cluster, job.job_id, "CANCELLED")
    assert not ended["frozen"]
    assert "saved" in (await cluster.follow(job.job_id))[0]


async def test_all_ranks_of_a_job_are_frozen_before_it_is(cluster: Cluster):
    async with cluster.another_agent("second"):
        job = await cluster.submit("sh", "-c", TICKS, nodes=2, resources={"gpu_count": 1})
        await becomes(cluster, job.job_id, "RUNNING")
        await act(cluster, job.job_id, action="SUSPEND", mode="FREEZE")
        await becomes(cluster, job.job_id, "SUSPENDED")
        before = await log(cluster, job.job_id)
        await asyncio.sleep(0.3)
        assert await log(cluster, job.job_id) == before
        await act(cluster, job.job_id, action="RESUME")
        await becomes(cluster, job.job_id, "RUNNING")
        await act(cluster, job.job_id, action="CANCEL", force=True)  # type: ignore[arg-type]
        await becomes(cluster, job.job_id, "CANCELLED")
