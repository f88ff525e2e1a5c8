"""Server streams over HTTP: which form a caller asked for, and the messages in that form.

By `Accept`: `text/event-stream` gives server-sent events, `application/x-ndjson` one message per
line, everything else a JSON array. Each message is flushed. A failure before the first message has
its real HTTP status; a later one is told in the stream, as an `error` event or as a last element
`{"error": <google.rpc.Status>}`, and the stream then ends well formed.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from windlass_server.gateway.body import Receive
from windlass_server.gateway.errors import UNAVAILABLE, Refusal
from windlass_server.gateway.negotiation import qualities
from windlass_server.gateway.transcoder import StreamItem
from windlass_server.gateway.watched import ClientGone

RETRY_MILLISECONDS = 2000


class Format(Protocol):
    """A form of a stream. Each method gives the bytes to send at that point."""

    content_type: bytes

    def start(self) -> bytes:
        """What comes before everything."""
        ...

    def item(self, item: StreamItem) -> bytes:
        """One message."""
        ...

    def heartbeat(self) -> bytes:
        """A sign of life that says nothing; empty where the form has none."""
        ...

    def end(self, trailers: Mapping[str, str]) -> bytes:
        """The end of a stream that did not fail, with what the service says of it at last."""
        ...

    def failed(self, status: bytes) -> bytes:
        """The end of a stream that failed, with the JSON of its `google.rpc.Status`."""
        ...


class ServerSentEvents:
    """`text/event-stream`: `id` is the position to resume behind, `data` one line of JSON."""

    content_type = b"text/event-stream; charset=utf-8"

    def start(self) -> bytes:
        """How long a client waits before it reconnects."""
        return b"retry: %d\n\n" % RETRY_MILLISECONDS

    def item(self, item: StreamItem) -> bytes:
        """An unnamed event."""
        cursor = item.cursor
        safe = cursor and not {"\n", "\r", "\0"} & set(cursor)
        return (
            f"id: {cursor}\ndata: {item.json}\n\n" if safe else f"data: {item.json}\n\n"
        ).encode()

    def heartbeat(self) -> bytes:
        """A comment."""
        return b": \n\n"

    def end(self, trailers: Mapping[str, str]) -> bytes:
        """An `end` event: a client that sees it need not reconnect."""
        data = json.dumps({"trailers": dict(trailers)} if trailers else {}, separators=(",", ":"))
        return f"event: end\ndata: {data}\n\n".encode()

    def failed(self, status: bytes) -> bytes:
        """An `error` event."""
        return b"event: error\ndata: " + status + b"\n\n"


class Lines:
    """`application/x-ndjson`: one message per line."""

    content_type = b"application/x-ndjson"

    def start(self) -> bytes:
        """Nothing."""
        return b""

    def item(self, item: StreamItem) -> bytes:
        """A line."""
        return (item.json + "\n").encode()

    def heartbeat(self) -> bytes:
        """Nothing: not every reader skips empty lines."""
        return b""

    def end(self, trailers: Mapping[str, str]) -> bytes:
        """Nothing."""
        return b""

    def failed(self, status: bytes) -> bytes:
        """A last line that holds only `error`."""
        return b'{"error":' + status + b"}\n"


class Array:
    """A JSON array, one message per line."""

    content_type = b"application/json"

    def __init__(self) -> None:
        self._separator = b""

    def start(self) -> bytes:
        """The opening bracket."""
        return b"["

    def item(self, item: StreamItem) -> bytes:
        """An element."""
        separator, self._separator = self._separator, b",\n"
        return separator + item.json.encode()

    def heartbeat(self) -> bytes:
        """Nothing."""
        return b""

    def end(self, trailers: Mapping[str, str]) -> bytes:
        """The closing bracket."""
        return b"]\n"

    def failed(self, status: bytes) -> bytes:
        """A last element that holds only `error`, and the closing bracket."""
        return self._separator + b'{"error":' + status + b"}]\n"


def choose_format(accept: str) -> Format:
    """The form that `Accept` likes best; a JSON array when it names none of them."""
    best: tuple[float, type[ServerSentEvents | Lines | Array]] = (0.0, Array)
    for media, quality in qualities(accept).items():
        known = _FORMATS.get(media)
        if known is not None and quality > best[0]:
            best = (quality, known)
    return best[1]()


_FORMATS: dict[str, type[ServerSentEvents | Lines | Array]] = {
    "text/event-stream": ServerSentEvents,
    "application/x-ndjson": Lines,
    "application/json": Array,
}


@dataclass(slots=True)
class Sink:
    """Where a stream goes.

    Attributes:
        start: sends status and headers; called once, before the first bytes.
        send: sends bytes at once; raises OSError when the client is gone.
        receive: ASGI's, to learn that the client is gone.
    """

    start: Callable[[], Awaitable[None]]
    send: Callable[[bytes], Awaitable[None]]
    receive: Receive
    started: bool = False


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

    async def run(self, sink: Sink, *, body: bool = True) -> None:
        """Carry the stream to its end, or only its beginning when the answer has no body.

        Raises:
            ClientGone: the client left.
            Exception: what the dispatcher raised before anything was sent.
        """
        watches: set[asyncio.Task[Any]] = {
            asyncio.create_task(_until_gone(sink.receive)),
            asyncio.create_task(self._until_stopping()),
        }
        try:
            await self._carry(sink, watches, body=body)
        except ClientGone:
            raise
        except Exception as error:
            if not sink.started:
                raise
            await self._send(sink, self._format.failed(self._show(error)))
        finally:
            await _cancel(watches)
            close = getattr(self._messages, "aclose", None)
            if close is not None:
                await close()

    async def _carry(self, sink: Sink, watches: set[asyncio.Task[Any]], *, body: bool) -> None:
        while True:
            message = await self._next(sink, watches)
            item = self._transcode(message) if message is not None else None
            await self._open(sink)
            if not body:
                return
            if item is None:
                await self._send(sink, self._format.end(self._trailers()))
                return
            await self._send(sink, self._format.item(item))

    async def _next(self, sink: Sink, watches: set[asyncio.Task[Any]]) -> bytes | None:
        """The next message, None at the end; heartbeats are sent while it is waited for."""
        pending: asyncio.Task[Any] = asyncio.create_task(_next_or_none(self._messages))
        try:
            while True:
                done, _ = await asyncio.wait(
                    {pending, *watches},
                    timeout=self._heartbeat_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if pending in done:
                    message: bytes | None = pending.result()
                    return message
                for watch in done:
                    watch.result()  # raises why the stream ends
                await self._open(sink)
                await self._send(sink, self._format.heartbeat())
        finally:
            if not pending.done():
                await _cancel({pending})

    async def _open(self, sink: Sink) -> None:
        if not sink.started:
            sink.started = True
            await sink.start()
            await self._send(sink, self._format.start())

    async def _send(self, sink: Sink, data: bytes) -> None:
        if not data:
            return
        try:
            await sink.send(data)
        except OSError:
            raise ClientGone from None

    async def _until_stopping(self) -> None:
        await self._stopping.wait()
        raise Refusal(UNAVAILABLE, "SERVER_STOPPING", "the server is stopping; reconnect")


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    raise ClientGone


async def _next_or_none(messages: AsyncIterator[bytes]) -> bytes | None:
    async for message in messages:
        return message
    return None


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
