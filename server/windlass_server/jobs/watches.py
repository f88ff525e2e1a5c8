"""Looks at the jobs that are followed: once for all who follow one, however many they are."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

from windlass_server import actors
from windlass_server.hub import EventHub
from windlass_server.jobs.runs import AnyRun, RunsService
from windlass_server.objects.logs import LogStore
from windlass_server.storage.guard import acting_as
from windlass_server.storage.tables import JobRow

# A job is looked at again at least this often, also when nobody tells: another server's runs.
_LOOK_SECONDS = 1.0
# Followers are called at least this often, to say that they are alive.
CALL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A job and its runs, the first attempt first, on one snapshot."""

    job: JobRow
    runs: Sequence[AnyRun]


class Watch:
    """What followers see of one job.

    Attributes:
        number: of the calls so far; it rises when there may be something new in the job or its log.
    """

    def __init__(self, seen: Seen) -> None:
        self.number = 0
        self._seen = seen
        self._failed: Exception | None = None
        self._trace: TracebackType | None = None
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def seen(self) -> Seen:
        """The job as it was last looked at, before the last call; raises why that failed."""
        if self._failed is not None:
            # Raised by each follower, with where it failed and not with where they all raised it.
            raise self._failed.with_traceback(self._trace)
        return self._seen

    async def call_after(self, number: int) -> None:
        """Return when there have been more than this many calls."""
        if self.number == number:
            called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(called)
            await called

    def take(self, seen: Seen) -> bool:
        """Take what was seen, unless it is older than what is known; whether it is something else."""
        known = self._seen
        if seen.job.version < known.job.version or len(seen.runs) < len(known.runs):
            return False
        self._seen = seen
        return (seen.job, seen.runs) != (known.job, known.runs)

    def fail(self, error: Exception) -> None:
        """Let every follower know that the job cannot be looked at."""
        self._failed, self._trace = error, error.__traceback__
        self.call()

    def call(self) -> None:
        """Make every follower go on."""
        self.number += 1
        waiting, self._waiting = self._waiting, []
        for called in waiting:
            if not called.done():
                called.set_result(None)


class Watches:
    """The watches of all jobs that are followed now."""

    def __init__(self, runs: RunsService, logs: LogStore, hub: EventHub) -> None:
        self._runs = runs
        self._logs = logs
        self._hub = hub
        self._kept: dict[str, _Keeper] = {}

    @contextmanager
    def follow(self, seen: Seen) -> Iterator[Watch]:
        """A context in which a job is watched, which was just seen like this."""
        job_id = seen.job.job_id
        keeper = self._kept.get(job_id)
        if keeper is None or keeper.task.done():
            keeper = self._kept[job_id] = _Keeper(seen, self._runs, self._logs, self._hub)
        elif keeper.watch.take(seen):
            keeper.watch.call()
        keeper.followers += 1
        try:
            yield keeper.watch
        finally:
            keeper.followers -= 1
            if not keeper.followers:
                keeper.task.cancel()
                if self._kept.get(job_id) is keeper:
                    del self._kept[job_id]


class _Keeper:
    """Looks at one job while it is followed.

    Attributes:
        followers: how many follow it.
    """

    def __init__(self, seen: Seen, runs: RunsService, logs: LogStore, hub: EventHub) -> None:
        self.watch = Watch(seen)
        self.followers = 0
        self._runs = runs
        self._logs = logs
        self._hub = hub
        self._job_id = seen.job.job_id
        self._ends: dict[str, int] = {}
        self.task = asyncio.create_task(self._keep(), name=f"watch-{self._job_id}")

    async def _keep(self) -> None:
        try:
            with acting_as(actors.SERVER):
                await self._look_again_and_again()
        except Exception as error:
            self.watch.fail(error)

    async def _look_again_and_again(self) -> None:
        """Look whenever there may be something new, and call the followers then."""
        loop = asyncio.get_running_loop()
        news, next_call = True, 0.0
        while True:
            topics = self._topics()
            with self._hub.listening(topics) as told:
                # Behind its beginning to listen, so that nothing comes in between.
                news |= await self._look()
                if news or loop.time() >= next_call:
                    next_call = loop.time() + CALL_SECONDS
                    self.watch.call()
                if self._topics() == topics:
                    news = await _within(_LOOK_SECONDS, told)

    def _topics(self) -> Sequence[str]:
        seen = self.watch.seen
        return (self._job_id, *(run.run_id for run in seen.runs))

    async def _look(self) -> bool:
        """Look at the job, and read what its last run has printed: all followers want it at once."""
        job, runs = await self._runs.of_job(self._job_id)
        assert job is not None
        if runs:
            run_id = runs[-1].run_id
            before, end = self._ends.get(run_id, 0), await self._logs.end(run_id)
            if before < end:
                await self._logs.read(run_id, before)
            self._ends[run_id] = end
        return self.watch.take(Seen(job, runs))


async def _within(seconds: float, told: asyncio.Event) -> bool:
    """Whether an event is set within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await told.wait()
    except TimeoutError:
        return False
