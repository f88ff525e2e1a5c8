"""A job of higher priority takes the place of another, which goes on from its checkpoint, over REST."""

import asyncio

from tests.support.cluster import Cluster
from windlass.jobs.v1 import job_pb2
from windlass.types.v1 import types_pb2

ALL = types_pb2.ResourceRequest(gpu_count=8)
POLICY = "/v1/resources/policies/default"
# Works until it is told to leave, and then saves how far it has come; goes on from there.
LOW = """
exec 2>/dev/null  # where the shell tells that its sleep was ended
echo "attempt $WINDLASS_ATTEMPT begins at $(cat "$WINDLASS_RESTORE_FROM/at" 2>/dev/null || echo 0)"
trap 'echo 7 > "$WINDLASS_CHECKPOINT_DIR/at"; exit 85' TERM
[ "$WINDLASS_ATTEMPT" = 1 ] || exit 0
while :; do sleep 0.05; done
"""


async def test_the_lower_one_is_saved_gives_way_and_goes_on_from_its_checkpoint(
    any_cluster: Cluster,
):
    cluster = any_cluster
    async with cluster.rest() as rest:
        spec = {"preemption": {"enabled": True, "min_run_time": "0s", "back_off": "0s"}}
        answer = await rest.patch(POLICY, json=spec)
        assert answer.status_code == 200, answer.text
        low = await cluster.submit("sh", "-c", LOW, resources=ALL)
        kept = await cluster.submit("true", resources=ALL, preemptible=False)
        await cluster.wait_for_output(low.job_id, "attempt 1")
        high = await cluster.submit("sleep", "600", resources=ALL, priority=500)
        async with asyncio.timeout(60):
            while (await cluster.get(high.job_id)).status != job_pb2.Job.RUNNING:
                pass
        waiting = await cluster.get(low.job_id)
        assert waiting.status == job_pb2.Job.QUEUED
        assert waiting.checkpoint.attempt == 1
        await rest.patch(f"/v1/jobs/{high.job_id}/status", json={"action": "CANCEL"})

        text, end = await cluster.follow(low.job_id)
        assert end.status == job_pb2.Job.SUCCEEDED
        assert text == "attempt 1 begins at 0\nattempt 2 begins at 7\n"
        events = (await rest.get(f"/v1/jobs/{low.job_id}/events")).json()["events"]
        told = {one["reason"]: one["message"] for one in events}
        assert told["PREEMPTED"] == f"it was stopped for {high.job_id}, which has priority 500"
        assert "CHECKPOINT_SAVED" in told
        events = (await rest.get(f"/v1/jobs/{high.job_id}/events")).json()["events"]
        told = {one["reason"]: one["message"] for one in events}
        assert told["MAKING_ROOM"] == f"stopped for it: {low.job_id}"
        metrics = (await rest.get("/metrics")).text
    assert not (await cluster.get(kept.job_id)).preemptible
    assert "windlass_preemptions_total 1.0" in metrics


async def test_a_job_of_two_nodes_takes_the_places_of_two_which_go_on_from_their_checkpoints(
    cluster: Cluster,
):
    async with cluster.another_agent("other"), cluster.rest() as rest:
        spec = {"preemption": {"enabled": True, "min_run_time": "600s", "back_off": "0s"}}
        answer = await rest.patch(POLICY, json=spec)
        assert answer.status_code == 200, answer.text
        lows = [await cluster.submit("sh", "-c", LOW, resources=ALL) for _ in range(2)]
        for low in lows:
            await cluster.wait_for_output(low.job_id, "attempt 1")
        body = {
            "command": ["sleep", "600"],
            "nodes": 2,
            "resources": {"gpu_count": 8},
            "priority": 500,
        }
        asked = await rest.post("/v1/jobs?validate_only=true", json=body)
        forecast = asked.json()["forecast"]
        assert forecast["victims"] == []
        (rule,) = forecast["withheld"]
        assert rule["rule"] == "MIN_RUN_TIME"
        assert {one["job_id"] for one in rule["victims"]} == {low.job_id for low in lows}
        assert rule["until"] > forecast["time"]
        spec["preemption"]["min_run_time"] = "0s"
        assert (await rest.patch(POLICY, json=spec)).status_code == 200
        asked = await rest.post("/v1/jobs?validate_only=true", json=body)
        forecast = asked.json()["forecast"]
        assert forecast["withheld"] == []
        assert {one["job_id"] for one in forecast["victims"]} == {low.job_id for low in lows}
        assert len({one["node_id"] for one in forecast["victims"]}) == 2

        high = await cluster.submit("sleep", "600", nodes=2, resources=ALL, priority=500)
        async with asyncio.timeout(60):
            while (await cluster.get(high.job_id)).status != job_pb2.Job.RUNNING:
                pass
        assert len({one.node_id for one in (await cluster.get(high.job_id)).placements}) == 2
        for low in lows:
            waiting = await cluster.get(low.job_id)
            assert waiting.status == job_pb2.Job.QUEUED
            assert waiting.checkpoint.attempt == 1
        await rest.patch(f"/v1/jobs/{high.job_id}/status", json={"action": "CANCEL"})
        for low in lows:
            text, end = await cluster.follow(low.job_id)
            assert end.status == job_pb2.Job.SUCCEEDED
            assert text == "attempt 1 begins at 0\nattempt 2 begins at 7\n"
        events = (await rest.get(f"/v1/jobs/{high.job_id}/events")).json()["events"]
        told = {one["reason"]: one["message"] for one in events}
        assert all(low.job_id in told["MAKING_ROOM"] for low in lows)
