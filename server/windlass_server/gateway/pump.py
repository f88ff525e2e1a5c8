"""Carries a server's stream to its client: each message when it comes, a sign of life when none does.

A message is asked for only when the one before it was taken by the HTTP server, which holds a bounded
number of bytes for a client that does not read.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from windlass_server.gateway.body import Receive
from windlass_server.gateway.errors import UNAVAILABLE, Refusal
from windlass_server.gateway.streams import Format
from windlass_server.gateway.transcoder import StreamItem
from windlass_server.gateway.watched import ClientGone, Watched

# How long messages may be sent without anybody else being let to run.
_SLICE_S = 0.005


@dataclass(slots=True)
class Sink:
    """Where a stream goes.

    Attributes:
        start: sends status and headers; called once, before the first bytes.
        send: sends bytes at once; raises OSError when the client is gone.
        receive: ASGI's, to learn that the client is gone.
        write_timeout_s: seconds that the client may take to make room for what is sent.
    """

    start: Callable[[], Awaitable[None]]
    send: Callable[[bytes], Awaitable[None]]
    receive: Receive
    write_timeout_s: float
    started: bool = False


class _HeadSent(Exception):
    """The head is sent and is the whole answer, though no message has come yet."""


class Pump:
    """Carries one stream from the dispatcher to the client.

    Args:
        messages: the dispatcher's stream; closed when the pump ends, however it ends.
        transcode: a message as JSON.
        format: the form that the client asked for.
        show: an error as the JSON of its `google.rpc.Status`.
        heartbeat_s: seconds without a message after which the client gets a sign of life.
        stopping: set when the server stops; open streams then end with UNAVAILABLE.
        trailers: asked at the end for the metadata that came with it.
    """

    def __init__(
        self,
        messages: AsyncIterator[bytes],
        transcode: Callable[[bytes], StreamItem],
        format: Format,  # noqa: A002
        show: Callable[[Exception], bytes],
        *,
        heartbeat_s: float,
        stopping: asyncio.Event,
        trailers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._messages = messages
        self._transcode = transcode
        self._format = format
        self._show = show
        self._heartbeat_s = heartbeat_s
        self._stopping = stopping
        self._trailers = trailers
        # Held while something is sent: neither a sign of life nor the end comes in between.
        self._sending = asyncio.Lock()
        self._sent_at = self._yielded_at = time.monotonic()

    async def run(self, sink: Sink, *, body: bool = True) -> None:
        """Carry the stream to its end, or only its beginning when the answer has no body.

        Raises:
            ClientGone: the client left, or does not read.
            Exception: what the dispatcher raised before anything was sent.
        """
        watched = Watched(sink.receive, sink.write_timeout_s)
        try:
            async with closable(self._messages) as messages, watched:
                attending = asyncio.create_task(self._attend(sink, watched, body=body))
                try:
                    await self._carry(sink, watched, messages, body=body)
                finally:
                    attending.cancel()
        except ClientGone:
            raise
        except _HeadSent:
            return
        except Exception as error:
            if not sink.started:
                raise
            await self._fail(sink, error)

    async def _carry(
        self, sink: Sink, watched: Watched, messages: AsyncIterator[bytes], *, body: bool
    ) -> None:
        async for message in messages:
            item = self._transcode(message)
            async with self._sending:
                await self._open(sink, watched)
                if not body:
                    return
                await self._send(sink, watched, self._format.item(item))
        async with self._sending:
            await self._open(sink, watched)
            if body:
                await self._send(sink, watched, self._format.end(self._trailers()))

    async def _attend(self, sink: Sink, watched: Watched, *, body: bool) -> None:
        """Give signs of life while no message comes, and end the stream when the server stops."""
        while not self._stopping.is_set():
            silent_s = time.monotonic() - self._sent_at
            if silent_s < self._heartbeat_s:
                await self._stopping_within(self._heartbeat_s - silent_s)
                continue
            async with self._sending:
                try:
                    await self._open(sink, watched)
                    if not body:
                        raise _HeadSent
                    await self._send(sink, watched, self._format.heartbeat())
                except Exception as error:
                    watched.interrupt(error)
                    return
                self._sent_at = time.monotonic()
        async with self._sending:
            message = "the server is stopping; reconnect"
            watched.interrupt(Refusal(UNAVAILABLE, "SERVER_STOPPING", message))

    async def _stopping_within(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _fail(self, sink: Sink, error: Exception) -> None:
        """End a stream that has begun by its error; the client may be as slow here as elsewhere."""
        async with Watched(sink.receive, sink.write_timeout_s) as watched:
            await self._send(sink, watched, self._format.failed(self._show(error)))

    async def _open(self, sink: Sink, watched: Watched) -> None:
        if not sink.started:
            sink.started = True
            await sink.start()
            await self._send(sink, watched, self._format.start())

    async def _send(self, sink: Sink, watched: Watched, data: bytes) -> None:
        if not data:
            return
        watched.sending_since = now = time.monotonic()
        try:
            await sink.send(data)
        except OSError:
            raise ClientGone from None
        watched.sending_since = None
        self._sent_at = now
        if now - self._yielded_at > _SLICE_S:
            # Neither a call that has its messages ready nor a server whose client has left waits for
            # anything.
            await asyncio.sleep(0)
            self._yielded_at = time.monotonic()


def closable(messages: AsyncIterator[bytes]) -> "aclosing[AsyncGenerator[bytes]]":
    """A context in which a dispatcher's stream can be read, and that closes it."""
    return aclosing(messages if isinstance(messages, AsyncGenerator) else _closing(messages))


async def _closing(messages: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    try:
        async for message in messages:
            yield message
    finally:
        close = getattr(messages, "aclose", None)
        if close is not None:
            await close()
