"""What can be asked of a run's log without changing it, wherever its bytes lie. Blocking."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from windlass_server.errors import InvalidInput
from windlass_server.objects.frames import (
    HEADER,
    MAX_BATCH_BYTES,
    STREAMS,
    BadFrames,
    Chunk,
    Frame,
    Place,
    boundaries,
    frame_end,
    parse,
)
from windlass_server.objects.log_lines import LOOKBACK_BYTES, NOTHING, Held, Lines, Matcher

# Read at once when a log is searched backwards.
_WINDOW_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Where lines are counted.

    Attributes:
        stream: only this stream's; 0: of both.
        start: from this boundary on.
        before: up to this one.
        whole: nothing follows, so what has no line end is a line too.
    """

    stream: int
    start: int
    before: int
    whole: bool


@dataclass(frozen=True, slots=True)
class LogView:
    """A log as it was at a moment; what lies before its end never changes.

    Attributes:
        run_id: whose it is.
        end: how many bytes it holds.
        marks: boundaries between frames about 1 MiB apart, from 0 on, to begin reading at.
        newest: for each mark the latest time (ns since 1970) of what lies before the next one.
        pread: reads so many bytes at a position, fewer only at the end.
    """

    run_id: str
    end: int
    marks: Sequence[int]
    newest: Sequence[int]
    pread: Callable[[int, int], bytes]

    def read(self, position: int, max_bytes: int) -> list[Frame]:
        """The frames from a boundary on: about `max_bytes` of them, at least one; none at the end.

        Raises:
            InvalidInput: `position` is no boundary of this log (`LOG_POSITION_INVALID`).
        """
        if position == self.end:
            return []
        try:
            if not 0 <= position < self.end:
                message = "outside of the log"
                raise BadFrames(message)
            return self._frames(position, min(max_bytes, self.end - position))
        except BadFrames:
            message = f"position {position} is no boundary of the log of {self.run_id}"
            raise InvalidInput(message, reason="LOG_POSITION_INVALID") from None

    def has_place(self, place: Place) -> bool:
        """Whether a reader can go on there: the frame begins there, and has more than is skipped.

        The frames up to it are counted from the nearest mark, because output may look like a frame.
        """
        position = place.position
        if not 0 <= position <= self.end:
            return False
        try:
            if position == self.end:
                return not place.skip and self._has_held(place)
            mark = self.marks[bisect_right(self.marks, position) - 1]
            before = self.pread(position - mark, mark)
            length = frame_end(self.pread(MAX_BATCH_BYTES, position), 0)
            begins = not before or boundaries(before)[-1:] == [len(before)]
            if length is None or not begins:
                return False
            reaches = not place.skip or HEADER.size + place.skip < length
            return reaches and self._has_held(place)
        except BadFrames:
            return False

    def held(self, place: Place) -> Held:
        """The output of each stream that a place says has come before it and was not shown.

        Raises:
            InvalidInput: the log has no such place (`LOG_POSITION_INVALID`).
        """
        found = self._held(place) if any(place.held) else Held()
        if found is None:
            message = f"the log of {self.run_id} has no place {place}"
            raise InvalidInput(message, reason="LOG_POSITION_INVALID")
        return found

    def since(self, time_nanos: int) -> int:
        """Where the first frame of this time or a later one begins; the end if there is none."""
        block = bisect_left(self.newest, time_nanos)
        if block >= len(self.marks):
            return self.end
        for frame in self._between(self.marks[block], self.end):
            if frame.time_nanos >= time_nanos:
                return frame.position
        return self.end

    def tail(self, lines: int, stream: int = 0, before: int | None = None) -> Place:
        """Where the last `lines` lines begin; the end for 0.

        Args:
            lines: how many; what follows the last line end counts as a line.
            stream: count only this stream's lines; 0 counts those of both, as they came.
            before: count back from this boundary instead of the end.
        """
        end = self.end if before is None else before
        if not lines or not end:
            return Place(end)
        counter = _LinesBackwards(lines, stream)
        for begin in reversed([mark for mark in self.marks if mark < end]):
            place = counter.take(parse(self.pread(end - begin, begin), begin))
            if place is not None:
                return place
            end = begin
        return Place(0)

    def tail_matching(self, lines: int, matcher: Matcher, limits: Limits) -> Place:
        """Where the last `lines` lines that match begin: behind the one before them that does."""
        behind = limits.before
        found: list[Place] = []
        while True:
            begin = max(limits.start, self._mark_before(behind - _WINDOW_BYTES))
            reader = self._lines_at(begin, limits)
            reader.look_for(matcher, each=True)
            frames = self._between(begin, behind)
            here = [chunk.after for frame in frames for chunk in reader.take(frame)]
            if behind == limits.before and not lines:
                return Place(behind, held=reader.held_sizes)
            if behind == limits.before and limits.whole:
                here += [chunk.after for chunk in reader.rest(Place(behind))]
            found = here + found
            if len(found) > lines:
                return found[-lines - 1]
            if begin <= limits.start:
                return Place(limits.start)
            behind = begin

    def lines(
        self, place: Place, reader: Lines, max_bytes: int, until: int | None = None
    ) -> tuple[list[Chunk], Place, bool]:
        """Put the lines together of about `max_bytes` from a place on, at least one frame.

        Args:
            place: where `reader` stands.
            reader: puts the lines together.
            max_bytes: how much to read.
            until: stop at the first frame of this time (ns since 1970) or a later one.

        Returns:
            The lines, where the reader stands then, and whether `until` was met.
        """
        found: list[Chunk] = []
        skip = place.skip
        for frame in self.read(place.position, max_bytes):
            if until is not None and frame.time_nanos >= until:
                return found, place, True
            found += reader.take(frame, skip)
            skip = 0
            place = Place(frame.end_position, held=reader.held_sizes)
        return found, place, False

    def _lines_at(self, position: int, limits: Limits) -> Lines:
        """What has read the lines up to a boundary."""
        reader = Lines(stream=limits.stream, matcher=NOTHING)
        first = max(limits.start, self._mark_before(position - LOOKBACK_BYTES))
        for frame in self._between(first, position):
            for _ in reader.take(frame):
                pass
        return reader

    def _frames(self, position: int, size: int) -> list[Frame]:
        frames = parse(self.pread(size, position), position)
        if not frames:
            # The first frame is larger than was asked for.
            frames = parse(self.pread(MAX_BATCH_BYTES, position), position)[:1]
        if not frames:
            message = "a frame reaches behind the log's end"
            raise BadFrames(message)
        return frames

    def _between(self, position: int, end: int) -> Iterator[Frame]:
        """The frames from a boundary to another."""
        while position < end:
            for frame in self._frames(position, min(MAX_BATCH_BYTES, end - position)):
                yield frame
                position = frame.end_position

    def _mark_before(self, position: int) -> int:
        return self.marks[max(0, bisect_right(self.marks, position) - 1)]

    def _has_held(self, place: Place) -> bool:
        return not any(place.held) or self._held(place) is not None

    def _held(self, place: Place) -> Held | None:
        """As `held`; None when so much has not come."""
        frames = list(
            self._between(self._mark_before(place.position - LOOKBACK_BYTES), place.position)
        )
        if place.skip:
            last = self.read(place.position, 1)[0]
            frames.append(replace(last, payload=last.payload[: place.skip]))
        parts = [_held_of(frames, stream, place.held[stream - 1]) for stream in STREAMS]
        if any(part is None for part in parts):
            return None
        texts, begun, times = zip(*(part for part in parts if part is not None), strict=True)
        return Held(texts, begun, times)


