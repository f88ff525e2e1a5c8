"""What holds for every text that is percent-decoded; the peer is urllib."""

import re
from urllib.parse import quote, quote_plus, unquote, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass_server.gateway.percent import (
    MalformedEscape,
    decode,
    decode_form,
    decode_keeping_slashes,
)

# Text that is mostly escapes, whole and broken.
PIECES = [
    "%",
    "%2",
    "%2F",
    "%2f",
    "%25",
    "%C3%A4",
    "%C3",
    "%zz",
    "%00",
    "+",
    "a",
    "/",
    "ä",
    "=",
    "&",
]
raw = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


def peer(text, unquoted):
    """What urllib makes of the text; None when an escape of it is broken."""
    if re.search("%(?![0-9A-Fa-f]{2})", text):
        return None
    try:
        return unquoted(text, errors="strict")
    except UnicodeDecodeError:
        return None


def decoded_or_none(decoder, text):
    try:
        return decoder(text)
    except MalformedEscape:
        return None


@given(raw)
def test_text_is_decoded_as_urllib_does_or_refused(text):
    assert decoded_or_none(decode, text) == peer(text, unquote)


@given(raw)
def test_a_querys_text_is_decoded_as_urllib_does_or_refused(text):
    assert decoded_or_none(decode_form, text) == peer(text, unquote_plus)


@given(st.text())
def test_encoded_text_is_decoded_to_itself(text):
    encoded = text.encode("utf-8", "replace").decode()
    assert decode(quote(encoded, safe="")) == encoded
    assert decode_form(quote_plus(encoded)) == encoded


@given(raw)
def test_where_slashes_are_kept_everything_else_is_decoded(text):
    decoded = decoded_or_none(decode_keeping_slashes, text)
    parts = re.split("(%2[Ff])", text)
    others = [decoded_or_none(decode, part) for part in parts[::2]]
    if None in others:
        assert decoded is None
    else:
        parts[::2] = others
        assert decoded == "".join(parts)


@pytest.mark.parametrize("text", ["%2f", "%2F", "a%2fb%2Fc"])
def test_an_encoded_slash_stays_byte_for_byte(text):
    assert decode_keeping_slashes(text) == text
