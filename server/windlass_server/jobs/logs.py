"""A job's output as one stream: all its runs, the first attempt first, resumable at any message.

The ranks of an attempt of several nodes are read together: what is there of all of them comes in the order of
the times at which their nodes read it.
"""

import asyncio
import heapq
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import groupby

from windlass.jobs.v1 import job_pb2
from windlass_server.access.policy import Caller, absent, require_object
from windlass_server.errors import FieldViolation, InvalidInput, WindlassError
from windlass_server.hub import EventHub
from windlass_server.jobs.runs import AnyRun, RunsService
from windlass_server.jobs.states import FINAL, Status
from windlass_server.jobs.watches import CALL_SECONDS, Seen, Watch, Watches
from windlass_server.objects import frames
from windlass_server.objects.logs import LogStore

# Of silence. Followers are called every few seconds at least, so that none is silent for 15 s.
HEARTBEAT_SECONDS = 15.0 - CALL_SECONDS
# Pieces of logs that are kept for those who read the same.
_KEPT = 64
# A larger part of a log is read by those who come late, each at another time.
_LARGEST_KEPT = 16 << 10
_LOST = "LOG_LOST_BY_NODE"
_NOT_HERE = "LOG_NOT_ON_SERVER"
_PLACE = r"[0-9]{1,18}:[0-9]{1,18}"
_CURSOR = re.compile(rf"(run-[0-9a-z]{{26}}):({_PLACE}(?:,{_PLACE})*)")


@dataclass(frozen=True, slots=True)
class LogRequest:
    """What a reader asks for.

    Attributes:
        follow: go on until the job has ended and its log is whole.
        tail: start with the last so many lines; None for all. A cursor wins over it.
        stream: 1 stdout, 2 stderr, 0 both.
        cursor: start behind this position; empty for the beginning.
        rank: only of this rank; None for all.
    """

    follow: bool = False
    tail: int | None = None
    stream: int = 0
    cursor: str = ""
    rank: int | None = None


@dataclass(slots=True)
class _Reader:
    """Where a reader stands: in the runs of one attempt, by their ranks, of which it names the first."""

    run_id: str = ""
    places: list[frames.Place] = field(default_factory=list)

    @property
    def cursor(self) -> str:
        places = ",".join(f"{place.position}:{place.skip}" for place in self.places)
        return f"{self.run_id}:{places}" if self.run_id else ""

    def enter(self, runs: Sequence[AnyRun]) -> None:
        """Go on with an attempt, at its beginning unless the reader is in it."""
        if runs[0].run_id != self.run_id:
            self.run_id, self.places = runs[0].run_id, []
        self.places += [frames.Place(0)] * (len(runs) - len(self.places))


@dataclass(frozen=True, slots=True)
class _Piece:
    """A message of a log, which stream it is of, its time, and where its reader stands behind it."""

    message: job_pb2.JobLogMessage
    stream: int
    time_nanos: int
    after: frames.Place


