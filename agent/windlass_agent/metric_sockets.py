"""The sockets to which tasks send their own metrics, and the way of these to the server.

Each run has a datagram socket in a folder of its own that its sandbox shows it read-only, so that it
stays where it is. The socket is the agent's: a new agent binds it anew, and what is sent while there is
none is the sender's to keep.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from windlass.agents.v1 import custom_metric_pb2 as pb
from windlass_agent import rundir
from windlass_agent.clock import Clock
from windlass_agent.custom_metrics import Allowance, RunMetrics

_log = structlog.get_logger(__name__)

SHIP_SECONDS = 1.0
# Batches that the server has not acknowledged, of all runs together.
_WINDOW = 32
# A run that sends more is read no faster, so that it waits and not the agent.
_BYTES_PER_SECOND = 256 << 10
_BYTES_AT_ONCE = 1 << 20
_MAX_DATAGRAM = 64 << 10
_DATAGRAMS_AT_ONCE = 64
_PAUSE_SECONDS = 0.25

Send = Callable[[pb.MetricBatch], Awaitable[None]]


class MetricSockets:
    """Receives the metrics of every run and ships them.

    Args:
        clock: says when values came.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[str, _Receiver] = {}
        # With those of ended runs that the server has not all of.
        self._collected: dict[str, RunMetrics] = {}
        self._sent: set[str] = set()
        self._moved = asyncio.Event()

    def open(self, run_id: str, epoch: int, folder: Path) -> None:
        """Receive the metrics of a run from now on; harmless when that is so already.

        A machine that refuses the socket runs the task all the same, without.
        """
        known = self._open.get(run_id)
        if known is not None and known.metrics.epoch == epoch:
            return
        self.close(run_id)
        metrics = RunMetrics(run_id, epoch, self._clock.monotonic())
        try:
            bound = _bound(folder / rundir.METRICS)
        except OSError as error:
            _log.warning("no socket for a run's metrics", run_id=run_id, error=str(error))
            return
        self._open[run_id] = _Receiver(bound, metrics, self._clock)
        self._collected[run_id] = metrics

    def close(self, run_id: str) -> None:
        """Take what is there of a run and receive no more of it."""
        receiver = self._open.pop(run_id, None)
        if receiver is not None:
            receiver.close()
            self._moved.set()

    def close_all(self) -> None:
        """Receive nothing more."""
        for run_id in list(self._open):
            self.close(run_id)

    def on_ack(self, ack: pb.MetricAck) -> None:
        """The server has a batch."""
        self._sent.discard(ack.run_id)
        metrics = self._collected.get(ack.run_id)
        if metrics is not None:
            metrics.on_ack(ack)
            self._drop_if_done(ack.run_id)
        self._moved.set()

    async def ship(self, send: Send) -> None:
        """Ship over one connection until cancelled; what was not acknowledged before goes again."""
        self._sent.clear()
        while True:
            for run_id, metrics in list(self._collected.items()):
                if len(self._sent) >= _WINDOW:
                    break
                batch = metrics.next_batch() if run_id not in self._sent else None
                if batch is not None:
                    self._sent.add(run_id)
                    await send(batch)
                self._drop_if_done(run_id)
            await self._clock.sleep(SHIP_SECONDS)

    async def settled(self) -> None:
        """Return when the server has everything."""
        while any(one.waiting for one in self._collected.values()):
            self._moved.clear()
            await self._moved.wait()

    def _drop_if_done(self, run_id: str) -> None:
        if run_id not in self._open and not self._collected[run_id].waiting:
            del self._collected[run_id]


class _Receiver:
    """Reads one run's socket, no faster than it may."""

    def __init__(self, bound: socket.socket, metrics: RunMetrics, clock: Clock) -> None:
        self.metrics = metrics
        self._socket = bound
        self._clock = clock
        self._allowance = Allowance(_BYTES_PER_SECOND, _BYTES_AT_ONCE, clock.monotonic())
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self._listen()

    def close(self) -> None:
        """Read what is there, and no more."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._socket)
        self._read()
        self._socket.close()

    def _listen(self) -> None:
        self._loop.add_reader(self._socket, self._readable)

    def _readable(self) -> None:
        self._read()
        if self._allowance.left(self._clock.monotonic()) <= 0:
            self._loop.remove_reader(self._socket)
            self._again = self._loop.call_later(_PAUSE_SECONDS, self._listen)

    def _read(self) -> None:
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                datagram = self._socket.recv(_MAX_DATAGRAM)
            except (BlockingIOError, ConnectionError):
                return
            now = self._clock.monotonic()
            self._allowance.spend(len(datagram) + 1, now)
            self.metrics.take(datagram, self._clock.time_nanos() // 1000, now)


def _bound(folder: Path) -> socket.socket:
    """The socket in a run's folder, in the place of any that is there."""
    folder.mkdir(mode=0o700, exist_ok=True)
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(rundir.METRICS_SOCKET, dir_fd=held)
        # By its folder's descriptor: the address of a socket may have 107 bytes.
        made.bind(f"/proc/self/fd/{held}/{rundir.METRICS_SOCKET}")
    except BaseException:
        made.close()
        raise
    finally:
        os.close(held)
    return made
