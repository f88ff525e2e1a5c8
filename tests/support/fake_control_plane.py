"""A server for agents, scripted by the test: a real gRPC server on loopback, a store in memory.

It checks tokens and the rules of the contract for real and keeps logs as it says; what it is told to
do wrong (refuse, end streams, keep acknowledgements back) it does on purpose.
"""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio
import jwt
from google.protobuf import duration_pb2
from google.protobuf.message import Message

from tests.support.aborting import abort
from windlass.agents.v1 import agent_pb2 as pb
from windlass.agents.v1 import agents_service_pb2 as service_pb
from windlass.agents.v1 import agents_service_pb2_grpc as service_grpc
from windlass.agents.v1 import mig_pb2
from windlass_agent.clock import Clock, SystemClock
from windlass_server.access.tokens import verify_node
from windlass_server.errors import InvalidInput, Unauthenticated
from windlass_server.rpc.validation import Validation

NODE_ID = "node-01jh0000000000000000000000"


def seconds(amount: float) -> duration_pb2.Duration:
    """A duration of the contract."""
    duration = duration_pb2.Duration()
    duration.FromNanoseconds(int(amount * 1e9))
    return duration


class FakeSession:
    """One control stream, as the server sees it."""

    def __init__(self, claims: dict[str, Any]) -> None:
        self.claims = claims
        self.hello = pb.Hello()
        self.received: asyncio.Queue[pb.AgentMessage] = asyncio.Queue()
        self.outgoing: asyncio.Queue[pb.ServerMessage | None] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.answer_heartbeats = True

    def send(self, message: pb.ServerMessage) -> None:
        """Sends a message."""
        self.outgoing.put_nowait(message)

    def welcome(self, heartbeat_seconds: float = 60.0) -> None:
        """Answers Hello."""
        interval = seconds(heartbeat_seconds)
        self.send(
            pb.ServerMessage(welcome=pb.Welcome(node_id=NODE_ID, heartbeat_interval=interval))
        )

    def direct(self, directive: pb.RunDirective) -> None:
        """Sends a directive."""
        self.send(pb.ServerMessage(directive=directive))

    def divide(self, card_uuid: str, generation: int, *places: tuple[str, int]) -> None:
        """Says what a card shall be divided into; nothing: whole."""
        instances = [mig_pb2.MigPlacement(profile=name, memory_start=at) for name, at in places]
        order = mig_pb2.LayoutDirective(
            card_uuid=card_uuid, generation=generation, instances=instances
        )
        self.send(pb.ServerMessage(layout=order))

    def sync_end(self) -> None:
        """Says that all directives have been sent."""
        self.send(pb.ServerMessage(sync_end=pb.SyncEnd()))

    def kill(self) -> None:
        """Ends the stream with UNAVAILABLE."""
        self.outgoing.put_nowait(None)

    async def next_report(
        self, *, run_id: str | None = None, state: pb.RunReport.State | None = None
    ) -> pb.RunReport:
        """The next report, of this run and in this state if these are given."""
        while True:
            message = await self.received.get()
            report = message.run_report
            if (
                message.WhichOneof("content") == "run_report"
                and run_id in (None, report.run_id)
                and state in (None, report.state)
            ):
                return report

    async def next_inventory(self) -> pb.Inventory:
        """The next inventory behind that of the Hello."""
        while True:
            message = await self.received.get()
            if message.WhichOneof("content") == "inventory":
                return message.inventory

    async def next_heartbeat(self) -> None:
        """Returns at the next heartbeat."""
        while (await self.received.get()).WhichOneof("content") != "heartbeat":
            pass

    async def read(self, requests: AsyncIterator[service_pb.OpenSessionRequest]) -> None:
        """Takes in what the agent sends after its Hello."""
        async for request in requests:
            if request.message.WhichOneof("content") == "heartbeat" and self.answer_heartbeats:
                self.send(pb.ServerMessage(heartbeat_reply=pb.HeartbeatReply()))
            self.received.put_nowait(request.message)


