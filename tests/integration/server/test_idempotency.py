"""The same request_id makes one job, however often and however fast it comes."""

import asyncio

import pytest

from tests.support.jobs_api import JobsApi
from windlass.jobs.v1 import job_pb2
from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.rpc.pipeline import CallFailed


async def submit(api: JobsApi, request_id: str, *command: str) -> job_pb2.Job:
    request = pb.SubmitJobRequest(job=job_pb2.Job(command=command), request_id=request_id)
    return job_pb2.Job.FromString(await api.call("SubmitJob", request))


async def count(api: JobsApi) -> int:
    page = await api.call("ListJobs", pb.ListJobsRequest(page_size=1000))
    return len(pb.ListJobsResponse.FromString(page).jobs)


async def test_a_repeated_submit_answers_the_same_job(api: JobsApi):
    first = await submit(api, "r1", "true")
    assert await submit(api, "r1", "true") == first
    assert await submit(api, "r2", "true") != first
    assert await count(api) == 2


async def test_submits_at_the_same_time_make_one_job(api: JobsApi):
    jobs = await asyncio.gather(*(submit(api, "r1", "true") for _ in range(10)))
    assert len({job.job_id for job in jobs}) == 1
    assert await count(api) == 1


async def test_the_same_request_id_for_another_job_is_refused(api: JobsApi):
    await submit(api, "r1", "true")
    with pytest.raises(CallFailed) as refused:
        await submit(api, "r1", "false")
    assert refused.value.status.code == 10
    assert "REQUEST_ID_REUSED" in str(refused.value.status)
    assert await count(api) == 1


async def test_validate_only_writes_nothing(api: JobsApi):
    request = pb.SubmitJobRequest(job=job_pb2.Job(command=["true"]), validate_only=True)
    answer = job_pb2.Job.FromString(await api.call("SubmitJob", request))
    assert (answer.job_id, answer.status) == ("", job_pb2.Job.QUEUED)
    assert await count(api) == 0
