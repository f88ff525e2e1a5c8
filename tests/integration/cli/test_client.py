from datetime import timedelta

import grpc
import pytest

from tests.integration.cli.conftest import FAST
from tests.support.fake_api import TOKEN, Failure, FakeControlPlane, a_node
from windlass.jobs.v1 import job_pb2
from windlass.resources.v1 import node_pb2
from windlass_client import (
    AsyncClient,
    Client,
    Conflict,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    RetryPolicy,
    Unauthenticated,
    Unavailable,
)

Job = job_pb2.Job
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def texts(messages) -> list[str]:
    return [m.chunk.text if m.HasField("chunk") else "END" for m in messages]


ALL_LINES = [f"line {n}\n" for n in range(1, 6)] + ["END"]


def test_a_server_on_this_machine_is_reached_past_a_proxy_for_the_web(plane, monkeypatch):
    for name in ("http_proxy", "grpc_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Client(plane.address, TOKEN, timeout=5) as client:
        assert list(client.jobs.list()) == []


def test_a_job_is_submitted_with_everything_that_was_said(client, plane):
    job = client.jobs.submit(
        ["python", "train.py"],
        name="train",
        project="vision",
        labels={"team": "a"},
        env={"LR": "0.1"},
        gpus=2,
        gpu_type="H100",
        cpus="1.5",
        memory="4GiB",
        queue="night",
        priority=7,
        time_limit="1h30m",
        grace_period=timedelta(seconds=3),
        working_directory="/data",
    )
    assert job.job_id == "job-1"
    sent = plane.state.requests["SubmitJob"][0]
    assert sent.request_id
    assert list(sent.job.command) == ["python", "train.py"]
    assert sent.job.resources.cpu_millis == 1500
    assert sent.job.resources.memory_bytes == 4 * 2**30
    assert sent.job.time_limit.seconds == 5400
    assert sent.job.grace_period.seconds == 3
    assert (sent.job.project, sent.job.queue, sent.job.priority) == ("vision", "night", 7)
    assert dict(sent.job.environment.variables) == {"LR": "0.1"}


def test_a_request_without_a_project_takes_the_clients(plane):
    with Client(plane.address, TOKEN, project="mine") as client:
        assert client.jobs.submit(["true"]).project == "mine"
        assert client.jobs.submit(["true"], project="other").project == "other"
        assert [job.project for job in client.jobs.list()] == ["mine"]


def test_a_submission_is_tried_again_with_the_same_request_id(client, plane):
    plane.state.failures["SubmitJob"] = [Failure(UNAVAILABLE), Failure(UNAVAILABLE)]
    client.jobs.submit(["true"])
    ids = {request.request_id for request in plane.state.requests["SubmitJob"]}
    assert len(plane.state.requests["SubmitJob"]) == 3
    assert len(ids) == 1
    assert len(plane.state.jobs) == 1


def test_reading_is_tried_again_until_the_attempts_are_used_up(client, plane):
    client.jobs.submit(["true"])
    plane.state.failures["GetJob"] = [Failure(UNAVAILABLE)] * 4
    assert client.jobs.get("job-1").job_id == "job-1"
    plane.state.failures["GetJob"] = [Failure(UNAVAILABLE)] * 5
    with pytest.raises(Unavailable):
        client.jobs.get("job-1")
    assert plane.state.calls.count("GetJob") == 10


def test_a_call_that_is_not_idempotent_is_sent_once(client, plane):
    plane.state.failures["CreateApiKey"] = [Failure(UNAVAILABLE)]
    with pytest.raises(Unavailable):
        client.access.create_api_key("ada", role=2)
    assert plane.state.calls == ["CreateApiKey"]


def test_a_rate_limit_is_obeyed_when_it_says_for_how_long(client, plane):
    client.jobs.submit(["true"])
    limited = grpc.StatusCode.RESOURCE_EXHAUSTED
    plane.state.failures["GetJob"] = [Failure(limited, retry_after=0.002)]
    assert client.jobs.get("job-1").job_id == "job-1"
    plane.state.failures["GetJob"] = [Failure(limited)]
    with pytest.raises(ResourceExhausted):
        client.jobs.get("job-1")


def test_a_wait_longer_than_the_deadline_is_not_begun(plane):
    plane.state.failures["GetJob"] = [Failure(UNAVAILABLE, retry_after=60)]
    with Client(plane.address, TOKEN, timeout=5) as client, pytest.raises(Unavailable) as error:
        client.jobs.get("job-1")
    assert error.value.retry_after == 60
    assert plane.state.calls == ["GetJob"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.NOT_FOUND, NotFound),
        (grpc.StatusCode.PERMISSION_DENIED, PermissionDenied),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidArgument),
        (grpc.StatusCode.ABORTED, Conflict),
        (grpc.StatusCode.ALREADY_EXISTS, Conflict),
        (grpc.StatusCode.FAILED_PRECONDITION, FailedPrecondition),
    ],
)
def test_failures_arrive_as_domain_exceptions_and_are_not_tried_again(client, plane, code, kind):
    plane.state.failures["GetJob"] = [Failure(code, "why", "REASON", [("job_id", "is odd")])]
    with pytest.raises(kind) as error:
        client.jobs.get("job-1")
    assert (error.value.reason, error.value.message) == ("REASON", "why")
    assert error.value.field_violations[0].field == "job_id"
    assert plane.state.calls == ["GetJob"]


def test_a_credential_is_sent_only_when_there_is_one(plane):
    with Client(plane.address, token="wrong") as client, pytest.raises(Unauthenticated):
        client.jobs.get("job-1")


