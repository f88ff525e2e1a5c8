"""Ranges and preconditions of downloads (RFC 9110, sections 13 and 14), as far as files need them.

One range is served. Several at once, other units and what cannot be read are ignored, as the RFC
permits: the answer then is the whole file.
"""

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

_RANGE = re.compile(r"bytes=\s*([0-9]*)-([0-9]*)\s*", re.IGNORECASE)
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
# Digits of a position; more of them are beyond every file.
_MAX_DIGITS = 18


class Unsatisfiable(ValueError):
    """A range that has no byte of the file."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes of a file, the last one included; `size` is the whole file's, None when not known."""

    first: int
    last: int
    size: int | None

    @property
    def length(self) -> int:
        """How many bytes it has."""
        return self.last - self.first + 1

    def __str__(self) -> str:
        """The value of `Content-Range`."""
        return f"bytes {self.first}-{self.last}/{'*' if self.size is None else self.size}"


def requested_range(text: str, size: int) -> ByteRange | None:
    """The one range that a `Range` asks for of a file of `size` bytes; None when it is ignored.

    Raises:
        Unsatisfiable: the range is well formed and begins behind the file's end.
    """
    found = _RANGE.fullmatch(text)
    if found is None or found[1] == found[2] == "":
        return None
    first, last = _position(found[1]), _position(found[2])
    if first is None:
        assert last is not None
        if last == 0 or size == 0:
            raise Unsatisfiable
        return ByteRange(max(size - last, 0), size - 1, size)
    if last is not None and last < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return ByteRange(first, size - 1 if last is None else min(last, size - 1), size)


def _position(digits: str) -> int | None:
    if not digits:
        return None
    return int(digits) if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS


def served_range(content_range: str) -> ByteRange:
    """The range that a `Content-Range` says is served; raises ValueError when it says none."""
    found = _CONTENT_RANGE.fullmatch(content_range)
    if found is None:
        raise ValueError(f"{content_range!r} is no Content-Range of bytes")
    first, last = int(found[1]), int(found[2])
    size = None if found[3] == "*" else int(found[3])
    if last < first or (size is not None and last >= size):
        raise ValueError(f"{content_range!r} is a Content-Range that cannot be")
    return ByteRange(first, last, size)


def is_entity_tag(text: str) -> bool:
    """Whether a text is one entity tag, strong or weak."""
    return _ENTITY_TAG.fullmatch(text) is not None


def none_match_fails(if_none_match: str, etag: str) -> bool:
    """Whether the client has the file already, by an `If-None-Match`; tags are compared weakly."""
    if if_none_match.strip() == "*":
        return True
    return etag != "" and _opaque(etag) in map(_opaque, _ENTITY_TAG.findall(if_none_match))


def not_modified_since(if_modified_since: str, last_modified: str) -> bool:
    """Whether the file is not newer than the client's, by an `If-Modified-Since`."""
    try:
        known, ours = map(parsedate_to_datetime, (if_modified_since, last_modified))
        return ours <= known
    except (ValueError, TypeError, OverflowError):  # no date, one without its zone, one too far
        return False


def range_applies(if_range: str, etag: str, last_modified: str) -> bool:
    """Whether a range is still of the client's file, by an `If-Range`, which may be empty.

    A tag must be strong and the same; a date must be the same.
    """
    validator = if_range.strip()
    if not validator:
        return True
    if is_entity_tag(validator):
        return validator == etag and not validator.startswith("W/")
    return validator == last_modified


def _opaque(etag: str) -> str:
    return etag.removeprefix("W/")
