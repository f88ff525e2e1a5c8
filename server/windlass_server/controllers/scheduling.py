"""The impure cycle around the pure scheduler, as numbered steps."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TypeVar

from windlass_server.clock import Clock
from windlass_server.jobs import rules
from windlass_server.jobs.runs import RunsService
from windlass_server.resources.cluster import Cluster
from windlass_server.resources.layouts import LayoutsService
from windlass_server.resources.pooling import rules_of, usable
from windlass_server.resources.remote_waits import RemoteWaits
from windlass_server.resources.reserved import moments
from windlass_server.scheduler.plan import Placement, Plan, Waiting, plan
from windlass_server.scheduler.snapshot import Demand, Fault, Moment, NodeState, Snapshot
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction

_log = logging.getLogger(__name__)

# Jobs that one cycle considers; those behind them are considered when these have moved on.
QUEUE_DEPTH = 10_000
# How much is read or told, and how many placements are committed, before others get their turn.
_READ_AT_ONCE = 500
_COMMITS_AT_ONCE = 32
# How often the numbers in the words about a waiting job are written anew.
_NUMBERS_SECONDS = 10.0
# Jobs and nodes of which a plan takes a few milliseconds at most, less than it is worth to hand it over.
_PLANNED_AT_ONCE = 256

T = TypeVar("T")


class Scheduling:
    """Places waiting jobs, and tells those that must wait why.

    A job that did not fit can only begin to fit when something was freed, a node changed, or jobs
    ahead of it left. So a cycle that only submissions woke looks at the new jobs alone; any other
    looks at the whole queue.
    """

    def __init__(
        self,
        database: Database,
        cluster: Cluster,
        runs: RunsService,
        layouts: LayoutsService,
        clock: Clock,
        elsewhere: RemoteWaits,
    ) -> None:
        self._database = database
        self._cluster = cluster
        self._runs = runs
        self._layouts = layouts
        self._clock = clock
        self._elsewhere = elsewhere
        self._new: set[str] = set()
        self._look_at_all = True
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
        try:
            # Without a hint it is the interval that has come: hints get lost, and other servers give
            # none.
            await self._plan_and_place(new if new and not look_at_all else None)
        except BaseException:
            self._look_at_all = True
            raise

    async def _plan_and_place(self, only: set[str] | None) -> None:
        # 2. See the world. Without a node that is ready, new jobs know why they wait.
        if only is not None and not self._cluster.any_ready():
            return
        rows, demands = await self._look(only)
        now = self._clock.now()
        nodes, kept = await self._database.read(lambda tx: self._nodes(tx, now))
        # 3. Decide, purely.
        result = await _planned(Snapshot(tuple(demands), nodes, self._cluster.pools, kept, now))
        # 4. Commit, each guarded by the version that was seen. A refusal is normal: the truth has
        #    moved on, and the next cycle sees it.
        for some in _in_parts(result.placements, _COMMITS_AT_ONCE):
            placed = await asyncio.gather(*(self._place(one, rows[one.job_id]) for one in some))
            if not all(placed):
                self._look_at_all = True
        # 5. Have cards divided for those that wait.
        for change in result.changes:
            if not await self._layouts.begin(change):
                self._look_at_all = True
        # 6. Tell the rest why they wait.
        if only is None:
            self._told = {job_id: at for job_id, at in self._told.items() if job_id in rows}
        for waiting in _in_parts(result.waiting, _READ_AT_ONCE):
            await self._explain(waiting, rows)
            await asyncio.sleep(0)

    def _nodes(self, tx: Transaction, now: int) -> tuple[tuple[NodeState, ...], tuple[Moment, ...]]:
        """The nodes, and what reservations keep of them."""
        nodes = self._cluster.load(tx)
        return nodes, moments(tx, nodes, now)

    async def _look(self, only: set[str] | None) -> tuple[dict[str, JobRow], list[Demand]]:
        """The jobs that wait, by id, and what they ask for."""
        rows: dict[str, JobRow] = {}
        demands: list[Demand] = []
        async for page, asked in self._pages(only):
            rows |= {job.job_id: job for job in page}
            demands += asked
            await asyncio.sleep(0)
        return rows, demands

    async def _pages(
        self, only: set[str] | None
    ) -> AsyncIterator[tuple[Sequence[JobRow], list[Demand]]]:
        """The queue as far as it is looked at, page by page; or of it only some jobs."""
        if only is not None:
            for ids in _in_parts(sorted(only), _READ_AT_ONCE):
                yield await self._database.read(
                    lambda tx, ids=ids: self._asked(tx, tx.jobs.queued_of(ids))  # type: ignore[misc]
                )
            return
        last: JobRow | None = None
        for _ in range(QUEUE_DEPTH // _READ_AT_ONCE):
            page, asked = await self._database.read(
                lambda tx, last=last: self._asked(tx, tx.jobs.queued(_READ_AT_ONCE, last))  # type: ignore[misc]
            )
            yield page, asked
            if len(page) < _READ_AT_ONCE:
                return
            last = page[-1]

    def _asked(
        self, tx: Transaction, page: Sequence[JobRow]
    ) -> tuple[Sequence[JobRow], list[Demand]]:
        faults = self._faults(tx, page)
        rules = rules_of(tx.pools.all())
        pools = {
            (project, chosen): usable(project, chosen, rules)
            for project, chosen in {(job.project, job.pool) for job in page}
        }
        return page, [
            _demand(job, faults.get(job.job_id, ()), pools[job.project, job.pool]) for job in page
        ]

    def _faults(self, tx: Transaction, queue: Sequence[JobRow]) -> dict[str, tuple[Fault, ...]]:
        """The nodes that have failed the jobs of the queue, most of which have never run on any."""
        retried = [job.job_id for job in queue if job.attempt]
        if not retried:
            return {}
        ends: dict[str, list[rules.RunEnd]] = {}
        for run in tx.runs.ended_by(retried, rules.REMEMBERED):
            end = rules.RunEnd(run.node_id, run.end_cause, run.end_noted_at)
            ends.setdefault(run.job_id, []).append(end)
        now, connected_at = self._clock.now(), tx.nodes.connected_at()
        return {job_id: rules.faults(those, now, connected_at) for job_id, those in ends.items()}

    async def _place(self, placement: Placement, job: JobRow) -> bool:
        return await self._runs.place(placement, attempt=job.attempt + 1, version=job.version)

    async def _explain(self, waiting: Sequence[Waiting], rows: dict[str, JobRow]) -> None:
        news = [
            (one.job_id, one.reason, one.message)
            for one in self._elsewhere.reworded(waiting)
            if self._is_news(one, rows[one.job_id])
        ]
        if news:
            await self._database.write(lambda tx: tx.jobs.explain(news))
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


async def _planned(snapshot: Snapshot) -> Plan:
    """The plan; a large one is made in a thread, so that the event loop answers others meanwhile.

    A thread takes turns with the loop, but numpy lets go of the interpreter within its steps: measured
    (tests/benchmarks/scheduler_plan.py), the loop waits for its turn a tenth of a millisecond mostly and
    ten at worst, less than between slices of a plan on the loop itself.
    """
    if len(snapshot.queue) + len(snapshot.nodes) <= _PLANNED_AT_ONCE:
        return plan(snapshot)
    return await asyncio.to_thread(plan, snapshot)


def _in_parts(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for first in range(0, len(things), size):
        yield things[first : first + size]


def _demand(job: JobRow, faults: tuple[Fault, ...], pools: tuple[str, ...] | None) -> Demand:
    return Demand(
        job_id=job.job_id,
        priority=job.priority,
        cpu_millis=job.cpu_millis,
        memory_bytes=job.memory_bytes,
        gpu_count=job.gpu_count,
        gpu_type=job.gpu_type,
        mig_profile=job.mig_profile,
        gpu_memory_bytes=job.gpu_memory_bytes,
        min_isolation=job.min_isolation,
        order=job.job_id,
        faults=faults,
        pools=pools,
        project=job.project,
        user=job.user,
        time_limit=job.longest_run,
        gpu_millis=job.gpu_millis,
    )
