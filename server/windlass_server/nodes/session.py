"""The control session of one node: what its agent says, and what it is told.

A session begins with Hello, the full truth of the node. The answer is Welcome, every directive that
the node may still need, and SyncEnd. From then on it reports what changes and is told what the
server wants. Directives name a state to be in, so repeats do no harm, and only the highest
(epoch, generation) of a run counts.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from google.protobuf.duration_pb2 import Duration

from windlass.agents.v1 import agent_pb2
from windlass_server import __version__
from windlass_server.clock import Clock
from windlass_server.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    Unavailable,
    WindlassError,
    WrongState,
)
from windlass_server.nodes.duties import Health, Members, Runs
from windlass_server.nodes.outbox import Outbox
from windlass_server.nodes.versions import agreed_protocol, check_release

_log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10.0
SILENT_HEARTBEATS = 3
# How often it is stored that a node was heard; more often where heartbeats are.
_TOUCH_SECONDS = 10.0
# Rounds of the event loop in which what has come is read.
_LAST_LOOKS = 10
# Reports of one Hello that are handled at the same time.
_REPORTS_AT_ONCE = 128

Order = tuple[int, int]
Sleep = Callable[[float], Awaitable[None]]


class NodeSession:
    """One session. Give it what comes by `on`; send what is in `outbox` until that is closed.

    Args:
        node_id: the node, as its credential proved.
        entered: called when Hello is acceptable and before anything is stored: the session that
            the node had before ends here.
        clock: for liveness.
        heartbeat_seconds: how often the agent must be heard; silent for three times that, it is
            given up.
        release: the server's version; agents of another that is too far away are refused.
    """

    def __init__(
        self,
        node_id: str,
        members: Members,
        runs: Runs,
        health: Health,
        clock: Clock,
        *,
        entered: Callable[["NodeSession"], Awaitable[None]],
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        release: str = __version__,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.node_id = node_id
        self.outbox: Outbox[agent_pb2.ServerMessage] = Outbox()
        self._members = members
        self._runs = runs
        self._health = health
        self._clock = clock
        self._entered = entered
        self._heartbeat_seconds = heartbeat_seconds
        self._release = release
        self._sleep = sleep
        self._greeted = False
        self._synced = asyncio.Event()
        self._woken = asyncio.Event()
        self._sent: dict[str, Order] = {}
        self._resets: dict[str, int] = {}
        self._layouts: dict[str, int] = {}
        self._divides = False
        self._heard = clock.monotonic()
        self._busy = 0
        self._touched = self._heard
        self.seen_at = clock.now()
        """When the node was last heard (µs): never before what this session stored of it."""

    async def on(self, message: agent_pb2.AgentMessage) -> None:
        """Take in a message of the agent, in the order in which they come.

        Raises:
            WrongState: PROTOCOL_VERSION_UNSUPPORTED, AGENT_VERSION_UNSUPPORTED, HELLO_EXPECTED or
                HELLO_REPEATED.
            NotFound: there is no such node.
        """
        self._heard = self._clock.monotonic()
        self.seen_at = max(self.seen_at, self._clock.now())
        self._busy += 1
        try:
            await self._handle(message)
            await self._touch()
        finally:
            self._busy -= 1

    def wake(self) -> None:
        """The node's directives may have changed: look soon. A hint, no more."""
        self._woken.set()

    def tell(self, directive: agent_pb2.RunDirective) -> None:
        """Send a directive, unless the node was told as much or more."""
        order = (directive.epoch, directive.generation)
        if self._sent.get(directive.run_id, (-1, -1)) >= order:
            return
        self._sent[directive.run_id] = order
        message = agent_pb2.ServerMessage(directive=directive)
        self.outbox.put(("directive", directive.run_id), message)

    def send(self, message: agent_pb2.ServerMessage, key: str) -> None:
        """Send a message once; nothing is done about one that does not come through."""
        self.outbox.put(key, message)

    async def follow(self) -> None:
        """Tell the node of changed directives, whenever woken, until cancelled."""
        await self._synced.wait()
        while True:
            await self._woken.wait()
            self._woken.clear()
            await self._tell_all()

    async def watch(self) -> None:
        """Return when the agent has been silent for too long."""
        patience = self._heartbeat_seconds * SILENT_HEARTBEATS
        while (left := await self._patience_left(patience)) > 0 or self._busy:
            await self._sleep(left if left > 0 else self._heartbeat_seconds)

    async def _patience_left(self, patience: float) -> float:
        """Seconds until the agent has been silent for too long; none only after a last look.

        A process that had no time for a while finds its timers due before it has read what lies there.
        """
        for _ in range(_LAST_LOOKS):
            left = self._heard + patience - self._clock.monotonic()
            if left > 0 or self._busy:
                break
            await asyncio.sleep(0)
        return left

    async def _handle(self, message: agent_pb2.AgentMessage) -> None:
        kind = message.WhichOneof("content")
        if not self._greeted and kind != "hello":
            text = "the first message of a session is hello"
            raise WrongState(text, reason="HELLO_EXPECTED", subject=self.node_id)
        if kind == "hello":
            await self._hello(message.hello)
        elif kind == "run_report":
            await self._report(message.run_report)
        elif kind == "inventory":
            self._divides = _divides(message.inventory)
            await self._members.restock(self.node_id, message.inventory)
        elif kind == "health":
            await self._health.report(self.node_id, message.health)
        elif kind == "heartbeat":
            reply = agent_pb2.ServerMessage(heartbeat_reply=agent_pb2.HeartbeatReply())
            self.outbox.put("heartbeat_reply", reply)
            # Another server may have changed something, whose hints do not come here.
            self.wake()

    async def _hello(self, hello: agent_pb2.Hello) -> None:
        if self._greeted:
            text = "a session has one hello"
            raise WrongState(text, reason="HELLO_REPEATED", subject=self.node_id)
        protocol = agreed_protocol(hello.protocol_version, hello.oldest_protocol_version)
        check_release(hello.inventory.agent_version, self._release)
        self._greeted = True
        self._divides = _divides(hello.inventory)
        await self._entered(self)
        self.seen_at = max(self.seen_at, await self._members.hello(self.node_id, hello.inventory))
        if hello.HasField("health"):
            # What ended a run may be in it.
            await self._health.report(self.node_id, hello.health)
        following = await self._take_reports(hello.runs)
        if not hello.runs_follow:
            await self._runs.hello(self.node_id, {run.run_id for run in hello.runs})
        self._welcome(protocol)
        await self._tell_all()
        for directive in following:
            self.tell(directive)
        self.outbox.put("sync_end", agent_pb2.ServerMessage(sync_end=agent_pb2.SyncEnd()))
        self._synced.set()

    def _welcome(self, protocol: int) -> None:
        interval = Duration()
        interval.FromNanoseconds(int(self._heartbeat_seconds * 1e9))
        welcome = agent_pb2.Welcome(
            node_id=self.node_id,
            heartbeat_interval=interval,
            protocol_version=protocol,
            server_version=self._release,
        )
        self.outbox.put("welcome", agent_pb2.ServerMessage(welcome=welcome))

    async def _take_reports(
        self, reports: Sequence[agent_pb2.RunReport]
    ) -> list[agent_pb2.RunDirective]:
        """Hand over the reports of a Hello; they are of different runs, so many at a time."""
        following = []
        for first in range(0, len(reports), _REPORTS_AT_ONCE):
            some = reports[first : first + _REPORTS_AT_ONCE]
            answers = await asyncio.gather(*(self._hand_over(report) for report in some))
            following += [answer for answer in answers if answer is not None]
        return following

    async def _report(self, report: agent_pb2.RunReport) -> None:
        directive = await self._hand_over(report)
        if directive is not None:
            self.tell(directive)

    async def _hand_over(self, report: agent_pb2.RunReport) -> agent_pb2.RunDirective | None:
        """The directive that follows from a report; one that makes no sense is left at that."""
        try:
            return await self._runs.report(self.node_id, report)
        except (WrongState, Conflict, InvalidInput, NotFound) as error:
            _log.warning(
                "node %s: its report of run %s was refused: %s",
                self.node_id,
                report.run_id,
                error.message,
            )
            return None

    def _tell_resets(self) -> None:
        """Order resets, unless the node was told as much or more in this session."""
        for reset in self._health.resets(self.node_id):
            if self._resets.get(reset.gpu_uuid, 0) < reset.generation:
                self._resets[reset.gpu_uuid] = reset.generation
                message = agent_pb2.ServerMessage(reset=reset)
                self.outbox.put(("reset", reset.gpu_uuid), message)

    async def _tell_layouts(self) -> None:
        """Order layouts, unless the node was told as much or more in this session."""
        if not self._divides:
            return
        for layout in await self._members.layouts(self.node_id):
            if self._layouts.get(layout.card_uuid, 0) < layout.generation:
                self._layouts[layout.card_uuid] = layout.generation
                message = agent_pb2.ServerMessage(layout=layout)
                self.outbox.put(("layout", layout.card_uuid), message)

    async def _tell_all(self) -> None:
        self._tell_resets()
        await self._tell_layouts()
        directives = await self._runs.directives(self.node_id)
        for directive in directives:
            self.tell(directive)
        # What the server knows no longer is not sent again; so this does not grow.
        known = {directive.run_id for directive in directives}
        for run_id in self._sent.keys() - known:
            del self._sent[run_id]

    async def _touch(self) -> None:
        if self._heard - self._touched < min(_TOUCH_SECONDS, self._heartbeat_seconds):
            return
        self._touched = self._heard
        try:
            self.seen_at = max(self.seen_at, await self._members.touch(self.node_id))
        except Unavailable as error:
            _log.warning("node %s: not stored that it was heard: %s", self.node_id, error.message)


def _divides(inventory: agent_pb2.Inventory) -> bool:
    """Whether a node lets the server divide any of its cards."""
    return any(card.may_be_divided for card in inventory.mig_cards)


def silent(node_id: str) -> WindlassError:
    """What a session ends with when its agent is silent."""
    message = f"node {node_id} was silent for too long"
    return Unavailable(message, reason="AGENT_SILENT")


def replaced(node_id: str) -> WindlassError:
    """What a session ends with when its node opens another."""
    message = f"node {node_id} has opened another session"
    return Conflict(message, reason="SESSION_REPLACED")
