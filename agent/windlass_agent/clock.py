"""Time as the agent's parts receive it, so that tests may hand in another."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """The three things that parts ask of time."""

    def time_nanos(self) -> int:
        """Nanoseconds since 1970 (UTC): for timestamps that people and other machines read."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never steps: for intervals and deadlines."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds of this clock."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def time_nanos(self) -> int:
        return time.time_ns()  # noqa: TID251 - the one place that reads the wall clock

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