class JobLogs:
    """Reads and follows the logs of jobs."""

    def __init__(self, runs: RunsService, logs: LogStore, hub: EventHub) -> None:
        self._runs = runs
        self._logs = logs
        self._watches = Watches(runs, logs, hub)
        self._pieces: dict[tuple[str, frames.Place, int], list[_Piece]] = {}

    async def stream(
        self, who: Caller, job_id: str, wanted: LogRequest
    ) -> AsyncGenerator[job_pb2.JobLogMessage]:
        """The messages of a job's log stream, the last of which is `end` or `error`.

        Raises:
            NotFound: no such job, or foreign.
            InvalidInput: the cursor is none of this job's.
        """
        seen = await self._load(who, job_id)
        reader = await self._start(_attempts(seen.runs, wanted.rank), wanted)
        try:
            with self._watches.follow(seen) if wanted.follow else nullcontext(Watch(seen)) as watch:
                async for message in self._messages(watch, reader, wanted):
                    yield message
        except WindlassError as error:
            broken = job_pb2.LogError(reason=error.reason, message=error.message)
            yield job_pb2.JobLogMessage(cursor=reader.cursor, error=broken)

    async def _load(self, who: Caller, job_id: str) -> Seen:
        job, runs = await self._runs.of_job(job_id)
        if job is None:
            raise absent("job", job_id)
        require_object(who, "jobs.logs", job.project, kind="job", object_id=job_id)
        return Seen(job, runs)

    async def _start(self, attempts: Sequence[Sequence[AnyRun]], wanted: LogRequest) -> _Reader:
        if wanted.cursor:
            return await self._behind(wanted.cursor, attempts)
        if wanted.tail is not None and attempts:
            runs = attempts[-1]
            places = [await self._logs.tail(run.run_id, wanted.tail, wanted.stream) for run in runs]
            return _Reader(runs[0].run_id, places)
        return _Reader()

    async def _behind(self, cursor: str, attempts: Sequence[Sequence[AnyRun]]) -> _Reader:
        """A reader that goes on behind a cursor; InvalidInput when this job's log never gave it out."""
        found = _CURSOR.fullmatch(cursor)
        if found is not None:
            numbers = [one.split(":") for one in found[2].split(",")]
            places = [frames.Place(int(position), int(skip)) for position, skip in numbers]
            for runs in attempts:
                if runs[0].run_id == found[1] and await self._have(runs, places):
                    return _Reader(found[1], places)
        text = "cursor is not one that this job's log gave out"
        violation = FieldViolation("cursor", text, "CURSOR_INVALID")
        raise InvalidInput(text, reason="CURSOR_INVALID", violations=(violation,))

    async def _have(self, runs: Sequence[AnyRun], places: Sequence[frames.Place]) -> bool:
        if len(runs) != len(places):
            return False
        known = [
            await self._logs.has_place(run.run_id, place)
            for run, place in zip(runs, places, strict=True)
        ]
        return all(known)

    async def _messages(
        self, watch: Watch, reader: _Reader, wanted: LogRequest
    ) -> AsyncIterator[job_pb2.JobLogMessage]:
        loop = asyncio.get_running_loop()
        # Who follows hears something at once: its client then knows that it is connected.
        next_heartbeat = loop.time()
        while True:
            # Looked at before the logs are read: what was written before it was so is read then.
            number, seen = watch.number, watch.seen
            whole = True
            for runs in _from(reader.run_id, _attempts(seen.runs, wanted.rank)):
                reader.enter(runs)
                async for message in self._read(reader, runs, wanted.stream):
                    next_heartbeat = loop.time() + HEARTBEAT_SECONDS
                    yield message
                # By what was read, not by what is there: more may have come since.
                whole = _have_whole(reader, runs)
                if wanted.follow and not whole:
                    # Its end may still be on the way though the job has a next run already.
                    break
            if not wanted.follow or (whole and Status(seen.job.status) in FINAL):
                yield await self._end(seen, reader.cursor)
                return
            if loop.time() >= next_heartbeat:
                next_heartbeat = loop.time() + HEARTBEAT_SECONDS
                yield job_pb2.JobLogMessage(cursor=reader.cursor, heartbeat=job_pb2.LogHeartbeat())
            await watch.call_after(number)

    async def _read(
        self, reader: _Reader, runs: Sequence[AnyRun], stream: int
    ) -> AsyncIterator[job_pb2.JobLogMessage]:
        """What is there of the runs of an attempt, in the order of its times."""
        if len(runs) == 1:
            async for piece in self._read_rank(reader, runs, 0):
                if stream in (0, piece.stream):
                    yield piece.message
            return
        readers = [self._read_rank(reader, runs, number) for number in range(len(runs))]
        heads: list[tuple[int, int, _Piece]] = []
        for number in range(len(runs)):
            await _push(heads, readers, number)
        while heads:
            _, number, piece = heapq.heappop(heads)
            reader.places[number] = piece.after
            if stream in (0, piece.stream):
                message = job_pb2.JobLogMessage()
                message.CopyFrom(piece.message)
                message.cursor = reader.cursor
                yield message
            await _push(heads, readers, number)

    async def _read_rank(
        self, reader: _Reader, runs: Sequence[AnyRun], number: int
    ) -> AsyncIterator[_Piece]:
        """What is there of one of them. The reader has gone past a piece when the next is asked for."""
        run = runs[number]
        while batch := await self._logs.read(run.run_id, reader.places[number].position):
            for piece in self._pieces_of(run, reader.places[number], batch):
                if len(runs) == 1:
                    reader.places[number] = piece.after
                yield piece
            reader.places[number] = frames.Place(batch[-1].end_position)

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

    async def _end(self, seen: Seen, cursor: str) -> job_pb2.JobLogMessage:
        job = seen.job
        end = job_pb2.LogEnd(status=job_pb2.Job.Status.Name(job.status), exit_code=job.exit_code)
        for run in seen.runs:
            if run.log_lost:
                end.incomplete.add(run_id=run.run_id, reason=_LOST, message=run.log_lost)
            elif run.forgotten and run.log_end is not None:
                missing = run.log_end - await self._logs.end(run.run_id)
                if missing > 0:
                    message = f"this server does not have {missing} bytes of the run's output"
                    end.incomplete.add(run_id=run.run_id, reason=_NOT_HERE, message=message)
        return job_pb2.JobLogMessage(cursor=cursor, end=end)


