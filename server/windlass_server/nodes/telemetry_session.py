"""The telemetry stream of one node: samples under credit, logs and what runs measure without loss.

Apart from control, so that bulk never delays that.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from google.protobuf.duration_pb2 import Duration

from windlass.agents.v1 import agent_pb2, custom_metric_pb2
from windlass_server.errors import InvalidInput, Unavailable
from windlass_server.nodes.duties import RunMetrics, Runs, Samples
from windlass_server.nodes.exchange import exchange
from windlass_server.nodes.outbox import Outbox
from windlass_server.nodes.pace import SHORTEST_SECONDS, Pace
from windlass_server.nodes.session import Sleep
from windlass_server.objects.logs import LogRefused, LogStore
from windlass_server.telemetry.known_batches import Batch, KnownBatch

_log = logging.getLogger(__name__)

CREDIT_BATCHES = 10
# An agent that keeps to the interval uses half of its credit until it gets more; none gets it
# sooner, so for long twice that rate is the most that a node can make the server take in.
_GRANT_SECONDS = CREDIT_BATCHES / 2 * SHORTEST_SECONDS
# Grants that an agent may not have heard of yet, when the interval changes time after time.
_MOST_CREDIT = 4 * CREDIT_BATCHES
# What a node's samples may cost: more of them, with credit or without, are not read before their time,
# so that the connection holds up whoever sends them. A batch costs its bytes and what every one takes;
# one without credit costs more, since no agent that keeps to the protocol sends it.
_BYTES_PER_SECOND = 2 << 20
_BYTES_AT_ONCE = 4 << 20
_BYTES_FOR_EACH = 512
_WITHOUT_CREDIT = 4
# Batches of logs and metrics that are on their way to the disk at the same time.
_APPENDS_AT_ONCE = 16
_REMEMBERED_RUNS = 4096

Tell = Callable[[str, agent_pb2.RunDirective], None]


class TelemetrySession:
    """One stream. Give it what comes by `on`; send what is in `outbox` until that is closed.

    Args:
        node_id: the node, as its credential proved.
        logs: where output goes.
        samples: where samples go.
        metrics: where goes what runs say of themselves in numbers.
        runs: knows whose run is whose.
        tell: sends a directive on the node's control session.
        pace: says how often samples may be sent.
        monotonic: seconds from an arbitrary start.
        sleep: waits for some seconds; a test's own for a clock of its own.
    """

    def __init__(
        self,
        node_id: str,
        logs: LogStore,
        samples: Samples,
        metrics: RunMetrics,
        runs: Runs,
        tell: Tell,
        pace: Pace,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.outbox: Outbox[agent_pb2.TelemetryReply] = Outbox()
        self._node_id = node_id
        self._logs = logs
        self._samples = samples
        self._metrics = metrics
        self._runs = runs
        self._tell = tell
        self._pace = pace
        self._monotonic = monotonic
        self._sleep = sleep
        self._granted_interval = 0.0
        self._debt, self._debt_at = 0.0, monotonic()
        self._owned: OrderedDict[tuple[str, int], bool] = OrderedDict()
        # What is accepted, and what of the newest grant has not come: an agent may have sent something
        # of the grant before when it heard of it, so the first is more.
        self._credit = self._promised = 0
        self._received = self._kept = self._acknowledged = 0
        self._appends: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(_APPENDS_AT_ONCE)
        self._grant()

    async def on(self, message: agent_pb2.TelemetryMessage | KnownBatch) -> None:
        """Take in a message of the agent, in the order in which they come."""
        if isinstance(message, KnownBatch):
            await self._on_samples(message, message.size)
            return
        kind = message.WhichOneof("content")
        if kind == "samples":
            await self._on_samples(message.samples, message.samples.ByteSize())
        elif kind == "logs":
            await self._on_logs(message.logs)
        elif kind == "metrics":
            await self._on_metrics(message.metrics)

    async def read(self, messages: AsyncIterator[agent_pb2.TelemetryMessage | KnownBatch]) -> None:
        """Take in all messages, and wait until what they brought is on disk."""
        try:
            async for message in messages:
                await self.on(message)
            await asyncio.gather(*self._appends)
            # The agent has said all it has to say, and may wait to hear what became of it.
            self._ack_samples()
            await self.outbox.emptied()
        finally:
            for append in self._appends:
                append.cancel()

    async def replenish(self) -> None:
        """Grant more credit as it is used and say what became of it, until cancelled."""
        while True:
            await self._sleep(_GRANT_SECONDS)
            paced = self._granted_interval != self._pace.interval_seconds
            if self._promised <= CREDIT_BATCHES // 2 or paced:
                self._grant()
            else:
                self._ack_samples()

    async def _on_samples(self, batch: Batch, size: int) -> None:
        """Keep a batch, unless it came without credit; return when the next one may be read."""
        self._received += 1
        cost = size + _BYTES_FOR_EACH
        if self._credit > 0:
            self._credit -= 1
            self._promised -= 1
            self._kept += 1
            self._samples.take(self._node_id, batch)
        else:
            cost *= _WITHOUT_CREDIT
        await self._pay(cost)

    async def _pay(self, cost: float) -> None:
        """Return when so much more may be read."""
        now = self._monotonic()
        paid = (now - self._debt_at) * _BYTES_PER_SECOND
        self._debt, self._debt_at = max(0.0, self._debt - paid) + cost, now
        if self._debt > _BYTES_AT_ONCE:
            await self._sleep((self._debt - _BYTES_AT_ONCE) / _BYTES_PER_SECOND)

    def _grant(self) -> None:
        self._credit = min(self._credit + CREDIT_BATCHES, _MOST_CREDIT)
        self._promised = CREDIT_BATCHES
        self._granted_interval = self._pace.interval_seconds
        interval = Duration()
        interval.FromNanoseconds(int(self._granted_interval * 1e9))
        credit = agent_pb2.SampleCredit(batches=CREDIT_BATCHES, min_interval=interval)
        reply = agent_pb2.TelemetryReply(credit=credit, sample_ack=self._sample_ack())
        self.outbox.put("credit", reply)

    def _ack_samples(self) -> None:
        """Say what became of the samples, unless that was said."""
        if self._received > self._acknowledged:
            self.outbox.put("samples", agent_pb2.TelemetryReply(sample_ack=self._sample_ack()))

    def _sample_ack(self) -> agent_pb2.SampleAck:
        self._acknowledged = self._received
        return agent_pb2.SampleAck(received=self._received, kept=self._kept)

    async def _on_logs(self, batch: agent_pb2.LogBatch) -> None:
        """Begin to store a batch. Batches of a run are begun in order, which is kept from there."""
        if not await self._owns(batch.run_id, batch.epoch):
            return
        await self._begin(self._append(batch))

    async def _on_metrics(self, batch: custom_metric_pb2.MetricBatch) -> None:
        """Begin to store a batch, of which a run sends the next when this is acknowledged."""
        await self._pay(batch.ByteSize() + _BYTES_FOR_EACH)
        if await self._owns(batch.run_id, batch.epoch):
            await self._begin(self._keep(batch))

    async def _keep(self, batch: custom_metric_pb2.MetricBatch) -> None:
        try:
            await self._metrics.take(batch)
        except InvalidInput as error:
            _log.warning("node %s, metrics of %s: %s", self._node_id, batch.run_id, error.message)
        ack = custom_metric_pb2.MetricAck(
            run_id=batch.run_id, source=batch.source, position=batch.position
        )
        self.outbox.put(("metrics", batch.run_id), agent_pb2.TelemetryReply(metric_ack=ack))

    async def _begin(self, storing: Coroutine[Any, Any, None]) -> None:
        await self._room.acquire()
        append = asyncio.create_task(storing)
        self._appends.add(append)
        append.add_done_callback(self._appended)

    def _appended(self, append: asyncio.Task[None]) -> None:
        self._room.release()
        self._appends.discard(append)
        if not append.cancelled() and (error := append.exception()) is not None:
            assert isinstance(error, Exception)
            self.outbox.close(error)

    async def _append(self, batch: agent_pb2.LogBatch) -> None:
        try:
            end = await self._logs.append(batch.run_id, batch.position, batch.frames)
        except LogRefused as refusal:
            if refusal.reason == "LOG_GAP":
                # The agent has to ask anew from where to go on, which it does on a new stream.
                raise
            _log.warning("node %s, log of %s: %s", self._node_id, batch.run_id, refusal.message)
            self._ack(batch.run_id, refusal.end)
            return
        except OSError as error:
            _log.exception("the log of %s cannot be written", batch.run_id)
            text = "logs cannot be written now"
            raise Unavailable(text, reason="LOG_NOT_WRITABLE", retry_seconds=5.0) from error
        self._ack(batch.run_id, end)
        if batch.lost:
            directive = await self._runs.log_lost(batch.run_id, batch.lost)
        else:
            directive = await self._runs.log_complete(batch.run_id, end)
        if directive is not None:
            self._tell(self._node_id, directive)

    def _ack(self, run_id: str, position: int) -> None:
        ack = agent_pb2.LogAck(run_id=run_id, position=position)
        self.outbox.put(("ack", run_id), agent_pb2.TelemetryReply(log_ack=ack))

    async def _owns(self, run_id: str, epoch: int) -> bool:
        """Whether the node may write this log; asked once, and logged once when not."""
        key = (run_id, epoch)
        owns = self._owned.get(key)
        if owns is None:
            owns = await self._runs.owns(self._node_id, run_id, epoch)
            if not owns:
                _log.warning("node %s sends the log of %s, not its run", self._node_id, run_id[:64])
            self._owned[key] = owns
            if len(self._owned) > _REMEMBERED_RUNS:
                self._owned.popitem(last=False)
        return owns


async def telemetry(
    session: TelemetrySession, messages: AsyncIterator[agent_pb2.TelemetryMessage | KnownBatch]
) -> AsyncGenerator[agent_pb2.TelemetryReply]:
    """One stream: takes in the agent's messages and yields what to send, until either ends."""
    works = (session.read(messages), session.replenish())
    async with aclosing(exchange(session.outbox, *works)) as replies:
        async for reply in replies:
            yield reply
