"""Frames: what is encoded is read back, and what is no frame is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass_server.objects.frames import (
    HEADER,
    MAX_BATCH_BYTES,
    BadFrames,
    Frame,
    Place,
    as_text,
    boundaries,
    chunks,
    encode,
    parse,
)

frames = st.lists(
    st.tuples(st.sampled_from([1, 2]), st.integers(0, 2**64 - 1), st.binary(max_size=40)),
    max_size=8,
)


@given(frames, st.integers(0, 2**40))
def test_frames_are_read_as_they_were_written(
    written: list[tuple[int, int, bytes]], position: int
) -> None:
    data = b"".join(encode(*one) for one in written)

    read = parse(data, position)

    assert [(frame.stream, frame.time_nanos, frame.payload) for frame in read] == written
    assert [frame.position for frame in read] == [
        position,
        *(frame.end_position for frame in read[:-1]),
    ][: len(read)]
    assert not read or read[-1].end_position == position + len(data)


@given(frames, st.data())
def test_a_torn_last_frame_is_left_out(
    written: list[tuple[int, int, bytes]], data: st.DataObject
) -> None:
    whole = b"".join(encode(*one) for one in written)
    cut = data.draw(st.integers(0, len(whole)))

    ends = boundaries(whole[:cut])

    assert ends == [end for end in boundaries(whole) if end <= cut]


@given(st.binary(max_size=200))
def test_no_bytes_make_the_parser_fail_otherwise(data: bytes) -> None:
    try:
        ends = boundaries(data)
    except BadFrames:
        return
    assert ends == sorted(ends)
    assert all(HEADER.size <= end <= len(data) for end in ends)


@pytest.mark.parametrize(
    "header",
    [
        HEADER.pack(0, 0, 1),
        HEADER.pack(3, 0, 1),
        HEADER.pack(255, 0, 1),
        HEADER.pack(1, 0, MAX_BATCH_BYTES - HEADER.size + 1),
        HEADER.pack(1, 0, 2**32 - 1),
    ],
)
def test_a_header_that_cannot_be_is_refused(header: bytes) -> None:
    with pytest.raises(BadFrames):
        boundaries(encode(1, 0, b"fine") + header + b"x")


def a_frame(payload: bytes) -> Frame:
    return Frame(1, 5, payload, position=100, end_position=100 + HEADER.size + len(payload))


@given(
    st.one_of(st.binary(max_size=60), st.text(max_size=40).map(str.encode)),
    st.integers(4, 16),
    st.integers(0, 20),
)
def test_chunks_are_the_payload_and_say_where_to_go_on(
    payload: bytes, limit: int, skip: int
) -> None:
    frame = a_frame(payload)

    made = list(chunks(frame, skip, limit))

    assert b"".join(chunk.payload for chunk in made) == payload[skip:]
    assert all(0 < len(chunk.payload) <= limit for chunk in made)
    for number, chunk in enumerate(made):
        rest = list(chunks(frame, chunk.after.skip, limit)) if chunk.after.skip else []
        assert [one.payload for one in rest] == [one.payload for one in made[number + 1 :]]
    if made:
        assert made[-1].after == Place(frame.end_position)


@pytest.mark.parametrize(
    ("payload", "limit", "expected"),
    [
        (b"one\ntwo\nthree\n", 8, [b"one\ntwo\n", b"three\n"]),
        (b"one\ntwo\nthree\n", 9, [b"one\ntwo\n", b"three\n"]),
        (b"abcdefgh", 5, [b"abcde", b"fgh"]),
        ("aaaä".encode(), 4, [b"aaa", "ä".encode()]),
        ("a€€".encode(), 5, ["a€".encode(), "€".encode()]),
        ("😀😀".encode(), 7, ["😀".encode(), "😀".encode()]),
        (b"\x80" * 6, 5, [b"\x80" * 5, b"\x80"]),
        (b"", 5, []),
    ],
)
def test_chunks_are_cut_at_line_ends_else_between_characters(
    payload: bytes, limit: int, expected: list[bytes]
) -> None:
    assert [chunk.payload for chunk in chunks(a_frame(payload), limit=limit)] == expected


@given(st.text(max_size=60), st.integers(4, 12))
def test_no_chunk_of_valid_text_is_invalid(text: str, limit: int) -> None:
    made = chunks(a_frame(text.encode()), limit=limit)
    assert "".join(as_text(chunk.payload) or "?" * 99 for chunk in made) == text


def test_bytes_that_are_no_text_are_said_to_be_none() -> None:
    assert as_text(b"\xff") is None
    assert as_text(b"ok") == "ok"
