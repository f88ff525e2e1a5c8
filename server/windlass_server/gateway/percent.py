"""Percent-decoding of paths and query strings, strict: nothing malformed is passed on."""

import re
from urllib.parse import unquote_to_bytes

_MALFORMED = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODED_SLASH = re.compile(r"(%2[Ff])")


class MalformedEscape(ValueError):
    """Text with a broken percent escape, or whose bytes are not UTF-8."""


def decode(text: str) -> str:
    """Decode every escape once; raises MalformedEscape."""
    if "%" not in text:
        return text
    if _MALFORMED.search(text):
        raise MalformedEscape("malformed percent escape")
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedEscape("the decoded text is not valid UTF-8") from None


def decode_keeping_slashes(text: str) -> str:
    """Decode every escape but those of `/`, which stay byte for byte; raises MalformedEscape.

    For values that span several segments: a decoded slash would look like a separator.
    """
    if "%" not in text:
        return text
    parts = _ENCODED_SLASH.split(text)
    parts[::2] = map(decode, parts[::2])
    return "".join(parts)


def decode_form(text: str) -> str:
    """Decode a name or a value of a query string, where `+` is a space; raises MalformedEscape."""
    return decode(text.replace("+", " "))
