"""Sleeping on a clock that a test holds in its hands."""

import asyncio

from tests.support.fake_clock import FakeClock


class FakeSleep:
    """Awaited as `sleep(seconds)`; whoever sleeps wakes when the test has let so much time pass."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    async def __call__(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._clock.monotonic() + seconds, woken))
        await woken

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and everybody do what they do then."""
        self._clock.advance(seconds)
        now = self._clock.monotonic()
        due = [woken for until, woken in self._sleepers if until <= now]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > now]
        for woken in due:
            if not woken.done():
                woken.set_result(None)
        await settle()


async def settle() -> None:
    """Let everything run that can run without time passing."""
    for _ in range(20):
        await asyncio.sleep(0)
