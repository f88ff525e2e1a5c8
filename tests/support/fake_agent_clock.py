"""The agent's clock in the hands of a test."""

import asyncio
import heapq

_TURNS = 20


class FakeAgentClock:
    """Stands still until it is advanced."""

    def __init__(self, nanos: int = 1_800_000_000_000_000_000) -> None:
        self._start = nanos
        self._now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._order = 0
        self.slept: list[float] = []

    def time_nanos(self) -> int:
        return self._start + int(self._now * 1e9)

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        done = asyncio.Event()
        self._order += 1
        heapq.heappush(self._sleepers, (self._now + max(0.0, seconds), self._order, done))
        await done.wait()

    async def advance(self, seconds: float) -> None:
        """Moves on by so much; everything that was due meanwhile has run when this returns."""
        end = self._now + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now, _, done = heapq.heappop(self._sleepers)
            done.set()
            await self._settle()
        self._now = end
        await self._settle()

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or back, while no time passes."""
        self._start += int(seconds * 1e9)

    async def _settle(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
