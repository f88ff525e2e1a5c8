"""Reads the output of the runs of one attempt of a job: one as it is, several line by line in their order."""

import asyncio
import heapq
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

from windlass.jobs.v1 import job_pb2
from windlass_server.jobs.runs import AnyRun
from windlass_server.objects import frames
from windlass_server.objects.log_lines import Lines, Matcher
from windlass_server.objects.logs import LogStore

# Pieces of logs that are kept for those who read the same.
_KEPT = 64
# A larger part of a log is read by those who come late, each at another time.
_LARGEST_KEPT = 16 << 10
# What a follower of several ranks has of a line is shown when so long nothing more of it came.
_PATIENCE_SECONDS = 1.0
_PLACE = r"[0-9]{1,18}:[0-9]{1,18}(?::[0-9]{1,6}:[0-9]{1,6})?"
_CURSOR = re.compile(rf"(run-[0-9a-z]{{26}}):({_PLACE}(?:,{_PLACE})*)")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which output is read.

    Attributes:
        follow: go on until the job has ended and its log is whole.
        stream: 1 stdout, 2 stderr, 0 both.
        until: stop at the first output of this time (ns since 1970) or a later one; None for no end.
        matcher: only lines that it finds; None for all output.
    """

    follow: bool = False
    stream: int = 0
    until: int | None = None
    matcher: Matcher | None = None


@dataclass(slots=True)
class Reader:
    """Where a reader stands: in the runs of one attempt, by their ranks, of which it names the first.

    Attributes:
        run_id: the first of them; empty before the first attempt.
        places: how far each has been shown.
        past: which of them have come to the time at which the reader stops.
    """

    run_id: str = ""
    places: list[frames.Place] = field(default_factory=list)
    past: list[bool] = field(default_factory=list)
    lines: list[Lines | None] = field(default_factory=list)
    # Where each was when something was held back, and since when.
    held_at: list[tuple[frames.Place, float]] = field(default_factory=list)

    @property
    def cursor(self) -> str:
        """How a request names this."""
        places = ",".join(_place_text(place) for place in self.places)
        return f"{self.run_id}:{places}" if self.run_id else ""

    def enter(self, runs: Sequence[AnyRun]) -> None:
        """Go on with an attempt, at its beginning unless the reader is in it."""
        if runs[0].run_id != self.run_id:
            self.run_id, self.places = runs[0].run_id, []
            self.past, self.lines, self.held_at = [], [], []
        self.places += [frames.Place(0)] * (len(runs) - len(self.places))
        more = len(runs) - len(self.past)
        self.past += [False] * more
        self.lines += [None] * more
        self.held_at += [(frames.Place(-1), 0.0)] * more


@dataclass(frozen=True, slots=True)
class _Piece:
    """A message of a log, which stream it is of, its time, and where its reader stands behind it."""

    message: job_pb2.JobLogMessage
    stream: int
    time_nanos: int
    after: frames.Place


class LogReading:
    """Reads what there is of the logs of runs."""

    def __init__(self, logs: LogStore) -> None:
        self._logs = logs
        self._pieces: dict[tuple[str, frames.Place, int], list[_Piece]] = {}

    async def read(
        self, reader: Reader, runs: Sequence[AnyRun], wanted: Selection
    ) -> AsyncIterator[job_pb2.JobLogMessage]:
        """What is there of the runs of an attempt, which the reader has entered."""
        if len(runs) == 1 and wanted.matcher is None:
            async for message in self._read_one(reader, runs[0], wanted):
                yield message
            return
        await self._prepare(reader, runs, wanted)
        async for number, chunk in self._merged(reader, runs, wanted):
            reader.places[number] = chunk.after
            yield _message(reader.cursor, runs[number], chunk)
        for number, run in enumerate(runs):
            for chunk in self._rest(reader, number, run, wanted):
                reader.places[number] = chunk.after
                yield _message(reader.cursor, run, chunk)

    async def _read_one(
        self, reader: Reader, run: AnyRun, wanted: Selection
    ) -> AsyncIterator[job_pb2.JobLogMessage]:
        while batch := await self._logs.read(run.run_id, reader.places[0].position):
            for piece in self._pieces_of(run, reader.places[0], batch):
                if wanted.until is not None and piece.time_nanos >= wanted.until:
                    reader.past[0] = True
                    return
                reader.places[0] = piece.after
                if wanted.stream in (0, piece.stream):
                    yield piece.message
            reader.places[0] = frames.Place(batch[-1].end_position)

    async def _prepare(self, reader: Reader, runs: Sequence[AnyRun], wanted: Selection) -> None:
        """Have something that puts the lines of each run together, from where the reader stands."""
        for number, run in enumerate(runs):
            if reader.lines[number] is None:
                held = await self._logs.held(run.run_id, reader.places[number])
                reader.lines[number] = Lines(held, stream=wanted.stream, matcher=wanted.matcher)

    async def _merged(
        self, reader: Reader, runs: Sequence[AnyRun], wanted: Selection
    ) -> AsyncIterator[tuple[int, frames.Chunk]]:
        """The whole lines of all runs by their times and then by their ranks, with the numbers of the runs."""
        sources = [self._lines_of(reader, runs, number, wanted) for number in range(len(runs))]
        heads: list[tuple[int, int, frames.Chunk]] = []
        for number in range(len(runs)):
            await _push(heads, sources, number)
        while heads:
            _, number, chunk = heapq.heappop(heads)
            yield number, chunk
            await _push(heads, sources, number)

    async def _lines_of(
        self, reader: Reader, runs: Sequence[AnyRun], number: int, wanted: Selection
    ) -> AsyncIterator[frames.Chunk]:
        """The whole lines of one run. The reader has gone past one when the next is asked for."""
        run_id, lines = runs[number].run_id, reader.lines[number]
        assert lines is not None
        place = reader.places[number]
        while not reader.past[number]:
            found, after, past = await self._logs.lines(run_id, place, lines, wanted.until)
            for chunk in found:
                yield chunk
            reader.places[number], reader.past[number] = after, past
            if after == place:
                return
            place = after

    def _rest(
        self, reader: Reader, number: int, run: AnyRun, wanted: Selection
    ) -> Iterator[frames.Chunk]:
        """What is held back of a line, if it shall not wait for its end any longer."""
        lines, place = reader.lines[number], reader.places[number]
        assert lines is not None
        if not any(lines.held_sizes):
            return
        now = asyncio.get_running_loop().time()
        at, since = reader.held_at[number]
        if at != place:
            reader.held_at[number] = place, now
            since = now
        is_whole = not reader.past[number] and has_whole(run, place)
        is_shown = wanted.matcher is None and (
            not wanted.follow or reader.past[number] or now - since >= _PATIENCE_SECONDS
        )
        if is_whole or is_shown:
            yield from lines.rest(place)
            # Also without a chunk: what does not match is not looked at again.
            reader.places[number] = frames.Place(place.position, place.skip)

    def _pieces_of(
        self, run: AnyRun, place: frames.Place, batch: Sequence[frames.Frame]
    ) -> Sequence[_Piece]:
        """The messages of a batch that was read at a place: the same for all who stand there."""
        key = run.run_id, place, batch[-1].end_position
        pieces = self._pieces.get(key)
        if pieces is None:
            pieces = list(_cut(run, place, batch))
            if key[2] - place.position > _LARGEST_KEPT:
                return pieces
            while len(self._pieces) >= _KEPT:
                del self._pieces[next(iter(self._pieces))]
            self._pieces[key] = pieces
        return pieces


def cursor_places(cursor: str) -> tuple[str, list[frames.Place]] | None:
    """The first run of a cursor's attempt and the places in all of them; None when it is no cursor."""
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        return None
    numbers = [[int(one) for one in place.split(":")] for place in found[2].split(",")]
    return found[1], [
        frames.Place(position, skip, (held[0], held[1]) if held else (0, 0))
        for position, skip, *held in numbers
    ]


