"""One reader of ASGI's `receive` for two who need it: the body's, and who waits for the client to go.

Only a call that streams both ways needs it: its body is read while its answers are sent, and a client
that leaves in between has to be noticed though nobody asks for more of the body.
"""

import asyncio
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

from windlass_server.gateway.body import Receive

# Pieces of the body that are read ahead of who asks for them. A client that has sent more than these
# and then leaves is noticed when they have been taken.
_AHEAD = 4

Message = MutableMapping[str, Any]


class Inbox:
    """Reads ahead while it is open, as an asynchronous context."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._queue: asyncio.Queue[Message] = asyncio.Queue(_AHEAD)
        self._left = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Inbox":
        """Begin to read."""
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})

    async def receive_body(self) -> Message:
        """The next piece of the body, or `http.disconnect`; ASGI's `receive` for a body's reader."""
        return await self._queue.get()

    async def receive_end(self) -> Message:
        """`http.disconnect`, when the client has left; ASGI's `receive` for who only waits for it."""
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _read(self) -> None:
        while not self._left.is_set():
            message = await self._receive()
            if message["type"] == "http.request":
                await self._queue.put(message)
            else:
                self._left.set()
        await self._queue.put({"type": "http.disconnect"})