def _held_of(frames: Sequence[Frame], stream: int, size: int) -> tuple[bytes, int, int] | None:
    """The last bytes of a stream, where the frame lies in which they begin, and when the last came."""
    text, begun, time = b"", 0, 0
    for frame in reversed(frames):
        if len(text) == size:
            break
        if frame.stream == stream and frame.payload:
            time = time or frame.time_nanos
            begun = frame.position
            text = frame.payload[-(size - len(text)) :] + text
    return (text, begun, time) if len(text) == size else None


class _LinesBackwards:
    """Counts lines from the end of a log towards its beginning."""

    def __init__(self, lines: int, stream: int) -> None:
        self._missing = lines
        self._stream = stream
        self._at_end = True

    def take(self, frames: Sequence[Frame]) -> Place | None:
        """Look at the frames before those seen so far; the place once enough lines are found."""
        for frame in reversed(frames):
            if not frame.payload or self._stream not in (0, frame.stream):
                continue
            before = len(frame.payload)
            if self._at_end:
                # The line end of the last line begins no other.
                before -= frame.payload.endswith(b"\n")
                self._at_end = False
            while (line_end := frame.payload.rfind(b"\n", 0, before)) >= 0:
                self._missing -= 1
                if not self._missing:
                    return _behind(frame, line_end)
                before = line_end
        return None


def _behind(frame: Frame, line_end: int) -> Place:
    skip = line_end + 1
    return Place(frame.end_position) if skip == len(frame.payload) else Place(frame.position, skip)
