"""Jobs that wait for others run one after the other on a real node, each as soon as it may."""

import asyncio

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


async def test_singletons_of_a_name_run_one_at_a_time_and_keep_what_is_noted(any_cluster: Cluster):
    async with any_cluster.rest() as rest:
        body = {
            "name": "nightly",
            "command": ["sleep", "0.3"],
            "dependencies": [{"type": "SINGLETON"}],
            "annotations": {"note": "a=b\nc"},
        }
        answers = await asyncio.gather(*(rest.post("/v1/jobs", json=body) for _ in range(3)))
        jobs = sorted(answer.json()["job_id"] for answer in answers)
        for job_id in jobs:
            async with rest.stream("GET", f"/v1/jobs/{job_id}/logs?follow=true") as log:
                await log.aread()
        ends = [(await rest.get(f"/v1/jobs/{job_id}")).json() for job_id in jobs]
    assert [one["status"] for one in ends] == ["SUCCEEDED"] * 3
    assert [one["annotations"] for one in ends] == [{"note": "a=b\nc"}] * 3
    assert [one["dependencies"][0]["type"] for one in ends] == ["SINGLETON"] * 3
    times = sorted((one["start_time"], one["end_time"]) for one in ends)
    assert times[0][1] <= times[1][0]
    assert times[1][1] <= times[2][0]
