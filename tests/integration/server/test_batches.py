"""Many jobs in one call: each has a result of its own, and what is accepted is there."""

from google.rpc import code_pb2, error_details_pb2, status_pb2

from tests.support.jobs_api import JobsApi
from tests.support.nodes import node_columns
from tests.support.quotas import set_quota
from windlass.jobs.v1 import job_batch_pb2, job_pb2, jobs_service_pb2
from windlass_server.storage.guard import acting_as

MANY = 300


async def submit(
    api: JobsApi, *jobs: job_pb2.Job, request_id: str = ""
) -> list[job_batch_pb2.BatchSubmitJobsResponse.Result]:
    request = job_batch_pb2.BatchSubmitJobsRequest(jobs=jobs, request_id=request_id)
    response = job_batch_pb2.BatchSubmitJobsResponse
    return list((await api.call("BatchSubmitJobs", request, response)).results)


async def stored(api: JobsApi) -> list[str]:
    request = jobs_service_pb2.ListJobsRequest(page_size=1000)
    page = await api.call("ListJobs", request, jobs_service_pb2.ListJobsResponse)
    return [job.job_id for job in page.jobs][::-1]


def job(*command: str, **fields: object) -> job_pb2.Job:
    return job_pb2.Job(command=command or ["true"], **fields)  # type: ignore[arg-type]


def reason(error: status_pb2.Status) -> str:
    info = error_details_pb2.ErrorInfo()
    assert error.details[0].Unpack(info)
    return info.reason


async def test_each_job_of_a_batch_is_there_with_its_first_event_and_is_planned(api: JobsApi):
    results = await submit(api, *(job(labels={"n": str(n)}) for n in range(MANY)))
    ids = [one.job.job_id for one in results]
    assert [one.job.labels["n"] for one in results] == [str(n) for n in range(MANY)]
    assert await stored(api) == ids == api.queued
    request = jobs_service_pb2.ListJobEventsRequest(job_id=ids[-1])
    events = await api.call("ListJobEvents", request, jobs_service_pb2.ListJobEventsResponse)
    assert [event.reason for event in events.events] == ["SUBMITTED"]


async def test_what_is_wrong_with_one_keeps_none_of_the_others_out(api: JobsApi):
    with acting_as("test"):
        await api.database.write(lambda tx: tx.nodes.add(node_columns(gpus=0)))
        await api.database.read(api.cluster.load)
    badly_timed = job()
    badly_timed.start_after.nanos = -5
    results = await submit(
        api,
        job(),
        job_pb2.Job(name="no command"),
        job(project="not-there"),
        job(dependencies=[job_pb2.Dependency(job_id="job-gone", type="AFTER")]),
        job("x" * 4096, *("y" * 4000 for _ in range(40))),
        badly_timed,
        job(resources={"gpu_count": 8}),
        job(),
    )
    codes = [one.error.code for one in results]
    invalid, absent = code_pb2.INVALID_ARGUMENT, code_pb2.NOT_FOUND
    assert codes == [0, invalid, absent, absent, invalid, invalid, invalid, 0]
    assert reason(results[6].error) == "UNSATISFIABLE_RESOURCES"
    bad = error_details_pb2.BadRequest()
    assert results[1].error.details[1].Unpack(bad)
    assert [violation.field for violation in bad.field_violations] == ["job"]
    assert await stored(api) == [results[0].job.job_id, results[7].job.job_id]


async def test_the_same_batch_again_answers_the_same_jobs_and_tries_the_refused_anew(api: JobsApi):
    batch = [job(), job(dependencies=[job_pb2.Dependency(job_id="job-gone", type="AFTER")]), job()]
    first = await submit(api, *batch, request_id="once")
    again = await submit(api, *batch, request_id="once")
    assert [one.job for one in again] == [one.job for one in first]
    assert again[1].error.code == code_pb2.NOT_FOUND
    assert len(await stored(api)) == 2


async def test_another_job_at_a_place_of_a_batch_that_was_sent_is_refused(api: JobsApi):
    await submit(api, job(), job(), request_id="once")
    results = await submit(api, job(), job("false"), job(), request_id="once")
    assert [one.error.code for one in results] == [0, code_pb2.ABORTED, 0]
    assert reason(results[1].error) == "REQUEST_ID_REUSED"
    assert len(await stored(api)) == 3


async def test_as_many_of_a_batch_as_may_wait_are_let_in_and_the_first_of_it(api: JobsApi):
    with acting_as("test"):
        await set_quota(api.database, limit={"queued_jobs": 5})
    results = await submit(api, *(job() for _ in range(20)))
    assert [bool(one.job.job_id) for one in results] == [True] * 5 + [False] * 15
    assert {one.error.code for one in results[5:]} == {code_pb2.RESOURCE_EXHAUSTED}
    assert await stored(api) == [one.job.job_id for one in results[:5]]
