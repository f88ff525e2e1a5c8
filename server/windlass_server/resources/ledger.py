"""What was held, as sums over spans of time. Pure, and in whole numbers: nothing is ever rounded.

The ledger is not stored. Runs and allocations say themselves what they hold, from when and until
when, and the server writes that in the transaction that gives and takes it; sums that were kept
beside them could only differ from them. So a breakdown is a sum over those rows, cut at the edges of
the window and of its buckets, and every way to cut them adds up to the same.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from windlass_server.resources.price_book import WHOLE_GPU, Holding, PriceBook, Resource

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
    """Resources times microseconds: thousandths of GPUs and of cores, and bytes of memory.

    Attributes:
        cost: what they cost, in billionths of the currency.
    """

    gpu_millis: int = 0
    cpu_millis: int = 0
    memory_bytes: int = 0
    cost: int = 0

    def add(self, other: "Amounts") -> None:
        """Count another's amounts to these."""
        self.gpu_millis += other.gpu_millis
        self.cpu_millis += other.cpu_millis
        self.memory_bytes += other.memory_bytes
        self.cost += other.cost


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
        saved_until: until when it was of use all the same; None: not at all.
        gpu_millis: what it held of each of its GPUs, in thousandths.
    """

    values: Mapping[str, str]
    gpu_types: tuple[str, ...]
    cpu_millis: int
    memory_bytes: int
    start: int
    end: int | None
    useful_from: int | None
    loss: Loss | None = None
    saved_until: int | None = None
    gpu_millis: int = WHOLE_GPU


@dataclass(slots=True)
class Used:
    """What was used of what was held, and how much of that is known.

    Attributes:
        gpus: GPUs times microseconds in which a kernel ran.
        gpus_known: of the GPUs times microseconds that were held, those that were measured.
        energy: millijoules that the GPUs drew.
        energy_known: of the GPUs times microseconds that were held, those that were measured.
        cpu_millis: thousandths of a core times milliseconds.
        cpu_known: of the thousandths of a core times microseconds that were held, those measured.
        memory_kib: KiB times milliseconds.
        memory_known: of the bytes times microseconds that were held, those measured.
    """

    gpus: int = 0
    gpus_known: int = 0
    energy: int = 0
    energy_known: int = 0
    cpu_millis: int = 0
    cpu_known: int = 0
    memory_kib: int = 0
    memory_known: int = 0

    def add(self, other: "Used") -> None:
        """Count another's to this."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def part(self, begin: int, end: int, whole: int) -> "Used":
        """What of it falls between two of `whole` equal parts, if it was spread evenly over them.

        Whole numbers that add up, however they are cut.
        """
        values = ((name, getattr(self, name)) for name in self.__slots__)
        return Used(
            **{name: value * end // whole - value * begin // whole for name, value in values}
        )


@dataclass(frozen=True, slots=True)
class Measure:
    """What was measured of a span from one moment to another (µs), in which it was held."""

    span: Span
    start: int
    end: int
    used: Used


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
    used: Used = field(default_factory=Used)

    def add(self, other: "Row") -> None:
        """Count another's amounts to these."""
        self.held.add(other.held)
        for loss, amounts in other.wasted.items():
            self.wasted[loss].add(amounts)
        self.used.add(other.used)


class TooManyRows(Exception):
    """A breakdown has more rows than `MAX_ROWS`."""


@dataclass(slots=True)
class Ledger:
    """Adds up spans.

    Args:
        window: which part of each counts.
        group_by: names of `Span.values`, or `gpu_type`.
        gpu_type: count only what held GPUs of this type; empty: everything. Case matters not.
        max_rows: how many there may be.
        prices: what it costs.

    Attributes:
        unpriced: what was held at times at which it has no price: resources, GPUs with their types.
    """

    window: Window
    group_by: Sequence[str]
    gpu_type: str = ""
    max_rows: int = MAX_ROWS
    prices: PriceBook = field(default_factory=PriceBook)
    unpriced: set[tuple[Resource, str]] = field(default_factory=set)
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
        for held in _by_type(span):
            if self.gpu_type and held.gpu_type.casefold() != self.gpu_type.casefold():
                continue
            group = self._group(span, held)
            paid = self._paid(held, start)
            for begins, ends, number, loss in pieces:
                before, paid = paid, self._paid(held, ends)
                self._count(self._row(number, group), held, ends - begins, paid - before, loss)
            if self.prices:
                self.unpriced.update(self.prices.unpriced(held, start))

    def add_measure(self, measure: Measure) -> None:
        """Count what was measured of a span, which has been or will be counted too.

        It counts as if it was spread evenly over its time, to the type that CPU and memory count to.
        """
        span = measure.span
        held = _by_type(span)[0]
        if self.gpu_type and held.gpu_type.casefold() != self.gpu_type.casefold():
            return
        first, last = measure.start, measure.end
        at, end = max(first, self.window.start), min(last, self.window.end)
        while at < end:
            number = self.window.number(at)
            until = min(self.window.edges(number)[1], end)
            part = measure.used.part(at - first, until - first, last - first)
            self._row(number, self._group(span, held)).used.add(part)
            at = until

    def rows(self) -> list[Row]:
        """Every row in which anything was held, by time, then by group."""
        return [self._rows[key] for key in sorted(self._rows)]

    def total(self) -> Row:
        """All rows together."""
        total = Row((), self.window.start, self.window.end)
        for row in self._rows.values():
            total.add(row)
        return total

    def _group(self, span: Span, held: Holding) -> tuple[str, ...]:
        return tuple(
            held.gpu_type if name == "gpu_type" else span.values[name] for name in self.group_by
        )

    def _row(self, number: int, group: tuple[str, ...]) -> Row:
        key = number, group
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) >= self.max_rows:
                raise TooManyRows
            row = self._rows[key] = Row(group, *self.window.edges(number))
        return row

    def _paid(self, held: Holding, at: int) -> int:
        return self.prices.paid(held, at) if self.prices else 0

    def _count(self, row: Row, held: Holding, time: int, cost: int, loss: Loss | None) -> None:
        amounts = Amounts(
            held.gpu_millis * time, held.cpu_millis * time, held.memory_bytes * time, cost
        )
        row.held.add(amounts)
        if loss is not None:
            row.wasted[loss].add(amounts)

    def _pieces(
        self, span: Span, start: int, end: int
    ) -> Iterable[tuple[int, int, int, Loss | None]]:
        """The parts of a span between which its bucket or its use changes.

        Each with its start and end, the number of its bucket, and why it was lost, if it was.
        """
        for begins, ends, loss in _phases(span, start, end):
            at = begins
            while at < ends:
                number = self.window.number(at)
                until = min(self.window.edges(number)[1], ends)
                yield at, until, number, loss
                at = until


def _phases(span: Span, start: int, end: int) -> Sequence[tuple[int, int, Loss | None]]:
    """From when to when it was held for nothing, was of use, and was lost; some may be empty."""
    if span.useful_from is None:
        return [(start, end, span.loss or Loss.HOLD)]
    begun = min(max(span.useful_from, start), end)
    saved = begun if span.saved_until is None else min(max(span.saved_until, begun), end)
    return [(start, begun, Loss.HOLD), (begun, saved, None), (saved, end, span.loss)]


def _by_type(span: Span) -> Sequence[Holding]:
    """What a span holds, by the type of its GPUs; CPU and memory go with the first type."""
    cpu_millis, memory_bytes = span.cpu_millis, span.memory_bytes
    if not span.gpu_types:
        return [Holding("", 0, cpu_millis, memory_bytes)]
    first, *others = sorted(set(span.gpu_types))
    count = span.gpu_types.count
    return [
        Holding(first, count(first) * span.gpu_millis, cpu_millis, memory_bytes),
        *(Holding(kind, count(kind) * span.gpu_millis, 0, 0) for kind in others),
    ]
