"""One HTTP request and its answer, over ASGI."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import quote

from windlass_server.gateway.body import Receive
from windlass_server.gateway.dispatch import OutgoingCall

_JSON = (b"content-type", b"application/json")
# Names that describe the message on the wire: HTTP's to set, never the dispatcher's.
_RESERVED = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "trailer"}
    | {"transfer-encoding", "upgrade", "date", "server"}
)


class Exchange:
    """A request's ASGI ends, the call that it becomes, and whether its answer has begun."""

    __slots__ = ("_send", "call", "is_head", "receive", "scope", "started")

    def __init__(
        self,
        scope: MutableMapping[str, Any],
        receive: Receive,
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        self.scope = scope
        self.receive = receive
        self._send = send
        self.call = OutgoingCall("", {}, _peer(scope.get("client")))
        self.is_head = scope["method"] == "HEAD"
        self.started = False

    @property
    def path(self) -> str:
        """The path as it was sent; raises UnicodeDecodeError when it is not UTF-8."""
        raw: bytes | None = self.scope.get("raw_path")
        if raw is None:
            return quote(self.scope["path"], safe="/:@!$&'()*+,;=~")
        return raw.decode("utf-8")

    async def answer(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Send a whole JSON answer."""
        self.started = True
        length = (b"content-length", b"%d" % len(body))
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [_JSON, length, *headers, *self._metadata()],
            }
        )
        await self._send({"type": "http.response.body", "body": b"" if self.is_head else body})

    async def answer_options(self, allow: str) -> None:
        """Send an empty answer that names the path's methods."""
        self.started = True
        headers = [(b"allow", allow.encode("ascii")), *self._metadata()]
        await self._send({"type": "http.response.start", "status": 204, "headers": headers})
        await self._send({"type": "http.response.body", "body": b""})

    async def start_stream(self, content_type: bytes) -> None:
        """Send the head of a streamed answer, which no cache and no proxy may hold back."""
        self.started = True
        headers = [
            (b"content-type", content_type),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
            *self._metadata(),
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send_chunk(self, data: bytes) -> None:
        """Send a part of a streamed answer."""
        if not self.is_head:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end_stream(self) -> None:
        """End a streamed answer."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _metadata(self) -> list[tuple[bytes, bytes]]:
        """The headers that the dispatcher gave; the caller's own request id when it gave none."""
        given = self.call.response_metadata
        headers = [
            (name.encode("ascii"), value.encode("latin-1"))
            for name, value in given.items()
            if _sendable(name, value)
        ]
        if "x-request-id" not in given and "x-request-id" in self.call.metadata:
            headers.append((b"x-request-id", self.call.metadata["x-request-id"].encode("ascii")))
        return headers


def _sendable(name: str, value: str) -> bool:
    """Whether response metadata can be a header and is not the transport's own."""
    if name in _RESERVED or name.startswith(("grpc-", ":")) or name.endswith("-bin"):
        return False
    return name.isascii() and value.isascii() and value.isprintable()


def _peer(client: Any) -> str:
    """`host:port` of ASGI's client; empty when it is not known."""
    if not client:
        return ""
    host, port = client
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
