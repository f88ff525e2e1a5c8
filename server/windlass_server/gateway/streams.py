"""The forms of a server's stream over HTTP, and which of them a caller asked for.

By `Accept`: `text/event-stream` gives server-sent events, `application/x-ndjson` one message per
line, everything else a JSON array. Each message is flushed. A failure before the first message has
its real HTTP status; a later one is told in the stream, as an `error` event or as a last element
`{"error": <google.rpc.Status>}`, and the stream then ends well formed.
"""

import json
import re
from collections.abc import Mapping
from typing import Protocol

from windlass_server.gateway.errors import bad_field
from windlass_server.gateway.headers import RequestHeaders
from windlass_server.gateway.negotiation import qualities
from windlass_server.gateway.transcoder import StreamItem

RETRY_MILLISECONDS = 2000
# What no `id` of an event can hold.
_ENDS_ID = re.compile(r"[\n\r\0]")


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
        safe = cursor and not _ENDS_ID.search(cursor)
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


def last_event_id(headers: RequestHeaders) -> str:
    """The position that a broken stream of events goes on behind; empty when there is none.

    Raises:
        Refusal: it is not UTF-8, in which browsers send what they got as `id`.
    """
    try:
        return headers.others.get("last_event_id", "").encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        raise bad_field("MALFORMED_HEADER", "last-event-id", "is not valid UTF-8") from None
