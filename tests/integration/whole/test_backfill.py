"""A big job keeps what it waits for from those behind it, with a real server and a real agent."""

import asyncio
from collections.abc import Callable

import pytest
from google.protobuf.duration_pb2 import Duration

from tests.support.cluster import Cluster
from windlass.jobs.v1 import job_pb2
from windlass.jobs.v1 import jobs_service_pb2 as pb

_PATIENCE_SECONDS = 30
HOUR = Duration(seconds=3600)
HELD = "WOULD_DELAY_EARLIER_JOB"
Status = job_pb2.Job.Status


async def submit(cluster: Cluster, gpus: int, limit: Duration | None = None) -> str:
    """A job for so many GPUs that goes on until it is cancelled."""
    job = await cluster.submit("sleep", "600", resources={"gpu_count": gpus}, time_limit=limit)
    return job.job_id


async def once(cluster: Cluster, job_id: str, wanted: Callable[[job_pb2.Job], bool]) -> job_pb2.Job:
    """The job when it is as wanted."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not wanted(job := await cluster.get(job_id)):
            pass
        return job


async def runs(cluster: Cluster, job_id: str) -> None:
    await once(cluster, job_id, lambda job: job.status == Status.RUNNING)


async def waits(cluster: Cluster, job_id: str, reason: str) -> job_pb2.Job:
    return await once(cluster, job_id, lambda job: job.status_reason == reason)


@pytest.mark.timeout(120)
async def test_a_short_job_slips_in_before_a_big_one_and_one_without_a_limit_waits(
    any_cluster: Cluster,
) -> None:
    cluster = any_cluster
    first = await submit(cluster, 4, HOUR)
    await runs(cluster, first)
    big = await submit(cluster, 8, HOUR)
    await waits(cluster, big, "INSUFFICIENT_GPUS")
    ever = await submit(cluster, 1)
    held = await waits(cluster, ever, HELD)
    assert big in held.status_message
    short = await submit(cluster, 1, Duration(seconds=600))
    await runs(cluster, short)

    request = pb.ExplainJobRequest(job_id=big)
    forecast = (await cluster.jobs.ExplainJob(request, metadata=cluster.metadata)).forecast
    running = await cluster.get(first)
    assert forecast.start_time_p90.seconds - running.start_time.seconds in range(3600, 3700)
    assert forecast.start_time_p50 == forecast.start_time_p90

    for job_id in (first, short):
        await cluster.jobs.CancelJob(pb.CancelJobRequest(job_id=job_id), metadata=cluster.metadata)
    await runs(cluster, big)
    assert (await cluster.get(ever)).status == Status.QUEUED
