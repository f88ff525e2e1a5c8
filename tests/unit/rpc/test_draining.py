"""What waits is interrupted when the server stops, and nothing else is mistaken for that."""

import asyncio
import inspect

import pytest

from windlass_server.errors import Unavailable
from windlass_server.rpc.draining import Draining


async def never():
    await asyncio.Event().wait()


async def begun(work):
    """A task that has begun to wait."""
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    return task


async def test_all_that_waits_is_told_that_the_server_stops():
    draining = Draining()
    waits = [await begun(draining.unless_begun(never())) for _ in range(3)]
    draining.begin()
    for wait in waits:
        with pytest.raises(Unavailable) as stopped:
            await wait
        assert stopped.value.reason == "SERVER_STOPPING"
        assert not wait.cancelling()


async def test_what_comes_later_does_not_begin():
    draining = Draining()
    draining.begin()
    work = never()
    with pytest.raises(Unavailable):
        await draining.unless_begun(work)
    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED


async def test_what_had_its_result_keeps_it_and_goes_on():
    draining = Draining()

    async def answer():
        found = await draining.unless_begun(asyncio.sleep(0, "answer"))
        draining.begin()
        await asyncio.sleep(0)
        return found

    assert await answer() == "answer"


@pytest.mark.parametrize("stops", ["before", "after", "never"])
async def test_a_caller_that_cancels_is_not_told_that_the_server_stops(stops):
    draining = Draining()
    wait = await begun(draining.unless_begun(never()))
    if stops == "before":
        draining.begin()
    wait.cancel()
    if stops == "after":
        draining.begin()
    with pytest.raises(asyncio.CancelledError):
        await wait
    assert wait.cancelled()


async def test_a_timeout_around_it_stays_one():
    draining = Draining()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await draining.unless_begun(never())
    draining.begin()
