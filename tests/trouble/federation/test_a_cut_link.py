"""The link to another installation is cut while jobs are there: nothing is lost, nothing runs twice."""

import signal

import pytest

from tests.support.federated import WEST, Pair
from windlass.jobs.v1 import job_pb2, jobs_service_pb2
from windlass.types.v1 import types_pb2

TWO = types_pb2.ResourceRequest(gpu_count=2)
Job = job_pb2.Job
# Prints a line, waits for a file, prints the rest: the test says when.
WAITING = "echo before; while ! [ -e {gate} ]; do sleep 0.1; done; echo after"


async def a_job(pair: Pair) -> job_pb2.Job:
    """A job that runs at west and has printed its first line."""
    job = await pair.here.submit("sh", "-c", WAITING.format(gate=pair.gate), resources=TWO)
    await pair.here.wait_for_output(job.job_id, "before")
    return await pair.job_when(job.job_id, lambda job: job.status == Job.RUNNING)


async def assert_ran_once(pair: Pair, job_id: str) -> None:
    """It succeeded, its log is whole and not doubled, and west had it once."""
    text, end = await pair.here.follow(job_id)
    assert (text, end.exit_code, list(end.incomplete)) == ("before\nafter\n", 0, [])
    job = await pair.ended(job_id)
    (there,) = await pair.jobs_at_west()
    assert Job.Status.Name(job.status) == "SUCCEEDED"
    assert (job.attempt, job.placement.remote_job_id) == (1, there.job_id)


@pytest.mark.parametrize("how", ["cut", "stall"])
async def test_a_job_that_cannot_be_reached_is_held_and_found_again(pair: Pair, how: str):
    await pair.register()
    job = await a_job(pair)
    getattr(pair.link, how)()
    held = await pair.job_when(job.job_id, lambda job: job.status_reason == "CLUSTER_UNREACHABLE")
    assert Job.Status.Name(held.status) == "RUNNING"
    assert (await pair.cluster())["remote_status"]["state"] == "UNREACHABLE"
    pair.gate.touch()
    # It ends there while nobody here can know.
    _, end = await pair.west.follow(job.placement.remote_job_id)
    assert end.exit_code == 0
    assert Job.Status.Name((await pair.here.get(job.job_id)).status) == "RUNNING"
    pair.link.mend()
    await assert_ran_once(pair, job.job_id)


async def test_a_job_goes_on_reading_as_before_when_the_link_is_back(pair: Pair):
    await pair.register()
    job = await a_job(pair)
    pair.link.cut()
    await pair.job_when(job.job_id, lambda job: job.status_reason == "CLUSTER_UNREACHABLE")
    pair.link.mend()
    back = await pair.job_when(job.job_id, lambda job: job.status_reason == "STARTED")
    assert Job.Status.Name(back.status) == "RUNNING"
    pair.gate.touch()
    await assert_ran_once(pair, job.job_id)


async def test_a_submission_whose_answer_is_lost_is_one_job(pair: Pair):
    await pair.register()
    pair.link.hold_answers_after(b"whose-answer-is-lost")
    command = ("sh", "-c", WAITING.format(gate=pair.gate))
    job = await pair.here.submit(*command, resources=TWO, name="whose-answer-is-lost")
    held = await pair.job_when(job.job_id, lambda job: job.status_reason == "CLUSTER_UNREACHABLE")
    assert (Job.Status.Name(held.status), held.placement.remote_job_id) == ("SCHEDULED", "")
    # It is there, and nobody here knows.
    assert len(await pair.jobs_at_west()) == 1
    pair.gate.touch()
    pair.link.cut()
    pair.link.mend()
    await assert_ran_once(pair, job.job_id)


async def test_a_cancel_of_a_submission_whose_answer_is_lost_stops_what_is_there(pair: Pair):
    await pair.register()
    pair.link.hold_answers_after(b"whose-answer-is-lost")
    job = await pair.here.submit("sleep", "600", resources=TWO, name="whose-answer-is-lost")
    await pair.job_when(job.job_id, lambda job: job.status_reason == "CLUSTER_UNREACHABLE")
    request = jobs_service_pb2.CancelJobRequest(job_id=job.job_id)
    cancelled = await pair.here.jobs.CancelJob(request, metadata=pair.here.metadata)
    assert Job.Status.Name(cancelled.status) == "CANCELLING"
    pair.link.cut()
    pair.link.mend()
    assert Job.Status.Name((await pair.ended(job.job_id)).status) == "CANCELLED"
    (there,) = await pair.jobs_at_west()
    assert Job.Status.Name(there.status) == "CANCELLED"


async def test_a_cancel_while_the_link_is_cut_is_delivered_afterwards(pair: Pair):
    await pair.register()
    job = await a_job(pair)
    pair.link.cut()
    request = jobs_service_pb2.CancelJobRequest(job_id=job.job_id, reason="typo")
    cancelled = await pair.here.jobs.CancelJob(request, metadata=pair.here.metadata)
    assert Job.Status.Name(cancelled.status) == "CANCELLING"
    await pair.becomes("UNREACHABLE")
    assert Job.Status.Name((await pair.here.get(job.job_id)).status) == "CANCELLING"
    pair.link.mend()
    assert Job.Status.Name((await pair.ended(job.job_id)).status) == "CANCELLED"
    (there,) = await pair.jobs_at_west()
    assert Job.Status.Name(there.status) == "CANCELLED"


async def test_a_job_whose_cluster_cannot_be_reached_before_it_was_sent_runs_here(pair: Pair):
    await pair.register(affinity={}, spill_over_after=None)
    await pair.here.start_agent()
    pair.link.cut()
    job = await pair.here.submit("true")
    assert (job.placement.cluster, Job.Status.Name(job.status)) == (WEST, "SCHEDULED")
    ended = await pair.ended(job.job_id)
    assert (ended.placement.cluster, Job.Status.Name(ended.status)) == ("", "SUCCEEDED")
    pair.link.mend()
    await pair.becomes("CONNECTED")
    assert await pair.jobs_at_west() == []


async def test_a_server_that_is_killed_finds_its_jobs_again(pair: Pair):
    await pair.register()
    job = await a_job(pair)
    assert pair.here.server is not None
    await pair.here.server.kill()
    pair.gate.touch()
    await pair.here.start_server()
    await assert_ran_once(pair, job.job_id)


async def test_a_cluster_that_is_started_anew_still_has_the_jobs(pair: Pair):
    await pair.register()
    job = await a_job(pair)
    assert pair.west.server is not None
    await pair.west.server.kill(signal.SIGTERM)
    await pair.job_when(job.job_id, lambda job: job.status_reason == "CLUSTER_UNREACHABLE")
    await pair.west.start_server()
    pair.gate.touch()
    await assert_ran_once(pair, job.job_id)
