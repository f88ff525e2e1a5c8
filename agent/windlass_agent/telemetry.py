"""The telemetry stream: samples as far as the server lets us, logs and what tasks measure without loss.

On a connection of its own, so that neither ever delays control.
"""

import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio

from windlass.agents.v1 import agent_pb2 as pb
from windlass.agents.v1 import agents_service_pb2, agents_service_pb2_grpc, custom_metric_pb2
from windlass_agent.clock import Clock
from windlass_agent.identity import Identity
from windlass_agent.log_shipper import LogShipper
from windlass_agent.metric_sockets import MetricSockets
from windlass_agent.reconnect import Liveliness, ended, first_to_end, lost
from windlass_agent.sample_tally import SampleTally, StreamTally
from windlass_agent.sampling import SLOW_FIELDS, Sampler
from windlass_agent.session import OpenChannel

SAMPLE_SECONDS = 1.0
SLOW_SECONDS = 60.0
# Timers may fire a little early; a sample that came too soon would be held back for a whole round.
_SLACK_SECONDS = 0.002
_QUEUED_BATCHES = 4

Call = grpc.aio.StreamStreamCall[
    agents_service_pb2.StreamTelemetryRequest, agents_service_pb2.StreamTelemetryResponse
]


class SampleGate:
    """Holds the newest batch of samples until the server's credit lets it go.

    What changes slowly goes along with the first one of a connection, and then once a minute. That is
    decided as a batch goes, so that none is lost with a batch that another one has replaced.
    """

    def __init__(self) -> None:
        self._slow_sent_at = float("-inf")
        self._batches = 0
        self.min_interval = 0.0
        self._newest: tuple[float, pb.SampleBatch] | None = None
        self._last_sent_at = float("-inf")

    def grant(self, credit: pb.SampleCredit) -> None:
        """Takes in a credit; it replaces what is left of the one before."""
        self._batches = max(0, credit.batches)
        self.min_interval = max(0.0, credit.min_interval.ToNanoseconds() / 1e9)

    def offer(self, batch: pb.SampleBatch, measured_at: float) -> None:
        """Replaces the batch that waits.

        Args:
            batch: All series, at one time.
            measured_at: That time on the monotonic clock, in seconds.
        """
        self._newest = (measured_at, batch)

    def take(self) -> pb.SampleBatch | None:
        """The batch that may be sent now, or None. Taking it uses up credit."""
        if self._newest is None or self._batches == 0:
            return None
        measured_at, batch = self._newest
        if measured_at - self._last_sent_at < self.min_interval:
            return None
        self._newest = None
        self._batches -= 1
        self._last_sent_at = measured_at
        if measured_at - self._slow_sent_at >= SLOW_SECONDS:
            self._slow_sent_at = measured_at
        else:
            _drop_slow(batch)
        return batch


def _drop_slow(batch: pb.SampleBatch) -> None:
    """Leave out what changes slowly, which comes last."""
    first = len(batch.series)
    while first and batch.series[first - 1].field in SLOW_FIELDS:
        first -= 1
    del batch.series[first:]


class _Outgoing:
    """What waits to be written on one connection: few batches, and whatever the gate lets go."""

    def __init__(self) -> None:
        self.gate = SampleGate()
        self._others: asyncio.Queue[pb.TelemetryMessage] = asyncio.Queue(_QUEUED_BATCHES)
        self._filled = asyncio.Event()
        self._finished = False

    async def put_log(self, batch: pb.LogBatch) -> None:
        await self._put(pb.TelemetryMessage(logs=batch))

    async def put_metrics(self, batch: custom_metric_pb2.MetricBatch) -> None:
        await self._put(pb.TelemetryMessage(metrics=batch))

    async def _put(self, message: pb.TelemetryMessage) -> None:
        await self._others.put(message)
        self._filled.set()

    def look(self) -> None:
        """The gate may have something to let go."""
        self._filled.set()

    def finish(self) -> None:
        """Nothing follows what waits."""
        self._finished = True
        self._filled.set()

    async def next(self) -> pb.TelemetryMessage | None:
        """Samples first: they are small, one a second, and worthless when late. None: that is all."""
        while True:
            samples = self.gate.take()
            if samples is not None:
                return pb.TelemetryMessage(samples=samples)
            if not self._others.empty():
                return self._others.get_nowait()
            if self._finished:
                return None
            self._filled.clear()
            await self._filled.wait()


