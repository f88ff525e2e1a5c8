"""The time of a call: bounded when it waits, and no matter when it does not."""

import asyncio

import pytest

from windlass_server.rpc.deadline import within


async def at_once(result: str) -> str:
    return result


async def fails(error: Exception) -> str:
    raise error


async def for_ever() -> str:
    await asyncio.Event().wait()
    return "never"


async def test_work_that_does_not_wait_needs_no_time():
    assert await within(0, at_once("done")) == "done"


async def test_work_that_waits_is_cancelled_when_its_time_is_over():
    ended: list[str] = []

    async def work() -> None:
        try:
            await for_ever()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    with pytest.raises(TimeoutError):
        await within(0, work())
    assert ended == ["cancelled"]
    assert asyncio.current_task().cancelling() == 0


@pytest.mark.parametrize("seconds", [10, None])
async def test_work_that_waits_several_times_ends_with_its_result(seconds):
    async def work() -> list[int]:
        numbers = []
        for number in range(3):
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.set_result, number)
            numbers.append(await future)
            await asyncio.sleep(0)
        return numbers

    assert await within(seconds, work()) == [0, 1, 2]


@pytest.mark.parametrize("waits_first", [False, True])
async def test_what_the_work_raises_is_raised(waits_first):
    async def work() -> None:
        if waits_first:
            await asyncio.sleep(0)
        await fails(KeyError("no"))

    with pytest.raises(KeyError):
        await within(10, work())


async def test_work_may_bear_an_error_that_it_waited_for():
    async def work() -> str:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, OSError("disk"))
        try:
            await future
        except OSError:
            await asyncio.sleep(0)
            return "went on"
        return "no error"

    assert await within(10, work()) == "went on"


async def test_who_waits_for_it_can_cancel_it():
    begun, ended = asyncio.Event(), []

    async def work() -> None:
        begun.set()
        try:
            await for_ever()
        finally:
            ended.append(True)

    task = asyncio.create_task(within(10, work()))
    await begun.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_a_limit_within_a_limit_is_its_own():
    async def work() -> str:
        try:
            await within(0, for_ever())
        except TimeoutError:
            await asyncio.sleep(0)
            return "inner"
        return "none"

    assert await within(10, work()) == "inner"
