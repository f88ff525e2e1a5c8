"""Reads request bodies within a limit, plain or gzip."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from windlass_server.gateway.digests import BodyDigests
from windlass_server.gateway.errors import (
    DEADLINE_EXCEEDED,
    RESOURCE_EXHAUSTED,
    Refusal,
    bad_request,
)
from windlass_server.gateway.headers import RequestHeaders, check_content_type
from windlass_server.gateway.inflate import Inflater

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

# A body that is too large is read to its end and dropped, up to here: a client that is still sending
# when the connection closes sees that and not the answer.
_DROPPED_BYTES = 64 << 20
# Of a length; Python refuses to read integers of some thousand digits.
_MAX_DIGITS = 18
# A body that comes slower than this holds its connection for nothing.
_LEAST_BYTES_PER_S = 16 << 10


async def read_body(
    receive: Receive, headers: RequestHeaders, http_version: str, limit: int, timeout_s: float
) -> bytes:
    """Read the whole body.

    Args:
        receive: ASGI's.
        headers: of the request.
        http_version: ASGI's; before 2, a request without framing headers has no body.
        limit: most bytes, as sent and as inflated.
        timeout_s: seconds that the body may take, beyond what its bytes take at 16 KiB/s.

    Raises:
        Refusal: 413 beyond the limit, 415 for a content type or encoding that is not taken, 400 for a
            body that breaks off or is not what its digest says, 408 for one that does not come.
    """
    others = headers.others
    if not has_body(headers, http_version):
        return b""
    if announced_bytes(headers) > _DROPPED_BYTES:
        raise too_large(limit)
    body = await _receive_all(receive, limit, timeout_s)
    digests = BodyDigests(headers)
    digests.update(body)
    digests.verify()
    if not body:
        return body
    check_content_type(others.get("content_type", ""))
    return _inflate(body, limit) if content_encoding(headers) == "gzip" else body


def has_body(headers: RequestHeaders, http_version: str) -> bool:
    """Whether there is a body to read; from HTTP/2 on only reading tells.

    Raises:
        Refusal: 400 for a transfer coding that servers do not undo.
    """
    others = headers.others
    coding = others.get("transfer_encoding")
    if coding is not None and coding.strip().lower() != "chunked":
        message = "a body may be chunked, and have no other transfer coding"
        raise bad_request("UNSUPPORTED_TRANSFER_ENCODING", message)
    return coding is not None or "content_length" in others or http_version >= "2"


def announced_bytes(headers: RequestHeaders) -> int:
    """How large a body says that it is; 0 when it says nothing."""
    text = headers.others.get("content_length", "")
    if not text.isdecimal():
        return 0
    return int(text) if len(text) < _MAX_DIGITS else 10**_MAX_DIGITS


def content_encoding(headers: RequestHeaders) -> str:
    """`gzip` or `identity`; raises Refusal (415) for any other encoding."""
    encoding = headers.others.get("content_encoding", "identity").strip().lower()
    if encoding in ("gzip", "identity"):
        return encoding
    refusal = bad_request("UNSUPPORTED_CONTENT_ENCODING", "the body must be plain or gzip")
    refusal.http_status = 415
    refusal.headers = ((b"accept-encoding", b"gzip, identity"),)
    raise refusal


async def _receive_all(receive: Receive, limit: int, timeout_s: float) -> bytes:
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout(timeout_s) as patience:
            body, more = body_chunk(await receive())
            size = len(body)
            # One buffer for all: a list of pieces would take 40 bytes for each, however small it is.
            held = bytearray(body) if more else body
            while more:
                chunk, more = body_chunk(await receive())
                size += len(chunk)
                if size <= limit:
                    held += chunk
                elif size > _DROPPED_BYTES:
                    break
                if more:
                    patience.reschedule(started + timeout_s + size / _LEAST_BYTES_PER_S)
    except TimeoutError:
        raise too_slow() from None
    if size > limit:
        raise too_large(limit)
    return bytes(held)


def body_chunk(message: MutableMapping[str, Any]) -> tuple[bytes, bool]:
    """A piece of a body and whether more follows; raises Refusal when the client broke off."""
    if message["type"] != "http.request":
        # The client may listen still: to the server malformed chunks are the same as a client that
        # left.
        raise bad_request("MALFORMED_BODY", "the body breaks off, or its chunks are malformed")
    return message.get("body", b""), message.get("more_body", False)


def _inflate(body: bytes, limit: int) -> bytes:
    """Inflate gzip to at most `limit` bytes."""
    inflater = Inflater()
    pieces: list[bytes] = []
    size = 0
    for piece in inflater.feed(body):
        size += len(piece)
        if size > limit:
            raise too_large(limit)
        pieces.append(piece)
    inflater.end()
    return b"".join(pieces)


def too_slow() -> Refusal:
    """The refusal of a body that does not come."""
    message = "the body took too long to come"
    return Refusal(DEADLINE_EXCEEDED, "BODY_TIMEOUT", message, http_status=408)


def too_large(limit: int) -> Refusal:
    """The refusal of a body beyond the limit in bytes."""
    message = f"the body is larger than {limit} bytes"
    return Refusal(
        RESOURCE_EXHAUSTED,
        "BODY_TOO_LARGE",
        message,
        http_status=413,
        metadata={"max_body_bytes": str(limit)},
    )
