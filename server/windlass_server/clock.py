"""The only place that reads the time."""

import time
from typing import Protocol

MICROS_PER_SECOND = 1_000_000


class Clock(Protocol):
    """Where everything gets its time from."""

    def now(self) -> int:
        """Wall time in microseconds since 1970 (UTC)."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, from an arbitrary start."""
        ...


class SystemClock:
    """The operating system's clocks."""

    def now(self) -> int:
        return time.time_ns() // 1000  # noqa: TID251 - this is the Clock

    def monotonic(self) -> float:
        return time.monotonic()
