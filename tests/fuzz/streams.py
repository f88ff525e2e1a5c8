"""Streams of JSON values: cut the same however they come in pieces, and cut where JSON says.

An input is a byte that chooses arrays or lines, one that gives the size of the pieces, and the body.
"""

import json

from windlass_server.gateway.errors import Refusal
from windlass_server.gateway.json_elements import ArrayElements, Elements, LineElements

LIMIT = 64
SEEDS = (
    b'a\x01[{"a":[1,"]"]},{"b":"\\"}"} , [] ,"x\\\\",1]',
    b"a\x03 [ ] ",
    b'l\x02{"a":1}\n\n {"b":"\\n"}\r\n[]',
    b'a\x7f[[[[[]]]],{"":{}},"\xc3\xa4"]\n',
)
WORDS = (b"[", b"]", b"{", b"}", b",", b'"', b"\\", b'\\"', b"\n", b"\r\n", b" ", b"null", b"[]")


def check(data: bytes) -> None:
    """Cut a body whole and in pieces."""
    kind, body = data[:1], data[2:]
    step = max(1, int.from_bytes(data[1:2], "big"))
    whole = _cut(kind, [body])
    assert whole == _cut(kind, _pieces(body, step))
    assert whole == _cut(kind, _pieces(body, 1))
    elements, refused = whole
    assert all(len(each) <= LIMIT for each in elements)
    if kind != b"l":
        _as_json_says(body, elements, refused)


def _cut(kind: bytes, pieces: list[bytes]) -> tuple[list[bytes], str]:
    """The elements before the end or the refusal, and the refusal's reason."""
    cutter: Elements = LineElements(LIMIT) if kind == b"l" else ArrayElements(LIMIT)
    elements: list[bytes] = []
    try:
        for piece in pieces:
            elements.extend(cutter.feed(piece))
        elements.extend(cutter.end())
    except Refusal as refusal:
        return elements, refusal.reason
    return elements, ""


def _pieces(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


def _as_json_says(body: bytes, elements: list[bytes], refused: str) -> None:
    """Where the body is a JSON array, the elements are its elements."""
    try:
        value = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return
    if not isinstance(value, list):
        assert refused
    elif not refused:
        assert [json.loads(each) for each in elements] == value
    else:
        assert refused == "REQUEST_TOO_LARGE"
