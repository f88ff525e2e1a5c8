"""A request id makes a submission happen once, however often and however fast it is sent."""

import asyncio

import pytest
from google.rpc import code_pb2, error_details_pb2

from tests.support.jobs_api import JobsApi
from tests.support.nodes import node_columns
from windlass.jobs.v1 import job_pb2, jobs_service_pb2
from windlass_server.rpc.pipeline import CallFailed
from windlass_server.storage.guard import acting_as

AT_ONCE = 10


async def submit(api: JobsApi, request_id: str, *command: str, **fields: object) -> job_pb2.Job:
    job = job_pb2.Job(command=command or ["true"], **fields)  # type: ignore[arg-type]
    request = jobs_service_pb2.SubmitJobRequest(job=job, request_id=request_id)
    return await api.call("SubmitJob", request, job_pb2.Job)


async def stored(api: JobsApi) -> list[job_pb2.Job]:
    request = jobs_service_pb2.ListJobsRequest()
    return list((await api.call("ListJobs", request, jobs_service_pb2.ListJobsResponse)).jobs)


async def test_the_same_request_twice_is_one_job_and_the_same_answer(api: JobsApi):
    first = await submit(api, "once")
    assert await submit(api, "once") == first
    assert await stored(api) == [first]
    another = await submit(api, "another")
    assert await stored(api) == [another, first]


async def test_ten_of_the_same_at_once_are_one_job_with_one_event(api: JobsApi):
    answers = await asyncio.gather(*(submit(api, "rush") for _ in range(AT_ONCE)))
    assert all(answer == answers[0] for answer in answers)
    assert await stored(api) == [answers[0]]
    assert api.queued == [answers[0].job_id]
    request = jobs_service_pb2.ListJobEventsRequest(job_id=answers[0].job_id)
    events = await api.call("ListJobEvents", request, jobs_service_pb2.ListJobEventsResponse)
    assert [event.reason for event in events.events] == ["SUBMITTED"]


async def test_without_a_request_id_each_of_ten_is_a_job(api: JobsApi):
    answers = await asyncio.gather(*(submit(api, "") for _ in range(AT_ONCE)))
    assert len({answer.job_id for answer in answers}) == AT_ONCE
    assert len(await stored(api)) == AT_ONCE


async def test_what_the_server_would_fill_in_makes_no_other_job_of_it(api: JobsApi):
    first = await submit(api, "defaults")
    same = await submit(api, "defaults", project="default", queue="default", name="true")
    assert same == first


async def test_another_job_under_a_used_request_id_is_refused(api: JobsApi):
    first = await submit(api, "taken")
    with pytest.raises(CallFailed) as refused:
        await submit(api, "taken", "false")
    assert refused.value.status.code == code_pb2.ABORTED
    assert reason_of(refused.value) == "REQUEST_ID_REUSED"
    assert await stored(api) == [first]


async def test_of_two_different_jobs_at_once_under_one_request_id_one_is_accepted(api: JobsApi):
    outcomes = await asyncio.gather(
        *(submit(api, "contested", "echo", str(number)) for number in range(AT_ONCE)),
        return_exceptions=True,
    )
    accepted = [outcome for outcome in outcomes if isinstance(outcome, job_pb2.Job)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, CallFailed)]
    assert len(refused) == AT_ONCE - 1
    assert {failure.status.code for failure in refused} == {code_pb2.ABORTED}
    assert await stored(api) == accepted


async def test_a_repeated_request_is_answered_with_what_became_of_the_job(api: JobsApi):
    first = await submit(api, "later")
    cancel = jobs_service_pb2.CancelJobRequest(job_id=first.job_id)
    cancelled = await api.call("CancelJob", cancel, job_pb2.Job)
    assert await submit(api, "later") == cancelled
    assert cancelled.status == job_pb2.Job.CANCELLED


async def test_a_repeat_is_answered_also_when_nothing_could_hold_the_job_any_more(api: JobsApi):
    resources = {"cpu_millis": 64_000}
    first = await submit(api, "before", resources=resources)
    await join_a_small_node(api)

    again = await submit(api, "before", resources=resources)
    with pytest.raises(CallFailed) as refused:
        await submit(api, "after", resources=resources)
    with pytest.raises(CallFailed) as other:
        await submit(api, "before", "false", resources=resources)

    assert again == first
    assert reason_of(refused.value) == "UNSATISFIABLE_RESOURCES"
    assert reason_of(other.value) == "REQUEST_ID_REUSED"


async def join_a_small_node(api: JobsApi) -> None:
    """Without any node everything might fit; with this one a job of 64 cores never does."""
    with acting_as("test"):
        await api.database.write(lambda tx: tx.nodes.add(node_columns()))
        await api.database.read(api.cluster.load)


def reason_of(failed: CallFailed) -> str:
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in failed.status.details)
    return info.reason


async def test_a_check_alone_uses_no_request_id_up(api: JobsApi):
    request = jobs_service_pb2.SubmitJobRequest(
        job=job_pb2.Job(command=["false"]), request_id="check", validate_only=True
    )
    answer = await api.call("SubmitJob", request, job_pb2.Job)
    assert (answer.job_id, answer.status) == ("", job_pb2.Job.QUEUED)
    assert await stored(api) == []
    assert (await submit(api, "check")).job_id
