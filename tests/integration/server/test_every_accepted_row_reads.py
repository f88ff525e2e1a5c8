"""Whatever a submit accepts, every read of it succeeds afterwards and gives it back."""

import json
import random

import pytest
from grpc import StatusCode
from protobuf.wkt import FileDescriptorSet

from tests.support.gateway import windlass_descriptors
from tests.support.jobs_api import JobsApi
from windlass.jobs.v1 import job_pb2
from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.gateway.json_print import print_message
from windlass_server.rpc.pipeline import CallFailed

REGISTRY = FileDescriptorSet.from_binary(windlass_descriptors()).to_registry()
JOBS = 150
NASTY = [
    "",
    "a",
    "\0",
    "\n",
    "\x1f",
    "\x7f",
    "\u0085",
    "\u202eabc",
    "\ufeff",
    "\uffff",
    "\U0010ffff",
    "👩‍👩‍👧",
    "é" * 60,
    "e\u0301",
    "' OR 1=1 --",
    '"; DROP TABLE jobs; --',
    "%_\\",
    '{"jobs":[]}',
    "\\u0000",
    "<script>",
    "${HOME}",
    " ",
    "x" * 63,
    "x" * 200,
    "-1",
    "NaN",
]


def a_job(rng: random.Random) -> job_pb2.Job:
    """A job in which some of the fields are nasty."""
    job = job_pb2.Job(command=["true", *rng.choices(NASTY, k=rng.randrange(4))])
    if rng.random() < 0.7:
        job.name = rng.choice(NASTY) + rng.choice(NASTY)
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        job.labels[rng.choice(["a", "b.c/d", "Z9", *NASTY])] = rng.choice(NASTY)
        job.environment.variables[rng.choice(["A", "_x", *NASTY])] = rng.choice(NASTY)
    if rng.random() < 0.3:
        job.environment.working_directory = "/" + rng.choice(NASTY)
    job.priority = rng.choice([0, -1000, 1000])
    job.resources.cpu_millis = rng.choice([0, 1, 500, 10_000_000])
    job.resources.memory_bytes = rng.choice([0, 1, 1 << 50])
    job.resources.gpu_count = rng.choice([0, 1, 1024])
    job.time_limit.seconds = rng.choice([1, 31_536_000])
    if rng.random() < 0.2:
        job.priority = rng.choice([1001, -(2**31), 2**31 - 1])
    if rng.random() < 0.2:
        job.resources.memory_bytes = rng.choice([2**63 - 1, -1])
    if rng.random() < 0.2:
        job.time_limit.seconds = rng.choice([0, 2**63 - 1, -5])
        job.time_limit.nanos = rng.choice([999_999_999, -1])
    return job


def as_json(name: str, message: bytes) -> object:
    type_ = REGISTRY.message(f"windlass.jobs.v1.{name}").type
    return json.loads(print_message(type_.from_binary(message), REGISTRY))


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_list_and_read_survives_every_row_that_a_submit_accepted(
    api: JobsApi, seed: int
):
    rng = random.Random(seed)
    accepted: list[job_pb2.Job] = []
    refused: set[int] = set()
    for _ in range(JOBS):
        wanted = a_job(rng)
        try:
            answer = await api.call("SubmitJob", pb.SubmitJobRequest(job=wanted))
        except CallFailed as failed:
            refused.add(failed.status.code)
            continue
        job = job_pb2.Job.FromString(answer)
        assert job.command == wanted.command
        assert job.labels == wanted.labels
        assert job.environment == wanted.environment
        accepted.append(job)
    assert JOBS / 15 < len(accepted) < JOBS
    assert refused == {StatusCode.INVALID_ARGUMENT.value[0]}

    for job in accepted:
        read = await api.call("GetJob", pb.GetJobRequest(job_id=job.job_id))
        assert job_pb2.Job.FromString(read) == job
        assert as_json("Job", read)["command"] == list(job.command)
        by_label = [f"{key}={value}" for key, value in job.labels.items()]
        wanted = pb.ListJobsRequest(name=job.name, user="ada", queue="default", labels=by_label)
        page = pb.ListJobsResponse.FromString(await api.call("ListJobs", wanted))
        assert job in page.jobs
        events = await api.call("ListJobEvents", pb.ListJobEventsRequest(job_id=job.job_id))
        assert as_json("ListJobEventsResponse", events)["events"][0]["reason"] == "SUBMITTED"

    listed = await api.call("ListJobs", pb.ListJobsRequest(page_size=1000))
    page = pb.ListJobsResponse.FromString(listed)
    assert [job.job_id for job in page.jobs] == [job.job_id for job in reversed(accepted)]
    assert len(as_json("ListJobsResponse", listed)["jobs"]) == len(accepted)
