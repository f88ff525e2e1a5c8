"""One HTTP request and its answer, over ASGI."""

import asyncio
import contextlib
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import quote

from windlass_server.gateway.body import Receive
from windlass_server.gateway.compression import MIN_BYTES, compress
from windlass_server.gateway.dispatch import OutgoingCall
from windlass_server.gateway.errors import Headers, bad_request
from windlass_server.gateway.forwarding import REQUEST_ID, TRACE_PARENT
from windlass_server.gateway.negotiation import accepts_gzip

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_JSON = (b"content-type", b"application/json")
# What gRPC allows as a name of metadata.
_NAME = re.compile(r"[a-z0-9_.-]+")
# Names that describe the message on the wire: HTTP's to set, never the dispatcher's.
_RESERVED = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "date", "keep-alive"}
    | {"proxy-authenticate", "proxy-connection", "server", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "user-agent"}
)
# Nor are the transport's own, and who may read an answer is said by the gateway's configuration.
_NOT_THEIRS = ("grpc-", "access-control-")

# What an answer repeats of its request, when the dispatcher says nothing else.
_ECHOED = ((REQUEST_ID, REQUEST_ID.encode()), (TRACE_PARENT, TRACE_PARENT.encode()))

# What a client may still send behind its answer, and for how long: one that is sending when the
# connection closes sees that and not the answer.
_LINGER_BYTES = 64 << 20
_LINGER_S = 5.0
_REQUEST_TIMEOUT = 408


class Exchange:
    """A request's ASGI ends, the call that it becomes, and whether its answer has begun."""

    __slots__ = ("_all_read", "_receive", "_send", "call", "is_head", "scope", "started")

    def __init__(
        self,
        scope: MutableMapping[str, Any],
        receive: Receive,
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        self.scope = scope
        self._receive = receive
        self._all_read = False
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

    @property
    def query(self) -> str:
        """The query as it was sent; raises Refusal when it is not UTF-8."""
        try:
            return str(self.scope["query_string"], "utf-8")
        except UnicodeDecodeError:
            raise bad_request("MALFORMED_QUERY", "the query is not valid UTF-8") from None

    async def receive(self) -> MutableMapping[str, Any]:
        """ASGI's `receive`, watched for the end of the body."""
        message = await self._receive()
        self._all_read = not message.get("more_body", False)
        return message

    async def answer(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Send a whole JSON answer, as gzip when it is large and the client takes that."""
        self.started = True
        head: Headers = [_JSON]
        if len(body) >= MIN_BYTES:
            head.append((b"vary", b"accept-encoding"))
            if accepts_gzip(self._header(b"accept-encoding")):
                body = await compress(body)
                head.append((b"content-encoding", b"gzip"))
        head += [(b"content-length", b"%d" % len(body)), *headers]
        head += self._metadata(head)
        await self._send({"type": "http.response.start", "status": status, "headers": head})
        content = b"" if self.is_head else body
        # A body that did not come in time is not waited for any longer.
        if self._all_read or status == _REQUEST_TIMEOUT or not self._has_body():
            await self._send({"type": "http.response.body", "body": content})
            return
        await self._send({"type": "http.response.body", "body": content, "more_body": True})
        await self.end_stream()

    async def answer_options(self, allow: str) -> None:
        """Send an empty answer that names the path's methods."""
        self.started = True
        ours = [(b"allow", allow.encode("ascii"))]
        headers = ours + self._metadata(ours)
        await self._send({"type": "http.response.start", "status": 204, "headers": headers})
        await self._send({"type": "http.response.body", "body": b""})

    async def start_stream(self, content_type: bytes) -> None:
        """Send the head of a streamed answer, which no cache and no proxy may hold back."""
        self.started = True
        ours = [
            (b"content-type", content_type),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        headers = ours + self._metadata(ours)
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    def trailers(self) -> dict[str, str]:
        """The metadata that came at the end of a stream, as a header's text each."""
        return {
            name: _header_value(value).decode("ascii")
            for name, value in self.call.trailing_metadata.items()
            if _sendable(name, value)
        }

    async def start_file(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Send the head of an answer whose bytes follow in chunks."""
        self.started = True
        ours = list(headers)
        head = ours + self._metadata(ours)
        await self._send({"type": "http.response.start", "status": status, "headers": head})

    async def send_chunk(self, data: bytes) -> None:
        """Send a part of a streamed answer."""
        if not self.is_head:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end_stream(self) -> None:
        """End a streamed answer, when the client has sent its own or has had time to."""
        if not self._all_read and self._has_body():
            await self._linger()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    @property
    def may_have_body(self) -> bool:
        """Whether a body may follow the head; from HTTP/2 on only reading tells."""
        return self.scope["http_version"] >= "2" or self._has_body()

    def _header(self, wanted: bytes) -> str:
        values = (value for name, value in self.scope["headers"] if name == wanted)
        return b",".join(values).decode("latin-1")

    def _has_body(self) -> bool:
        for name, _ in self.scope["headers"]:  # noqa: SIM110 (a generator takes twice as long)
            if name in _FRAMING:
                return True
        return False

    async def _linger(self) -> None:
        """Read and drop what the client still sends, for a while."""
        dropped = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                while not self._all_read and dropped < _LINGER_BYTES:
                    dropped += len((await self.receive()).get("body", b""))

    def _metadata(self, ours: Headers) -> Headers:
        """The headers that the dispatcher gave, but for ours; the request's id and trace beside them."""
        given, asked = self.call.response_metadata, self.call.metadata
        echoed = [
            (header, _header_value(asked[name]))
            for name, header in _ECHOED
            if name in asked and name not in given
        ]
        if not given:
            return echoed
        found = [
            (name.encode("ascii"), _header_value(value))
            for name, value in given.items()
            if _sendable(name, value)
        ]
        taken = [name for name, _ in ours]
        return [one for one in found if one[0] not in taken] + echoed


def _sendable(name: str, value: str | bytes) -> bool:
    """Whether response metadata can be a header and is not the transport's own."""
    if not _NAME.fullmatch(name) or name in _RESERVED or name.startswith(_NOT_THEIRS):
        return False
    if isinstance(value, bytes):
        return name.endswith("-bin")
    return not name.endswith("-bin") and value.isascii() and value.isprintable()


def _header_value(value: str | bytes) -> bytes:
    return b64encode(value) if isinstance(value, bytes) else value.encode("ascii")


def _peer(client: Any) -> str:
    """`host:port` of ASGI's client; empty when it is not known."""
    if not client:
        return ""
    host, port = client
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
