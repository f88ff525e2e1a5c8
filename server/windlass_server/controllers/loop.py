"""The one shape of background work: cycles that look at the truth and act on it.

A cycle is level-triggered: it reads what is there, whatever woke it. Waking is a hint that it should
not wait for its interval; a lost hint costs time, never correctness.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from windlass_server.storage.guard import acting_as

_log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 30.0


CycleEnded = Callable[[str, float, bool], None]


class Loop:
    """Runs a cycle when woken and at least every `interval_seconds`.

    Args:
        name: the actor in whose name the cycle works.
        cycle: one look at the truth; what it raises is logged, and it is tried again later. It may
            return in how many seconds it wants to look again at the latest.
        rest: after a cycle that took t seconds, wait at least `rest` * t, so that a duty that has
            become slow leaves the process to others.
    """

    def __init__(
        self,
        name: str,
        cycle: Callable[[], Awaitable[float | None]],
        *,
        interval_seconds: float,
        rest: float = 1.0,
    ) -> None:
        self._name = name
        self._cycle = cycle
        self._interval = interval_seconds
        self._rest = rest
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    def wake(self) -> None:
        """Look soon."""
        self._wake.set()

    def start(self, ended: CycleEnded = lambda _name, _seconds, _failed: None) -> None:
        """Begin, with a cycle at once.

        Args:
            ended: called with the name, the seconds and whether it failed, after each cycle.
        """
        self._ended = ended
        self._wake.set()
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Let the present cycle end, then stop."""
        self._stopping.set()
        self._wake.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        wait = self._interval
        while True:
            await _within(wait, self._wake)
            self._wake.clear()
            if self._stopping.is_set():
                return
            began, wanted = loop.time(), None
            try:
                with acting_as(self._name):
                    wanted = await self._cycle()
                failures = 0
            except Exception:
                _log.exception("%s failed", self._name)
                failures += 1
            wait = self._interval if wanted is None else min(wanted, self._interval)
            took = loop.time() - began
            self._ended(self._name, took, failures > 0)
            pause = self._rest * took
            if failures:
                pause = min(_FIRST_PAUSE_SECONDS * 2**failures, _LONGEST_PAUSE_SECONDS)
            if pause > 0:
                await _within(pause, self._stopping)


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Return when the event comes, or after so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
