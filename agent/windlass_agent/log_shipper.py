"""Ships the logs of runs, losing nothing: what the server has not acknowledged is sent again.

The log files on the node are the spool; the server says how much of each it has on disk. So all
that is kept here is a position for each run, and a limit on how much may be on its way. When a run
has ended and the disk does not have its log any more, the server is told, so that nobody waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from windlass.agents.v1 import agent_pb2 as pb
from windlass_agent.bounds import MAX_DETAIL, text
from windlass_agent.clock import Clock
from windlass_agent.run_types import Phase, RunNotFound, RunState

_log = structlog.get_logger(__name__)

WINDOW_BYTES = 4 << 20
# Less than the contract's 1 MiB: one busy run gives way to the others more often.
BATCH_BYTES = 256 << 10
_LARGEST_FRAME = 64 * 1024 + 13
_TORN_FRAME_SECONDS = 0.005
# A disk that fails to read may be in trouble for a moment; after so many times it is not.
_UNREADABLE_SECONDS = 5.0
_UNREADABLE_TIMES = 60

Send = Callable[[pb.LogBatch], Awaitable[None]]


class Log(Protocol):
    """A run's log on the node's disk."""

    def read(self, position: int, max_bytes: int = ...) -> bytes: ...

    async def wait(self, position: int) -> bool: ...

    def wake(self) -> None: ...


@dataclass(slots=True)
class _Shipment:
    """How far a run's log has come. `acked` <= `sent`; what lies between is on its way."""

    run_id: str
    epoch: int
    log: Log
    fresh: bool  # begun under this agent: the server can hold nothing of it yet
    acked: int = 0
    sent: int = 0
    end: int | None = None
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def on_its_way(self) -> int:
        return self.sent - self.acked

    @property
    def settled(self) -> bool:
        return self.end is not None and self.acked >= self.end


