"""What was held, as sums over spans of time. Pure, and in whole numbers: nothing is ever rounded.

The ledger is not stored. Runs and allocations say themselves what they hold, from when and until
when, and the server writes that in the transaction that gives and takes it; sums that were kept
beside them could only differ from them. So a breakdown is a sum over those rows, cut at the edges of
the window and of its buckets, and every way to cut them adds up to the same.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

# Monday, 5 January 1970, 00:00 UTC: buckets of days begin at midnight, buckets of weeks on Mondays.
BUCKET_ORIGIN = 4 * 86_400 * 1_000_000
MAX_ROWS = 10_000
MAX_BUCKETS = 10_000


class Loss(enum.Enum):
    """Why what a run held was of no use."""

    FAILURE = "failure"
    PREEMPTION = "preemption"
    HOLD = "hold"


@dataclass(slots=True)
class Amounts:
    """Resources times microseconds: of GPUs, of thousandths of a core, of bytes of memory."""

    gpus: int = 0
    cpu_millis: int = 0
    memory_bytes: int = 0

    def add(self, other: "Amounts") -> None:
        """Count another's amounts to these."""
        self.gpus += other.gpus
        self.cpu_millis += other.cpu_millis
        self.memory_bytes += other.memory_bytes


@dataclass(frozen=True, slots=True)
class Span:
    """What a run or an allocation held of a node.

    Attributes:
        values: of each thing to group by except `gpu_type`, by its name.
        gpu_types: the type of each of its GPUs.
        cpu_millis: thousandths of a core.
        memory_bytes: bytes.
        start: since when, in microseconds since 1970.
        end: until when; None when it still does. Before `start` when the server's clock was set
            back in between: it then held nothing for no time.
        useful_from: when its command started; None when it has not, or never did. What is held until
            then is a loss by `HOLD`.
        loss: why all from then on was of no use; None when it was not. Of a run that failed to start,
            why everything was.
    """

    values: Mapping[str, str]
    gpu_types: tuple[str, ...]
    cpu_millis: int
    memory_bytes: int
    start: int
    end: int | None
    useful_from: int | None
    loss: Loss | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when, both in microseconds since 1970, and how long a bucket is; None: one."""

    start: int
    end: int
    bucket: int | None = None

    @property
    def buckets(self) -> int:
        """How many there are."""
        if self.bucket is None or self.end <= self.start:
            return 1
        return self.number(self.end - 1) - self.number(self.start) + 1

    def number(self, at: int) -> int:
        """The number of the bucket that a moment is in."""
        return 0 if self.bucket is None else (at - BUCKET_ORIGIN) // self.bucket

    def edges(self, number: int) -> tuple[int, int]:
        """Where the bucket of a number begins and ends, within the window."""
        if self.bucket is None:
            return self.start, self.end
        begins = BUCKET_ORIGIN + number * self.bucket
        return max(begins, self.start), min(begins + self.bucket, self.end)


@dataclass(slots=True)
class Row:
    """What one group held in one bucket."""

    group: tuple[str, ...]
    start: int
    end: int
    held: Amounts = field(default_factory=Amounts)
    wasted: dict[Loss, Amounts] = field(default_factory=lambda: {loss: Amounts() for loss in Loss})

    def add(self, other: "Row") -> None:
        """Count another's amounts to these."""
        self.held.add(other.held)
        for loss, amounts in other.wasted.items():
            self.wasted[loss].add(amounts)


class TooManyRows(Exception):
    """A breakdown has more rows than `MAX_ROWS`."""


@dataclass(frozen=True, slots=True)
class _Line:
    """The part of a span that counts to one type of GPU."""

    gpu_type: str
    gpus: int
    cpu_millis: int
    memory_bytes: int


@dataclass(slots=True)
class Ledger:
    """Adds up spans.

    Args:
        window: which part of each counts.
        group_by: names of `Span.values`, or `gpu_type`.
        gpu_type: count only what held GPUs of this type; empty: everything. Case matters not.
        max_rows: how many there may be.
    """

    window: Window
    group_by: Sequence[str]
    gpu_type: str = ""
    max_rows: int = MAX_ROWS
    _rows: dict[tuple[int, tuple[str, ...]], Row] = field(default_factory=dict)

    def add_all(self, spans: Iterable[Span]) -> None:
        """Count these; raises TooManyRows."""
        for span in spans:
            self.add(span)

    def add(self, span: Span) -> None:
        """Count a span; raises TooManyRows."""
        start = max(span.start, self.window.start)
        end = self.window.end if span.end is None else min(span.end, self.window.end)
        if end <= start:
            return
        pieces = list(self._pieces(span, start, end))
        for line in _lines(span):
            if self.gpu_type and line.gpu_type.casefold() != self.gpu_type.casefold():
                continue
            group = self._group(span, line)
            for begins, ends, number, loss in pieces:
                self._count(self._row(number, group), line, ends - begins, loss)

    def rows(self) -> list[Row]:
        """Every row in which anything was held, by time, then by group."""
        return [self._rows[key] for key in sorted(self._rows)]

    def total(self) -> Row:
        """All rows together."""
        total = Row((), self.window.start, self.window.end)
        for row in self._rows.values():
            total.add(row)
        return total

    def _group(self, span: Span, line: _Line) -> tuple[str, ...]:
        return tuple(
            line.gpu_type if name == "gpu_type" else span.values[name] for name in self.group_by
        )

    def _row(self, number: int, group: tuple[str, ...]) -> Row:
        key = number, group
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) >= self.max_rows:
                raise TooManyRows
            row = self._rows[key] = Row(group, *self.window.edges(number))
        return row

    def _count(self, row: Row, line: _Line, time: int, loss: Loss | None) -> None:
        amounts = Amounts(line.gpus * time, line.cpu_millis * time, line.memory_bytes * time)
        row.held.add(amounts)
        if loss is not None:
            row.wasted[loss].add(amounts)

    def _pieces(
        self, span: Span, start: int, end: int
    ) -> Iterable[tuple[int, int, int, Loss | None]]:
        """The parts of a span between which its bucket or its use changes.

        Each with its start and end, the number of its bucket, and why it was lost, if it was.
        """
        parts = [(start, end, span.loss)]
        useful_from = span.useful_from
        if useful_from is None:
            parts = [(start, end, span.loss or Loss.HOLD)]
        elif useful_from > start:
            middle = min(useful_from, end)
            parts = [(start, middle, Loss.HOLD), (middle, end, span.loss)]
        for begins, ends, loss in parts:
            at = begins
            while at < ends:
                number = self.window.number(at)
                until = min(self.window.edges(number)[1], ends)
                yield at, until, number, loss
                at = until


def _lines(span: Span) -> Sequence[_Line]:
    """One for each type of its GPUs; CPU and memory go with the first."""
    if not span.gpu_types:
        return [_Line("", 0, span.cpu_millis, span.memory_bytes)]
    kinds = sorted(set(span.gpu_types))
    return [
        _Line(kind, span.gpu_types.count(kind), 0, 0)
        if place
        else _Line(kind, span.gpu_types.count(kind), span.cpu_millis, span.memory_bytes)
        for place, kind in enumerate(kinds)
    ]
