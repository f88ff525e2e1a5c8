"""What one run has said of itself in numbers and the server has not got yet: bounded, by columns."""

import secrets
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from windlass.agents.v1 import custom_metric_pb2 as pb
from windlass_agent.bounds import text
from windlass_agent.metric_lines import Line, Malformed, lines_in, parse

MAX_NAMES = 200
MAX_HELD = 20_000
"""Values that wait for the server; what comes beyond them is dropped and counted."""
VALUES_PER_SECOND = 1000
_VALUES_AT_ONCE = 10_000
_MAX_WORDS = 256
_SOURCE_BITS = 62


class Allowance:
    """So much in a second, and what was not used of it up to a limit.

    Args:
        per_second: what is added in a second.
        at_once: how much it becomes at most.
        now: seconds on the monotonic clock.
    """

    def __init__(self, per_second: float, at_once: float, now: float) -> None:
        self._per_second, self._at_once = per_second, at_once
        self._left, self._at = at_once, now

    def take(self, amount: float, now: float) -> bool:
        """Whether there is as much; then it is used up."""
        if self.left(now) < amount:
            return False
        self._left -= amount
        return True

    def spend(self, amount: float, now: float) -> None:
        """Use up so much, also what is not there yet."""
        self.left(now)
        self._left -= amount

    def left(self, now: float) -> float:
        """How much there is."""
        self._left = min(self._at_once, self._left + (now - self._at) * self._per_second)
        self._at = now
        return self._left


@dataclass(slots=True)
class _Column:
    times: "array[int]" = field(default_factory=lambda: array("q"))
    steps: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[float]" = field(default_factory=lambda: array("d"))


class RunMetrics:
    """Collects one run's values and hands them out in batches, one at a time.

    Args:
        run_id: the run.
        epoch: its epoch.
        now: the present on the monotonic clock, in seconds.
        source: tells this collector's batches from those of another agent before it.
    """

    def __init__(
        self,
        run_id: str,
        epoch: int,
        now: float,
        *,
        source: Callable[[], int] = lambda: secrets.randbits(_SOURCE_BITS),
    ) -> None:
        self.run_id = run_id
        self.epoch = epoch
        self._source = source()
        self._position = 0
        self._allowance = Allowance(VALUES_PER_SECOND, _VALUES_AT_ONCE, now)
        self._columns: dict[str, _Column] = {}
        self._names: set[str] = set()
        self._held = 0
        self._tally = pb.MetricTally()
        self._told = pb.MetricTally()
        self._sending: pb.MetricBatch | None = None

    @property
    def waiting(self) -> bool:
        """Whether anything is left to be sent or acknowledged."""
        return self._sending is not None or bool(self._columns) or self._tally != self._told

    def take(self, datagram: bytes, time_micros: int, now: float) -> None:
        """Take in what the run has sent. Never raises, whatever it is.

        Args:
            datagram: lines.
            time_micros: when it came, since 1970.
            now: the same on the monotonic clock, in seconds.
        """
        for words in lines_in(datagram):
            try:
                line = parse(words)
            except Malformed as error:
                self._tally.malformed_lines += 1
                self._tally.last_malformed = text(str(error), _MAX_WORDS)
            else:
                self._keep(line, time_micros, now)

    def next_batch(self) -> pb.MetricBatch | None:
        """What is to be sent: again what is not acknowledged, or all that came since; None for nothing."""
        if self._sending is None and self.waiting:
            columns, self._columns, self._held = self._columns, {}, 0
            self._sending = pb.MetricBatch(
                run_id=self.run_id,
                epoch=self.epoch,
                source=self._source,
                position=self._position,
                columns=[
                    pb.MetricColumn(name=name, times=one.times, steps=one.steps, values=one.values)
                    for name, one in columns.items()
                ],
                tally=self._tally,
            )
        return self._sending

    def on_ack(self, ack: pb.MetricAck) -> None:
        """The server has a batch."""
        sent = self._sending
        if sent is not None and (ack.source, ack.position) == (sent.source, sent.position):
            self._told.CopyFrom(sent.tally)
            self._sending = None
            self._position += 1

    def _keep(self, line: Line, time_micros: int, now: float) -> None:
        count = len(line.values)
        if self._held + count > MAX_HELD or not self._allowance.take(count, now):
            self._tally.dropped_values += count
            return
        for name, value in line.values:
            if name not in self._names and len(self._names) >= MAX_NAMES:
                self._tally.refused_values += 1
                continue
            self._names.add(name)
            column = self._columns.setdefault(name, _Column())
            column.times.append(time_micros)
            column.steps.append(line.step)
            column.values.append(value)
            self._held += 1
            self._tally.values += 1
