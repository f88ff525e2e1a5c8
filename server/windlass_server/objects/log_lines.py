"""The lines of a run's log, put together from its frames, and those that match an expression. Pure.

What a task prints comes in pieces that may end within a line. `Lines` holds such a piece back until the
rest has come. A place then says how many bytes of each stream have come and were not shown, so that a
reader which goes on there shows them with the rest, and no line is lost or doubled.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import re2

from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.objects.frames import MAX_CHUNK_BYTES, STREAMS, Chunk, Frame, Place, cut

MAX_LINE_BYTES = 64 << 10
"""What has so many bytes without a line end is shown in pieces of that size."""
_HELD_OVER_BYTES = 1 << 20
"""What has had no line end for so much of its log is shown as it is."""
LOOKBACK_BYTES = _HELD_OVER_BYTES + (1 << 20)
"""So far before a place lies what its reader held back there, at most."""
_MAX_PROGRAM_BYTES = 4 << 20
_MANY_LINES = "(?m)"
# With these, what an expression says of a line is not what it says of several lines together.
_OF_THE_WHOLE_TEXT = re.compile(r"\\[AzZ]|\(\?[A-Za-z]*-")

Spans = Iterator[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Held:
    """What a reader has of lines whose ends have not come, of stdout and of stderr.

    Attributes:
        texts: the output.
        begun: where the frames lie in which it begins.
        times: when the last of it came, in nanoseconds since 1970.
    """

    texts: tuple[bytes, bytes] = (b"", b"")
    begun: tuple[int, int] = (0, 0)
    times: tuple[int, int] = (0, 0)


class Matcher(Protocol):
    """Finds lines."""

    def spans(self, text: bytes) -> Spans:
        """Begin and end of each line of `text` that matches, line ends included."""
        ...


def matcher(pattern: str, *, fixed: bool = False, ignore_case: bool = False) -> Matcher:
    """What finds the lines in which something matches.

    Args:
        pattern: an expression of RE2, which needs time in proportion to the text at most.
        fixed: it is no expression but the text to look for.
        ignore_case: letters match in capitals and in small.

    Raises:
        InvalidInput: it is no such expression (`GREP_INVALID`).
    """
    options = re2.Options()
    options.log_errors = False
    options.never_nl = True
    options.max_mem = _MAX_PROGRAM_BYTES
    options.case_sensitive = not ignore_case
    try:
        compiled = re2.compile(_MANY_LINES + (re2.escape(pattern) if fixed else pattern), options)
    except re2.error as error:
        text = f"grep is no regular expression of RE2: {_words(error)}"
        violation = FieldViolation("grep", text, "GREP_INVALID")
        raise InvalidInput(text, reason="GREP_INVALID", violations=(violation,)) from None
    if not fixed and _OF_THE_WHOLE_TEXT.search(pattern):
        return _LineByLine(compiled.search)
    return _AllAtOnce(compiled.search)


class _AllAtOnce:
    """Searches many lines at once, and so costs little where few match."""

    def __init__(self, search: Callable[..., "re.Match[bytes] | None"]) -> None:
        self._search = search

    def spans(self, text: bytes) -> Spans:
        begin = 0
        while begin < len(text) and (match := self._search(text, begin)) is not None:
            at = match.start()
            if at == len(text):
                if text.endswith(b"\n"):
                    # Behind the last line's end begins no other.
                    return
                at -= 1
            first = text.rfind(b"\n", begin, at) + 1 or begin
            last = text.find(b"\n", at)
            begin = len(text) if last < 0 else last + 1
            yield first, begin


class _LineByLine:
    """Searches each line by itself."""

    def __init__(self, search: Callable[..., "re.Match[bytes] | None"]) -> None:
        self._search = search

    def spans(self, text: bytes) -> Spans:
        begin = 0
        while begin < len(text):
            end = text.find(b"\n", begin) + 1 or len(text)
            if self._search(text[begin:end].removesuffix(b"\n")) is not None:
                yield begin, end
            begin = end


class _Nothing:
    """Finds no line."""

    def spans(self, text: bytes) -> Spans:
        return iter(())


NOTHING: Matcher = _Nothing()


class Lines:
    """Puts together the lines of one log, which is given to it frame by frame.

    Args:
        held: what each stream had before the first frame that was not shown.
        stream: 1 stdout, 2 stderr; the other one is left out. 0: both.
        matcher: only lines that it finds; without one all, and pieces that end in a carriage return.
        each: every line that matches is a chunk of its own.
    """

    def __init__(
        self,
        held: Held = Held(),
        *,
        stream: int = 0,
        matcher: Matcher | None = None,
        each: bool = False,
    ) -> None:
        self._held = list(held.texts)
        self._begun = list(held.begun)
        self._times = list(held.times)
        self._stream = stream
        self._matcher = matcher
        self._each = each

    @property
    def held_sizes(self) -> tuple[int, int]:
        """How many bytes of each stream are held back."""
        return len(self._held[0]), len(self._held[1])

    def look_for(self, matcher: Matcher, *, each: bool) -> None:
        """Find only what matches from now on."""
        self._matcher, self._each = matcher, each

    def take(self, frame: Frame, skip: int = 0) -> Iterator[Chunk]:
        """The chunks of whole lines that the next frame completes, without its first `skip` bytes."""
        if self._stream not in (0, frame.stream):
            return
        for stream in STREAMS:
            if (
                self._held[stream - 1]
                and frame.position - self._begun[stream - 1] > _HELD_OVER_BYTES
            ):
                yield from self._let_go(stream, Place(frame.position, skip))
        index = frame.stream - 1
        self._times[index] = frame.time_nanos
        held = self._held[index]
        if not held:
            self._begun[index] = frame.position
        text = held + frame.payload[skip:] if held or skip else frame.payload
        end = self._whole(text)
        self._held[index] = text[end:]
        if end:
            if end > len(held):
                self._begun[index] = frame.position
            other = len(self._held[1 - index])
            for begin, behind in self._spans(text[:end]):
                after = _after(frame, skip, len(held), behind, other)
                yield Chunk(frame.stream, frame.time_nanos, text[begin:behind], after)

    def rest(self, place: Place) -> Iterator[Chunk]:
        """What is held back, as if its lines ended at `place`, where the reader stands."""
        for stream in STREAMS:
            yield from self._let_go(stream, place)

    def _let_go(self, stream: int, place: Place) -> Iterator[Chunk]:
        index = stream - 1
        text, self._held[index] = self._held[index], b""
        if text and (self._matcher is None or any(self._matcher.spans(text))):
            after = Place(place.position, place.skip, self.held_sizes)
            yield Chunk(stream, self._times[index], text, after)

    def _whole(self, text: bytes) -> int:
        """How much of it is shown now: up to its last line end, and not more than fits behind."""
        end = text.rfind(b"\n") + 1
        if self._matcher is None:
            end = max(end, text.rfind(b"\r") + 1)
        # In steps of its own from the last line end on, wherever the frames begin and end.
        return end + (len(text) - end) // MAX_LINE_BYTES * MAX_LINE_BYTES

    def _spans(self, text: bytes) -> Spans:
        """Begin and end of the chunks of `text`."""
        if self._matcher is None:
            begin = 0
            while begin < len(text):
                end = cut(text, begin, MAX_CHUNK_BYTES)
                yield begin, end
                begin = end
            return
        grown: tuple[int, int] | None = None
        for begin, end in self._matcher.spans(text):
            for piece in range(begin, end, MAX_CHUNK_BYTES):
                last = min(end, piece + MAX_CHUNK_BYTES)
                joins = grown is not None and grown[1] == piece and not self._each
                if grown is not None and joins and last - grown[0] <= MAX_CHUNK_BYTES:
                    grown = grown[0], last
                    continue
                if grown is not None:
                    yield grown
                grown = piece, last
        if grown is not None:
            yield grown


def _after(frame: Frame, skip: int, held: int, behind: int, other: int) -> Place:
    """The place `behind` bytes into what was held of a stream and then the frame."""
    own = max(0, held - behind)
    index = frame.stream - 1
    sizes = (own, other) if index == 0 else (other, own)
    passed = skip + max(0, behind - held)
    if passed == len(frame.payload):
        return Place(frame.end_position, held=sizes)
    return Place(frame.position, passed, sizes)


def _words(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    words = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return words.replace(_MANY_LINES, "", 1)
