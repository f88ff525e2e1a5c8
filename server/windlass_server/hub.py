"""Tells whoever listens that something happened to an object, within this process."""

import asyncio
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager


class EventHub:
    """Listeners by the id of the object that they care about. A hint, as every wake-up is."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[asyncio.Event]] = {}

    def tell(self, topics: Iterable[str]) -> None:
        """Tell everyone who listens to one of these objects."""
        for topic in topics:
            for told in self._listeners.get(topic, ()):
                told.set()

    @contextmanager
    def listening(self, topics: Collection[str]) -> Iterator[asyncio.Event]:
        """A context in which an event is set as soon as something happens to one of these objects."""
        told = asyncio.Event()
        for topic in topics:
            self._listeners.setdefault(topic, set()).add(told)
        try:
            yield told
        finally:
            for topic in topics:
                listeners = self._listeners[topic]
                listeners.discard(told)
                if not listeners:
                    del self._listeners[topic]
