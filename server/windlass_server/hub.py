"""Wakes whoever waits for something to happen to an object, within this process."""

import asyncio
from collections.abc import Iterable


class EventHub:
    """Listeners by the id of the object that they care about. A hint, as every wake-up is."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self.news = 0
        """Rises whenever somebody is told of something."""

    def tell(self, topics: Iterable[str]) -> None:
        """Wake everyone who waits for one of these objects."""
        self.news += 1
        for topic in topics:
            for listener in self._waiting.pop(topic, ()):
                if not listener.done():
                    listener.set_result(None)

    async def changed(self, topic: str) -> None:
        """Return when something has happened to the object since this was called."""
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(topic, set())
        waiting.add(told)
        try:
            await told
        finally:
            waiting.discard(told)
            if not waiting and self._waiting.get(topic) is waiting:
                del self._waiting[topic]
