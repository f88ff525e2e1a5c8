"""The levels of detail in which measured values are kept, and which of them answers a query.

Each level is made from the one before, a whole period at a time, so there is one truth that flows down.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from windlass_server.clock import MICROS_PER_SECOND

_MINUTE = 60 * MICROS_PER_SECOND
_HOUR = 60 * _MINUTE
DAY = 24 * _HOUR
MAX_POINTS = 200_000
"""Values that an answer has at most."""
# What an answer has when nobody says how fine it shall be, about the columns of a terminal.
_DEFAULT_POINTS = 300


@dataclass(frozen=True, slots=True)
class Level:
    """One level of detail.

    Attributes:
        number: 0 for the finest.
        width: of a bucket, in microseconds. Buckets begin at multiples of it.
        period: what is made of the level before at a time, in microseconds; 0 for the finest.
        segment: multiples of it part what is stored as one, in microseconds; what the next level is
            made of at a time has whole ones.
    """

    number: int
    width: int
    period: int
    segment: int


LEVELS = (
    Level(0, 10 * MICROS_PER_SECOND, 0, _HOUR),
    Level(1, _MINUTE, _HOUR, _HOUR),
    Level(2, 10 * _MINUTE, 6 * _HOUR, 6 * _HOUR),
    Level(3, _HOUR, DAY, DAY),
)
FINEST = LEVELS[0]
COARSEST = LEVELS[-1]


@dataclass(frozen=True, slots=True)
class Retention:
    """How long each level is kept, in microseconds."""

    micros: tuple[int, ...]

    @classmethod
    def of_days(cls, days: Sequence[float]) -> "Retention":
        """The retention of as many days for each level."""
        return cls(tuple(int(one * DAY) for one in days))


def resolution_for(span: int, asked: int | None) -> int:
    """The width of an answer's buckets, in microseconds: a multiple of the finest level's.

    Args:
        span: what is asked about.
        asked: at least so wide; None means what gives about 300 of them, of a level's own width or more.
    """
    if asked is not None:
        return max(_up(asked, FINEST.width), FINEST.width)
    wanted = -(-span // _DEFAULT_POINTS)
    fitting = [level.width for level in LEVELS if level.width >= wanted]
    return fitting[0] if fitting else _up(wanted, COARSEST.width)


def finest_for(start: int, end: int, now: int, series: int, retention: Retention) -> Level:
    """The finest level that is kept since `start`, and of which an answer can hold so many series.

    Where a time is cut out of a node's, as that of a run, finer buckets have less in them of what was
    there before and after.
    """
    for level in LEVELS:
        kept = start >= now - retention.micros[level.number]
        if kept and (end - start) // level.width * series <= MAX_POINTS:
            return level
    return COARSEST


def level_for(resolution: int, start: int, now: int, retention: Retention) -> Level:
    """The level that answers: the coarsest whose buckets make up such wide ones.

    Where that is kept no more at `start`, a coarser one that is; then the answer is coarser, too.
    """
    made_up = [level for level in LEVELS if resolution % level.width == 0]
    chosen = made_up[-1] if made_up else FINEST
    for level in LEVELS[chosen.number :]:
        if start >= now - retention.micros[level.number]:
            return level
    return COARSEST


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