class TelemetryLink:
    """Holds the telemetry stream: a connection at a time, for as long as `connect` is called again.

    Args:
        open_channel: Makes a connection that nothing else uses.
        identity: Proves who this node is.
        sampler: Measures.
        shipper: Holds the logs and where they stand.
        clock: Paces the samples.
        metrics: What tasks say of themselves in numbers; None: nothing.
        sample_seconds: Time between samples; the server may ask for more, never for less.
    """

    def __init__(
        self,
        open_channel: OpenChannel,
        identity: Identity,
        sampler: Sampler,
        shipper: LogShipper,
        clock: Clock,
        metrics: MetricSockets | None = None,
        *,
        sample_seconds: float = SAMPLE_SECONDS,
    ) -> None:
        self._metrics = metrics or MetricSockets(clock)
        self._open_channel = open_channel
        self._identity = identity
        self._sampler = sampler
        self._shipper = shipper
        self._clock = clock
        self._sample_seconds = sample_seconds
        self._outgoing: _Outgoing | None = None
        self.tally = SampleTally()

    def finish(self) -> None:
        """Sends no more on this connection, which ends when the server has taken all in."""
        if self._outgoing is not None:
            self._outgoing.finish()

    async def connect(self, alive: Liveliness) -> None:
        """Holds one connection, to its end.

        Raises:
            StreamLostError: it ended, for whatever reason.
        """
        outgoing = self._outgoing = _Outgoing()
        tally = StreamTally(self.tally)
        async with self._open_channel() as channel:
            stub = agents_service_pb2_grpc.AgentsServiceStub(channel)
            call = stub.StreamTelemetry(metadata=self._identity.metadata())
            try:
                await first_to_end(
                    self._read(call, outgoing, tally, alive),
                    self._write(call, outgoing, tally),
                    self._sample(outgoing),
                    self._shipper.ship(outgoing.put_log),
                    self._metrics.ship(outgoing.put_metrics),
                )
            except grpc.aio.AioRpcError as error:
                raise lost(error, self._identity) from None
            except asyncio.InvalidStateError:  # grpc's word for writing to a stream that has ended
                raise await ended(call, self._identity) from None
            finally:
                self._outgoing = None
                tally.ended()
                call.cancel()

    async def _read(
        self, call: Call, outgoing: _Outgoing, tally: StreamTally, alive: Liveliness
    ) -> None:
        responses: AsyncIterator[agents_service_pb2.StreamTelemetryResponse] = aiter(call)
        async for response in responses:
            if alive.established_at is None:
                alive.established_at = self._clock.monotonic()
            if response.message.HasField("sample_ack"):
                tally.on_ack(response.message.sample_ack)
            kind = response.message.WhichOneof("content")
            if kind == "credit":
                outgoing.gate.grant(response.message.credit)
                outgoing.look()
            elif kind == "log_ack":
                self._shipper.on_ack(response.message.log_ack)
            elif kind == "metric_ack":
                self._metrics.on_ack(response.message.metric_ack)

    async def _write(self, call: Call, outgoing: _Outgoing, tally: StreamTally) -> None:
        while (message := await outgoing.next()) is not None:
            if message.HasField("samples"):
                tally.sent(message.samples)
            await call.write(agents_service_pb2.StreamTelemetryRequest(message=message))
        await call.done_writing()
        await asyncio.get_running_loop().create_future()  # until the server has ended the stream

    async def _sample(self, outgoing: _Outgoing) -> None:
        while True:
            measured_at = self._clock.monotonic()
            outgoing.gate.offer(await self._sampler.sample(), measured_at)
            outgoing.look()
            pause = max(self._sample_seconds, outgoing.gate.min_interval) + _SLACK_SECONDS
            await self._clock.sleep(pause)
