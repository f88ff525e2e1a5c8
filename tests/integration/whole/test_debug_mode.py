"""Debug mode on a real node: it shows more, and lets a job have nothing that it would not have without."""

import asyncio
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from windlass.jobs.v1 import job_pb2

SCRIPT = "echo hello; echo found > here.txt; exit 3"


async def kept(cluster: Cluster, run_id: str) -> Path:
    """The folder that the node keeps of a run, once it does."""
    while True:
        found = [*cluster.directory.rglob(f"kept/{run_id}.*")]
        if found:
            return found[0]
        await asyncio.sleep(0.02)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_folder_of_a_run_is_kept_and_the_log_tells_what_its_node_did(shared: Cluster):
    jobs = []
    for debug in (False, True):
        job = await shared.submit("sh", "-c", SCRIPT, debug_mode=debug)
        text, _ = await shared.follow(job.job_id)
        jobs.append((await shared.get(job.job_id), text))
    (plain, plain_text), (job, text) = jobs
    assert "windlass:" not in plain_text
    assert "windlass: process " in text
    assert f"with isolation {job_pb2.Job().isolation.Level.Name(job.isolation.level)}" in text
    assert "windlass: it ended: COMPLETED, exit code 3" in text
    folder = await kept(shared, job.placement.run_id)
    assert f"kept/{folder.name}" in text
    assert (folder / "work" / "here.txt").read_text() == "found\n"
    assert not [*shared.directory.rglob(f"kept/{plain.placement.run_id}.*")]
    # All else is as without it.
    assert job.isolation == plain.isolation
    assert (job.status, job.exit_code, job.attempt) == (plain.status, plain.exit_code, 1)
    assert job.resources == plain.resources


@pytest.mark.asyncio(loop_scope="module")
async def test_it_is_noted_metered_and_bounded_as_any_job_and_needs_a_permission(shared: Cluster):
    body = {"command": ["sh", "-c", "sleep 0.2"], "debug_mode": True}
    async with shared.rest() as rest:
        job = (await rest.post("/v1/jobs", json=body)).json()
        await shared.follow(job["job_id"])
        events = (await rest.get(f"/v1/jobs/{job['job_id']}/events")).json()["events"]
        noted = [one["actor"] for one in events if one["reason"] == "DEBUG_MODE"]
        assert noted == ["admin"]
        full = (await rest.get(f"/v1/jobs/{job['job_id']}", params={"view": "FULL"})).json()
        assert float(full["cost"]["cpu_core_seconds"]) >= 0.2
        too_much = await rest.post("/v1/jobs", json=body | {"resources": {"gpu_count": 16}})
        assert too_much.status_code == 400
        dry = await rest.post("/v1/jobs", params={"validate_only": "true"}, json=body)
        assert dry.status_code == 200
    developer = await shared.key_for("dora", "default", "DEVELOPER")
    async with shared.rest(developer) as rest:
        for asked in (body, {"jobs": [body]}):
            path = "/v1/jobs:batch" if "jobs" in asked else "/v1/jobs"
            answer = await rest.post(path, json=asked)
            said = answer.text
            assert "jobs.debug" in said or answer.status_code == 403, said
            assert "PERMISSION_DENIED" in said or '"code":7' in said.replace(" ", ""), said
        # Nor by a retry of one.
        retry = {"action": "RETRY", "request_id": "debug-retry"}
        answer = await rest.patch(f"/v1/jobs/{job['job_id']}/status", json=retry)
        assert answer.status_code == 403, answer.text
        plain = await rest.post("/v1/jobs", json={"command": ["true"]})
        assert plain.status_code == 200
