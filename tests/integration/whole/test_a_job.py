"""A job goes through the whole house: REST or gRPC in, a real process on a node, its output back."""

import json
from pathlib import Path

import grpc
import pytest
from grpc import aio

from tests.support.cluster import Cluster
from windlass.jobs.v1 import job_pb2, jobs_service_pb2
from windlass.resources.v1 import resources_service_pb2, resources_service_pb2_grpc

PRINT_GPUS = ("python3", "-c", 'import os;print(os.environ["CUDA_VISIBLE_DEVICES"])')


async def test_a_job_submitted_over_rest_runs_on_the_gpus_that_it_asked_for(any_cluster: Cluster):
    async with any_cluster.rest() as rest:
        answer = await rest.post(
            "/v1/jobs",
            json={
                "project": "default",
                "name": "hello",
                "command": PRINT_GPUS,
                "resources": {
                    "cpu_millis": 500,
                    "memory_bytes": "268435456",
                    "gpu_count": 2,
                    "gpu_type": "H100",
                },
            },
        )
        assert answer.status_code == 200, answer.text
        submitted = answer.json()
        assert submitted["status"] == "QUEUED"

        # The log over SSE, to its end.
        output, end, lines = "", None, []
        headers = {"accept": "text/event-stream"}
        async with rest.stream(
            "GET", f"/v1/jobs/{submitted['job_id']}/logs?follow=true", headers=headers
        ) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data: {"):
                    message = json.loads(line.removeprefix("data: "))
                    output += message.get("chunk", {}).get("text", "")
                    end = message.get("end", end)
        assert end == {"status": "SUCCEEDED", "exit_code": 0, "incomplete": []}, lines

        job = (await rest.get(f"/v1/jobs/{submitted['job_id']}")).json()
        assert job["status"] == "SUCCEEDED"
        assert job["exit_code"] == 0
        assert sorted(output.strip().split(",")) == sorted(job["placement"]["gpu_uuids"])
        assert len(job["placement"]["gpu_uuids"]) == 2
        assert job["isolation"]["level"] in {"SANDBOX", "NAMESPACES", "RLIMITS"}

        listed = await rest.get("/v1/jobs?project=default&status=SUCCEEDED&page_size=10")
        assert listed.json() == {"jobs": [job], "next_page_token": ""}

        events = (await rest.get(f"/v1/jobs/{submitted['job_id']}/events")).json()["events"]
        statuses = [event["status"] for event in events]
        assert statuses[0] == "QUEUED"
        assert statuses[-1] == "SUCCEEDED"
        assert statuses == sorted(
            statuses, key=["QUEUED", "SCHEDULED", "RUNNING", "SUCCEEDED"].index
        )
        assert events[0]["actor"] == "admin"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_client_of_the_generated_stubs_alone_does_the_same(shared: Cluster):
    job = await shared.submit("sh", "-c", "echo out; echo err >&2; exit 3")
    text, end = await shared.follow(job.job_id)
    assert sorted(text.split()) == ["err", "out"]
    assert (end.status, end.exit_code) == (job_pb2.Job.FAILED, 3)
    ended = await shared.get(job.job_id)
    assert (ended.status_reason, ended.exit_code) == ("NONZERO_EXIT", 3)

    one = jobs_service_pb2.StreamJobLogsRequest(job_id=job.job_id, stream=job_pb2.LogChunk.STDERR)
    stderr = [m async for m in shared.jobs.StreamJobLogs(one, metadata=shared.metadata)]
    assert "".join(message.chunk.text for message in stderr) == "err\n"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_log_position_that_is_none_is_a_bad_request_on_both_front_ends(shared: Cluster):
    job = await shared.submit("echo", "hello")
    await shared.follow(job.job_id)
    run_id = (await shared.get(job.job_id)).placement.run_id
    async with shared.rest() as rest:
        for place in ("3:0", "0:99", "99999:0"):
            # As a browser resumes, which gives up at a 400.
            answer = await rest.get(
                f"/v1/jobs/{job.job_id}/logs?follow=true",
                headers={"accept": "text/event-stream", "last-event-id": f"{run_id}:{place}"},
            )
            assert answer.status_code == 400, answer.text
            assert answer.json()["details"][0]["reason"] == "CURSOR_INVALID"
    request = jobs_service_pb2.StreamJobLogsRequest(job_id=job.job_id, cursor=f"{run_id}:3:0")
    with pytest.raises(aio.AioRpcError) as refused:
        await shared.jobs.StreamJobLogs(request, metadata=shared.metadata).read()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.asyncio(loop_scope="module")
async def test_a_running_job_is_cancelled_with_its_whole_process_tree(shared: Cluster):
    script = "trap '' TERM; (setsid sleep 600 &) ; echo up; while :; do sleep 1; done"
    job = await shared.submit("sh", "-c", script, grace_period={"nanos": 200_000_000})
    await shared.wait_for_output(job.job_id, "up")
    async with shared.rest() as rest:
        url = f"/v1/jobs/{job.job_id}/status"
        answer = await rest.patch(url, json={"action": "CANCEL", "reason": "typo"})
        assert answer.json()["status"] == "CANCELLING"
        assert "typo" in answer.json()["status_message"]
    _, end = await shared.follow(job.job_id)
    assert end.status == job_pb2.Job.CANCELLED
    ended = await shared.get(job.job_id)
    assert ended.status_reason == "CANCEL_REQUESTED"
    assert ended.status_message.startswith("cancelled by admin: typo; ")
    again = jobs_service_pb2.CancelJobRequest(job_id=job.job_id)
    same = await shared.jobs.CancelJob(again, metadata=shared.metadata)
    assert same.status == job_pb2.Job.CANCELLED


@pytest.mark.asyncio(loop_scope="module")
async def test_a_job_over_its_time_limit_is_timed_out(shared: Cluster):
    job = await shared.submit("sleep", "600", time_limit={"nanos": 300_000_000})
    _, end = await shared.follow(job.job_id)
    assert end.status == job_pb2.Job.TIMED_OUT


@pytest.mark.asyncio(loop_scope="module")
async def test_a_job_whose_program_does_not_exist_says_so(shared: Cluster):
    job = await shared.submit("no-such-program")
    await shared.follow(job.job_id)
    ended = await shared.get(job.job_id)
    assert (ended.status, ended.status_reason) == (job_pb2.Job.FAILED, "BAD_COMMAND")
    assert "no-such-program" in ended.status_message
    request = jobs_service_pb2.CancelJobRequest(job_id=job.job_id)
    with pytest.raises(aio.AioRpcError) as refused:
        await shared.jobs.CancelJob(request, metadata=shared.metadata)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.asyncio(loop_scope="module")
async def test_a_job_cannot_read_the_secrets_of_server_and_agent(shared: Cluster):
    secrets = [
        shared.directory / "data" / "admin.token",
        shared.directory / "data" / "secret.key",
        shared.directory / "agent" / "node.key",
    ]
    assert all(secret.exists() for secret in secrets)
    job = await shared.submit(
        "sh", "-c", 'cat "$@" 2>/dev/null; echo end', "sh", *map(str, secrets)
    )
    text, _ = await shared.follow(job.job_id)
    assert text == "end\n"


@pytest.mark.asyncio(loop_scope="module")
async def test_jobs_queue_for_gpus_and_each_device_has_one_holder(shared: Cluster):
    jobs = [
        await shared.submit(*PRINT_GPUS, resources={"gpu_count": 4, "cpu_millis": 100})
        for _ in range(4)
    ]
    for job in jobs:
        text, end = await shared.follow(job.job_id)
        assert end.status == job_pb2.Job.SUCCEEDED
        assert len(set(text.strip().split(","))) == 4


@pytest.mark.asyncio(loop_scope="module")
async def test_a_node_shows_its_gpus_live_and_who_holds_them(shared: Cluster):
    job = await shared.submit("sh", "-c", "echo up; sleep 600", resources={"gpu_count": 2})
    await shared.wait_for_output(job.job_id, "up")
    node = await _node_with_samples(shared, job.job_id)
    held = [gpu for gpu in node.gpus if gpu.run_id]
    assert len(node.gpus) == 8
    assert {gpu.uuid for gpu in held} == set((await shared.get(job.job_id)).placement.gpu_uuids)
    for gpu in node.gpus:
        assert gpu.gpu_type == "H100"
        assert 10 < gpu.temperature_celsius < 100
        assert 0 < gpu.power_watts <= gpu.power_limit_watts
        assert gpu.memory_used_bytes + gpu.memory_free_bytes == gpu.memory_total_bytes
    assert {process.run_id for gpu in held for process in gpu.processes} == {held[0].run_id}
    assert [run.job_id for run in node.runs] == [job.job_id]
    assert node.available.gpu_count == 6
    request = jobs_service_pb2.CancelJobRequest(job_id=job.job_id)
    await shared.jobs.CancelJob(request, metadata=shared.metadata)
    await shared.follow(job.job_id)


async def _node_with_samples(cluster: Cluster, job_id: str):
    """The node once telemetry shows the job's processes on its GPUs."""
    stub = resources_service_pb2_grpc.ResourcesServiceStub(cluster.channel)
    placed = (await cluster.get(job_id)).placement
    request = resources_service_pb2.GetNodeRequest(node_id=placed.node_id)
    while True:
        node = await stub.GetNode(request, metadata=cluster.metadata, timeout=10)
        processes = [process for gpu in node.gpus for process in gpu.processes]
        own = [process for process in processes if process.run_id == placed.run_id]
        if len(own) >= 2 and node.HasField("host"):
            return node


async def test_a_proxy_for_the_web_keeps_no_agent_from_the_server_beside_it(tmp_path: Path):
    proxy = dict.fromkeys(("http_proxy", "grpc_proxy", "https_proxy"), "http://127.0.0.1:9")
    cluster = Cluster(tmp_path, environment=proxy)
    try:
        await cluster.start_server()
        await cluster.start_agent()  # returns when it is connected
    finally:
        await cluster.stop()
