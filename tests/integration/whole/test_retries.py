"""Jobs that have failed are run again, through REST, the command line's client and gRPC, on a real node."""

from tests.support.cluster import Cluster


async def test_a_failed_job_is_retried_with_what_is_otherwise(any_cluster: Cluster):
    async with any_cluster.rest() as rest:

        async def ended(job_id: str) -> dict[str, object]:
            async with rest.stream("GET", f"/v1/jobs/{job_id}/logs?follow=true") as log:
                await log.aread()
            found: dict[str, object] = (await rest.get(f"/v1/jobs/{job_id}")).json()
            return found

        script = "cat $WINDLASS_RESTORE_FROM/code; echo $CODE > $WINDLASS_CHECKPOINT_DIR/code; exit $CODE"
        body = {
            "command": ["sh", "-c", script],
            "environment": {"variables": {"CODE": "3", "KEPT": "1"}},
        }
        first = (await rest.post("/v1/jobs", json=body)).json()["job_id"]
        follower = {"job_id": first, "type": "AFTER_OK", "follow_retries": True}
        then = {"command": ["true"], "dependencies": [follower]}
        after = (await rest.post("/v1/jobs", json=then)).json()["job_id"]
        assert (await ended(first))["status"] == "FAILED"

        action = {
            "action": "RETRY",
            "reason": "flaky disk",
            "request_id": "once",
            "overrides": {"environment": {"variables": {"CODE": "0"}}},
        }
        answers = [await rest.patch(f"/v1/jobs/{first}/status", json=action) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
        retry = answers[0].json()
        assert answers[1].json()["job_id"] == retry["job_id"] != first
        assert (retry["retry_of"], retry["root_job_id"], retry["attempt"]) == (first, first, 1)
        assert retry["environment"]["variables"] == {"CODE": "0", "KEPT": "1"}

        second = await ended(retry["job_id"])
        assert (second["status"], second["attempt"]) == ("SUCCEEDED", 2)
        log = (await rest.get(f"/v1/jobs/{retry['job_id']}/logs")).text
        # It found what the failed one had saved.
        assert "3" in log
        assert (await ended(after))["status"] == "SUCCEEDED"
        events = (await rest.get(f"/v1/jobs/{first}/events")).json()["events"]
        told = events[-1]
        assert (told["reason"], told["actor"]) == ("RETRIED", "admin")
        assert told["message"] == f"retried as {retry['job_id']}: flaky disk"
        still = await rest.patch(f"/v1/jobs/{after}/status", json={"action": "RETRY"})
        assert still.status_code == 200
        await ended(still.json()["job_id"])
