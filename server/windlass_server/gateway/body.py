"""Reads request bodies within a limit, plain or gzip."""

import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from windlass_server.gateway.digests import BodyDigests
from windlass_server.gateway.errors import RESOURCE_EXHAUSTED, Refusal, bad_request
from windlass_server.gateway.headers import RequestHeaders, check_content_type

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

GZIP = 16 + zlib.MAX_WBITS
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
            body that breaks off or is not what its digest says.
    """
    others = headers.others
    if not has_body(headers, http_version):
        return b""
    length = others.get("content_length", "")
    if length.isdecimal() and int(length) > _DROPPED_BYTES:
        raise too_large(limit)
    body = await _receive_all(receive, limit)
    digests = BodyDigests(headers)
    digests.update(body)
    digests.verify()
    if not body:
        return body
    check_content_type(others.get("content_type", ""))
    return _inflate(body, limit) if content_encoding(headers) == "gzip" else body


def has_body(headers: RequestHeaders, http_version: str) -> bool:
    """Whether there is a body to read; from HTTP/2 on only reading tells."""
    others = headers.others
    return "content_length" in others or "transfer_encoding" in others or http_version >= "2"


def content_encoding(headers: RequestHeaders) -> str:
    """`gzip` or `identity`; raises Refusal (415) for any other encoding."""
    encoding = headers.others.get("content_encoding", "identity").strip().lower()
    if encoding in ("gzip", "identity"):
        return encoding
    refusal = bad_request("UNSUPPORTED_CONTENT_ENCODING", "the body must be plain or gzip")
    refusal.http_status = 415
    refusal.headers = ((b"accept-encoding", b"gzip, identity"),)
    raise refusal


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
            member = zlib.decompressobj(GZIP)
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
