"""Jobs as large as they are accepted do not break the lists that they are in."""

import pytest

from tests.support.jobs_api import JobsApi
from windlass.jobs.v1 import job_pb2
from windlass.jobs.v1 import jobs_service_pb2 as pb

# What a gRPC client takes by default.
CLIENT_BYTES = 4 * 1024 * 1024
VARIABLES = {f"V{number}": "x" * 130_000 for number in range(8)}


async def submit_large(api: JobsApi) -> str:
    job = job_pb2.Job(command=["true", "x" * 120_000])
    job.environment.variables.update(VARIABLES)
    return (await api.call("SubmitJob", pb.SubmitJobRequest(job=job), job_pb2.Job)).job_id


@pytest.mark.parametrize("size", [0, 1, 5, 1000])
async def test_every_page_of_large_jobs_fits_into_what_a_client_takes(api: JobsApi, size: int):
    submitted = [await submit_large(api) for _ in range(5)]
    found: list[str] = []
    token = ""
    while token or not found:
        request = pb.ListJobsRequest(page_size=size, page_token=token)
        answer = await api.call_bytes("ListJobs", request.SerializeToString())
        assert len(answer) <= CLIENT_BYTES
        page = pb.ListJobsResponse.FromString(answer)
        found += [job.job_id for job in page.jobs]
        token = page.next_page_token
    assert found == submitted[::-1]


async def test_what_the_contract_does_not_know_is_not_kept(api: JobsApi):
    known = job_pb2.Job(command=["true"])
    known.environment.working_directory = "/tmp"
    known.resources.cpu_millis = 1
    unknown = b"\xfa\x3f\x80\x80\x80\x01" + b"x" * (1 << 21)  # field 1023, two MiB
    for holder in ("", "environment", "resources"):
        job = job_pb2.Job()
        job.CopyFrom(known)
        (getattr(job, holder) if holder else job).MergeFromString(unknown)
        answer = await api.call("SubmitJob", pb.SubmitJobRequest(job=job), job_pb2.Job)
        read = await api.call("GetJob", pb.GetJobRequest(job_id=answer.job_id), job_pb2.Job)
        assert answer.ByteSize() < 1000
        assert read == answer
