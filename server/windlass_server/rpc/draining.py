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
        self._waits: set[asyncio.Timeout] = set()

    def begin(self) -> None:
        """Interrupt what waits now, and refuse to wait from now on."""
        self._begun = True
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            wait.reschedule(now)

    async def unless_begun(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, which is cancelled when the server stops.

        Raises:
            Unavailable: SERVER_STOPPING; the client finds another server, or this one when it is
                back.
        """
        if self._begun:
            work.close()
            raise _stopping()
        try:
            async with asyncio.timeout(None) as wait:
                self._waits.add(wait)
                try:
                    return await work
                finally:
                    self._waits.discard(wait)
        except TimeoutError:
            if wait.expired():
                raise _stopping() from None
            raise


def _stopping() -> Unavailable:
    return Unavailable("the server is stopping; reconnect", reason="SERVER_STOPPING")
