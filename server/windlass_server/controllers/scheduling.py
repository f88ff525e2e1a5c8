"""The impure cycle around the pure scheduler, as numbered steps."""

import asyncio
import logging
from collections.abc import Sequence

from windlass_server.clock import Clock
from windlass_server.jobs import rules
from windlass_server.jobs.runs import RunsService
from windlass_server.resources.cluster import Cluster
from windlass_server.scheduler.plan import Placement, Waiting, plan
from windlass_server.scheduler.snapshot import Demand, Fault, Snapshot
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction

_log = logging.getLogger(__name__)

# Jobs that one cycle considers; those behind them are considered when these have moved on.
QUEUE_DEPTH = 10_000


class Scheduling:
    """Places waiting jobs, and tells those that must wait why.

    A job that did not fit can only begin to fit when something was freed, a node changed, or jobs
    ahead of it left. So a cycle that only submissions woke looks at the new jobs alone; any other
    looks at the whole queue.
    """

    def __init__(
        self, database: Database, cluster: Cluster, runs: RunsService, clock: Clock
    ) -> None:
        self._database = database
        self._cluster = cluster
        self._runs = runs
        self._clock = clock
        self._new: set[str] = set()
        self._look_at_all = True

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
        # 2. See the world once. Without a node that is ready, new jobs know why they wait.
        if only is not None and not self._cluster.any_ready():
            return
        queue, snapshot = await self._database.read(lambda tx: self._look(tx, only))
        # 3. Decide, purely.
        result = plan(snapshot)
        # 4. Commit, each guarded by the version that was seen. A refusal is normal: the truth has
        #    moved on, and the next cycle sees it.
        rows = {job.job_id: job for job in queue}
        placed = await asyncio.gather(
            *(self._place(placement, rows[placement.job_id]) for placement in result.placements)
        )
        if not all(placed):
            self._look_at_all = True
        # 5. Tell the rest why they wait.
        await self._explain(result.waiting, rows)

    def _look(self, tx: Transaction, only: set[str] | None) -> tuple[Sequence[JobRow], Snapshot]:
        queue = tx.jobs.queued(QUEUE_DEPTH) if only is None else tx.jobs.queued_of(sorted(only))
        faults = self._faults(tx, queue)
        demands = tuple(_demand(job, faults.get(job.job_id, ())) for job in queue)
        nodes = self._cluster.load(tx)
        return queue, Snapshot(queue=demands, nodes=nodes, pools=self._cluster.pools)

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
            for one in waiting
            if (one.reason, one.message)
            != (rows[one.job_id].status_reason, rows[one.job_id].status_message)
        ]
        if news:
            await self._database.write(lambda tx: tx.jobs.explain(news))


def _demand(job: JobRow, faults: tuple[Fault, ...]) -> Demand:
    return Demand(
        job_id=job.job_id,
        priority=job.priority,
        cpu_millis=job.cpu_millis,
        memory_bytes=job.memory_bytes,
        gpu_count=job.gpu_count,
        gpu_type=job.gpu_type,
        min_isolation=job.min_isolation,
        order=job.job_id,
        faults=faults,
    )
