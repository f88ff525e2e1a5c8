"""Background work: woken, tired, failing, and told to stop."""

import asyncio

import pytest

from windlass_server.controllers.loop import Loop

SECONDS = 5
FOR_EVER = 3600.0


class Duty:
    """Counts its cycles and fails as often as told to."""

    def __init__(self, fails: int = 0) -> None:
        self.cycles: asyncio.Queue[int] = asyncio.Queue()
        self._done = 0
        self._fails = fails

    async def cycle(self) -> None:
        self._done += 1
        self.cycles.put_nowait(self._done)
        if self._done <= self._fails:
            message = "on purpose"
            raise RuntimeError(message)

    async def reached(self, number: int) -> None:
        async with asyncio.timeout(SECONDS):
            while await self.cycles.get() < number:
                pass


async def test_it_works_at_once_and_whenever_woken():
    duty = Duty()
    loop = Loop("test", duty.cycle, interval_seconds=FOR_EVER)
    loop.start()
    await duty.reached(1)
    loop.wake()
    await duty.reached(2)
    await loop.stop()
    assert duty.cycles.empty()


async def test_it_works_again_when_its_cycle_wants_to():
    duty = Duty()

    async def cycle() -> float:
        await duty.cycle()
        return 0.0

    loop = Loop("test", cycle, interval_seconds=FOR_EVER)
    loop.start()
    await duty.reached(3)
    await loop.stop()


async def test_what_fails_is_logged_and_done_again(caplog: pytest.LogCaptureFixture):
    duty = Duty(fails=1)
    loop = Loop("test", duty.cycle, interval_seconds=0)
    loop.start()
    await duty.reached(2)
    await loop.stop()
    assert "test failed" in caplog.text


async def test_its_rest_does_not_hold_a_server_that_stops():
    duty = Duty()
    loop = Loop("test", duty.cycle, interval_seconds=FOR_EVER, rest=1e12)
    loop.start()
    await duty.reached(1)
    async with asyncio.timeout(SECONDS):
        await loop.stop()
