"""How the agent learns that it shall end."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

_T = TypeVar("_T")

# Sent by the kernel when the parent ends. A signal of its own: whether the parent lives cannot be
# asked reliably while its other threads are still ending.
PARENT_ENDED = signal.SIGUSR1


class StopSignals:
    """SIGTERM and SIGINT: the first asks to end, the second not to wait for anything.

    So does the parent's end, for an agent that ends with its parent.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.orphaned = False
        self._hurried = asyncio.Event()

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Listens to the signals for as long as the context lasts."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self.ask)
        loop.add_signal_handler(PARENT_ENDED, self.parent_ended)
        try:
            yield
        finally:
            for number in (*numbers, PARENT_ENDED):
                loop.remove_signal_handler(number)

    def ask(self) -> None:
        """One more signal."""
        (self._hurried if self.asked.is_set() else self.asked).set()

    def parent_ended(self) -> None:
        """Nobody asked, but there is nobody left to run for."""
        self.orphaned = True
        self.ask()

    async def unless_asked(self, work: Coroutine[Any, Any, _T]) -> _T | None:
        """What the work returns, or None when the agent is asked to end before that."""
        return await _unless(self.asked, work)

    async def unless_hurried(self, work: Coroutine[Any, Any, _T]) -> _T | None:
        """What the work returns, or None when the agent is asked a second time before that."""
        return await _unless(self._hurried, work)


async def _unless(event: asyncio.Event, work: Coroutine[Any, Any, _T]) -> _T | None:
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait([working, waiting], return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        waiting.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)
