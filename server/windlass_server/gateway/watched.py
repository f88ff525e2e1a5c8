"""Ends a block of code when the client leaves, or does not read what it is sent."""

import asyncio
import time
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any

from windlass_server.gateway.body import Receive


class ClientGone(Exception):
    """The client closed the connection; nobody waits for the answer."""


class ReaderStalled(ClientGone):
    """The client is there and has not read what it was sent for too long."""


# A call that is done before this needs nobody who watches its client; nearly all are.
_PATIENCE_S = 0.1


class Watched:
    """An asynchronous context that cancels what is in it, as `asyncio.timeout` does, and says why.

    Args:
        receive: ASGI's, of a request whose body was read.
        write_timeout_s: seconds that the client may take to make room for what is sent; None while
            nothing is sent in it.
        after_s: seconds after which to begin; most calls are done before and are spared the cost.
            None: when `begin` is called.

    Attributes:
        sending_since: when what is being sent now was begun, by the monotonic clock; None while
            nothing is. Set by whoever sends.

    Raises:
        ClientGone: on leaving, when the client left.
        ReaderStalled: on leaving, when the client did not read.
        Exception: on leaving, what `interrupt` was called with.
    """

    def __init__(
        self, receive: Receive, write_timeout_s: float | None = None, *, after_s: float | None = 0.0
    ) -> None:
        self.sending_since: float | None = None
        self._receive = receive
        self._write_timeout_s = write_timeout_s
        self._after_s = after_s
        self._watch: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reason: Exception | None = None

    async def __aenter__(self) -> "Watched":
        """Begin to watch."""
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        if self._after_s:
            self._timer = asyncio.get_running_loop().call_later(self._after_s, self.begin)
        elif self._after_s is not None:
            self.begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching; raise why the block was ended, if it was."""
        for watching in (self._watch, self._timer):
            if watching is not None:
                watching.cancel()
        if self._reason is None:
            return
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise self._reason from None

    def interrupt(self, reason: Exception) -> None:
        """End the block, from another task; only the first reason counts."""
        if self._reason is None:
            self._reason = reason
            self._task.cancel()

    def begin(self) -> None:
        """Watch from here on; `receive` is then nobody else's."""
        self._watch = asyncio.create_task(self._until_gone())
        self._check_later()

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.interrupt(ClientGone())

    def _check_later(self) -> None:
        # A timer for the whole stream, not one for each message: those come by the thousand.
        if (timeout_s := self._write_timeout_s) is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(timeout_s / 4, self._check, timeout_s)

    def _check(self, timeout_s: float) -> None:
        since = self.sending_since
        if since is not None and time.monotonic() - since >= timeout_s:
            self.interrupt(ReaderStalled())
        else:
            self._check_later()


async def unless_gone(receive: Receive, answer: Coroutine[Any, Any, bytes]) -> bytes:
    """An awaited answer of one message; raises ClientGone, and cancels it, when the client leaves.

    One that is there at once costs nothing.

    Args:
        receive: ASGI's, of a request whose body was read.
        answer: what is awaited.
    """
    try:
        waits_for = answer.send(None)
    except StopIteration as end:
        found: bytes = end.value
        return found
    async with Watched(receive, after_s=_PATIENCE_S):
        return await _Begun(answer, waits_for)


class _Begun:
    """A coroutine that has begun and waits for something, to be awaited from there on."""

    def __init__(self, coroutine: Coroutine[Any, Any, bytes], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, bytes]:
        waits_for = self._waits_for
        try:
            while True:
                try:
                    sent = yield waits_for
                except BaseException as error:  # such as that it is cancelled
                    waits_for = self._coroutine.throw(error)
                else:
                    waits_for = self._coroutine.send(sent)
        except StopIteration as end:
            found: bytes = end.value
            return found
