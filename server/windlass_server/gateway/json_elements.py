"""Cuts a stream of JSON values into its elements while it comes: an array, or one value per line.

Only the places between the elements are looked for; whether an element is JSON is for its reader to
say. What is held is the element under way, of at most `limit` bytes.
"""

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Protocol

from windlass_server.gateway.errors import RESOURCE_EXHAUSTED, Refusal, bad_request

# A whole object, array or string as far as it has neither escapes nor others within, to step over it
# at once; or one character that matters to where an element ends. Nothing in it backtracks.
_FLAT = rb'[^{}\[\]"]*+(?:"[^"\\]*+"[^{}\[\]"]*+)*+'
_TOKEN = re.compile(rb"\{" + _FLAT + rb"\}|\[" + _FLAT + rb'\]|"[^"\\]*+"|["\[\]{},]')
_IN_STRING = re.compile(rb'["\\]')
_SPACE = re.compile(rb"[ \t\r\n]*")

_LINE_TYPES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})


class Elements(Protocol):
    """A cutter of one kind of stream."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The elements that end in the next bytes; raises Refusal."""
        ...

    def end(self) -> Iterator[bytes]:
        """The element that the end of the body ends; raises Refusal when the stream is cut off."""
        ...


def is_lines(content_type: str) -> bool:
    """Whether a content type says that there is one JSON value per line."""
    return content_type.partition(";")[0].strip().lower() in _LINE_TYPES


class LineElements:
    """One JSON value per line; lines of white space are none."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()
        self._count = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that end in the next bytes."""
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._hold(line)
            yield from self.end()
        self._hold(rest)

    def end(self) -> Iterator[bytes]:
        """The last line, which needs no line break."""
        line = bytes(self._held)
        self._held.clear()
        if line.strip(b" \t\r"):
            self._count += 1
            yield line

    def _hold(self, data: bytes) -> None:
        if len(self._held) + len(data) > self._limit:
            raise element_too_large(self._count, self._limit)
        self._held += data


class _At(Enum):
    """Where in an array the next byte is."""

    START = auto()
    FIRST = auto()  # behind the opening bracket, where the array may end
    ELEMENT = auto()
    BEHIND = auto()


class ArrayElements:
    """The elements of one JSON array."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()
        self._count = 0
        self._at = _At.START
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The elements that end in the next bytes."""
        self._begun = self._begun or bool(data)
        at = 0
        while at < len(data):
            if self._at is _At.ELEMENT:
                end, at, last = self._scan(data, at)
                if end is not None:
                    yield self._take(end)
                    self._at = _At.BEHIND if last else _At.ELEMENT
                continue
            found = _SPACE.match(data, at)
            at = found.end() if found else at
            if at < len(data):
                at = self._step(data, at)

    def end(self) -> Iterator[bytes]:
        """Nothing: an array ends by its bracket."""
        if self._at is _At.START and self._begun:
            raise bad_request("MALFORMED_JSON", "the body must be a JSON array")
        if self._at not in (_At.START, _At.BEHIND):
            raise bad_request("MALFORMED_JSON", f"the array is cut off in element {self._count}")
        return iter(())

    def _step(self, data: bytes, at: int) -> int:
        """Take the bracket that is due at `at`; returns where to go on."""
        character = data[at : at + 1]
        if self._at is _At.START:
            if character != b"[":
                raise bad_request("MALFORMED_JSON", "the body must be a JSON array")
            self._at = _At.FIRST
            return at + 1
        if self._at is _At.BEHIND:
            raise bad_request("MALFORMED_JSON", "there is something behind the array's end")
        if character == b"]":
            self._at = _At.BEHIND
            return at + 1
        self._at = _At.ELEMENT
        return at

    def _scan(self, data: bytes, at: int) -> tuple[bytes | None, int, bool]:
        """Look for the element's end from `at` on and hold what is before it.

        Returns:
            The element's last bytes, None when it goes on; where to go on; whether the array ends.
        """
        start = at
        while at < len(data):
            if self._in_string:
                at = self._scan_string(data, at)
                continue
            found = _TOKEN.search(data, at)
            if found is None:
                break
            at = found.end()
            token = data[found.start()]
            if self._depth == 0 and token in b",]":
                return data[start : found.start()], at, token == ord("]")
            if at == found.start() + 1:
                self._enter(token)
        self._hold(data[start:])
        return None, len(data), False

    def _enter(self, token: int) -> None:
        if token in b"[{":
            self._depth += 1
        elif token in b"]}":
            # Below zero the element is malformed, and a later bracket ends it all the same.
            self._depth = max(self._depth - 1, 0)
        elif token == ord('"'):
            self._in_string = True

    def _scan_string(self, data: bytes, at: int) -> int:
        """Go on in a string; returns where it ends, or the end of the data."""
        if self._escaped:
            self._escaped = False
            return at + 1
        found = _IN_STRING.search(data, at)
        if found is None:
            return len(data)
        if found[0] == b"\\":
            self._escaped = True
        else:
            self._in_string = False
        return found.end()

    def _hold(self, data: bytes) -> None:
        if len(self._held) + len(data) > self._limit:
            raise element_too_large(self._count, self._limit)
        self._held += data

    def _take(self, last: bytes) -> bytes:
        self._hold(last)
        element = bytes(self._held)
        self._held.clear()
        if not element.strip(b" \t\r\n"):
            raise bad_request("MALFORMED_JSON", f"element {self._count} of the array is empty")
        self._count += 1
        return element


def element_too_large(index: int, limit: int) -> Refusal:
    """The refusal of an element beyond the limit in bytes."""
    return Refusal(
        RESOURCE_EXHAUSTED,
        "REQUEST_TOO_LARGE",
        f"element {index} is larger than {limit} bytes",
        http_status=413,
        metadata={"index": str(index), "max_request_bytes": str(limit)},
    )
