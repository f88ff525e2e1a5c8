"""What became of the samples that this node sent."""

from dataclasses import dataclass

from windlass.agents.v1 import agent_pb2 as pb


@dataclass(slots=True)
class SampleTally:
    """Batches of samples, over all connections so far.

    Attributes:
        sent: handed to the wire.
        values: measured values in what was sent.
        kept: taken in by the server, as it said.
        lost: refused by the server, as it said: they came without credit.
        unanswered: on their way when a connection ended; nobody knows what became of them.
    """

    sent: int = 0
    kept: int = 0
    lost: int = 0
    unanswered: int = 0
    values: int = 0

    @property
    def on_their_way(self) -> int:
        """Sent on this connection, and the server has not said yet what became of them."""
        return self.sent - self.kept - self.lost - self.unanswered


class StreamTally:
    """Counts one connection into the tally of all."""

    def __init__(self, total: SampleTally) -> None:
        self._total = total
        self._received = self._kept = 0

    def sent(self, batch: pb.SampleBatch) -> None:
        """One more batch was handed to the wire."""
        self._total.sent += 1
        self._total.values += len(batch.series) * len(batch.time_deltas_nanos)

    def on_ack(self, ack: pb.SampleAck) -> None:
        """The server says what became of everything so far; an older word changes nothing."""
        received = ack.received - self._received
        if received <= 0:
            return
        kept = ack.kept - self._kept
        self._received, self._kept = ack.received, ack.kept
        self._total.kept += kept
        self._total.lost += received - kept

    def ended(self) -> None:
        """The connection is gone."""
        self._total.unanswered += self._total.on_their_way
