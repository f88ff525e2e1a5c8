"""Inflates gzip bodies, all members of them, in pieces of bounded size."""

import zlib
from collections.abc import Iterator

from windlass_server.gateway.errors import bad_request

_GZIP = 16 + zlib.MAX_WBITS
# Most bytes that come out of one step.
_PIECE = 256 << 10
# Bytes that go in at once. zlib copies what it leaves of them at the end of each member, and a body
# may consist of nothing but members of 20 bytes.
_WINDOW = 8 << 10
# More members than these have to have so many bytes each, as every encoder's have: each costs time.
_FREE_MEMBERS = 100
_LEAST_MEMBER = 512


class Inflater:
    """Inflates one body."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._members = 1
        self._taken = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the next bytes inflate to; raises Refusal when they are not gzip."""
        view = memoryview(data)
        try:
            for start in range(0, len(view), _WINDOW):
                window = view[start : start + _WINDOW]
                self._taken += len(window)
                yield from self._steps(window)
        except zlib.error:
            raise bad_request("MALFORMED_BODY", "the body is not gzip") from None

    def end(self) -> None:
        """Raise Refusal when the last member is not whole."""
        if not self._member.eof:
            raise bad_request("MALFORMED_BODY", "the gzip body is cut off")

    def _steps(self, window: memoryview | bytes) -> Iterator[bytes]:
        while window:
            if self._member.eof:
                self._next_member()
            yield self._member.decompress(window, _PIECE)
            window = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def _next_member(self) -> None:
        self._members += 1
        if self._members > _FREE_MEMBERS and self._members * _LEAST_MEMBER > self._taken:
            raise bad_request("MALFORMED_BODY", "the gzip body has too many members")
        self._member = zlib.decompressobj(_GZIP)
