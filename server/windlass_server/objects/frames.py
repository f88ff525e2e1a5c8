"""A run's log as bytes: frames, their boundaries, and what an API shows of them. Pure.

A frame is a header of 13 bytes, big endian (1 byte stream: 1 stdout, 2 stderr; 8 bytes time in
nanoseconds since 1970; 4 bytes payload length), followed by the payload. Positions are byte offsets
in a run's log; every position that is handed out is the boundary between two frames.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

HEADER = struct.Struct(">BQI")
STREAMS = (1, 2)
MAX_BATCH_BYTES = 1 << 20
"""The largest batch of frames, and so the largest frame with its header."""
MAX_CHUNK_BYTES = 64 << 10
"""The most of a payload that an API shows in one message."""


class BadFrames(ValueError):
    """The bytes are no frames."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Output that a node read at once.

    Attributes:
        stream: 1 stdout, 2 stderr.
        time_nanos: when the node read it, in nanoseconds since 1970.
        payload: the output.
        position: where the frame begins in the log.
        end_position: where the next one begins.
    """

    stream: int
    time_nanos: int
    payload: bytes
    position: int
    end_position: int


@dataclass(frozen=True, slots=True)
class Place:
    """A place between two bytes of output: where a reader goes on.

    Attributes:
        position: the boundary before a frame.
        skip: how many bytes of that frame's payload come before the place.
        held: how many bytes of stdout and of stderr right before the place have not been shown.
    """

    position: int
    skip: int = 0
    held: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a frame of at most MAX_CHUNK_BYTES; `after` is where to go on behind it."""

    stream: int
    time_nanos: int
    payload: bytes
    after: Place


def encode(stream: int, time_nanos: int, payload: bytes) -> bytes:
    """One frame as bytes."""
    return HEADER.pack(stream, time_nanos, len(payload)) + payload


def frame_end(data: bytes, start: int) -> int | None:
    """Where the frame that begins at `start` ends; None when it is not whole.

    Raises:
        BadFrames: there is no frame.
    """
    if len(data) - start < HEADER.size:
        return None
    stream, _, length = HEADER.unpack_from(data, start)
    if stream not in STREAMS:
        message = f"byte {start} is {stream}, which is no stream"
        raise BadFrames(message)
    if length > MAX_BATCH_BYTES - HEADER.size:
        message = f"the frame at byte {start} claims {length} bytes"
        raise BadFrames(message)
    end: int = start + HEADER.size + length
    return end if end <= len(data) else None


def boundaries(data: bytes) -> list[int]:
    """The ends of the whole frames that `data` begins with; BadFrames when something is none."""
    ends = []
    end = frame_end(data, 0)
    while end is not None:
        ends.append(end)
        end = frame_end(data, end)
    return ends


def times_of(data: bytes, position: int, ends: Sequence[int]) -> list[int]:
    """The times of frames, whose ends these are, in `data`, which lies at `position`."""
    begins = [position, *ends[:-1]]
    return [HEADER.unpack_from(data, begin - position)[1] for begin in begins]


def parse(data: bytes, position: int) -> list[Frame]:
    """The whole frames that `data` begins with; `data` lies at `position` of the log.

    Raises:
        BadFrames: something in `data` is no frame.
    """
    frames = []
    start = 0
    for end in boundaries(data):
        stream, time_nanos, _ = HEADER.unpack_from(data, start)
        payload = data[start + HEADER.size : end]
        frames.append(Frame(stream, time_nanos, payload, position + start, position + end))
        start = end
    return frames


def chunks(frame: Frame, skip: int = 0, limit: int = MAX_CHUNK_BYTES) -> Iterator[Chunk]:
    """Cuts a frame for an API: at line ends where there are any, else between two characters.

    Args:
        frame: the frame; an empty one gives nothing.
        skip: bytes of its payload to leave out, as `Place.skip`.
        limit: the largest chunk in bytes, at least 4.
    """
    payload = frame.payload
    while skip < len(payload):
        end = cut(payload, skip, limit)
        whole = end == len(payload)
        after = Place(frame.end_position) if whole else Place(frame.position, end)
        yield Chunk(frame.stream, frame.time_nanos, payload[skip:end], after)
        skip = end


def as_text(payload: bytes) -> str | None:
    """The payload as text, or None when it is not valid UTF-8."""
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None


def cut(payload: bytes, start: int, limit: int) -> int:
    """Where a chunk that begins at `start` ends, at most `limit` bytes on."""
    end = start + limit
    if end >= len(payload):
        return len(payload)
    line_end = payload.rfind(b"\n", start, end)
    if line_end >= 0:
        return line_end + 1
    # UTF-8 continuation bytes are 10xxxxxx; a character has at most three of them.
    for back in range(4):
        if payload[end - back] & 0xC0 != 0x80:
            return end - back
    return end
