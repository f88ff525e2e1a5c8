"""How long work is expected to go on: by its limit, by what was learned of such work, and by its age.

What has outlived what was expected of it is given longer: the shortest of p90, 2 * p90, 4 * p90 and so on
that it has not outlived. A limit bounds all of that.

Of what nobody knows the end of, the order in which it ends is still assumed: as it began, and after all of
which the end is known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TypeAlias

from windlass_server.scheduler.snapshot import Demand, RunTime

RUNS_REMEMBERED = 32
"""So many of the last runs of a user's jobs of a name count for what is learned of them."""

FOREVER = 1 << 62
"""As a time: later than any other."""

BEYOND = 1 << 60
"""As a time: later than any end that is known; for how long what has no known end is assumed to run."""

Span: TypeAlias = Callable[[Demand], int | None]
"""How long a demand is expected to run (microseconds); None: for ever, as far as one knows."""

# Fewer runs than this say nothing.
_LEAST_RUNS = 3
# What is late is expected to be late by so much (µs), then by twice that, and so on.
_LATE = 60_000_000
# For so long at least (µs) something is kept that what has no known end will leave: a day.
_LONG = 86_400_000_000


def cautious(demand: Demand) -> int | None:
    """By its limit; without one by what nine of ten such jobs have taken at most."""
    if demand.time_limit is not None:
        return demand.time_limit
    return None if demand.expected_run is None else demand.expected_run.p90


def likely(demand: Demand) -> int | None:
    """By what half of such jobs have taken at most, within its limit; its limit where nothing is known."""
    if demand.expected_run is None:
        return demand.time_limit
    known = demand.expected_run.p50
    return known if demand.time_limit is None else min(known, demand.time_limit)


def run_time(durations: Sequence[int]) -> RunTime | None:
    """What so many durations say; None: they are too few."""
    if len(durations) < _LEAST_RUNS:
        return None
    inorder = sorted(durations)
    return RunTime(_quantile(inorder, 0.5), _quantile(inorder, 0.9))


def _quantile(inorder: Sequence[int], share: float) -> int:
    """The smallest that so large a share of them does not exceed."""
    return inorder[ceil(share * len(inorder)) - 1]


@dataclass(frozen=True, slots=True)
class Ends:
    """When work is over (microseconds since 1970); None: it may go on for ever.

    Attributes:
        likely: as likely before as after.
        expected: nine times out of ten it is over by then.
        limit: it is made to end then.
    """

    likely: int | None
    expected: int | None
    limit: int | None


def ends(begin: int, now: int, *, limit: int | None, learned: RunTime | None) -> Ends:
    """When work is over that began at `begin`; each time is ahead.

    Args:
        begin: when its time began to count; `now` for what has not started.
        now: in microseconds since 1970.
        limit: how long it may run, with its grace, in microseconds; None: for ever.
        learned: what was learned of such work; None: nothing.
    """
    last = None if limit is None else ahead(begin + limit, now)
    if learned is None:
        return Ends(last, last, last)
    half, most = _outgrown(begin, now, learned.p50, learned.p90), _outgrown(begin, now, learned.p90)
    if last is not None:
        half, most = min(half, last), min(most, last)
    return Ends(half, most, last)


def ahead(end: int, now: int) -> int:
    """An end that is to come; when it should have come, as much later as it is late, or twice that."""
    late = _LATE
    while end + late <= now:
        late *= 2
    return end if end > now else end + late


def guessed(end: int, now: int) -> int:
    """When what is assumed to end then, beyond all that is known, may be over: 1, 2, 4, 8 days after it began."""
    return _outgrown(end - BEYOND, now, _LONG)


def _outgrown(begin: int, now: int, *spans: int) -> int:
    for span in spans:
        if begin + span > now:
            return begin + span
    longer = max(2 * spans[-1], _LATE)
    while begin + longer <= now:
        longer *= 2
    return begin + longer
