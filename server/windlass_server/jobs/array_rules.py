"""Which indices an array has, how many of them get a job when, and what the array comes to. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from windlass_server.jobs.states import FINAL, Status

MAX_COUNT = 100_000
"""Indices of an array."""
WINDOW = 1000
"""Indices of an array that wait in the queue at once; the others get their jobs when these have moved on."""
MAX_BYTES = 1 << 30
"""Of what the jobs of an array's indices ask for together, each of which is stored."""
RUNS = "its indices run, each as a job of its own"
"""What is told of an array that is RUNNING."""
NAMED = 5
"""Indices that are named of those that did not succeed."""


@dataclass(frozen=True, slots=True)
class Indices:
    """A set of indices: spans of them, in order, which neither touch nor overlap, each with its last one."""

    spans: Sequence[tuple[int, int]]

    @classmethod
    def first(cls, count: int) -> Self:
        """Those from 0 on."""
        return cls(((0, count - 1),))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Those of a text such as `0-9,17`. Raises ValueError for a span that ends before it begins."""
        spans: list[tuple[int, int]] = []
        for part in text.split(","):
            low, _, high = part.partition("-")
            spans.append((int(low), int(high or low)))
            if spans[-1][1] < spans[-1][0]:
                message = f"{part} ends before it begins"
                raise ValueError(message)
        return cls.of_spans(spans)

    @classmethod
    def of(cls, indices: Sequence[int]) -> Self:
        """These."""
        return cls.of_spans([(one, one) for one in indices])

    @classmethod
    def of_spans(cls, spans: Sequence[tuple[int, int]]) -> Self:
        """Those of spans in any order."""
        joined: list[tuple[int, int]] = []
        for low, high in sorted(spans):
            if joined and low <= joined[-1][1] + 1:
                joined[-1] = joined[-1][0], max(joined[-1][1], high)
            else:
                joined.append((low, high))
        return cls(tuple(joined))

    def __len__(self) -> int:
        return sum(high - low + 1 for low, high in self.spans)

    def __iter__(self) -> Iterator[int]:
        for low, high in self.spans:
            yield from range(low, high + 1)

    @property
    def last(self) -> int:
        """The largest."""
        return self.spans[-1][1]

    @property
    def text(self) -> str:
        """As `parse` takes it, in its shortest form."""
        return ",".join(f"{low}-{high}" if high > low else f"{low}" for low, high in self.spans)

    def before(self, index: int) -> int:
        """How many of them are less than this one."""
        return sum(min(high + 1, max(low, index)) - low for low, high in self.spans)

    def behind(self, skipped: int, most: int) -> list[int]:
        """At most so many of them, in order, behind the first `skipped`."""
        found: list[int] = []
        for low, high in self.spans:
            size = high - low + 1
            begin = low + min(skipped, size)
            skipped = max(0, skipped - size)
            found.extend(range(begin, min(high + 1, begin + most - len(found))))
            if len(found) >= most:
                break
        return found


def to_create(counts: Mapping[Status, int], *, left: int, parallel: int) -> int:
    """How many more indices get a job now.

    Args:
        counts: jobs of the array's indices, by status.
        left: indices that have none yet.
        parallel: how many may be under way at once; 0: any number.
    """
    under_way = sum(counts[status] for status in Status if status not in FINAL)
    room = WINDOW - counts[Status.QUEUED]
    if parallel:
        room = min(room, parallel - under_way)
    return max(0, min(room, left))


_BEGUN = frozenset(Status) - {
    Status.QUEUED,
    Status.SCHEDULED,
    Status.CANCELLING,
    Status.CANCELLED,
    Status.DEADLINE_EXCEEDED,
}


def has_begun(counts: Mapping[Status, int]) -> bool:
    """Whether an index runs, or has run."""
    return any(counts[status] for status in _BEGUN)


def end_text(counts: Mapping[Status, int], total: int, failed: Sequence[tuple[int, Status]]) -> str:
    """What an array has come to of which not all indices succeeded.

    Args:
        counts: jobs of its indices by status.
        total: how many indices it has.
        failed: the first that did not succeed, as many as are to be named.
    """
    lost = total - counts[Status.SUCCEEDED]
    named = ", ".join(f"{index} {status.name}" for index, status in failed)
    more = ", …" if lost > len(failed) else ""
    return f"{lost} of {total} indices did not succeed: {named}{more}"
