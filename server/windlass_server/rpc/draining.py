"""Ends the open streams when the server stops: each would otherwise hold it up for its whole grace."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from windlass_server.errors import Unavailable

T = TypeVar("T")


class Draining:
    """Whether the server stops, and what to interrupt then."""

    def __init__(self) -> None:
        self._begun = False
        self._waiting: set[asyncio.Task[Any]] = set()

    def begin(self) -> None:
        """Interrupt what waits now, and refuse to wait from now on."""
        self._begun = True
        for task in self._waiting:
            task.cancel()

    async def unless_begun(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, which is cancelled when the server stops.

        Raises:
            Unavailable: SERVER_STOPPING; the client finds another server, or this one when it is
                back.
        """
        if self._begun:
            work.close()
            raise _stopping()
        task = asyncio.current_task()
        assert task is not None
        cancelling = task.cancelling()
        # As `asyncio.timeout` does it, which takes several times as long: a thousand streams wait again
        # with each message.
        self._waiting.add(task)
        try:
            return await work
        except asyncio.CancelledError:
            if self._begun and task.uncancel() <= cancelling:
                raise _stopping() from None
            raise
        finally:
            self._waiting.discard(task)


def _stopping() -> Unavailable:
    return Unavailable("the server is stopping; reconnect", reason="SERVER_STOPPING")
