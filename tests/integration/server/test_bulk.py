"""One thing done to many jobs at once, through the pipeline, on both engines."""

import pytest

from tests.support.jobs_api import JobsApi
from windlass.jobs.v1 import job_pb2
from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.rpc.pipeline import CallFailed

Job = job_pb2.Job


async def submit(api: JobsApi, **fields: object) -> str:
    job = Job(command=["true"], **fields)  # type: ignore[arg-type]
    return (await api.call("SubmitJob", pb.SubmitJobRequest(job=job), Job)).job_id


async def act(api: JobsApi, **request: object) -> pb.UpdateJobStatusesResponse:
    wanted = pb.UpdateJobStatusesRequest(**request)  # type: ignore[arg-type]
    return await api.call("UpdateJobStatuses", wanted, pb.UpdateJobStatusesResponse)


async def status(api: JobsApi, job_id: str) -> str:
    job = await api.call("GetJob", pb.GetJobRequest(job_id=job_id), Job)
    return Job.Status.Name(job.status)


async def test_what_a_filter_finds_is_cancelled_and_nothing_else(api: JobsApi):
    ours = [await submit(api, labels={"team": "vision"}) for _ in range(3)]
    other = await submit(api, labels={"team": "audio"})
    answer = await act(api, filter={"labels": ["team=vision"]}, action="CANCEL", reason="typo")
    assert (answer.done_count, answer.refused_count, answer.next_page_token) == (3, 0, "")
    assert [one.job_id for one in answer.outcomes] == ours[::-1]
    assert {(one.previous_status, one.status) for one in answer.outcomes} == {
        (Job.QUEUED, Job.CANCELLED)
    }
    assert {await status(api, job_id) for job_id in ours} == {"CANCELLED"}
    assert await status(api, other) == "QUEUED"
    page = await api.call(
        "ListJobEvents", pb.ListJobEventsRequest(job_id=ours[0]), pb.ListJobEventsResponse
    )
    assert page.events[-1].message == f"cancelled by {page.events[-1].actor}: typo"


async def test_what_cannot_be_done_to_one_keeps_none_of_the_others_from_it(api: JobsApi):
    ended, waiting = await submit(api), await submit(api)
    await act(api, filter={"name": "true", "page_size": 1000}, action="HOLD")
    await api.call("CancelJob", pb.CancelJobRequest(job_id=ended), Job)
    answer = await act(api, filter={}, action="RELEASE")
    assert (answer.done_count, answer.refused_count) == (1, 1)
    outcomes = {one.job_id: one for one in answer.outcomes}
    assert outcomes[waiting].error_reason == ""
    assert outcomes[ended].error_reason == "JOB_WRONG_STATE"
    assert outcomes[ended].error_message == (
        "a CANCELLED job cannot be released: only what is QUEUED"
    )


@pytest.mark.parametrize(
    ("action", "queued", "cancelled"),
    [
        ("CANCEL", Job.CANCELLED, Job.CANCELLED),
        ("HOLD", Job.QUEUED, None),
        ("SUSPEND", None, None),
        ("RESUME", Job.QUEUED, None),
        ("RETRY", None, Job.QUEUED),
    ],
)
async def test_a_dry_run_says_what_would_be_and_changes_nothing(api, action, queued, cancelled):
    first, second = await submit(api), await submit(api)
    await api.call("CancelJob", pb.CancelJobRequest(job_id=second), Job)
    before = [
        await api.call("GetJob", pb.GetJobRequest(job_id=one), Job) for one in (first, second)
    ]
    answer = await act(api, filter={}, action=action, validate_only=True)
    found = {one.job_id: None if one.error_reason else one.status for one in answer.outcomes}
    assert found == {first: queued, second: cancelled}
    after = [await api.call("GetJob", pb.GetJobRequest(job_id=one), Job) for one in (first, second)]
    assert before == after
    listed = await api.call("ListJobs", pb.ListJobsRequest(), pb.ListJobsResponse)
    assert len(listed.jobs) == 2


async def test_many_jobs_are_done_page_by_page(api: JobsApi):
    jobs = {await submit(api) for _ in range(5)}
    seen: set[str] = set()
    token = ""
    while True:
        answer = await act(api, filter={"page_size": 2, "page_token": token}, action="CANCEL")
        seen |= {one.job_id for one in answer.outcomes}
        token = answer.next_page_token
        if not token:
            break
    assert seen == jobs


async def test_retries_of_many_name_the_new_jobs(api: JobsApi):
    first = await submit(api)
    await api.call("CancelJob", pb.CancelJobRequest(job_id=first), Job)
    for _ in range(2):
        answer = await act(api, filter={"status": ["CANCELLED"]}, action="RETRY")
        (outcome,) = answer.outcomes
        retry = await api.call("GetJob", pb.GetJobRequest(job_id=outcome.retry_job_id), Job)
        assert (retry.retry_of, outcome.status) == (first, Job.QUEUED)


@pytest.mark.parametrize(
    "request_",
    [
        {"action": "CANCEL"},
        {"filter": {}},
        {"filter": {}, "action": "HOLD", "force": True},
        {"filter": {"page_token": "nonsense"}, "action": "CANCEL"},
        {"filter": {"labels": ["nonsense"]}, "action": "CANCEL"},
        {"filter": {}, "action": "CANCEL", "reason": "x" * 1025},
    ],
)
async def test_what_says_not_what_to_do_to_whom_is_refused(api: JobsApi, request_):
    job_id = await submit(api)
    with pytest.raises(CallFailed):
        await act(api, **request_)
    assert await status(api, job_id) == "QUEUED"
