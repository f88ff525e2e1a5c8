"""When a reservation is: once, or again and again. Pure; all times in microseconds since 1970 (UTC)."""

import enum
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Times of which two are compared with each other: what comes for ever is looked at so far.
MAX_TIMES = 1000
_CHECKED_GAPS = 100
_HOUR = 3_600_000_000


class Status(enum.IntEnum):
    """As `resources.v1.Reservation.Status`."""

    PENDING = 1
    ACTIVE = 2
    ENDED = 3
    CANCELLED = 4


class BadRecurrence(ValueError):
    """What says when a reservation comes again makes no sense; the text says why."""


@dataclass(frozen=True, slots=True)
class Window:
    """One time of a reservation: `start` belongs to it, `end` does not."""

    start: int
    end: int

    def overlaps(self, other: "Window") -> bool:
        """Whether there is a time that belongs to both."""
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class Times:
    """When a reservation is.

    Attributes:
        start: of the first time; with `cron`, from when on that is looked for.
        length: of each time.
        cron: when it begins; empty: once, at `start`.
        zone: where the hours of `cron` are meant.
        until: it does not begin then or later; None: it comes for ever.
    """

    start: int
    length: int
    cron: str = ""
    zone: str = "UTC"
    until: int | None = None

    def checked(self) -> "Times":
        """The same; BadRecurrence when its cron is none, or it comes again before it is over."""
        if not self.cron:
            return self
        begins = list(islice(self._begins(self.start), _CHECKED_GAPS))
        if not begins:
            raise BadRecurrence("there is no such time")
        gaps = [after - before for before, after in pairwise(begins)]
        if any(gap < self.length for gap in gaps):
            raise BadRecurrence("it would begin again before it is over")
        if any(gap < _HOUR for gap in gaps):
            raise BadRecurrence("it would begin more than once an hour")
        return self

    @property
    def over_by(self) -> int | None:
        """When it is over for ever, perhaps before; None: never."""
        if not self.cron:
            return self.start + self.length
        return None if self.until is None else self.until + self.length

    def from_(self, now: int) -> Iterator[Window]:
        """The times that are not over, the first first."""
        if not self.cron:
            if self.start + self.length > now:
                yield Window(self.start, self.start + self.length)
            return
        for begin in self._begins(max(self.start, now - self.length)):
            if begin + self.length > now:
                yield Window(begin, begin + self.length)

    def next(self, now: int) -> Window | None:
        """The present time or else the next one; None when there is none any more."""
        return next(self.from_(now), None)

    def _begins(self, after: int) -> Iterator[int]:
        """When it begins, not before `after`."""
        zone = _zone(self.zone)
        try:
            # cronsim begins behind the minute that it is given.
            begin = _EPOCH + timedelta(microseconds=after) - timedelta(minutes=1)
            for at in CronSim(self.cron, begin.astimezone(zone)):
                micros = (at.astimezone(UTC) - _EPOCH) // _MICROSECOND
                if self.until is not None and micros >= self.until:
                    return
                if micros >= after:
                    yield micros
        except CronSimError as error:
            raise BadRecurrence(f"{self.cron!r} is no cron expression: {error}") from None
        except (OverflowError, ValueError):
            return  # the end of the calendar


def status(times: Times, cancelled_at: int | None, now: int) -> Status:
    """Where a reservation is in its life, which time alone moves on."""
    if cancelled_at is not None:
        return Status.CANCELLED
    window = times.next(now)
    if window is None:
        return Status.ENDED
    return Status.ACTIVE if window.start <= now else Status.PENDING


def clash(one: Times, other: Times, now: int) -> Window | None:
    """The first time of `one` that overlaps one of `other`, from now on; None when there is none.

    Of two that come for ever, `MAX_TIMES` of each are compared: those that have no time of the other
    beside them are left out, so a time that is far ahead is found whatever comes before it.
    """
    mine, theirs = _Ahead(one, now), _Ahead(other, now)
    for _ in range(2 * MAX_TIMES):
        left, right = mine.window, theirs.window
        if left is None or right is None:
            return None
        if left.overlaps(right):
            return left
        if left.end <= right.start:
            mine.pass_(right.start)
        else:
            theirs.pass_(left.start)
    return None


class _Ahead:
    """A time of a reservation, and those that come after it."""

    def __init__(self, times: Times, now: int) -> None:
        self._times = times
        self._starts = _starts(times, now // _HOUR * _HOUR)
        self._place = -1
        self._rest: Iterator[Window] | None = None
        self.window: Window | None = None
        self.pass_(now)

    def pass_(self, at: int) -> None:
        """Go on to the next time that is not over then; that often is the very next one."""
        if self._rest is None:
            length = self._times.length
            self._place = bisect_right(self._starts, at - length, self._place + 1)
            if self._place < len(self._starts):
                start = self._starts[self._place]
                self.window = Window(start, start + length)
                return
            self._rest = iter(())
            if len(self._starts) == MAX_TIMES:
                self._rest = self._times.from_(max(at, self._starts[-1] + length))
        self.window = next(self._rest, None)
        if self.window is not None and self.window.end <= at:
            self._rest = self._times.from_(at)
            self.window = next(self._rest, None)


@lru_cache(maxsize=512)
def _starts(times: Times, since: int) -> "array[int]":
    """When the first `MAX_TIMES` begin that are not over at a time.

    To find them takes most of the time that a comparison takes, and each is compared with many.
    """
    return array("q", (window.start for window in islice(times.from_(since), MAX_TIMES)))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BadRecurrence(f"there is no time zone {name!r}") from None
