"""The control sessions that this process holds, one for each node."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from windlass.agents.v1 import agent_pb2, profile_pb2
from windlass_server.clock import Clock
from windlass_server.errors import Unavailable, WindlassError
from windlass_server.nodes.duties import Health, Members, Runs
from windlass_server.nodes.exchange import exchange
from windlass_server.nodes.session import HEARTBEAT_SECONDS, NodeSession, Sleep, replaced, silent
from windlass_server.storage.guard import acting_as

_log = logging.getLogger(__name__)

_RETRY_SECONDS = 5.0


class NodeRegistry:
    """Opens, finds and ends the sessions of nodes.

    Args:
        members: keeps what is known of nodes.
        health: judges what the nodes report of their devices.
        runs: takes the nodes' reports and knows their directives.
        clock: for liveness.
        heartbeat_seconds: as in `NodeSession`.
        sleep: waits for some seconds; a test's own for a clock of its own.
    """

    def __init__(
        self,
        members: Members,
        runs: Runs,
        health: Health,
        clock: Clock,
        *,
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._members = members
        self._runs = runs
        self._health = health
        self._clock = clock
        self._heartbeat_seconds = heartbeat_seconds
        self._sleep = sleep
        self._sessions: dict[str, NodeSession] = {}
        self._endings: dict[str, asyncio.Task[None]] = {}
        self._closing = False

    def connected(self, node_id: str) -> bool:
        """Whether this process holds a session of the node."""
        return node_id in self._sessions

    def wake(self, node_id: str) -> None:
        """Let the node's session look at its directives soon. Nothing when it is not connected."""
        session = self._sessions.get(node_id)
        if session is not None:
            session.wake()

    def tell(self, node_id: str, directive: agent_pb2.RunDirective) -> None:
        """Send a directive to the node, if it is connected; if not, its next Hello settles it."""
        session = self._sessions.get(node_id)
        if session is not None:
            session.tell(directive)

    def ask_profile(self, node_id: str, directive: profile_pb2.ProfileDirective) -> bool:
        """Ask a node for a profile, once. False when it is not connected to this process."""
        session = self._sessions.get(node_id)
        if session is None:
            return False
        message = agent_pb2.ServerMessage(profile=directive)
        session.send(message, directive.profile_id)
        return True

    async def control(
        self, node_id: str, messages: AsyncIterator[agent_pb2.AgentMessage]
    ) -> AsyncGenerator[agent_pb2.ServerMessage]:
        """One session: takes in the agent's messages and yields what to send, until either ends."""
        if self._closing:
            raise _stopping()
        session = NodeSession(
            node_id,
            self._members,
            self._runs,
            self._health,
            self._clock,
            entered=self._enter,
            heartbeat_seconds=self._heartbeat_seconds,
            sleep=self._sleep,
        )
        works = (_read(session, messages), _watch(session), session.follow())
        try:
            async with aclosing(exchange(session.outbox, *works)) as answers:
                async for answer in answers:
                    yield answer
        finally:
            self._leave(session)

    async def close(self) -> None:
        """End all sessions, as the server stops, and store that their nodes are not connected."""
        self._closing = True
        for session in list(self._sessions.values()):
            session.outbox.close(_stopping())
            self._leave(session)
        await self.settled()

    async def settled(self) -> None:
        """Return when every end of a session so far is stored."""
        await asyncio.gather(*self._endings.values(), return_exceptions=True)

    async def _enter(self, session: NodeSession) -> None:
        """Make the session its node's own; the one before ends without a trace."""
        if self._closing:
            raise _stopping()
        node_id = session.node_id
        before = self._sessions.get(node_id)
        self._sessions[node_id] = session
        if before is not None:
            before.outbox.close(replaced(node_id))
        ending = self._endings.pop(node_id, None)
        if ending is not None:
            # What it would store is not so any more, and must not be stored behind our Hello.
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)

    def _leave(self, session: NodeSession) -> None:
        if self._sessions.get(session.node_id) is not session:
            return
        del self._sessions[session.node_id]
        task = asyncio.create_task(self._lost(session), name=f"lost {session.node_id}")
        self._endings[session.node_id] = task

    async def _lost(self, session: NodeSession) -> None:
        """Store that the node is not connected, however long the database cannot be reached.

        A server that stops tries once more and leaves it to the next start, or to other servers.
        """
        node_id = session.node_id
        try:
            with acting_as("nodes"):
                while not await self._stored_lost(session) and not self._closing:
                    await self._sleep(_RETRY_SECONDS)
        except Exception:
            _log.exception("node %s: not stored that it is not connected", node_id)
        if self._endings.get(node_id) is asyncio.current_task():
            del self._endings[node_id]

    async def _stored_lost(self, session: NodeSession) -> bool:
        try:
            await self._members.lost(session.node_id, seen_at=session.seen_at)
        except Unavailable as error:
            _log.warning("node %s: %s", session.node_id, error.message)
            return False
        return True


async def _read(session: NodeSession, messages: AsyncIterator[agent_pb2.AgentMessage]) -> None:
    async for message in messages:
        await session.on(message)


async def _watch(session: NodeSession) -> None:
    await session.watch()
    raise silent(session.node_id)


def _stopping() -> WindlassError:
    return Unavailable("the server stops", reason="SERVER_STOPPING")
