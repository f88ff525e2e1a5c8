"""What resources cost over time, in whole billionths of the currency. Pure.

A price is for an hour, and not every decimal price can be divided by the microseconds of an hour, so a
cost has to be cut somewhere. It is cut where it cannot be noticed in a sum: what holding so much would
have cost since the first price up to a moment is cut to a whole billionth, and what a span of time cost
is the difference of two of these. So the parts of a span add up to it, however it is cut.
"""

import enum
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

HOUR = 3_600_000_000
_GIB = 1 << 30
_MILLIS = 1000
WHOLE_GPU = _MILLIS
"""A whole GPU, in thousandths."""


class Resource(enum.IntEnum):
    """As `resources.v1.Price.Resource`."""

    GPU = 1
    CPU = 2
    MEMORY = 3


@dataclass(frozen=True, slots=True)
class Price:
    """What one of a resource costs for an hour from `start` (µs) on, in billionths.

    Attributes:
        gpu_key: the type of a GPU, casefolded; empty: every type that has no price of its own then.
    """

    resource: Resource
    gpu_key: str
    amount: int
    start: int


@dataclass(frozen=True, slots=True)
class Holding:
    """So much of one type of GPU and of CPU, both in thousandths, and of bytes of memory."""

    gpu_type: str
    gpu_millis: int
    cpu_millis: int
    memory_bytes: int


class _Timeline:
    """The price of one thing over time.

    Args:
        changes: when it became what, in order.
    """

    def __init__(self, changes: Sequence[tuple[int, int]]) -> None:
        self._starts = [start for start, _ in changes]
        self._amounts = [amount for _, amount in changes]
        self._sums = [0]
        for (start, amount), until in zip(changes, self._starts[1:], strict=False):
            self._sums.append(self._sums[-1] + amount * (until - start))

    def begins_by(self, at: int) -> bool:
        """Whether there is a price at a moment."""
        return bool(self._starts) and self._starts[0] <= at

    def integral(self, at: int) -> int:
        """What one of it would have cost until `at`, in billionths times `HOUR`."""
        place = bisect_right(self._starts, at) - 1
        if place < 0:
            return 0
        return self._sums[place] + self._amounts[place] * (at - self._starts[place])


_NEVER = _Timeline(())


class PriceBook:
    """All prices.

    Args:
        prices: in any order, no two of the same resource and type from the same time on.
        currency: of all of them.
    """

    def __init__(self, prices: Iterable[Price] = (), currency: str = "") -> None:
        self.currency = currency
        by_key: dict[tuple[Resource, str], dict[int, int]] = defaultdict(dict)
        for price in prices:
            by_key[price.resource, price.gpu_key][price.start] = price.amount
        self._cpu = _timeline(by_key[Resource.CPU, ""])
        self._memory = _timeline(by_key[Resource.MEMORY, ""])
        anything = by_key[Resource.GPU, ""]
        self._other_gpus = _timeline(anything)
        self._gpus = {
            key: _timeline(_overlaid(anything, own))
            for (resource, key), own in by_key.items()
            if resource is Resource.GPU and key
        }

    def __bool__(self) -> bool:
        return bool(self.currency)

    def cost(self, held: Holding, *, since: int, until: int) -> int:
        """What holding so much costs from `since` until `until`, in billionths."""
        return self.paid(held, until) - self.paid(held, since)

    def paid(self, held: Holding, at: int) -> int:
        """What it would have cost to hold so much since the first price until a moment, cut."""
        paid = 0
        for timeline, units in (
            (self._timeline_of(held.gpu_type), held.gpu_millis * _GIB),
            (self._cpu, held.cpu_millis * _GIB),
            (self._memory, held.memory_bytes * _MILLIS),
        ):
            if units:
                paid += units * timeline.integral(at)
        return paid // (HOUR * _MILLIS * _GIB)

    def unpriced(self, held: Holding, at: int) -> Iterator[tuple[Resource, str]]:
        """Which of these resources have no price at a moment; GPUs with their type."""
        if held.gpu_millis and not self._timeline_of(held.gpu_type).begins_by(at):
            yield Resource.GPU, held.gpu_type
        if held.cpu_millis and not self._cpu.begins_by(at):
            yield Resource.CPU, ""
        if held.memory_bytes and not self._memory.begins_by(at):
            yield Resource.MEMORY, ""

    def _timeline_of(self, gpu_type: str) -> _Timeline:
        return self._gpus.get(gpu_type.casefold(), self._other_gpus)


def _timeline(changes: Mapping[int, int]) -> _Timeline:
    return _Timeline(sorted(changes.items())) if changes else _NEVER


def _overlaid(anything: Mapping[int, int], own: Mapping[int, int]) -> dict[int, int]:
    """The changes of a type's price: that of every type until it has one of its own."""
    first = min(own)
    return {start: amount for start, amount in anything.items() if start < first} | dict(own)
