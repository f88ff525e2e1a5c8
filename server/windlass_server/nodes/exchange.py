"""Connects a session object with the stream that it is for."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

from windlass_server.nodes.outbox import Outbox

M = TypeVar("M")


async def exchange(outbox: Outbox[M], *works: Coroutine[Any, Any, None]) -> AsyncGenerator[M]:
    """Sends what is put in `outbox` for as long as all `works` go on.

    The first of them that ends closes the outbox, with its error if it had one; the others are
    cancelled when the stream ends, whoever ended it.
    """
    tasks = [asyncio.create_task(_end_with(outbox, work)) for work in works]
    try:
        while (message := await outbox.take()) is not None:
            yield message
    finally:
        outbox.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _end_with(outbox: Outbox[Any], work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception as error:
        outbox.close(error)
    else:
        outbox.close()
