"""A scripted agent against a whole server, over real gRPC."""

import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.rpc import error_details_pb2
from grpc import aio
from grpc_status import rpc_status

from tests.support.fake_agent import (
    FakeStream,
    heartbeat,
    hello,
    log_batch,
    reports,
    samples,
    series,
)
from tests.support.nodes import an_inventory
from windlass.agents.v1 import agent_pb2, agents_service_pb2, agents_service_pb2_grpc
from windlass.jobs.v1 import job_pb2, jobs_service_pb2, jobs_service_pb2_grpc
from windlass.resources.v1 import node_pb2, resources_service_pb2, resources_service_pb2_grpc
from windlass_server.app import App
from windlass_server.config import ServerConfig
from windlass_server.objects.frames import encode

Control = FakeStream[agent_pb2.AgentMessage, agent_pb2.ServerMessage]
Telemetry = FakeStream[agent_pb2.TelemetryMessage, agent_pb2.TelemetryReply]
INVENTORY = an_inventory(gpus=2)


class Server:
    """A server in this process, and a client of it."""

    def __init__(self, app: App, folder: Path) -> None:
        self.folder = folder
        self.channel = aio.insecure_channel(app.grpc_address)
        token = (folder / "admin.token").read_text().strip()
        self.admin = (("authorization", f"Bearer {token}"),)
        self.agents = agents_service_pb2_grpc.AgentsServiceStub(self.channel)
        self.nodes = resources_service_pb2_grpc.ResourcesServiceStub(self.channel)
        self.jobs = jobs_service_pb2_grpc.JobsServiceStub(self.channel)

    async def join_token(self) -> str:
        request = resources_service_pb2.CreateJoinTokenRequest()
        return (await self.nodes.CreateJoinToken(request, metadata=self.admin)).token

    async def node(self, node_id: str) -> node_pb2.Node:
        request = resources_service_pb2.GetNodeRequest(node_id=node_id)
        return await self.nodes.GetNode(request, metadata=self.admin)

    async def node_once(self, node_id: str, status: node_pb2.Node.Status) -> node_pb2.Node:
        """The node, when it has come to that status."""
        while (node := await self.node(node_id)).status != status:
            pass
        return node

    async def submit(self, **job: Any) -> job_pb2.Job:
        request = jobs_service_pb2.SubmitJobRequest(job=job_pb2.Job(**job))
        return await self.jobs.SubmitJob(request, metadata=self.admin)

    async def job_once(self, job_id: str, status: job_pb2.Job.Status) -> job_pb2.Job:
        """The job, when it has come to that status."""
        request = jobs_service_pb2.GetJobRequest(job_id=job_id)
        while (job := await self.jobs.GetJob(request, metadata=self.admin)).status != status:
            pass
        return job