def rank_of(run: AnyRun) -> int:
    """Which rank of its job it is; at other clusters jobs have one."""
    return getattr(run, "rank", 0)


def is_given_up(run: AnyRun) -> bool:
    """Whether its node was told that it may drop the run, or has lost the rest of its log."""
    return run.forgotten or bool(run.log_lost)


def has_whole(run: AnyRun, place: frames.Place) -> bool:
    """Whether nothing more of a run comes behind a place; what there was when it was looked at has been read."""
    return is_given_up(run) or (run.log_end is not None and place.position >= run.log_end)


def _place_text(place: frames.Place) -> str:
    held = f":{place.held[0]}:{place.held[1]}" if any(place.held) else ""
    return f"{place.position}:{place.skip}{held}"


async def _push(
    heads: list[tuple[int, int, frames.Chunk]],
    sources: Sequence[AsyncIterator[frames.Chunk]],
    number: int,
) -> None:
    """Add the next line of a rank, if there is one."""
    async for chunk in sources[number]:
        heapq.heappush(heads, (chunk.time_nanos, number, chunk))
        return


def _cut(run: AnyRun, place: frames.Place, batch: Sequence[frames.Frame]) -> Iterator[_Piece]:
    """The pieces of a batch, of which the first `place.skip` bytes are known."""
    skip = place.skip
    for frame in batch:
        for chunk in frames.chunks(frame, skip):
            cursor = f"{run.run_id}:{_place_text(chunk.after)}"
            message = _message(cursor, run, chunk)
            yield _Piece(message, chunk.stream, chunk.time_nanos, chunk.after)
        skip = 0


def _message(cursor: str, run: AnyRun, chunk: frames.Chunk) -> job_pb2.JobLogMessage:
    message = job_pb2.JobLogMessage(cursor=cursor)
    shown = message.chunk
    shown.stream = chunk.stream  # type: ignore[assignment]
    shown.time.seconds, shown.time.nanos = divmod(chunk.time_nanos, 1_000_000_000)
    shown.run_id = run.run_id
    shown.rank = rank_of(run)
    text = frames.as_text(chunk.payload)
    if text is None:
        shown.data = chunk.payload
    else:
        shown.text = text
    return message
