"""A feed of states in which only the newest of each run is kept."""

import asyncio
from collections.abc import AsyncIterator

from windlass_agent.run_types import RunState


class Changes:
    """Hands each subscriber what it has not seen, however slow it is, in bounded memory."""

    def __init__(self) -> None:
        self._feeds: set[_Feed] = set()

    def publish(self, state: RunState) -> None:
        """Tell every subscriber."""
        for feed in self._feeds:
            feed.put(state)

    def subscribe(self) -> AsyncIterator[RunState]:
        """States from the call on."""
        feed = _Feed()
        self._feeds.add(feed)
        return self._follow(feed)

    async def _follow(self, feed: "_Feed") -> AsyncIterator[RunState]:
        try:
            while True:
                yield await feed.get()
        finally:
            self._feeds.discard(feed)


class _Feed:
    def __init__(self) -> None:
        self._newest: dict[str, RunState] = {}
        self._filled = asyncio.Event()

    def put(self, state: RunState) -> None:
        self._newest.pop(state.run_id, None)
        self._newest[state.run_id] = state
        self._filled.set()

    async def get(self) -> RunState:
        await self._filled.wait()
        state = self._newest.pop(next(iter(self._newest)))
        if not self._newest:
            self._filled.clear()
        return state
