"""Jobs that wait for others run one after the other on a real node, each as soon as it may."""

from tests.support.cluster import Cluster


async def test_jobs_that_wait_for_others_run_when_those_have_come_to_it(any_cluster: Cluster):
    async with any_cluster.rest() as rest:

        async def submit(*command: str, **awaited: str) -> str:
            named = [{"job_id": job_id, "type": way} for way, job_id in awaited.items()]
            body = {"command": command, "dependencies": named}
            answer = await rest.post("/v1/jobs", json=body)
            assert answer.status_code == 200, answer.text
            return str(answer.json()["job_id"])

        first = await submit("sh", "-c", "exit 3")
        beside = await submit("true", AFTER=first)
        vain = await submit("true", AFTER_OK=first)
        mending = await submit("true", AFTER_NOT_OK=first, AFTER_ANY=vain)
        last = await submit("true", AFTER_OK=mending)
        ends = {}
        for job_id in (beside, vain, mending, last, first):
            async with rest.stream("GET", f"/v1/jobs/{job_id}/logs?follow=true") as log:
                await log.aread()
            ends[job_id] = (await rest.get(f"/v1/jobs/{job_id}")).json()
    assert [ends[one]["status"] for one in (first, beside, vain, mending, last)] == [
        "FAILED", "SUCCEEDED", "CANCELLED", "SUCCEEDED", "SUCCEEDED",
    ]  # fmt: skip
    assert ends[vain]["status_reason"] == "DEPENDENCY_NEVER_MET"
    assert ends[mending]["start_time"] > ends[first]["end_time"]
    assert ends[last]["dependencies"] == [
        {"job_id": mending, "type": "AFTER_OK", "follow_retries": False}
    ]
