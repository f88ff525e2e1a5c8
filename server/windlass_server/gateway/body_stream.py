"""Reads a request body as it comes: inflated, counted, a piece of it in memory at a time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from windlass_server.gateway.body import (
    Receive,
    announced_bytes,
    body_chunk,
    content_encoding,
    has_body,
    too_large,
    too_slow,
)
from windlass_server.gateway.digests import BodyDigests
from windlass_server.gateway.errors import bad_request
from windlass_server.gateway.headers import RequestHeaders
from windlass_server.gateway.inflate import Inflater


class BodyStream:
    """A request's body, read once, from its beginning to its end.

    It is read only as fast as it is asked for, so that a slow reader slows its client down.

    Args:
        receive: ASGI's.
        headers: of the request.
        http_version: ASGI's; before 2, a request without framing headers has no body.
        limit: most bytes, as sent and as inflated; None means any number.
        timeout_s: seconds that the client may take for each piece; None: any.

    Raises:
        Refusal: 413 when the body says that it is too large, 415 for an encoding that is not taken,
            400 for a digest that is none.
    """

    def __init__(
        self,
        receive: Receive,
        headers: RequestHeaders,
        http_version: str,
        limit: int | None,
        timeout_s: float | None,
    ) -> None:
        if limit is not None and announced_bytes(headers) > limit:
            raise too_large(limit)
        self._receive = receive
        self._limit = limit
        self._timeout_s = timeout_s
        self._inflater = Inflater() if content_encoding(headers) == "gzip" else None
        self._digests = BodyDigests(headers)
        self._finished = not has_body(headers, http_version)

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The body, inflated; none of the pieces is empty.

        Raises:
            Refusal: 413 beyond the limit, 400 for a body that breaks off, is not gzip though it says
                so, or is not what its digest says, 408 for one that does not come.
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
        try:
            async with asyncio.timeout(self._timeout_s):
                message = await self._receive()
        except TimeoutError:
            raise too_slow() from None
        data, more = body_chunk(message)
        self._finished = not more
        return data
