"""Ends a block of code when the client leaves or the server stops."""

import asyncio
from types import TracebackType
from typing import Any

from windlass_server.gateway.body import Receive
from windlass_server.gateway.errors import UNAVAILABLE, Refusal


class ClientGone(Exception):
    """The client closed the connection, or does not read; nobody waits for the answer."""


class Watched:
    """An asynchronous context that cancels what is in it, as `asyncio.timeout` does, and says why.

    Args:
        receive: ASGI's, of a request whose body was read.
        stopping: set when the server stops; None when that does not matter.

    Raises:
        ClientGone: on leaving, when the client left.
        Refusal: on leaving, UNAVAILABLE when the server stops.
    """

    def __init__(self, receive: Receive, stopping: asyncio.Event | None = None) -> None:
        self._receive = receive
        self._stopping = stopping
        self._reason: Exception | None = None
        self._watches: list[asyncio.Task[Any]] = []

    async def __aenter__(self) -> None:
        """Begin to watch."""
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._watches = [asyncio.create_task(self._until_gone())]
        if self._stopping is not None:
            self._watches.append(asyncio.create_task(self._until_stopping(self._stopping)))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching; raise why the block was ended, if it was."""
        for watch in self._watches:
            watch.cancel()
        if self._reason is None:
            return
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise self._reason from None

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._interrupt(ClientGone())

    async def _until_stopping(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        message = "the server is stopping; reconnect"
        self._interrupt(Refusal(UNAVAILABLE, "SERVER_STOPPING", message))

    def _interrupt(self, reason: Exception) -> None:
        if self._reason is None:
            self._reason = reason
            self._task.cancel()
