"""A job's output as one stream: all its runs, the first attempt first, resumable at any message.

The ranks of an attempt of several nodes are read together: what is there of all of them comes line by line, in
the order of the times at which their nodes read it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby

from windlass.jobs.v1 import job_pb2
from windlass_server.access.policy import Caller, absent, require_object
from windlass_server.clock import Clock, SystemClock
from windlass_server.errors import FieldViolation, InvalidInput, WindlassError, WrongState
from windlass_server.hub import EventHub
from windlass_server.jobs.log_reading import (
    LogReading,
    Reader,
    Selection,
    cursor_places,
    has_whole,
    rank_of,
)
from windlass_server.jobs.runs import AnyRun, RunsService
from windlass_server.jobs.states import FINAL, Status
from windlass_server.jobs.watches import CALL_SECONDS, Seen, Watch, Watches
from windlass_server.objects import frames
from windlass_server.objects.log_lines import matcher
from windlass_server.objects.log_view import Limits
from windlass_server.objects.logs import LogStore

# Of silence. Followers are called every few seconds at least, so that none is silent for 15 s.
HEARTBEAT_SECONDS = 15.0 - CALL_SECONDS
# Output of a time that is past may be on its way for so long; nodes' clocks are not better than that.
_LATE_NANOS = 10_000_000_000
_LOST = "LOG_LOST_BY_NODE"
_NOT_HERE = "LOG_NOT_ON_SERVER"
_EXPIRED = "LOG_EXPIRED"


@dataclass(frozen=True, slots=True)
class LogRequest:
    """What a reader asks for. Times are in nanoseconds since 1970 (UTC).

    Attributes:
        follow: go on until the job has ended and its log is whole.
        tail: start with the last so many lines; None for all. A cursor wins over it.
        stream: 1 stdout, 2 stderr, 0 both.
        cursor: start behind this position; empty for the beginning.
        rank: only of this rank; None for all.
        since: start with the first output of this time or a later one. A cursor wins over it.
        until: end before the first output of this time or a later one.
        grep: only lines in which this expression of RE2 matches; empty for all output.
        ignore_case: letters of `grep` match in capitals and in small.
        fixed: `grep` is the text to look for.
    """

    follow: bool = False
    tail: int | None = None
    stream: int = 0
    cursor: str = ""
    rank: int | None = None
    since: int | None = None
    until: int | None = None
    grep: str = ""
    ignore_case: bool = False
    fixed: bool = False

    @property
    def selection(self) -> Selection:
        """Which output it asks for.

        Raises:
            InvalidInput: no time lies between its times (`LOG_TIMES_INVALID`), or `grep` is no expression
                (`GREP_INVALID`).
        """
        if self.since is not None and self.until is not None and self.until <= self.since:
            text = "until must be after since"
            violation = FieldViolation("until", text, "LOG_TIMES_INVALID")
            raise InvalidInput(text, reason="LOG_TIMES_INVALID", violations=(violation,))
        found = None
        if self.grep:
            found = matcher(self.grep, fixed=self.fixed, ignore_case=self.ignore_case)
        return Selection(self.follow, self.stream, self.until, found)


class JobLogs:
    """Reads and follows the logs of jobs."""

    def __init__(
        self, runs: RunsService, logs: LogStore, hub: EventHub, clock: Clock | None = None
    ) -> None:
        self._runs = runs
        self._logs = logs
        self._reading = LogReading(logs)
        self._watches = Watches(runs, logs, hub)
        self._clock = clock or SystemClock()

    async def stream(
        self, who: Caller, job_id: str, wanted: LogRequest
    ) -> AsyncGenerator[job_pb2.JobLogMessage]:
        """The messages of a job's log stream, the last of which is `end` or `error`.

        Raises:
            NotFound: no such job, or foreign.
            WrongState: it is an array (`JOB_IS_ARRAY`).
            InvalidInput: the cursor is none of this job's, or as `LogRequest.selection`.
        """
        seen = await self._load(who, job_id)
        selection = wanted.selection
        reader = await self._start(_attempts(seen.runs, wanted.rank), wanted, selection)
        try:
            with self._watches.follow(seen) if wanted.follow else nullcontext(Watch(seen)) as watch:
                async for message in self._messages(watch, reader, wanted.rank, selection):
                    yield message
        except WindlassError as error:
            broken = job_pb2.LogError(reason=error.reason, message=error.message)
            yield job_pb2.JobLogMessage(cursor=reader.cursor, error=broken)

    async def _load(self, who: Caller, job_id: str) -> Seen:
        job, runs = await self._runs.of_job(job_id)
        if job is None:
            raise absent("job", job_id)
        require_object(who, "jobs.logs", job.project, kind="job", object_id=job_id)
        if job.array_count:
            message = "an array has no output of its own: read that of the jobs of its indices"
            raise WrongState(message, reason="JOB_IS_ARRAY", subject=job_id)
        return Seen(job, runs)

    async def _start(
        self, attempts: Sequence[Sequence[AnyRun]], wanted: LogRequest, selection: Selection
    ) -> Reader:
        if wanted.cursor:
            return await self._behind(wanted.cursor, attempts)
        if not attempts or (wanted.tail is None and wanted.since is None):
            return Reader()
        runs, places = await self._since(attempts, wanted)
        if wanted.tail is not None:
            places = [
                await self._tail(run, place, wanted, selection)
                for run, place in zip(runs, places, strict=True)
            ]
        return Reader(runs[0].run_id, places)

    async def _since(
        self, attempts: Sequence[Sequence[AnyRun]], wanted: LogRequest
    ) -> tuple[Sequence[AnyRun], list[frames.Place]]:
        """The attempt in which a reader begins, and where in its runs: the last one for a tail."""
        some = attempts if wanted.tail is None else await self._last_begun(attempts, wanted.until)
        for runs in some:
            since = wanted.since
            places = [
                frames.Place(0 if since is None else await self._logs.since(run.run_id, since))
                for run in runs
            ]
            ends = [await self._logs.end(run.run_id) for run in runs]
            if any(place.position < end for place, end in zip(places, ends, strict=True)):
                break
        return runs, places

    async def _last_begun(
        self, attempts: Sequence[Sequence[AnyRun]], until: int | None
    ) -> Sequence[Sequence[AnyRun]]:
        """The last attempt that had printed something before a time, alone; the first if none had."""
        if until is None:
            return attempts[-1:]
        for runs in reversed(attempts):
            if any([await self._logs.since(run.run_id, until) for run in runs]):
                return [runs]
        return attempts[:1]

    async def _tail(
        self, run: AnyRun, start: frames.Place, wanted: LogRequest, selection: Selection
    ) -> frames.Place:
        """Where the last lines of a run begin, but not before `start`."""
        assert wanted.tail is not None
        before = await self._logs.end(run.run_id)
        if wanted.until is not None:
            before = await self._logs.since(run.run_id, wanted.until)
        if before <= start.position:
            return start
        if selection.matcher is None:
            place = await self._logs.tail(run.run_id, wanted.tail, wanted.stream, before)
            return max(place, start, key=lambda one: (one.position, one.skip))
        whole = wanted.until is None and has_whole(run, frames.Place(before))
        limits = Limits(wanted.stream, start.position, before, whole)
        return await self._logs.tail_matching(run.run_id, wanted.tail, selection.matcher, limits)

    async def _behind(self, cursor: str, attempts: Sequence[Sequence[AnyRun]]) -> Reader:
        """A reader that goes on behind a cursor; InvalidInput when this job's log never gave it out."""
        found = cursor_places(cursor)
        if found is not None:
            run_id, places = found
            for runs in attempts:
                if runs[0].run_id == run_id and await self._have(runs, places):
                    return Reader(run_id, places)
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
        self, watch: Watch, reader: Reader, rank: int | None, wanted: Selection
    ) -> AsyncIterator[job_pb2.JobLogMessage]:
        loop = asyncio.get_running_loop()
        # Who follows hears something at once: its client then knows that it is connected.
        next_heartbeat = loop.time()
        while True:
            # Looked at before the logs are read: what was written before it was so is read then.
            number, seen = watch.number, watch.seen
            over = self._is_over(wanted)
            whole = True
            for runs in _from(reader.run_id, _attempts(seen.runs, rank)):
                reader.enter(runs)
                async for message in self._reading.read(reader, runs, wanted):
                    next_heartbeat = loop.time() + HEARTBEAT_SECONDS
                    yield message
                # By what was read, not by what is there: more may have come since.
                whole = _have_whole(reader, runs)
                past = all(reader.past)
                over = over or past
                if past or (wanted.follow and not whole):
                    # Its end may still be on the way though the job has a next run already.
                    break
            if not wanted.follow or over or (whole and Status(seen.job.status) in FINAL):
                yield await self._end(seen, reader.cursor)
                return
            if loop.time() >= next_heartbeat:
                next_heartbeat = loop.time() + HEARTBEAT_SECONDS
                yield job_pb2.JobLogMessage(cursor=reader.cursor, heartbeat=job_pb2.LogHeartbeat())
            await watch.call_after(number)

    def _is_over(self, wanted: Selection) -> bool:
        """Whether no more output of the time that is wanted is to be expected."""
        return wanted.until is not None and self._clock.now() * 1000 >= wanted.until + _LATE_NANOS

    async def _end(self, seen: Seen, cursor: str) -> job_pb2.JobLogMessage:
        job = seen.job
        end = job_pb2.LogEnd(status=job_pb2.Job.Status.Name(job.status), exit_code=job.exit_code)
        for run in seen.runs:
            if run.log_lost:
                end.incomplete.add(run_id=run.run_id, reason=_LOST, message=run.log_lost)
            elif run.forgotten and run.log_end is not None:
                missing = run.log_end - await self._logs.end(run.run_id)
                if missing > 0:
                    reason, message = await self._why_missing(run, missing)
                    end.incomplete.add(run_id=run.run_id, reason=reason, message=message)
        return job_pb2.JobLogMessage(cursor=cursor, end=end)

    async def _why_missing(self, run: AnyRun, missing: int) -> tuple[str, str]:
        if await self._logs.is_expired(run.run_id):
            return _EXPIRED, "the run's output was kept as long as logs are kept here"
        return _NOT_HERE, f"this server does not have {missing} bytes of the run's output"


def _attempts(runs: Sequence[AnyRun], rank: int | None) -> list[list[AnyRun]]:
    """The runs of each attempt, by their ranks; only those of one rank, if that is said."""
    some = runs if rank is None else [run for run in runs if rank_of(run) == rank]
    return [[*these] for _, these in groupby(some, key=lambda run: run.attempt)]


def _from(run_id: str, attempts: Sequence[Sequence[AnyRun]]) -> Sequence[Sequence[AnyRun]]:
    """The attempts from that of a run on, the first of it; all of them without one."""
    if not run_id:
        return attempts
    if run_id == attempts[-1][0].run_id:
        return attempts[-1:]
    return attempts[[runs[0].run_id for runs in attempts].index(run_id) :]


def _have_whole(reader: Reader, runs: Sequence[AnyRun]) -> bool:
    """Whether nothing more of the runs comes that the reader wants."""
    return all(
        past or has_whole(run, place)
        for run, place, past in zip(runs, reader.places, reader.past, strict=True)
    )
