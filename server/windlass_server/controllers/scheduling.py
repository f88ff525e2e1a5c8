"""The impure cycle around the pure scheduler, as numbered steps."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter

from windlass_server.clock import Clock
from windlass_server.controllers.scheduler_lease import SchedulerLease
from windlass_server.controllers.stopped_before import StoppedBefore
from windlass_server.errors import Conflict
from windlass_server.jobs.placing import Planned
from windlass_server.jobs.planning import planned as plan_of
from windlass_server.jobs.runs import RunsService
from windlass_server.jobs.world import World, in_parts
from windlass_server.resources.layouts import LayoutsService
from windlass_server.resources.remote_waits import RemoteWaits
from windlass_server.scheduler.explain import Reason
from windlass_server.scheduler.plan import Placement, Plan, Waiting
from windlass_server.scheduler.preempting import MakingRoom
from windlass_server.storage.duties import SCHEDULER
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction

# How many reasons are told, and how many placements are committed, before others get their turn.
_TOLD_AT_ONCE = 500
_COMMITS_AT_ONCE = 100
# How often the numbers in the words about a waiting job are written anew.
_NUMBERS_SECONDS = 10.0
# Why those wait for whom something is being done.
_UNDER_WAY = (Reason.MAKING_ROOM, Reason.GPU_LAYOUT_CHANGING)


class Scheduling:
    """Places waiting jobs, and tells those that must wait why.

    A job that did not fit can only begin to fit when something was freed, a node changed, or jobs
    ahead of it left. So a cycle that only submissions woke looks at the new jobs alone, and at those that
    keep something from them; any other looks at the whole queue. What holds parts of the nodes is of
    interest only where jobs wait for it, and read only then.

    Of several servers one plans: who has the lease. The others tell it when they know of news.
    """

    def __init__(
        self,
        database: Database,
        world: World,
        runs: RunsService,
        layouts: LayoutsService,
        clock: Clock,
        elsewhere: RemoteWaits,
        lease: SchedulerLease,
    ) -> None:
        self._database = database
        self._world = world
        self._runs = runs
        self._layouts = layouts
        self._clock = clock
        self._elsewhere = elsewhere
        self._lease = lease
        self._stopped_before = StoppedBefore(database)
        self._new: set[str] = set()
        self._look_at_all = True
        # Whether jobs wait, and which of them keep what they wait for.
        self._crowded = False
        self._waiting_first: set[str] = set()
        # When it was last written down why each job waits, on the monotonic clock.
        self._told: dict[str, float] = {}

    def job_queued(self, job_id: str) -> None:
        """Note a new job for the next cycle."""
        self._new.add(job_id)

    def world_changed(self) -> None:
        """Make the next cycle look at the whole queue."""
        self._look_at_all = True

    async def cycle(self) -> None:
        """Plan once and carry the plan out."""
        # 1. Take what there is to look at; what comes from now on is the next cycle's.
        new, self._new = self._new, set()
        look_at_all, self._look_at_all = self._look_at_all, False
        epoch = self._lease.epoch
        if epoch is None:
            if new or look_at_all:
                self._lease.ask()
            return
        try:
            # Without a hint it is the interval that has come: hints get lost, and other servers give
            # none.
            await self._plan_and_place(new if new and not look_at_all else None, epoch)
        except BaseException:
            self._look_at_all = True
            raise

    async def _plan_and_place(self, only: set[str] | None, epoch: int) -> None:
        # 2. Without a node that is ready, new jobs know why they wait.
        if only is not None and not self._world.any_ready():
            return
        # 3. See the world, and decide.
        result, rows, making_room = await self._decide(only)
        # 4. Commit, each guarded by the version that was seen and by the epoch of this scheduler. A
        #    refusal is normal: the truth has moved on, and the next cycle sees it.
        planned = [_planned(one, rows[one.job_id]) for one in result.placements]
        for some in in_parts(planned, _COMMITS_AT_ONCE):
            if not all(await self._runs.place_all(some, epoch=epoch)):
                self._look_at_all = True
        # 5. Have others stopped, and cards divided, for those that wait.
        await self._make_room(result, rows, making_room, epoch)
        for change in result.changes:
            if not await self._layouts.begin(change, epoch):
                self._look_at_all = True
        # 6. Tell the rest why they wait.
        if only is None:
            self._told = {job_id: at for job_id, at in self._told.items() if job_id in rows}
        await self._stopped_before.look(rows, all_=only is None)
        for waiting in in_parts(result.waiting, _TOLD_AT_ONCE):
            await self._explain(waiting, rows, epoch)
            await asyncio.sleep(0)

    async def _decide(
        self, only: set[str] | None
    ) -> tuple[Plan, dict[str, JobRow], Sequence[MakingRoom]]:
        """A plan, which is pure, the jobs of which it is by their ids, and those for whom others were stopped."""
        looked_at = None if only is None else only | self._waiting_first
        snapshot, rows = await self._world.look(looked_at, running=self._crowded)
        result = await plan_of(snapshot)
        if result.waiting and not self._crowded:
            snapshot = await self._world.look_at_nodes(snapshot, running=True)
            result = await plan_of(snapshot)
        self._crowded = bool(result.waiting) or (only is not None and self._crowded)
        self._waiting_first = {
            one.job_id for one in result.waiting if one.kept or one.reason in _UNDER_WAY
        }
        return result, rows, snapshot.preemptions.making_room

    async def _make_room(
        self,
        result: Plan,
        rows: Mapping[str, JobRow],
        making_room: Sequence[MakingRoom],
        epoch: int,
    ) -> None:
        """Stop runs for others; and keep no place any more for jobs for whom that was done before.

        That is when they wait no longer, or what was made free was not enough.
        """
        for job_id, some in groupby(result.evictions, key=attrgetter("for_job_id")):
            version = rows[job_id].version
            if not await self._runs.preempt(tuple(some), version=version, epoch=epoch):
                self._look_at_all = True
        served = {one.job_id for one in result.placements}
        served |= {one.job_id for one in making_room if one.under_way and one.job_id in rows}
        # Who has room when cards are divided keeps it until they are.
        served |= {one.job_id for one in result.waiting if one.reason == Reason.GPU_LAYOUT_CHANGING}
        done = sorted({one.job_id for one in making_room} - served)
        if done:
            with contextlib.suppress(Conflict):
                await self._runs.let_go(done, epoch)

    async def _explain(
        self, waiting: Sequence[Waiting], rows: dict[str, JobRow], epoch: int
    ) -> None:
        news = [
            (one.job_id, one.reason, one.message)
            for one in self._stopped_before.reworded(self._elsewhere.reworded(waiting))
            if self._is_news(one, rows[one.job_id])
        ]

        def store(tx: Transaction) -> None:
            tx.duties.require(SCHEDULER, epoch)
            tx.jobs.explain(news)

        if news:
            with contextlib.suppress(Conflict):
                await self._database.write(store)
            self._told |= dict.fromkeys((job_id for job_id, *_ in news), self._clock.monotonic())

    def _is_news(self, one: Waiting, job: JobRow) -> bool:
        """Whether to write down why a job waits: another reason at once, other numbers now and then.

        The numbers change for every waiting job with each one that ends.
        """
        if one.reason != job.status_reason:
            return True
        if one.message == job.status_message:
            return False
        told = self._told.get(one.job_id)
        return told is None or self._clock.monotonic() - told >= _NUMBERS_SECONDS


def _planned(placement: Placement, job: JobRow) -> Planned:
    return Planned(placement, attempt=job.attempt + 1, version=job.version)
