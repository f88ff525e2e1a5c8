"""The frames of a run's log: one sequence of both output streams, in the order of arrival.

A frame is a header of 13 bytes, big endian (1 byte stream, 8 bytes time in nanoseconds since 1970,
4 bytes payload length) and the payload. `LogBatch` in agent.proto is the contract. Output is kept
as bytes: nothing is decoded, so nothing can be invalid.
"""

import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

HEADER = struct.Struct(">BQI")
MAX_PAYLOAD = 64 * 1024
STDOUT = 1
STDERR = 2
_STREAMS = (STDOUT, STDERR)


@dataclass(frozen=True, slots=True)
class Frame:
    """One piece of output."""

    stream: int
    time_ns: int
    payload: bytes


def whole_length(data: bytes | memoryview, start: int = 0) -> int:
    """The end of the last whole frame in `data`, which has a frame's first byte at `start`.

    What a damaged disk made of a frame is none.
    """
    end, size = start, len(data)
    while end + HEADER.size <= size:
        stream, _, length = HEADER.unpack_from(data, end)
        after = end + HEADER.size + length
        if after > size or stream not in _STREAMS or length > MAX_PAYLOAD:
            break
        end = after
    return end


def frames(data: bytes) -> Iterator[Frame]:
    """Each whole frame in `data`; a cut last one is left out."""
    position, end = 0, whole_length(data)
    while position < end:
        stream, time_ns, length = HEADER.unpack_from(data, position)
        position += HEADER.size
        yield Frame(stream, time_ns, data[position : position + length])
        position += length


def file_end(path: str | os.PathLike[str]) -> int:
    """The end of the last whole frame of a log that nobody writes any more; 0 without a file."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return 0
    try:
        end, size = 0, os.fstat(fd).st_size
        while end + HEADER.size <= size:
            stream, _, length = HEADER.unpack(os.pread(fd, HEADER.size, end))
            after = end + HEADER.size + length
            if after > size or stream not in _STREAMS or length > MAX_PAYLOAD:
                break
            end = after
        return end
    finally:
        os.close(fd)


class FrameWriter:
    """Appends frames to a file that has no other writer.

    A full disk must not stop a task: what cannot be written is counted in `dropped` and the file
    is cut back to whole frames.

    Args:
        fd: The file, open for appending; the writer owns it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.end = 0
        self.dropped = 0

    def append(self, stream: int, payload: bytes | bytearray, time_ns: int | None = None) -> None:
        """Add one frame; `payload` has at most 64 KiB, and came at `time_ns` or now."""
        now = time.clock_gettime_ns(time.CLOCK_REALTIME) if time_ns is None else time_ns
        size = HEADER.size + len(payload)
        try:
            written = os.writev(self._fd, [HEADER.pack(stream, now, len(payload)), payload])
        except OSError:
            written = 0
        if written == size:
            self.end += size
        else:
            self.dropped += len(payload)
            os.ftruncate(self._fd, self.end)

    def sync(self) -> None:
        """Bring everything to the disk."""
        if self.end:
            os.fdatasync(self._fd)