def test_a_deadline_covers_a_server_that_does_not_answer(plane):
    plane.state.silent = {"GetJob"}
    with Client(plane.address, TOKEN, timeout=0.05) as client:
        with pytest.raises(DeadlineExceeded):
            client.jobs.get("job-1")
        assert client.with_timeout(30).jobs.submit(["true"]).job_id == "job-1"


def test_lists_are_read_page_by_page(client, plane):
    for _ in range(7):
        client.jobs.submit(["true"])
    jobs = list(client.jobs.list(page_size=3))
    assert [job.job_id for job in jobs] == [f"job-{n}" for n in range(7, 0, -1)]
    assert plane.state.calls.count("ListJobs") == 3
    first = next(client.jobs.list(page_size=3))
    assert first.job_id == "job-7"
    assert plane.state.calls.count("ListJobs") == 4


@pytest.mark.parametrize("how", ["abort", "silent", "error"])
def test_a_broken_log_goes_on_without_loss_or_doubling(client, plane, how):
    client.jobs.submit(["true"])
    plane.state.breaks = [(2, how), (0, how), (1, how), (2, how)]
    breaks = []
    messages = client.jobs.logs(
        "job-1", follow=True, on_break=lambda error, delay: breaks.append((error, delay))
    )
    assert texts(messages) == ALL_LINES
    assert plane.state.calls.count("StreamJobLogs") == 5
    assert len(breaks) == 4


def test_a_log_with_a_tail_that_breaks_does_not_start_over(client, plane):
    client.jobs.submit(["true"])
    plane.state.breaks = [(0, "abort"), (2, "abort")]
    assert texts(client.jobs.logs("job-1", tail=3)) == ["line 3\n", "line 4\n", "line 5\n", "END"]


def test_a_log_of_a_job_that_is_not_there_fails_at_once(client, plane):
    with pytest.raises(NotFound):
        next(client.jobs.logs("job-9", follow=True))
    assert plane.state.calls == ["StreamJobLogs"]


def test_a_log_is_given_up_when_the_server_stays_away(plane):
    policy = RetryPolicy(first_delay=0.001, max_delay=0.002, resume_for=0.05)
    with Client(plane.address, TOKEN, retries=policy) as client:
        client.jobs.submit(["true"])
        plane.state.failures["StreamJobLogs"] = [Failure(UNAVAILABLE)] * 10_000
        with pytest.raises(Unavailable):
            list(client.jobs.logs("job-1"))


def test_leaving_a_followed_log_early_ends_its_stream(client):
    client.jobs.submit(["forever"])
    assert next(client.jobs.logs("job-1", follow=True)).chunk.text == "line 1\n"
    client.jobs.cancel("job-1")


def test_waiting_returns_the_final_job(client):
    client.jobs.submit(["exit", "3"])
    assert client.jobs.wait("job-1").exit_code == 3
    client.jobs.submit(["forever"])
    with pytest.raises(DeadlineExceeded):
        client.jobs.wait("job-2", timeout=0.01)


def test_cancelling_an_ended_job_is_refused(client):
    client.jobs.submit(["true"])
    with pytest.raises(FailedPrecondition) as error:
        client.jobs.cancel("job-1")
    assert error.value.reason == "JOB_ENDED"


async def test_the_async_client_does_the_same(plane: FakeControlPlane):
    plane.state.nodes = [a_node()]
    async with AsyncClient(plane.address, TOKEN, retries=FAST) as client:
        plane.state.failures["SubmitJob"] = [Failure(UNAVAILABLE)]
        job = await client.jobs.submit(["exit", "4"], memory="1GiB")
        plane.state.breaks = [(2, "abort"), (0, "silent"), (1, "error")]
        messages = [m async for m in client.jobs.logs(job.job_id, follow=True)]
        assert texts(messages) == ALL_LINES
        assert (await client.jobs.wait(job.job_id)).exit_code == 4
        assert [n.name async for n in client.nodes.list()] == ["gpu-1"]
        assert [j.job_id async for j in client.jobs.list(page_size=1)] == ["job-1"]
        assert [e.reason async for e in client.jobs.events("job-1")] == ["SUBMITTED", "DONE"]
        with pytest.raises(NotFound):
            await client.with_timeout(5).jobs.get("job-9")
        with pytest.raises(FailedPrecondition):
            await client.jobs.cancel("job-1")


def test_everything_else_of_the_contract_can_be_called(client, plane):
    plane.state.nodes = [a_node()]
    assert client.nodes.get("node-gpu-1").name == "gpu-1"
    plane.state.node_events = [node_pb2.NodeEvent(node_id="node-gpu-1", reason="CORDONED")]
    assert [event.reason for event in client.nodes.events("node-gpu-1")] == ["CORDONED"]
    assert client.nodes.create_join_token(lifetime="10m", max_uses=7).token == "join-me"
    asked = plane.state.requests["CreateJoinToken"][0]
    assert (asked.lifetime.seconds, asked.max_uses) == (600, 7)
    assert client.access.caller().user == "ada"
    assert client.access.create_token(lifetime=60).access_token == "jwt"
    assert client.access.create_project("vision").project == "vision"
    assert [p.project for p in client.access.projects()] == ["default", "vision"]
    made = client.access.create_api_key("ada", role=3, lifetime="90d")
    assert [k.key_id for k in client.access.api_keys()] == [made.api_key.key_id]
    assert client.access.revoke_api_key(made.api_key.key_id).HasField("revoke_time")
    assert client.system.health().status == "ok"
    assert client.system.info().version == "9.9.9"
