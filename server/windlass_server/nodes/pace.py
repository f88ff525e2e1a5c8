"""How often nodes may send samples: ever less often for as long as the server is behind with its work.

Samples are most of what a server of many nodes has to do, and the one thing that may wait. A server that
is short of processor time would otherwise hear heartbeats too late, take nodes for lost, and be kept
busy by their coming back.
"""

from collections.abc import Callable

CYCLE_SECONDS = 0.25
SHORTEST_SECONDS = 1.0
LONGEST_SECONDS = 16.0
# A moving average of how late things are done. One long answer does not move it so far.
_WEIGHT = 0.1
_TOO_LATE_SECONDS = 0.1
_IN_TIME_SECONDS = 0.02
_CALM_CYCLES = 40


class Pace:
    """Measures how late the event loop is, four times a second.

    Args:
        monotonic: seconds from an arbitrary start.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._expected: float | None = None
        self._lateness = 0.0
        self._calm = 0
        self.interval_seconds = SHORTEST_SECONDS
        """Least time between two samples of a node."""

    async def cycle(self) -> None:
        """Note how late this is called; it should be every `CYCLE_SECONDS`."""
        now = self._monotonic()
        if self._expected is not None:
            self.note(max(0.0, now - self._expected))
        self._expected = now + CYCLE_SECONDS

    def note(self, late: float) -> None:
        """Something was done so many seconds later than it should have been."""
        self._lateness += _WEIGHT * (late - self._lateness)
        self._calm = self._calm + 1 if self._lateness < _IN_TIME_SECONDS else 0
        if self._lateness > _TOO_LATE_SECONDS:
            self._change(2.0)
        elif self._calm >= _CALM_CYCLES:
            self._change(0.5)

    def _change(self, factor: float) -> None:
        """Another interval; what comes of it is waited for before the next change."""
        wanted = self.interval_seconds * factor
        self.interval_seconds = min(max(wanted, SHORTEST_SECONDS), LONGEST_SECONDS)
        self._lateness = min(self._lateness, _TOO_LATE_SECONDS / 2)
        self._calm = 0
