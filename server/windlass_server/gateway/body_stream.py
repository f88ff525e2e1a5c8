"""Reads a request body as it comes: inflated, counted, a piece of it in memory at a time."""

import zlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from windlass_server.gateway.body import (
    GZIP,
    Receive,
    content_encoding,
    has_body,
    too_large,
)
from windlass_server.gateway.digests import BodyDigests
from windlass_server.gateway.errors import bad_request
from windlass_server.gateway.headers import RequestHeaders

# Most bytes that come out of one step of inflation.
_PIECE = 256 << 10


class BodyStream:
    """A request's body, read once, from its beginning to its end.

    It is read only as fast as it is asked for, so that a slow reader slows its client down.

    Args:
        receive: ASGI's.
        headers: of the request.
        http_version: ASGI's; before 2, a request without framing headers has no body.
        limit: most bytes, as sent and as inflated; None means any number.

    Raises:
        Refusal: 413 when the body says that it is too large, 415 for an encoding that is not taken,
            400 for a digest that is none.
    """

    def __init__(
        self, receive: Receive, headers: RequestHeaders, http_version: str, limit: int | None
    ) -> None:
        length = headers.others.get("content_length", "")
        if limit is not None and length.isdecimal() and int(length) > limit:
            raise too_large(limit)
        self._receive = receive
        self._limit = limit
        self._inflater = _Inflater() if content_encoding(headers) == "gzip" else None
        self._digests = BodyDigests(headers)
        self._finished = not has_body(headers, http_version)

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The body, inflated; none of the pieces is empty.

        Raises:
            Refusal: 413 beyond the limit, 400 for a body that breaks off, is not gzip though it says
                so, or is not what its digest says.
        """
        sent = inflated = 0
        while not self._finished:
            data = await self._next()
            sent += len(data)
            self._digests.update(data)
            for piece in self._inflater.feed(data) if self._inflater else (data,):
                inflated += len(piece)
                if self._limit is not None and max(sent, inflated) > self._limit:
                    raise too_large(self._limit)
                if piece:
                    yield piece
        if self._inflater is not None and sent:
            self._inflater.end()
        self._digests.verify()

    async def refuse_any(self, message: str) -> None:
        """Raise Refusal with the message unless the body is empty."""
        async with aclosing(self.pieces()) as pieces:
            async for _ in pieces:
                raise bad_request("BODY_NOT_ALLOWED", message)

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] != "http.request":
            raise bad_request("MALFORMED_BODY", "the body breaks off, or its chunks are malformed")
        self._finished = not message.get("more_body", False)
        data: bytes = message.get("body", b"")
        return data


class _Inflater:
    """Inflates gzip, all members of it, in pieces of bounded size."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(GZIP)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the next bytes inflate to; raises Refusal when they are not gzip."""
        try:
            while data:
                if self._member.eof:
                    self._member = zlib.decompressobj(GZIP)
                yield self._member.decompress(data, _PIECE)
                data = (
                    self._member.unused_data if self._member.eof else self._member.unconsumed_tail
                )
        except zlib.error:
            raise bad_request("MALFORMED_BODY", "the body is not gzip") from None

    def end(self) -> None:
        """Raise Refusal when the last member is not whole."""
        if not self._member.eof:
            raise bad_request("MALFORMED_BODY", "the gzip body is cut off")
