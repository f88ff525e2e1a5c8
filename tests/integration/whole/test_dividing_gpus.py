"""A real server and a real agent whose simulated H100 is divided for jobs and made whole again."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.cluster import Cluster
from windlass.jobs.v1 import job_pb2, jobs_service_pb2

Seen = Callable[[job_pb2.Job], bool]
_SMALL = {"cpu_millis": 100, "memory_bytes": 1 << 25}


async def job_once(cluster: Cluster, job_id: str, seen: Seen) -> job_pb2.Job:
    """The job, when it is as wanted."""
    async with asyncio.timeout(60):
        while True:
            job = await cluster.get(job_id)
            if seen(job):
                return job


def running(job: job_pb2.Job) -> bool:
    return job.status == job_pb2.Job.RUNNING


async def the_card(cluster: Cluster) -> dict[str, Any]:
    async with cluster.rest() as rest:
        (node,) = (await rest.get("/v1/resources/nodes")).json()["nodes"]
        (card,) = node["cards"]
        return dict(card)


async def submit(cluster: Cluster, **resources: object) -> str:
    asked = _SMALL | resources
    return (await cluster.submit("sleep", "600", resources=asked)).job_id


async def cancel(cluster: Cluster, job_id: str) -> None:
    request = jobs_service_pb2.CancelJobRequest(job_id=job_id)
    await cluster.jobs.CancelJob(request, metadata=cluster.metadata)


async def test_eight_jobs_for_one_card_and_then_one_that_wants_it_whole(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, gpus="1xH100")
    try:
        await cluster.start_server()
        cluster.environment = {"WINDLASS_AGENT_DIVIDE_GPUS": "true"}
        await cluster.start_agent()
        uuid = (await the_card(cluster))["uuid"]

        # Seven have a part each, all on one card.
        first = [await submit(cluster, mig_profile="1g.10gb") for _ in range(7)]
        held = [
            (await job_once(cluster, job_id, running)).placement.gpu_uuids[0] for job_id in first
        ]
        assert len(set(held)) == 7
        card = await the_card(cluster)
        assert {one["uuid"] for one in card["instances"]} == set(held)
        assert sorted(one["memory_start"] for one in card["instances"]) == [*range(7)]

        # The eighth waits for one of them, and gets what that had.
        eighth = await submit(cluster, mig_profile="1g.10gb")
        job = await job_once(cluster, eighth, lambda job: job.status_reason == "INSUFFICIENT_GPUS")
        assert "most free on one node" in job.status_message
        await cancel(cluster, first[0])
        assert (await job_once(cluster, eighth, running)).placement.gpu_uuids == held[:1]

        # Who wants all of it gets it when nobody has a part of it any more.
        whole = await submit(cluster, gpu_count=1, gpu_type="H100")
        for job_id in (*first[1:], eighth):
            await cancel(cluster, job_id)
        assert (await job_once(cluster, whole, running)).placement.gpu_uuids == [uuid]
        card = await the_card(cluster)
        assert (card["divided"], card["layout_state"]) == (False, "DONE")
        await cancel(cluster, whole)
    finally:
        await cluster.stop()
