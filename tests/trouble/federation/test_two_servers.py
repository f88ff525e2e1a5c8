"""Jobs of one installation that another one runs."""

import asyncio

import pytest

from tests.support.federated import SECONDS, WEST, Pair
from windlass.jobs.v1 import job_pb2, jobs_service_pb2
from windlass.types.v1 import types_pb2

TWO_H100 = types_pb2.ResourceRequest(gpu_count=2, gpu_type="H100")
SHOW_GPUS = 'import os; print("sees", len(os.environ["CUDA_VISIBLE_DEVICES"].split(",")))'
Job = job_pb2.Job


@pytest.mark.asyncio(loop_scope="module")
async def test_a_job_that_nothing_here_can_run_runs_there_and_reads_as_if_it_were_here(
    registered: Pair,
):
    shown = await registered.cluster()
    assert (shown["kind"], shown["node_count"], shown["capacity"]["gpu_count"]) == ("REMOTE", 1, 8)

    job = await registered.here.submit(
        "python3", "-c", SHOW_GPUS, resources=TWO_H100, labels={"case": "reads"}
    )
    text, end = await registered.here.follow(job.job_id)
    assert (text, end.exit_code, end.incomplete) == ("sees 2\n", 0, [])
    job = await registered.ended(job.job_id)
    assert (Job.Status.Name(job.status), job.status_reason) == ("SUCCEEDED", "COMPLETED")
    (there,) = await registered.jobs_at_west("case=reads")
    assert (job.placement.cluster, job.placement.remote_job_id) == (WEST, there.job_id)
    assert (job.project, there.project, there.user) == ("default", "guests", "guest")
    assert (job.start_time, job.isolation) == (there.start_time, there.isolation)

    request = jobs_service_pb2.ListJobEventsRequest(job_id=job.job_id)
    told = await registered.here.jobs.ListJobEvents(request, metadata=registered.here.metadata)
    reasons = [event.reason for event in told.events]
    assert reasons[:2] == ["SUBMITTED", "PLACED"]
    assert reasons[-1] == "COMPLETED"
    assert told.events[-1].actor == f"cluster/{WEST}"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("case", "command", "limit", "status", "code"),
    [
        ("code", ("sh", "-c", "echo no >&2; exit 3"), 0, "FAILED", 3),
        ("signal", ("sh", "-c", "kill -9 $$"), 0, "FAILED", None),
        ("limit", ("sleep", "600"), 1, "TIMED_OUT", None),
    ],
)
async def test_every_end_there_is_the_end_here(
    registered: Pair, case: str, command: tuple[str, ...], limit: int, status: str, code: int | None
):
    job = await registered.here.submit(
        *command,
        resources=TWO_H100,
        labels={"case": case},
        time_limit={"seconds": limit} if limit else None,
    )
    ended = await registered.ended(job.job_id)
    (there,) = await registered.jobs_at_west(f"case={case}")
    assert Job.Status.Name(ended.status) == status
    assert (ended.exit_code if ended.HasField("exit_code") else None) == code
    assert (ended.status_reason, ended.exit_signal) == (there.status_reason, there.exit_signal)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cancel_here_stops_the_job_there(registered: Pair):
    job = await registered.here.submit(
        "sh", "-c", "echo up; sleep 600", resources=TWO_H100, labels={"case": "cancelled-here"}
    )
    await registered.here.wait_for_output(job.job_id, "up")
    request = jobs_service_pb2.CancelJobRequest(job_id=job.job_id, reason="typo")
    await registered.here.jobs.CancelJob(request, metadata=registered.here.metadata)
    ended = await registered.ended(job.job_id)
    assert Job.Status.Name(ended.status) == "CANCELLED"
    assert "typo" in ended.status_message
    (there,) = await registered.jobs_at_west("case=cancelled-here")
    assert Job.Status.Name(there.status) == "CANCELLED"
    assert "typo" in there.status_message


