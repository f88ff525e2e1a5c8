"""Jobs that share a GPU, in real processes."""

import asyncio
from typing import Any

import httpx

from tests.support.cluster import Cluster

POOL = "/v1/resources/pools/default"
# The task says what it was told, and stays.
TELL = (
    'echo "has $WINDLASS_GPU_MILLIS, $CUDA_MPS_ACTIVE_THREAD_PERCENTAGE %,'
    ' $CUDA_MPS_PINNED_DEVICE_MEM_LIMIT of $CUDA_VISIBLE_DEVICES."; sleep 600'
)


async def submit(rest: httpx.AsyncClient, millis: int, **resources: Any) -> httpx.Response:
    asked = {"gpu_millis": millis, "cpu_millis": 100} | resources
    return await rest.post("/v1/jobs", json={"command": ["sh", "-c", TELL], "resources": asked})


async def the_job(rest: httpx.AsyncClient, job_id: str, status: str) -> Any:
    """The job when it has this status."""
    async with asyncio.timeout(30):
        while (job := (await rest.get(f"/v1/jobs/{job_id}")).json())["status"] != status:
            pass
    return job


async def shared_gpus(rest: httpx.AsyncClient, *, processes: int) -> list[Any]:
    """The GPUs that are shared, when so many processes are seen on them."""
    async with asyncio.timeout(30):
        while True:
            (node,) = (await rest.get("/v1/resources/nodes")).json()["nodes"]
            shared = [gpu for gpu in node["gpus"] if gpu["shares"]]
            if sum(len(gpu["processes"]) for gpu in shared) == processes:
                return shared


async def test_jobs_share_a_gpu_are_told_their_shares_and_leave_it_whole(cluster: Cluster):
    async with cluster.rest() as rest:
        refused = await submit(rest, 250)
        reason = refused.json()["details"][0]["reason"]
        assert (refused.status_code, reason) == (400, "GPU_SHARING_NOT_ALLOWED"), refused.text

        sharing = {"sharing": {"enabled": True, "max_jobs_per_gpu": 3}}
        assert (await rest.patch(POOL, json=sharing)).status_code == 200
        made = [(await submit(rest, millis, gpu_type="H100")).json() for millis in (250, 500)]
        jobs = [await the_job(rest, one["job_id"], "RUNNING") for one in made]
        assert [job["resources"]["gpu_count"] for job in jobs] == [1, 1]
        (uuid,) = {uuid for job in jobs for uuid in job["placement"]["gpu_uuids"]}
        for job, said in zip(
            jobs, ("has 250, 25 %, 0=20389M of", "has 500, 50 %, 0=40779M of"), strict=True
        ):
            await cluster.wait_for_output(job["job_id"], f"{said} {uuid}.")

        (gpu,) = await shared_gpus(rest, processes=2)
        assert (gpu["uuid"], gpu["run_id"], gpu["allocation_id"]) == (uuid, "", "")
        runs = [job["placement"]["run_id"] for job in jobs]
        shares = {share["run_id"]: share["gpu_millis"] for share in gpu["shares"]}
        assert shares == dict(zip(runs, (250, 500), strict=True))
        assert {process["run_id"] for process in gpu["processes"]} == set(runs)
        whole = await submit(rest, 0, gpu_count=8)
        waiting = (await rest.get(f"/v1/jobs/{whole.json()['job_id']}")).json()
        assert waiting["status"] == "QUEUED"

        # Those that share stay; nobody joins them.
        assert await rest.patch(POOL, json={"sharing": {}}, params={"update_mask": "sharing"})
        assert (await submit(rest, 250)).status_code == 400
        for job in jobs:
            assert (await the_job(rest, job["job_id"], "RUNNING"))["attempt"] == 1
            await rest.patch(f"/v1/jobs/{job['job_id']}/status", json={"action": "CANCEL"})
        # The card is whole again when the last has gone.
        started = await the_job(rest, waiting["job_id"], "RUNNING")
        assert uuid in started["placement"]["gpu_uuids"]
        assert await shared_gpus(rest, processes=0) == []
        usage = (await rest.get("/v1/resources/usage", params={"group_by": "holder_id"})).json()
        held = {row["holder_id"]: float(row["held"]["gpu_seconds"]) for row in usage["rows"]}
        assert 0 < held[jobs[0]["job_id"]] < held[jobs[1]["job_id"]]