class Agent:
    """A node that has joined."""

    def __init__(self, server: Server, key: Ed25519PrivateKey, node_id: str) -> None:
        self._server = server
        self._key = key
        self.node_id = node_id

    def metadata(self) -> tuple[tuple[str, str], ...]:
        now = int(time.time())  # noqa: TID251 - the server's clock is the real one
        claims = {
            "sub": self.node_id,
            "aud": "windlass",
            "iat": now,
            "exp": now + 300,
            "jti": secrets.token_urlsafe(8),
        }
        token = jwt.encode(claims, self._key, algorithm="EdDSA", headers={"typ": "node+jwt"})
        return (("authorization", f"Bearer {token}"),)

    def control(self) -> Control:
        agents = self._server.agents
        return self._stream(agents.OpenSession, agents_service_pb2.OpenSessionRequest)

    def telemetry(self) -> Telemetry:
        agents = self._server.agents
        return self._stream(agents.StreamTelemetry, agents_service_pb2.StreamTelemetryRequest)

    def _stream(
        self, method: Callable[..., Any], request: Callable[..., Any]
    ) -> FakeStream[Any, Any]:
        """A session of one of the two kinds, whose requests and responses wrap a `message`."""

        async def connect(messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
            async def requests() -> AsyncIterator[Any]:
                async for message in messages:
                    yield request(message=message)

            call = method(requests(), metadata=self.metadata())
            try:
                async for response in call:
                    yield response.message
            finally:
                call.cancel()

        return FakeStream(connect)

    async def connected(self) -> Control:
        control = self.control()
        control.send(hello(inventory=INVENTORY))
        await next_of(control, "sync_end")
        return control


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    app = await App.build(
        ServerConfig(data_dir=tmp_path, http="127.0.0.1:0", grpc="127.0.0.1:0", shutdown_seconds=0)
    )
    await app.start()
    made = Server(app, tmp_path)
    yield made
    await made.channel.close()
    await app.stop()


@pytest.fixture
async def agent(server: Server) -> Agent:
    return await joined(server)


async def joined(server: Server) -> Agent:
    key = Ed25519PrivateKey.generate()
    request = agents_service_pb2.JoinRequest(
        join_token=await server.join_token(),
        public_key=key.public_key().public_bytes_raw(),
        inventory=INVENTORY,
    )
    answer = await server.agents.Join(request)
    assert (await server.agents.Join(request)).node_id == answer.node_id
    return Agent(server, key, answer.node_id)


async def next_of(stream: Any, kind: str) -> Any:
    """The next message of that kind; those before it are dropped."""
    while True:
        message = await stream.receive()
        if message.WhichOneof("content") == kind:
            return getattr(message, kind)


def reason(error: grpc.aio.AioRpcError) -> str:
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    return info.reason


def a_report(told: agent_pb2.RunDirective, state: str, **values: Any) -> agent_pb2.AgentMessage:
    return reports(agent_pb2.RunReport(run_id=told.run_id, epoch=told.epoch, state=state, **values))


async def test_a_node_joins_is_ready_while_connected_and_unreachable_after(
    server: Server, agent: Agent
) -> None:
    assert (await server.node(agent.node_id)).status == node_pb2.Node.UNREACHABLE
    control = await agent.connected()
    node = await server.node(agent.node_id)
    assert (node.status, node.available.gpu_count) == (node_pb2.Node.READY, 2)
    control.send(heartbeat())
    await next_of(control, "heartbeat_reply")

    await control.break_off()

    node = await server.node_once(agent.node_id, node_pb2.Node.UNREACHABLE)
    assert node.status_reason == "AGENT_DISCONNECTED"


async def test_a_job_runs_on_a_node_from_its_directive_to_its_being_forgotten(
    server: Server, agent: Agent
) -> None:
    control, telemetry = await agent.connected(), agent.telemetry()
    job = await server.submit(command=["train"], resources={"gpu_count": 1, "gpu_type": "h100"})

    told = await next_of(control, "directive")
    assert (told.want, list(told.spec.command)) == (agent_pb2.RunDirective.RUNNING, ["train"])
    control.send(a_report(told, "RUNNING"))
    await server.job_once(job.job_id, job_pb2.Job.RUNNING)
    node = await server.node(agent.node_id)
    assert [(run.run_id, run.job_id) for run in node.runs] == [(told.run_id, job.job_id)]
    assert node.available.gpu_count == 1

    output = encode(1, 7, b"epoch 1\n") + encode(2, 8, b"warning\n")
    ended = agent_pb2.RunExit(cause="COMPLETED", exit_code=0, log_end=len(output))
    control.send(a_report(told, "EXITED", exit=ended))
    await server.job_once(job.job_id, job_pb2.Job.SUCCEEDED)
    telemetry.send(log_batch(told.run_id, 0, output, told.epoch))

    assert (await next_of(telemetry, "log_ack")).position == len(output)
    forgotten = await next_of(control, "directive")
    assert (forgotten.run_id, forgotten.want) == (told.run_id, agent_pb2.RunDirective.FORGOTTEN)
    node = await server.node(agent.node_id)
    assert (len(node.runs), node.available.gpu_count) == (0, 2)
    await control.break_off()
    await telemetry.break_off()


async def test_a_lost_node_keeps_its_run_and_is_told_of_it_again(
    server: Server, agent: Agent
) -> None:
    control = await agent.connected()
    job = await server.submit(command=["train"])
    told = await next_of(control, "directive")
    control.send(a_report(told, "RUNNING"))
    await server.job_once(job.job_id, job_pb2.Job.RUNNING)
    await control.break_off()
    await server.node_once(agent.node_id, node_pb2.Node.UNREACHABLE)
    await server.job_once(job.job_id, job_pb2.Job.RUNNING)

    again = agent.control()
    still = agent_pb2.RunReport(run_id=told.run_id, epoch=told.epoch, state="RUNNING")
    again.send(hello(still, inventory=INVENTORY))

    assert (await next_of(again, "directive")).run_id == told.run_id
    await again.break_off()


async def test_a_node_that_forgot_its_run_is_not_told_of_it_again(
    server: Server, agent: Agent
) -> None:
    control = await agent.connected()
    job = await server.submit(command=["train"])
    told = await next_of(control, "directive")
    control.send(a_report(told, "RUNNING"))
    await server.job_once(job.job_id, job_pb2.Job.RUNNING)
    await control.break_off()

    again = agent.control()
    again.send(hello(inventory=INVENTORY))

    assert await next_of(again, "sync_end") is not None
    waiting = await server.job_once(job.job_id, job_pb2.Job.QUEUED)
    assert waiting.status_reason in {"LOST", "NODE_AVOIDED"}
    again.send(heartbeat())
    while (message := await again.receive()).WhichOneof("content") != "heartbeat_reply":
        assert message.directive.run_id != told.run_id
    await again.break_off()


async def test_samples_are_shown_with_the_node(server: Server, agent: Agent) -> None:
    telemetry = agent.telemetry()
    credit = await next_of(telemetry, "credit")
    assert credit.batches == 10
    telemetry.send(samples(series("GPU_TEMPERATURE_CELSIUS", "GPU-0", 61)))
    # A question whose answer comes behind the samples.
    while not (node := await server.node(agent.node_id)).gpus[0].HasField("sample_time"):
        pass
    assert node.gpus[0].temperature_celsius == 61
    await telemetry.break_off()


async def test_a_second_session_ends_the_first_one(server: Server, agent: Agent) -> None:
    first = await agent.connected()
    second = await agent.connected()
    with pytest.raises(aio.AioRpcError) as ended:
        await first.receive()
    assert (ended.value.code(), reason(ended.value)) == (
        grpc.StatusCode.ABORTED,
        "SESSION_REPLACED",
    )
    assert (await server.node(agent.node_id)).status == node_pb2.Node.READY
    await second.break_off()


async def test_another_protocol_version_is_a_failed_precondition(
    server: Server, agent: Agent
) -> None:
    control = agent.control()
    control.send(hello(version=2, inventory=INVENTORY))
    with pytest.raises(aio.AioRpcError) as refused:
        await control.receive()
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert reason(refused.value) == "PROTOCOL_VERSION_UNSUPPORTED"
    assert (await server.node(agent.node_id)).status_reason == "AGENT_NEVER_CONNECTED"


async def test_an_inventory_that_cannot_be_uses_no_token_up(server: Server) -> None:
    request = agents_service_pb2.JoinRequest(
        join_token=await server.join_token(), public_key=b"k" * 32, inventory=INVENTORY
    )
    bad = agents_service_pb2.JoinRequest()
    bad.CopyFrom(request)
    bad.inventory.gpus[1].uuid = bad.inventory.gpus[0].uuid
    with pytest.raises(aio.AioRpcError) as refused:
        await server.agents.Join(bad)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "inventory.gpus" in str(refused.value.details())
    assert (await server.agents.Join(request)).node_id


async def test_a_message_that_breaks_a_rule_ends_its_session_and_names_the_field(
    server: Server, agent: Agent
) -> None:
    control = await agent.connected()
    control.send(reports(agent_pb2.RunReport(run_id="run-x", epoch=1, state="RUNNING")))
    with pytest.raises(aio.AioRpcError) as refused:
        await next_of(control, "directive")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert reason(refused.value) == "INVALID_FIELDS"
    assert "message.run_report.run_id" in str(refused.value.details())
    await server.node_once(agent.node_id, node_pb2.Node.UNREACHABLE)
    # And no more than the session: the next one is as good as ever.
    await (await agent.connected()).break_off()


async def test_telemetry_that_breaks_a_rule_leaves_control_alone(
    server: Server, agent: Agent
) -> None:
    control, telemetry = await agent.connected(), agent.telemetry()
    process = agent_pb2.GpuProcessSample(gpu_uuid="GPU-0", pid=-1)
    telemetry.send(samples(processes=[process]))
    with pytest.raises(aio.AioRpcError) as refused:
        await next_of(telemetry, "log_ack")
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "message.samples.gpu_processes[0].pid" in str(refused.value.details())
    control.send(heartbeat())
    await next_of(control, "heartbeat_reply")
    assert (await server.node(agent.node_id)).status == node_pb2.Node.READY
    await control.break_off()


async def test_what_the_contract_does_not_know_is_not_stored_with_a_node(
    server: Server, agent: Agent
) -> None:
    control = agent.control()
    unknown = b"\xfa\x7f\x80\x80\x40" + b"x" * (1 << 20)  # field 2047: a MiB of bytes
    inventory = agent_pb2.Inventory.FromString(INVENTORY.SerializeToString() + unknown)
    control.send(hello(inventory=inventory))
    await next_of(control, "sync_end")
    with closing(sqlite3.connect(server.folder / "windlass.db")) as database:
        (stored,) = database.execute("SELECT length(inventory) FROM nodes").fetchone()
    assert stored == INVENTORY.ByteSize()
    await control.break_off()


async def test_a_node_cannot_write_another_nodes_log(server: Server, agent: Agent) -> None:
    control = await agent.connected()
    await server.submit(command=["train"])
    told = await next_of(control, "directive")
    thief = (await joined(server)).telemetry()
    thief.send(log_batch(told.run_id, 0, encode(1, 7, b"forged\n"), told.epoch))
    owner = agent.telemetry()
    owner.send(log_batch(told.run_id, 0, b"", told.epoch))
    assert (await next_of(owner, "log_ack")).position == 0
    thief.half_close()
    with pytest.raises(EOFError):
        await next_of(thief, "log_ack")
    owner.send(log_batch(told.run_id, 0, b"", told.epoch))
    assert (await next_of(owner, "log_ack")).position == 0
    for stream in (control, owner):
        await stream.break_off()  # type: ignore[attr-defined]


async def test_only_a_node_opens_a_session(server: Server) -> None:
    for metadata, code in (
        ((), grpc.StatusCode.UNAUTHENTICATED),
        (server.admin, grpc.StatusCode.PERMISSION_DENIED),
    ):
        call = server.agents.OpenSession(metadata=metadata)
        with pytest.raises(aio.AioRpcError) as refused:
            await call.read()
        assert refused.value.code() == code


async def test_a_node_learns_that_it_was_let_in_before_it_says_anything(
    server: Server, agent: Agent
) -> None:
    stranger = server.agents.OpenSession(metadata=server.admin)
    assert not await stranger.initial_metadata()
    for stream in (server.agents.OpenSession, server.agents.StreamTelemetry):
        call = stream(metadata=agent.metadata())
        assert dict(await call.initial_metadata())["x-request-id"]
        call.cancel()


async def test_a_gpu_that_has_recovered_gets_the_job_that_waits_for_it(
    server: Server, agent: Agent
) -> None:
    control, telemetry = await agent.connected(), agent.telemetry()
    sick = [series("GPU_HEALTHY", f"GPU-{number}", 0) for number in range(2)]
    telemetry.send(samples(*sick))
    while (node := await server.node(agent.node_id)).available.gpu_count:
        pass
    assert {gpu.health for gpu in node.gpus} == {node_pb2.Gpu.UNHEALTHY}
    job = await server.submit(command=["train"], resources={"gpu_count": 1})

    telemetry.send(samples(series("GPU_HEALTHY", "GPU-1", 1)))

    told = await next_of(control, "directive")
    assert list(told.spec.gpu_uuids) == ["GPU-1"]
    assert told.spec.job_id == job.job_id
    await control.break_off()
    await telemetry.break_off()


async def test_a_machine_of_a_far_release_is_refused_and_its_token_stays_good(
    server: Server,
) -> None:
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    request = agents_service_pb2.JoinRequest(
        join_token=await server.join_token(), public_key=key, inventory=an_inventory()
    )
    request.inventory.agent_version = "7.0.0"
    with pytest.raises(aio.AioRpcError) as refused:
        await server.agents.Join(request)
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert reason(refused.value) == "AGENT_VERSION_UNSUPPORTED"
    request.inventory.agent_version = ""
    assert (await server.agents.Join(request)).node_id