@pytest.mark.asyncio(loop_scope="module")
async def test_a_job_that_is_cancelled_there_has_failed_here(registered: Pair):
    job = await registered.here.submit(
        "sh", "-c", "echo up; sleep 600", resources=TWO_H100, labels={"case": "cancelled-there"}
    )
    await registered.here.wait_for_output(job.job_id, "up")
    (there,) = await registered.jobs_at_west("case=cancelled-there")
    request = jobs_service_pb2.CancelJobRequest(job_id=there.job_id, reason="ours first")
    await registered.west.jobs.CancelJob(request, metadata=registered.west.metadata)
    ended = await registered.ended(job.job_id)
    assert Job.Status.Name(ended.status) == "FAILED"
    assert ended.status_reason == "CANCELLED_AT_CLUSTER"
    assert "ours first" in ended.status_message


async def test_jobs_for_which_a_cluster_is_preferred_go_there_and_others_stay(pair: Pair):
    await pair.here.start_agent()
    await pair.register(spill_over_after=None, affinity={"labels": {"site": WEST}})
    there = await pair.here.submit("true", labels={"site": WEST})
    assert Job.Status.Name(there.status) == "SCHEDULED"
    here = await pair.here.submit("true", labels={"site": "east"})
    assert (await pair.ended(there.job_id)).placement.cluster == WEST
    ended = await pair.ended(here.job_id)
    assert (ended.placement.cluster, bool(ended.placement.node_id)) == ("", True)


async def test_what_comes_from_another_installation_is_not_sent_on(pair: Pair):
    await pair.register()
    job = await pair.here.submit("true", labels={"windlass.origin/run": "run-x"})
    await pair.becomes("CONNECTED")
    other = await pair.here.submit("true")
    await pair.ended(other.job_id)
    assert Job.Status.Name((await pair.here.get(job.job_id)).status) == "QUEUED"


async def test_a_key_that_is_not_good_is_said_and_a_new_one_lets_jobs_go(pair: Pair):
    await pair.register()
    async with pair.here.rest() as rest:
        path = f"/v1/resources/clusters/{WEST}"
        bad = {"remote": {"api_key": "wlk_bad"}}
        answer = await rest.patch(path, json=bad, params={"update_mask": "remote.api_key"})
        assert answer.status_code == 200, answer.text
        shown = await pair.becomes("REFUSED")
        assert "does not let us in" in shown["remote_status"]["message"]
        good = {"remote": {"api_key": pair.key}}
        await rest.patch(path, json=good, params={"update_mask": "remote.api_key"})
    await pair.becomes("CONNECTED")
    job = await pair.here.submit("true")
    assert (await pair.ended(job.job_id)).placement.cluster == WEST


async def test_a_project_that_is_not_open_to_us_gives_the_job_back(pair: Pair):
    await pair.register(project="default")
    job = await pair.here.submit("true")
    back = await pair.job_when(
        job.job_id, lambda job: job.attempt == 1 and job.status == Job.QUEUED
    )
    assert not back.placement.remote_job_id
    assert await pair.jobs_at_west() == []


async def test_two_that_help_each_other_do_not_send_a_job_to_and_fro(pair: Pair):
    await pair.register()
    key = await pair.here.key_for("guest", "guests", "DEVELOPER")
    remote = {
        "endpoint": pair.here.grpc,
        "api_key": key,
        "project": "guests",
        "spill_over_after": "0s",
    }
    async with pair.west.rest() as rest:
        body = {"cluster_id": "east", "kind": "REMOTE", "remote": remote}
        assert (await rest.post("/v1/resources/clusters", json=body)).status_code == 200
    eight = types_pb2.ResourceRequest(gpu_count=8)
    long = await pair.here.submit("sh", "-c", "echo up; sleep 600", resources=eight)
    await pair.here.wait_for_output(long.job_id, "up")
    async with asyncio.timeout(SECONDS):
        waiting = await pair.west.submit("true", resources=eight)
        queued = await pair.west.get(waiting.job_id)
    assert Job.Status.Name(queued.status) == "QUEUED"
    request = jobs_service_pb2.ListJobsRequest(project="guests")
    answer = await pair.here.jobs.ListJobs(request, metadata=pair.here.metadata)
    assert list(answer.jobs) == []
    await pair.here.jobs.CancelJob(
        jobs_service_pb2.CancelJobRequest(job_id=long.job_id), metadata=pair.here.metadata
    )
    await pair.ended(long.job_id)
