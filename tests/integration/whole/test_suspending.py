"""A job gives its place up when it is suspended and goes on from what it saved, over REST, on a real node."""

import asyncio

from tests.support.cluster import Cluster

# Works until it is told to leave, and then saves how far it has come; goes on from there.
SCRIPT = """
exec 2>/dev/null  # where the shell tells that its sleep was ended
echo "attempt $WINDLASS_ATTEMPT begins at $(cat "$WINDLASS_RESTORE_FROM/at" 2>/dev/null || echo 0)"
trap 'echo 7 > "$WINDLASS_CHECKPOINT_DIR/at"; exit 0' TERM
[ "$WINDLASS_ATTEMPT" = 1 ] || exit 0
while :; do sleep 0.05; done
"""


async def test_a_suspended_job_goes_on_from_what_it_saved(any_cluster: Cluster):
    job = await any_cluster.submit("sh", "-c", SCRIPT)
    await any_cluster.wait_for_output(job.job_id, "attempt 1")
    url = f"/v1/jobs/{job.job_id}/status"
    async with any_cluster.rest() as rest:
        answer = await rest.patch(url, json={"action": "SUSPEND", "reason": "demo"})
        assert (answer.status_code, answer.json()["status"]) == (200, "SUSPENDING")
        async with asyncio.timeout(60):
            while (await rest.get(f"/v1/jobs/{job.job_id}")).json()["status"] == "SUSPENDING":
                pass
        paused = (await rest.get(f"/v1/jobs/{job.job_id}")).json()
        assert (paused["status"], paused["status_message"]) == (
            "SUSPENDED",
            "suspended by admin: demo",
        )
        listed = (await rest.get("/v1/jobs?status=SUSPENDED")).json()["jobs"]
        assert [one["job_id"] for one in listed] == [job.job_id]
        assert (await rest.patch(url, json={"action": "RESUME"})).status_code == 200
        text, _ = await any_cluster.follow(job.job_id)
        ended = (await rest.get(f"/v1/jobs/{job.job_id}")).json()
    assert text == "attempt 1 begins at 0\nattempt 2 begins at 7\n"
    assert (ended["status"], ended["attempt"]) == ("SUCCEEDED", 2)