class LogShipper:
    """The logs of every run that the node knows.

    Args:
        log_of: The log of a run; raises RunNotFound when there is none.
        clock: Waits for a torn frame.
        window_bytes: Most that may be sent and not acknowledged, of all runs together.
    """

    def __init__(
        self, log_of: Callable[[str], Log], clock: Clock, *, window_bytes: int = WINDOW_BYTES
    ) -> None:
        self._log_of = log_of
        self._clock = clock
        self._window_bytes = window_bytes
        self._shipments: dict[str, _Shipment] = {}
        self._followers: dict[str, asyncio.Task[None]] = {}
        self._send: Send | None = None
        self._moved = asyncio.Event()
        self._turn = asyncio.Lock()  # hands the window round in order of arrival

    @property
    def unacknowledged_bytes(self) -> int:
        """What has been sent on this connection and not been acknowledged."""
        return sum(shipment.on_its_way for shipment in self._shipments.values())

    def track(self, state: RunState) -> None:
        """Ships this run's log from now on; called again for each new state of it."""
        known = self._shipments.get(state.run_id)
        if known is None or known.epoch != state.epoch:
            known = self._begin(state)
        if known is None:
            return
        known.log.wake()  # who waits since before the file was there looks again
        if state.exit is not None:
            known.end = state.exit.log_end
            self._notify()

    def drop(self, run_id: str) -> None:
        """Ships nothing more of this run."""
        self._shipments.pop(run_id, None)
        follower = self._followers.pop(run_id, None)
        if follower is not None:
            follower.cancel()
        self._notify()

    def on_ack(self, ack: pb.LogAck) -> None:
        """The server says what it has; the first word after a question counts in both directions."""
        shipment = self._shipments.get(ack.run_id)
        if shipment is None:
            return
        if not shipment.answered.is_set():
            shipment.acked = shipment.sent = ack.position
            shipment.answered.set()
        elif ack.position > shipment.acked:
            shipment.acked = ack.position
            shipment.sent = max(shipment.sent, ack.position)
        self._notify()

    async def ship(self, send: Send) -> None:
        """Ships over one connection until cancelled."""
        self._send = send
        try:
            for shipment in self._shipments.values():
                shipment.sent = shipment.acked
                self._follow(shipment, ask=not shipment.fresh)
                shipment.fresh = False
            await asyncio.get_running_loop().create_future()
        finally:
            self._send = None
            followers, self._followers = list(self._followers.values()), {}
            for follower in followers:
                follower.cancel()
            await asyncio.gather(*followers, return_exceptions=True)

    async def settled(self) -> None:
        """Returns when the server has the whole log of every run that has ended."""
        while any(s.end is not None and not s.settled for s in self._shipments.values()):
            await self._next_move()

    def _begin(self, state: RunState) -> _Shipment | None:
        self.drop(state.run_id)
        try:
            log = self._log_of(state.run_id)
        except RunNotFound:
            return None
        fresh = state.phase is Phase.PREPARING
        shipment = _Shipment(state.run_id, state.epoch, log, fresh)
        self._shipments[state.run_id] = shipment
        if self._send is not None:
            self._follow(shipment, ask=not fresh)
            shipment.fresh = False
        return shipment

    def _follow(self, shipment: _Shipment, *, ask: bool) -> None:
        assert self._send is not None
        following = self._ship_one(shipment, self._send, ask=ask)
        task = asyncio.get_running_loop().create_task(following)
        self._followers[shipment.run_id] = task

    async def _ship_one(self, shipment: _Shipment, send: Send, *, ask: bool) -> None:
        if ask:
            await self._ask(shipment, send)
        else:
            shipment.answered.set()
        failures = 0
        lost = ""
        while not lost:
            try:
                if not await shipment.log.wait(shipment.sent):
                    return
                lost = await self._send_next(shipment, send)
                failures = 0
            except OSError as error:
                failures += 1
                if failures == 1:
                    _log.warning(
                        "cannot read a run's log", run_id=shipment.run_id, error=str(error)
                    )
                if failures >= _UNREADABLE_TIMES and shipment.end is not None:
                    lost = f"The run's log cannot be read: {error}."
                else:
                    await self._clock.sleep(_UNREADABLE_SECONDS)
        await self._give_up(shipment, send, lost)

    async def _ask(self, shipment: _Shipment, send: Send) -> None:
        """Learns what the server has, by a batch without frames, instead of sending it all again.

        Nothing is sent before the answer: a server that never answers does not want this log, and
        it shall not take up the window. Position 0 can be no gap, whatever the server lost.
        """
        shipment.answered.clear()
        await send(pb.LogBatch(run_id=shipment.run_id, epoch=shipment.epoch))
        await shipment.answered.wait()

    async def _send_next(self, shipment: _Shipment, send: Send) -> str:
        """Sends what comes next; answers why nothing more can come, if that is so."""
        async with self._turn:
            await self._room()
            most = min(BATCH_BYTES, self._window_bytes - self.unacknowledged_bytes)
            frames = shipment.log.read(shipment.sent, most)
            batch = pb.LogBatch(
                run_id=shipment.run_id,
                epoch=shipment.epoch,
                position=shipment.sent,
                frames=frames,
            )
            shipment.sent += len(frames)
        if frames:
            await send(batch)
        elif shipment.end is None:  # the frame is still being written
            await self._clock.sleep(_TORN_FRAME_SECONDS)
        else:
            missing = shipment.end - shipment.sent
            return f"{missing} bytes of the run's log are not on the node's disk any more."
        return ""

    async def _give_up(self, shipment: _Shipment, send: Send, lost: str) -> None:
        _log.error("a run's log is lost", run_id=shipment.run_id, why=lost)
        position = shipment.sent
        shipment.end = position
        await send(
            pb.LogBatch(
                run_id=shipment.run_id,
                epoch=shipment.epoch,
                position=position,
                lost=text(lost, MAX_DETAIL),
            )
        )
        self._notify()

    async def _room(self) -> None:
        while self._window_bytes - self.unacknowledged_bytes < _LARGEST_FRAME:
            await self._next_move()

    async def _next_move(self) -> None:
        await self._moved.wait()

    def _notify(self) -> None:
        """Wakes, in the order they came, all that wait for an acknowledgement."""
        self._moved.set()
        self._moved = asyncio.Event()