class FakeControlPlane(service_grpc.AgentsServiceServicer):
    """The server. Use it as an async context manager.

    Args:
        credentials: Certificate and key to serve TLS with; plain text without.
    """

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        self._credentials = credentials
        self.join_tokens: set[str] = {"join-me"}
        self.join_failures: list[grpc.StatusCode] = []
        self.joins: list[service_pb.JoinRequest] = []
        self.keys: dict[str, bytes] = {}
        self.refuse: grpc.StatusCode | None = None
        self.refused = asyncio.Event()
        self.violations: list[str] = []
        self.sessions: asyncio.Queue[FakeSession] = asyncio.Queue()
        self.logs: dict[str, bytearray] = {}
        self.batches: list[pb.LogBatch] = []
        self.gaps: list[pb.LogBatch] = []
        self.acknowledge = True
        self.end_telemetry_after: list[int] = []
        self.clock: Clock = SystemClock()
        """Whose time the nodes' tokens are judged by."""
        self.credits: list[pb.SampleCredit] = [pb.SampleCredit(batches=1_000_000)]
        self.samples: asyncio.Queue[pb.SampleBatch] = asyncio.Queue()
        self.telemetry_streams = 0
        self.changed = asyncio.Condition()
        self._half_closed = asyncio.Event()
        self._telemetry_writes: asyncio.Queue[pb.TelemetryReply | None] | None = None
        self._validation = Validation()
        self._server = grpc.aio.server()
        self.port = 0

    @property
    def address(self) -> str:
        """Where to reach it."""
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        service_grpc.add_AgentsServiceServicer_to_server(self, self._server)
        if self._credentials is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            self.port = self._server.add_secure_port("127.0.0.1:0", self._credentials)
        await self._server.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._server.stop(None)

    async def next_session(self) -> FakeSession:
        """The next control stream, its Hello received."""
        return await self.sessions.get()

    def end_telemetry(self) -> None:
        """Ends the open telemetry stream with UNAVAILABLE."""
        assert self._telemetry_writes is not None
        self._telemetry_writes.put_nowait(None)

    def grant(self, batches: int, min_interval: float = 0.0) -> None:
        """Grants credit on the open telemetry stream."""
        assert self._telemetry_writes is not None
        credit = pb.SampleCredit(batches=batches, min_interval=seconds(min_interval))
        self._telemetry_writes.put_nowait(pb.TelemetryReply(credit=credit))

    def acknowledge_all(self) -> None:
        """Acknowledges what is held of every log."""
        for run_id in self.logs:
            self._ack(run_id)

    async def until_log(self, run_id: str, length: int) -> bytes:
        """The log of a run, once so much of it has come."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.logs.get(run_id, b"")) >= length)
        return bytes(self.logs[run_id])

    async def until_violated(self, count: int) -> None:
        """Returns when so many messages have broken a rule."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.violations) >= count)

    async def until_joined(self, count: int) -> None:
        """Returns when Join has been called so often."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.joins) >= count)

    async def until_half_closed(self) -> None:
        """Returns when the agent has closed its side of a telemetry stream."""
        await self._half_closed.wait()

    # --- the service -----------------------------------------------------------------------------

    async def Join(self, request: service_pb.JoinRequest, context: Any) -> service_pb.JoinResponse:  # noqa: N802
        await self._check(request, context)
        async with self.changed:
            self.joins.append(request)
            self.changed.notify_all()
        if self.join_failures:
            await context.abort(self.join_failures.pop(0), "not now")
        known = request.public_key in self.keys.values()
        if not known and request.join_token not in self.join_tokens:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the join token is not good")
        self.join_tokens.discard(request.join_token)
        self.keys[NODE_ID] = request.public_key
        return service_pb.JoinResponse(node_id=NODE_ID)

    async def OpenSession(  # noqa: N802
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[service_pb.OpenSessionResponse]:
        session = FakeSession(await self._authenticated(context))
        await context.send_initial_metadata((("x-request-id", "req-1"),))
        requests = self._checked(request_iterator, context)
        first = await anext(requests)
        assert first.message.WhichOneof("content") == "hello", "the first message is always Hello"
        session.hello = first.message.hello
        reading = asyncio.ensure_future(session.read(requests))
        self.sessions.put_nowait(session)
        try:
            while (message := await session.outgoing.get()) is not None:
                yield service_pb.OpenSessionResponse(message=message)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "ended by the test")
        finally:
            session.ended.set()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def StreamTelemetry(  # noqa: N802
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[service_pb.StreamTelemetryResponse]:
        await self._authenticated(context)
        self.telemetry_streams += 1
        writes: asyncio.Queue[pb.TelemetryReply | None] = asyncio.Queue()
        self._telemetry_writes = writes
        for credit in self.credits:
            writes.put_nowait(pb.TelemetryReply(credit=credit))
        requests = self._checked(request_iterator, context)
        reading = asyncio.ensure_future(self._take_in(requests, writes))
        try:
            while (reply := await writes.get()) is not None:
                yield service_pb.StreamTelemetryResponse(message=reply)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "ended by the test")
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _checked(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            await self._check(request, context)
            yield request

    async def _check(self, request: Message, context: Any) -> None:
        """Refuses a message that breaks a rule, in the server's words."""
        try:
            self._validation.check(request)
        except InvalidInput as error:
            async with self.changed:
                self.violations.append(error.message)
                self.changed.notify_all()
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)

    async def _authenticated(self, context: Any) -> dict[str, Any]:
        if self.refuse is not None:
            self.refused.set()
            await context.abort(self.refuse, "refused by the test")
        metadata = dict(context.invocation_metadata())
        token = metadata["authorization"].removeprefix("Bearer ")
        assert jwt.get_unverified_header(token)["typ"] == "node+jwt"
        now = self.clock.time_nanos() // 1000
        try:
            verify_node(token, self.keys[NODE_ID], now=now)
        except Unauthenticated as error:
            await abort(context, error)
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
        assert claims["jti"]
        assert claims["sub"] == NODE_ID
        assert claims["exp"] - claims["iat"] <= 300
        return claims

    async def _take_in(
        self, requests: Any, writes: asyncio.Queue[pb.TelemetryReply | None]
    ) -> None:
        budget = self.end_telemetry_after.pop(0) if self.end_telemetry_after else None
        async for request in requests:
            if request.message.WhichOneof("content") == "samples":
                self.samples.put_nowait(request.message.samples)
                continue
            batch = request.message.logs
            if budget is not None:
                budget -= len(batch.frames)
                if budget < 0:  # this batch is lost on its way
                    writes.put_nowait(None)
                    return
            await self._hold(batch)
        self._half_closed.set()

    async def _hold(self, batch: pb.LogBatch) -> None:
        held = self.logs.setdefault(batch.run_id, bytearray())
        self.batches.append(batch)
        if batch.position > len(held):
            self.gaps.append(batch)
            return
        async with self.changed:
            held += batch.frames[len(held) - batch.position :]
            self.changed.notify_all()
        if self.acknowledge or not batch.frames:
            self._ack(batch.run_id)

    def _ack(self, run_id: str) -> None:
        assert self._telemetry_writes is not None
        ack = pb.LogAck(run_id=run_id, position=len(self.logs[run_id]))
        self._telemetry_writes.put_nowait(pb.TelemetryReply(log_ack=ack))
