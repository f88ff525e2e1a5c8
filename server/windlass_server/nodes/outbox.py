"""What waits to be sent on one stream."""

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

from windlass_server.errors import Exhausted

M = TypeVar("M")

MAX_MESSAGES = 16_384


class Outbox(Generic[M]):
    """Messages in the order in which they were first put, one for each key.

    What is put under a key that waits already takes its place: only the newest word on a thing is
    worth sending. So the box is bounded by what there is to speak of; beyond `limit` the peer does
    not read, and the stream is given up.
    """

    def __init__(self, limit: int = MAX_MESSAGES) -> None:
        self._limit = limit
        self._messages: dict[Hashable, M] = {}
        self._filled = asyncio.Event()
        self._taken = asyncio.Event()
        self._closed = False
        self._error: Exception | None = None

    @property
    def closed(self) -> bool:
        return self._closed

    def put(self, key: Hashable, message: M) -> None:
        """Send `message` in its turn. Never blocks; ignored when the box is closed."""
        if self._closed:
            return
        self._messages[key] = message
        self._filled.set()
        if len(self._messages) > self._limit:
            text = f"{self._limit} messages wait and are not read"
            self.close(Exhausted(text, reason="STREAM_NOT_READ"))

    def close(self, error: Exception | None = None) -> None:
        """End the stream, with `error` when given. What waits is dropped; the first word counts."""
        if self._closed:
            return
        self._closed = True
        self._error = error
        self._messages.clear()
        self._filled.set()
        self._taken.set()

    async def emptied(self) -> None:
        """Return when everything has been taken, or the box is closed."""
        while self._messages:
            self._taken.clear()
            await self._taken.wait()

    async def take(self) -> M | None:
        """The next message; None when the box is closed. Raises what it was closed with."""
        while not self._messages:
            if self._error is not None:
                raise self._error
            if self._closed:
                return None
            self._filled.clear()
            await self._filled.wait()
        self._taken.set()
        return self._messages.pop(next(iter(self._messages)))