def _attempts(runs: Sequence[AnyRun], rank: int | None) -> list[list[AnyRun]]:
    """The runs of each attempt, by their ranks; only those of one rank, if that is said."""
    some = runs if rank is None else [run for run in runs if rank_of(run) == rank]
    return [[*these] for _, these in groupby(some, key=lambda run: run.attempt)]


def rank_of(run: AnyRun) -> int:
    """Which rank of its job it is; at other clusters jobs have one."""
    return getattr(run, "rank", 0)


async def _push(
    heads: list[tuple[int, int, _Piece]], readers: Sequence[AsyncIterator[_Piece]], number: int
) -> None:
    """Add the next piece of a rank, if there is one, by its time and then by its rank."""
    async for piece in readers[number]:
        heapq.heappush(heads, (piece.time_nanos, number, piece))
        return


def _from(run_id: str, attempts: Sequence[Sequence[AnyRun]]) -> Sequence[Sequence[AnyRun]]:
    """The attempts from that of a run on, the first of it; all of them without one."""
    if not run_id:
        return attempts
    if run_id == attempts[-1][0].run_id:
        return attempts[-1:]
    return attempts[[runs[0].run_id for runs in attempts].index(run_id) :]


def _is_given_up(run: AnyRun) -> bool:
    """Whether its node was told that it may drop the run, or has lost the rest of its log."""
    return run.forgotten or bool(run.log_lost)


def _have_whole(reader: _Reader, runs: Sequence[AnyRun]) -> bool:
    """Whether nothing more of the runs comes; what was there when they were looked at has been read."""
    return all(
        _is_given_up(run) or (run.log_end is not None and place.position >= run.log_end)
        for run, place in zip(runs, reader.places, strict=True)
    )


def _cut(run: AnyRun, place: frames.Place, batch: Sequence[frames.Frame]) -> Iterator[_Piece]:
    """The pieces of a batch, of which the first `place.skip` bytes are known."""
    skip, rank = place.skip, rank_of(run)
    for frame in batch:
        for chunk in frames.chunks(frame, skip):
            message = _message(_Reader(run.run_id, [chunk.after]), chunk, rank)
            yield _Piece(message, chunk.stream, chunk.time_nanos, chunk.after)
        skip = 0


def _message(reader: _Reader, chunk: frames.Chunk, rank: int) -> job_pb2.JobLogMessage:
    message = job_pb2.JobLogMessage(cursor=reader.cursor)
    shown = message.chunk
    shown.stream = chunk.stream  # type: ignore[assignment]
    shown.time.seconds, shown.time.nanos = divmod(chunk.time_nanos, 1_000_000_000)
    shown.run_id = reader.run_id
    shown.rank = rank
    text = frames.as_text(chunk.payload)
    if text is None:
        shown.data = chunk.payload
    else:
        shown.text = text
    return message
