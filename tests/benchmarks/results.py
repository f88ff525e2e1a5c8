"""What the benchmarks measure, as values."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Load:
    """How a server did under load.

    Attributes:
        answers: how many answers were counted.
        rate: answers per second.
        p50_ms: median latency.
        p99_ms: latency that one in a hundred exceeded.
        errors: answers that were no success, and broken connections.
        cpu_us: processor time of the server for one answer, in microseconds; unlike the rate it
            depends little on what else runs on the machine.
    """

    answers: int
    rate: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_us: float = 0


def median_load(rounds: Sequence[Load]) -> Load:
    """The median of each number over the rounds; errors are added up."""
    return Load(
        answers=sum(one.answers for one in rounds),
        rate=median(one.rate for one in rounds),
        p50_ms=median(one.p50_ms for one in rounds),
        p99_ms=median(one.p99_ms for one in rounds),
        errors=sum(one.errors for one in rounds),
        cpu_us=median(one.cpu_us for one in rounds),
    )


@dataclass(frozen=True)
class Comparison:
    """Windlass beside its peer under the same load.

    Attributes:
        name: such as `REST get`.
        connections: how many calls are in flight.
        ours: windlass.
        peer: the peer.
        at_least: the ratio of rates that is aimed at.
    """

    name: str
    connections: int
    ours: Load
    peer: Load
    at_least: float

    @property
    def ratio(self) -> float:
        """Our rate over the peer's."""
        return self.ours.rate / self.peer.rate if self.peer.rate else float("inf")

    @property
    def met(self) -> bool:
        """Whether the ratio is reached, p99 is no worse, and all calls of ours succeeded."""
        return (
            self.ratio >= self.at_least
            and self.ours.p99_ms <= self.peer.p99_ms
            and self.ours.errors == 0
        )


@dataclass(frozen=True)
class Figure:
    """One number.

    Attributes:
        name: what it is.
        value: how much.
        unit: of what.
        target: what is aimed at, in words; empty when nothing is.
        met: whether it is reached; None when nothing is aimed at.
        reference: what others need, not measured here; empty when not known.
    """

    name: str
    value: float
    unit: str
    target: str = ""
    met: bool | None = None
    reference: str = ""


def at_most(name: str, value: float, unit: str, limit: float, reference: str = "") -> Figure:
    """A number that should not be above a limit."""
    return Figure(name, value, unit, f"<= {limit:g} {unit}", value <= limit, reference)


def at_least(name: str, value: float, unit: str, limit: float, reference: str = "") -> Figure:
    """A number that should not be below a limit."""
    return Figure(name, value, unit, f">= {limit:g} {unit}", value >= limit, reference)


Result = Comparison | Figure
