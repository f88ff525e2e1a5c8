import pytest

from windlass_server.gateway.ranges import (
    ByteRange,
    Unsatisfiable,
    none_match_fails,
    not_modified_since,
    range_applies,
    requested_range,
    served_range,
)

MONDAY = "Mon, 05 Jan 2026 10:00:00 GMT"
TUESDAY = "Tue, 06 Jan 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-", 0, 9),
        ("bytes=3-5", 3, 5),
        ("bytes=3-500", 3, 9),
        ("bytes=9-", 9, 9),
        ("bytes=-1", 9, 9),
        ("bytes=-10", 0, 9),
        ("bytes=-500", 0, 9),
        ("Bytes= 3-5 ", 3, 5),
        ("bytes=0-" + "9" * 5000, 0, 9),
    ],
)
def test_a_range_of_ten_bytes(text, first, last):
    assert requested_range(text, 10) == ByteRange(first, last, 10)


@pytest.mark.parametrize(
    "text",
    [
        "", "bytes", "bytes=", "bytes=-", "bytes=5-3", "bytes=a-b", "bytes=0-1,3-4", "bytes=0-,-1",
        "items=0-1", "bytes=1 - 2", "bytes=+1-2", "bytes=\u0661-", "0-1",
    ],
)  # fmt: skip
def test_a_range_that_is_ignored(text):
    assert requested_range(text, 10) is None


@pytest.mark.parametrize(
    ("text", "size"),
    [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-1", 0)],
)
def test_a_range_behind_the_end(text, size):
    with pytest.raises(Unsatisfiable):
        requested_range(text, size)


@pytest.mark.parametrize(
    ("text", "served"),
    [("bytes 0-4/10", ByteRange(0, 4, 10)), ("bytes 5-9/*", ByteRange(5, 9, None))],
)
def test_a_range_that_a_service_serves(text, served):
    assert served_range(text) == served
    assert str(served) == text


@pytest.mark.parametrize("text", ["", "bytes 5-4/10", "bytes 0-10/10", "bytes */10", "0-4/10"])
def test_a_range_that_no_service_can_serve(text):
    with pytest.raises(ValueError, match="Content-Range"):
        served_range(text)


@pytest.mark.parametrize(
    ("if_none_match", "etag", "known"),
    [
        ('"a"', '"a"', True),
        ('W/"a"', '"a"', True),
        ('"a"', 'W/"a"', True),
        ('"b", "a"', '"a"', True),
        ('"a,b"', '"a,b"', True),
        ("*", '"a"', True),
        ("*", "", True),
        ('"a"', '"b"', False),
        ('"a"', "", False),
        ("a", '"a"', False),
        ("", '"a"', False),
        ('"ab"', '"a"', False),
    ],
)
def test_what_a_client_knows_by_its_tag(if_none_match, etag, known):
    assert none_match_fails(if_none_match, etag) is known


@pytest.mark.parametrize(
    ("since", "modified", "known"),
    [
        (MONDAY, MONDAY, True),
        (TUESDAY, MONDAY, True),
        (MONDAY, TUESDAY, False),
        ("nonsense", MONDAY, False),
        ("Mon, 05 Jan 2026 10:00:00", MONDAY, False),
        (MONDAY, "nonsense", False),
        ("Mon, 05 Jan 99999 10:00:00 GMT", MONDAY, False),
        ("Mon, 05 Jan 2026 10:00:00 +999999999999999999", MONDAY, False),
    ],
)
def test_what_a_client_knows_by_its_date(since, modified, known):
    assert not_modified_since(since, modified) is known


@pytest.mark.parametrize(
    ("if_range", "etag", "modified", "applies"),
    [
        ("", "", "", True),
        ('"a"', '"a"', "", True),
        ('"a"', '"b"', "", False),
        ('W/"a"', 'W/"a"', "", False),
        ('"a"', 'W/"a"', "", False),
        (MONDAY, '"a"', MONDAY, True),
        (TUESDAY, '"a"', MONDAY, False),
        ("nonsense", "", "", False),
    ],
)
def test_when_a_range_is_still_of_the_clients_file(if_range, etag, modified, applies):
    assert range_applies(if_range, etag, modified) is applies
