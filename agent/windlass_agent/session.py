"""The control stream: one session's protocol, and the link that opens one session after another.

A session is an object with `on(message)` and an outbox; it knows nothing of the wire. It begins
with Hello, the full truth, so nothing needs to survive from the session before it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

import grpc
import grpc.aio
import structlog

from windlass.agents.v1 import agent_pb2 as pb
from windlass.agents.v1 import (
    agents_service_pb2,
    agents_service_pb2_grpc,
    health_pb2,
    mig_pb2,
    profile_pb2,
)
from windlass_agent.bounds import MAX_HELLO_RUN_BYTES, MAX_HELLO_RUNS
from windlass_agent.clock import Clock
from windlass_agent.desired import DesiredRuns
from windlass_agent.identity import Identity
from windlass_agent.reconnect import (
    Liveliness,
    StreamLostError,
    ended,
    first_to_end,
    let_in,
    lost,
)

_log = structlog.get_logger(__name__)

PROTOCOL_VERSION = 1
OLDEST_PROTOCOL_VERSION = 1
OUTBOX_LIMIT = 4096
# A server to which a thousand nodes come back at once answers them one after the other. Who gives up
# early only stands in line again.
_WELCOME_SECONDS = 30.0
_SILENT_INTERVALS = 3
# Beats leave early, so that one delayed on its way still arrives within the server's interval.
_BEAT_EARLY = 0.8

OpenChannel = Callable[[], grpc.aio.Channel]
Call = grpc.aio.StreamStreamCall[
    agents_service_pb2.OpenSessionRequest, agents_service_pb2.OpenSessionResponse
]


class Outbox:
    """What waits to be sent in a session: the newest report of each run, and perhaps a heartbeat.

    A later report replaces an earlier one, so a run that changes fast takes one place. More runs
    than `limit` means that the server does not read: the session is given up, and the next Hello
    tells it all.
    """

    def __init__(self, limit: int = OUTBOX_LIMIT) -> None:
        self._limit = limit
        self._reports: dict[str, pb.RunReport] = {}
        self._health: health_pb2.HealthReport | None = None
        self._inventory: pb.Inventory | None = None
        self._beat = False
        self._overflowed = False
        self._filled = asyncio.Event()

    def put(self, report: pb.RunReport) -> None:
        """Keeps a report for sending. Never blocks; past the limit, `take` raises."""
        if report.run_id not in self._reports and len(self._reports) >= self._limit:
            self._overflowed = True
        else:
            self._reports[report.run_id] = report
        self._filled.set()

    def put_all(self, reports: Sequence[pb.RunReport]) -> None:
        """Keeps what a Hello did not take, on top of the limit."""
        self._limit += len(reports)
        for report in reports:
            self.put(report)

    def put_health(self, report: health_pb2.HealthReport) -> None:
        """Keeps the state of the devices for sending; a later one takes its place."""
        self._health = report
        self._filled.set()

    def put_inventory(self, inventory: pb.Inventory) -> None:
        """Keeps what the node has now for sending; a later one takes its place."""
        self._inventory = inventory
        self._filled.set()

    def put_beat(self) -> None:
        """Asks for a heartbeat, after what waits already."""
        self._beat = True
        self._filled.set()

    def take(self) -> list[pb.AgentMessage]:
        """Everything that waits; the outbox is empty afterwards.

        Raises:
            StreamLostError: a report did not fit.
        """
        if self._overflowed:
            raise StreamLostError("the server does not read: too many reports wait")
        messages = [pb.AgentMessage(run_report=report) for report in self._reports.values()]
        if self._health is not None:
            # First: what ended a run may be in it.
            messages.insert(0, pb.AgentMessage(health=self._health))
        if self._inventory is not None:
            # Before all that is told of the devices which are new in it.
            messages.insert(0, pb.AgentMessage(inventory=self._inventory))
        if self._beat:
            messages.append(pb.AgentMessage(heartbeat=pb.Heartbeat()))
        self._reports, self._health, self._beat = {}, None, False
        self._inventory = None
        self._filled.clear()
        return messages

    async def wait(self) -> None:
        """Returns when there is something to take."""
        await self._filled.wait()


class Care(Protocol):
    """Knows the state of the devices, and carries out what the server wants of them."""

    @property
    def report(self) -> health_pb2.HealthReport | None: ...

    def want(self, order: health_pb2.ResetDirective) -> None: ...


class Divider(Protocol):
    """Divides cards as the server wants them."""

    def want(self, order: mig_pb2.LayoutDirective) -> None: ...


class Pulse:
    """When to beat and when to give the server up. All times in seconds, on the monotonic clock.

    Args:
        interval: How often the server wants to hear something.
        now: The present.
    """

    def __init__(self, interval: float, now: float) -> None:
        self._interval = interval
        self._sent = self._beat = self._heard = now

    def sent(self, now: float) -> None:
        """Something was sent."""
        self._sent = now

    def beaten(self, now: float) -> None:
        """A heartbeat was put on its way."""
        self._beat = now

    def heard(self, now: float) -> None:
        """Something was received."""
        self._heard = now

    def beat_due(self) -> float:
        """When the next heartbeat is due, unless something happens before.

        Any message keeps this node alive at the server, but only a beat is sure to be answered: a
        node that reports all the time still asks whether the server is there.
        """
        quiet_since = max(self._beat, min(self._sent, self._heard))
        return quiet_since + self._interval * _BEAT_EARLY

    def dead_at(self) -> float:
        """When a server that stays silent is given up."""
        return self._heard + self._interval * _SILENT_INTERVALS


class Observer(Protocol):
    """Takes profiles of tasks."""

    def want(self, directive: profile_pb2.ProfileDirective) -> None: ...


class ControlSession:
    """One session's protocol. Feed it with `on`; send what is in `outbox`.

    `pulse` and `server_version` are there from Welcome on, when `welcomed` is set.
    """

    def __init__(
        self,
        desired: DesiredRuns,
        outbox: Outbox | None = None,
        care: Care | None = None,
        divider: Divider | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._observer = observer
        self._desired = desired
        self._care = care
        self._divider = divider
        self.outbox = outbox or Outbox()
        self.welcomed = asyncio.Event()
        self.pulse: Pulse | None = None
        self.server_version = ""
        self._told: set[str] = set()
        self._named: set[str] = set()
        self._synced = False

    def hello(self, inventory: pb.Inventory) -> pb.AgentMessage:
        """The first message: everything that this node knows.

        What it has no room for is put in the outbox, which is sent behind it.
        """
        runs = self._desired.truth()
        self._told = {run.run_id for run in runs}
        runs.sort(key=lambda run: run.state == pb.RunReport.EXITED)
        fitting = _that_fit(runs)
        self.outbox.put_all(runs[fitting:])
        return pb.AgentMessage(
            hello=pb.Hello(
                protocol_version=PROTOCOL_VERSION,
                oldest_protocol_version=OLDEST_PROTOCOL_VERSION,
                inventory=inventory,
                runs=runs[:fitting],
                runs_follow=fitting < len(runs),
                health=self._care.report if self._care is not None else None,
            )
        )

    def on(self, message: pb.ServerMessage, now: float) -> None:
        """Takes in a message of the server; returns at once.

        Raises:
            StreamLostError: the server does not keep to the protocol.
        """
        if self.pulse is not None:
            self.pulse.heard(now)
        kind = message.WhichOneof("content")
        if kind == "welcome":
            self._on_welcome(message.welcome, now)
        elif kind == "directive":
            self._named.add(message.directive.run_id)
            self._desired.want(message.directive)
        elif kind == "sync_end":
            self._on_sync_end()
        else:
            self._on_order(message)

    def _on_order(self, message: pb.ServerMessage) -> None:
        kind = message.WhichOneof("content")
        if kind == "reset" and self._care is not None:
            self._care.want(message.reset)
        elif kind == "layout" and self._divider is not None:
            self._divider.want(message.layout)
        elif kind == "profile" and self._observer is not None:
            self._observer.want(message.profile)

    def _on_welcome(self, welcome: pb.Welcome, now: float) -> None:
        interval = welcome.heartbeat_interval.ToNanoseconds() / 1e9
        if interval <= 0:
            raise StreamLostError("the server's heartbeat interval is not positive", refused=True)
        version = welcome.protocol_version or PROTOCOL_VERSION
        if not OLDEST_PROTOCOL_VERSION <= version <= PROTOCOL_VERSION:
            message = f"the server wants version {version} of the protocol, which is not ours"
            raise StreamLostError(message, refused=True)
        self.server_version = welcome.server_version
        self.pulse = Pulse(interval, now)
        self.welcomed.set()

    def _on_sync_end(self) -> None:
        """Only runs of the Hello can be unknown: those begun since were begun by a directive."""
        if not self._synced:
            self._synced = True
            self._desired.drop_unknown(sorted(self._told - self._named))


class ControlLink:
    """Holds the control stream: a session at a time, for as long as `connect` is called again.

    Args:
        open_channel: Makes a connection that nothing else uses.
        identity: Proves who this node is.
        desired: What the server's directives go to.
        inventory: What the node has now; asked for each Hello.
        clock: For heartbeats.
        care: The state of the devices; None for a node that knows nothing of it.
        divider: Divides the node's cards; None for a node that cannot.
        observer: Takes profiles of tasks; None for a node that cannot.
    """

    def __init__(
        self,
        open_channel: OpenChannel,
        identity: Identity,
        desired: DesiredRuns,
        inventory: Callable[[], pb.Inventory],
        clock: Clock,
        care: Care | None = None,
        divider: Divider | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._observer = observer
        self._open_channel = open_channel
        self._identity = identity
        self._desired = desired
        self._inventory = inventory
        self._clock = clock
        self._care = care
        self._divider = divider
        self._session: ControlSession | None = None
        self._idle = asyncio.Event()

    def report(self, report: pb.RunReport) -> None:
        """Sends a report at once if there is a session; else the next Hello will carry it."""
        if self._session is not None:
            self._idle.clear()
            self._session.outbox.put(report)

    def tell_health(self, report: health_pb2.HealthReport) -> None:
        """Sends the state of the devices if there is a session; else the next Hello has it."""
        if self._session is not None:
            self._idle.clear()
            self._session.outbox.put_health(report)

    def tell_inventory(self) -> None:
        """Sends what the node has now if there is a session; else the next Hello has it."""
        if self._session is not None:
            self._idle.clear()
            self._session.outbox.put_inventory(self._inventory())

    @property
    def welcomed(self) -> bool:
        """Whether there is a session that the server has answered."""
        return self._session is not None and self._session.welcomed.is_set()

    async def flushed(self) -> None:
        """Returns when every report has been handed to the wire; at once without a session."""
        if self._session is not None:
            await self._idle.wait()

    async def connect(self, alive: Liveliness) -> None:
        """Holds one session, from the connection to its end.

        Raises:
            StreamLostError: it ended, for whatever reason.
        """
        async with self._open_channel() as channel:
            stub = agents_service_pb2_grpc.AgentsServiceStub(channel)
            call = stub.OpenSession(metadata=self._identity.metadata())
            session = ControlSession(
                self._desired,
                care=self._care,
                divider=self._divider,
                observer=self._observer,
            )
            try:
                # From here on changes go to the outbox: none falls between Hello and the session.
                self._session = session
                hello = _request(session.hello(self._inventory()))
                await let_in(call, self._identity)
                await call.write(hello)
                await first_to_end(
                    self._read(call, session, alive),
                    self._write(call, session),
                    self._watch(session),
                )
            except grpc.aio.AioRpcError as error:
                raise lost(error, self._identity) from None
            except asyncio.InvalidStateError:  # grpc's word for writing to a stream that has ended
                raise await ended(call, self._identity) from None
            finally:
                self._session = None
                self._idle.set()
                call.cancel()

    async def _read(self, call: Call, session: ControlSession, alive: Liveliness) -> None:
        responses: AsyncIterator[agents_service_pb2.OpenSessionResponse] = aiter(call)
        async for response in responses:
            session.on(response.message, self._clock.monotonic())
            if alive.established_at is None and session.welcomed.is_set():
                alive.established_at = self._clock.monotonic()
                _log.info(
                    "connected",
                    node_id=self._identity.node_id,
                    server_version=session.server_version,
                )

    async def _write(self, call: Call, session: ControlSession) -> None:
        while True:
            await session.outbox.wait()
            for message in session.outbox.take():
                await call.write(_request(message))
                if session.pulse is not None:
                    session.pulse.sent(self._clock.monotonic())
            self._idle.set()

    async def _watch(self, session: ControlSession) -> None:
        """Beats when due; ends the session of a server that is silent."""
        pulse = await self._welcomed(session)
        while (now := self._clock.monotonic()) < pulse.dead_at():
            if now >= pulse.beat_due():
                session.outbox.put_beat()
                pulse.beaten(now)
            await self._clock.sleep(min(pulse.beat_due(), pulse.dead_at()) - now)
        raise StreamLostError("the server is silent")

    async def _welcomed(self, session: ControlSession) -> Pulse:
        try:
            async with asyncio.timeout(_WELCOME_SECONDS):
                await session.welcomed.wait()
        except TimeoutError:
            raise StreamLostError("the server did not answer Hello") from None
        assert session.pulse is not None
        return session.pulse


def _that_fit(reports: Sequence[pb.RunReport]) -> int:
    """How many of the first reports one Hello can carry."""
    room = MAX_HELLO_RUN_BYTES
    for count, report in enumerate(reports[:MAX_HELLO_RUNS]):
        room -= report.ByteSize() + 8  # its tag and length
        if room < 0:
            return count
    return min(len(reports), MAX_HELLO_RUNS)


def _request(message: pb.AgentMessage) -> agents_service_pb2.OpenSessionRequest:
    return agents_service_pb2.OpenSessionRequest(message=message)
