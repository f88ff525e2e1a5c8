"""Bounds the time of a call, at no cost for calls that need not wait."""

import asyncio
from collections.abc import Coroutine, Generator
from functools import partial
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def within(seconds: float | None, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; a timer is made only when it comes to wait for something.

    Most reads never do, and to make a timer and drop it again takes longer than their statement.

    Args:
        seconds: how long to wait; None: for as long as it takes.
        work: a coroutine that has not begun.

    Raises:
        TimeoutError: it takes longer; `work` is cancelled.
    """
    try:
        waits_for = work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    async with asyncio.timeout(seconds):
        return await _rest(work, waits_for)


@coroutine
def _rest(work: Coroutine[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """Go on with a coroutine that was begun by hand and waits for `waits_for`.

    That is what `await` does (PEP 380), which takes no coroutine that waits already.
    """
    while True:
        try:
            proceed = partial(work.send, (yield waits_for))
        except BaseException as error:
            proceed = partial(work.throw, error)
        try:
            waits_for = proceed()
        except StopIteration as done:
            result: T = done.value
            return result
