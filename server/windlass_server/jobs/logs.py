"""A job's output as one stream: all its runs, the first attempt first, resumable at any message."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

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
_CURSOR = re.compile(r"(run-[0-9a-z]{26}):([0-9]{1,18}):([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class LogRequest:
    """What a reader asks for.

    Attributes:
        follow: go on until the job has ended and its log is whole.
        tail: start with the last so many lines; None for all. A cursor wins over it.
        stream: 1 stdout, 2 stderr, 0 both.
        cursor: start behind this position; empty for the beginning.
    """

    follow: bool = False
    tail: int | None = None
    stream: int = 0
    cursor: str = ""


@dataclass(slots=True)
class _Reader:
    """Where a reader stands."""

    run_id: str
    place: frames.Place

    @property
    def cursor(self) -> str:
        return f"{self.run_id}:{self.place.position}:{self.place.skip}" if self.run_id else ""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A message of a log, which stream it is of, and where its reader stands behind it."""

    message: job_pb2.JobLogMessage
    stream: int
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
        reader = await self._start(seen.runs, wanted)
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

    async def _start(self, runs: Sequence[AnyRun], wanted: LogRequest) -> _Reader:
        if wanted.cursor:
            return await self._behind(wanted.cursor, runs)
        if wanted.tail is not None and runs:
            last = runs[-1].run_id
            return _Reader(last, await self._logs.tail(last, wanted.tail, wanted.stream))
        return _Reader("", frames.Place(0))

    async def _behind(self, cursor: str, runs: Sequence[AnyRun]) -> _Reader:
        """A reader that goes on behind a cursor; InvalidInput when this job's log never gave it out."""
        found = _CURSOR.fullmatch(cursor)
        if found is not None and found[1] in {run.run_id for run in runs}:
            place = frames.Place(int(found[2]), int(found[3]))
            if await self._logs.has_place(found[1], place):
                return _Reader(found[1], place)
        text = "cursor is not one that this job's log gave out"
        violation = FieldViolation("cursor", text, "CURSOR_INVALID")
        raise InvalidInput(text, reason="CURSOR_INVALID", violations=(violation,))

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
            for run in _from(reader.run_id, seen.runs):
                async for message in self._read_run(reader, run.run_id, wanted.stream):
                    next_heartbeat = loop.time() + HEARTBEAT_SECONDS
                    yield message
                # By what was read, not by what is there: more may have come since.
                whole = _has_whole(reader, run)
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

    async def _read_run(
        self, reader: _Reader, run_id: str, stream: int
    ) -> AsyncIterator[job_pb2.JobLogMessage]:
        if run_id != reader.run_id:
            reader.run_id, reader.place = run_id, frames.Place(0)
        while batch := await self._logs.read(run_id, reader.place.position):
            for piece in self._pieces_of(run_id, reader.place, batch):
                reader.place = piece.after
                if stream in (0, piece.stream):
                    yield piece.message
            reader.place = frames.Place(batch[-1].end_position)

    def _pieces_of(
        self, run_id: str, place: frames.Place, batch: Sequence[frames.Frame]
    ) -> Sequence[_Piece]:
        """The messages of a batch that was read at a place: the same for all who stand there."""
        key = run_id, place, batch[-1].end_position
        pieces = self._pieces.get(key)
        if pieces is None:
            pieces = list(_cut(run_id, place, batch))
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


def _from(run_id: str, runs: Sequence[AnyRun]) -> Sequence[AnyRun]:
    """The runs from one on; all of them without one."""
    if not run_id:
        return runs
    if run_id == runs[-1].run_id:
        return runs[-1:]
    return runs[[run.run_id for run in runs].index(run_id) :]


def _is_given_up(run: AnyRun) -> bool:
    """Whether its node was told that it may drop the run, or has lost the rest of its log."""
    return run.forgotten or bool(run.log_lost)


def _has_whole(reader: _Reader, run: AnyRun) -> bool:
    """Whether nothing more of the run comes; what was there when it was looked at has been read."""
    if _is_given_up(run):
        return True
    return run.log_end is not None and reader.place.position >= run.log_end


def _cut(run_id: str, place: frames.Place, batch: Sequence[frames.Frame]) -> Iterator[_Piece]:
    """The pieces of a batch, of which the first `place.skip` bytes are known."""
    skip = place.skip
    for frame in batch:
        for chunk in frames.chunks(frame, skip):
            message = _message(_Reader(run_id, chunk.after), chunk)
            yield _Piece(message, chunk.stream, chunk.after)
        skip = 0


def _message(reader: _Reader, chunk: frames.Chunk) -> job_pb2.JobLogMessage:
    message = job_pb2.JobLogMessage(cursor=reader.cursor)
    shown = message.chunk
    shown.stream = chunk.stream  # type: ignore[assignment]
    shown.time.seconds, shown.time.nanos = divmod(chunk.time_nanos, 1_000_000_000)
    shown.run_id = reader.run_id
    text = frames.as_text(chunk.payload)
    if text is None:
        shown.data = chunk.payload
    else:
        shown.text = text
    return message
