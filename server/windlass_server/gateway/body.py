"""Reads request bodies within a limit, plain or gzip."""

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from windlass_server.gateway.errors import RESOURCE_EXHAUSTED, Refusal, bad_request
from windlass_server.gateway.headers import RequestHeaders, check_content_type

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_GZIP = 16 + zlib.MAX_WBITS
# A body that is too large is read to its end and dropped, up to here: a client that is still sending
# when the connection closes sees that and not the answer.
_DROPPED_BYTES = 64 << 20


async def read_body(
    receive: Receive, headers: RequestHeaders, http_version: str, limit: int
) -> bytes:
    """Read the whole body.

    Args:
        receive: ASGI's.
        headers: of the request.
        http_version: ASGI's; before 2, a request without framing headers has no body.
        limit: most bytes, as sent and as inflated.

    Raises:
        Refusal: 413 beyond the limit, 415 for a content type or encoding that is not taken, 400 for a
            body that breaks off.
    """
    others = headers.others
    length = others.get("content_length")
    if length is None and http_version < "2" and "transfer_encoding" not in others:
        return b""
    if length is not None and length.isdecimal() and int(length) > _DROPPED_BYTES:
        raise too_large(limit)
    body = await _receive_all(receive, limit)
    if not body:
        return body
    check_content_type(others.get("content_type", ""))
    encoding = others.get("content_encoding", "identity").strip().lower()
    if encoding == "gzip":
        return _inflate(body, limit)
    if encoding != "identity":
        refusal = bad_request("UNSUPPORTED_CONTENT_ENCODING", "the body must be plain or gzip")
        refusal.http_status = 415
        refusal.headers = ((b"accept-encoding", b"gzip, identity"),)
        raise refusal
    return body


async def _receive_all(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            # The client may listen still: to the server malformed chunks are the same as a client
            # that left.
            raise bad_request("MALFORMED_BODY", "the body breaks off, or its chunks are malformed")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        elif size > _DROPPED_BYTES:
            break
        more = message.get("more_body", False)
    if size > limit:
        raise too_large(limit)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _inflate(body: bytes, limit: int) -> bytes:
    """Inflate gzip, all members of it, to at most `limit` bytes."""
    plain = b""
    rest = body
    try:
        while rest:
            member = zlib.decompressobj(_GZIP)
            plain += member.decompress(rest, limit + 1 - len(plain))
            if len(plain) > limit:
                raise too_large(limit)
            if not member.eof:
                raise bad_request("MALFORMED_BODY", "the gzip body is cut off")
            rest = member.unused_data
    except zlib.error:
        raise bad_request("MALFORMED_BODY", "the body is not gzip") from None
    return plain


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
