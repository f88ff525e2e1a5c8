"""The server's clock in the hands of a test."""

from windlass_server.clock import MICROS_PER_SECOND

START = 1_800_000_000 * MICROS_PER_SECOND


class FakeClock:
    """Stands still until it is advanced."""

    def __init__(self, now: int = START) -> None:
        self._now = now
        self._monotonic = 1000.0

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += round(seconds * MICROS_PER_SECOND)
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or back, while no time passes."""
        self._now += round(seconds * MICROS_PER_SECOND)
