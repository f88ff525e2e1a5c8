"""What the scheduler sees: the jobs that wait and the nodes, read as they are now."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from windlass_server.access.quota_use import quota_of
from windlass_server.clock import Clock
from windlass_server.jobs import queue_use, rules
from windlass_server.jobs.learning import Learned
from windlass_server.jobs.places import rules_of as label_rules
from windlass_server.jobs.places import spread_of, types_of
from windlass_server.jobs.preemptions import preemptions_of
from windlass_server.resources.cluster import Cluster
from windlass_server.resources.pooling import rules_of, usable
from windlass_server.resources.recent_usage import RecentUsage
from windlass_server.resources.reserved import moments
from windlass_server.resources.running import SeenRunning
from windlass_server.resources.scheduling_policies import SchedulingPolicies
from windlass_server.scheduler.order import half_lives_of
from windlass_server.scheduler.snapshot import Demand, Fault, RunTime, Snapshot, Topology
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction

# Jobs that one cycle considers; those behind them are considered when these have moved on.
QUEUE_DEPTH = 10_000
# Owners of waiting jobs whose first ones are considered however far behind they stand.
_OWNERS = 1_000
_BEFORE_ALL = "", ""
# How much is read before others get their turn.
_READ_AT_ONCE = 500

T = TypeVar("T")


class World:
    """The queue and the nodes, as a snapshot for `plan()`.

    Args:
        database: where they are.
        cluster: the nodes as the scheduler sees them, and what operators declared.
        usage: what owners had lately.
    """

    def __init__(
        self,
        database: Database,
        cluster: Cluster,
        clock: Clock,
        usage: RecentUsage,
    ) -> None:
        self._database = database
        self._cluster = cluster
        self._clock = clock
        # Nodes had no chance to be heard before.
        self._listening_since = clock.now()
        self._policies = SchedulingPolicies()
        self._running = SeenRunning()
        self._usage = usage
        self._learned = Learned()
        # Of more owners than a cycle looks at, the last that was looked at.
        self._last_owner = _BEFORE_ALL

    def any_ready(self) -> bool:
        """Whether a node is connected that takes work, as far as is known."""
        return self._cluster.any_ready()

    async def look(
        self, only: set[str] | None = None, *, running: bool = False
    ) -> tuple[Snapshot, dict[str, JobRow]]:
        """The world now, and the rows of the jobs that wait by their ids.

        Args:
            only: some of these jobs; None: the whole queue.
            running: with what holds parts of the nodes; who has to wait for that needs it.
        """
        rows, demands = await self._queue(only)
        snapshot = Snapshot(tuple(demands), (), self._cluster.pools)
        return await self.look_at_nodes(snapshot, running=running), rows

    async def look_at_nodes(self, snapshot: Snapshot, *, running: bool) -> Snapshot:
        """The same jobs and the nodes as they are now, with what holds parts of these, or without."""
        now = self._clock.now()

        def load(tx: Transaction) -> Snapshot:
            nodes, policies = self._cluster.load(tx), self._policies.load(tx)
            return replace(
                snapshot,
                nodes=nodes,
                moments=moments(tx, nodes, now),
                now=now,
                queues=queue_use.that_hold(tx),
                quotas=tuple(map(quota_of, tx.quotas.all())),
                policies=policies,
                preemptions=preemptions_of(
                    tx, now, policies, listening_since=self._listening_since, searching=running
                ),
                running=self._running.load(tx, now, self._learned) if running else (),
                groups=tx.runs.in_groups(_groups(snapshot.queue)),
            )

        seen = await self._database.read(load)
        # What nobody's turn depends on is not read.
        shares = await self._usage.look(half_lives_of(seen.queue, seen.policies))
        return replace(seen, shares=shares)

    async def _queue(self, only: set[str] | None) -> tuple[dict[str, JobRow], list[Demand]]:
        """The jobs that wait, by id, and what they ask for."""
        rows: dict[str, JobRow] = {}
        demands: list[Demand] = []
        async for page, asked in self._pages(only):
            rows |= {job.job_id: job for job in page}
            demands += asked
            await asyncio.sleep(0)
        if only is None and len(rows) >= QUEUE_DEPTH:
            async for page, asked in self._of_each_owner():
                demands += [one for one in asked if one.job_id not in rows]
                rows |= {job.job_id: job for job in page}
        return rows, demands

    async def _of_each_owner(self) -> AsyncIterator[tuple[Sequence[JobRow], list[Demand]]]:
        """The first jobs of everybody: the queue's first ones may be those of a few alone.

        Of more owners than one cycle looks at the next ones, and when all have had their turn the first
        again.
        """
        owners = await self._database.read(
            lambda tx: tx.jobs.owners_of_queued(_OWNERS, self._last_owner)
        )
        self._last_owner = owners[-1] if len(owners) == _OWNERS else _BEFORE_ALL
        size = min(QUEUE_DEPTH // max(len(owners), 1), _READ_AT_ONCE)
        if not size:
            return
        for some in in_parts(owners, max(1, _READ_AT_ONCE // size)):

            def load(
                tx: Transaction, some: Sequence[tuple[str, str]] = some
            ) -> tuple[Sequence[JobRow], list[Demand]]:
                return self._asked(
                    tx, [job for one in some for job in tx.jobs.queued_by(*one, size)]
                )

            yield await self._database.read(load)

    async def _pages(
        self, only: set[str] | None
    ) -> AsyncIterator[tuple[Sequence[JobRow], list[Demand]]]:
        """The queue as far as it is looked at, page by page; or of it only some jobs."""
        if only is not None:
            for ids in in_parts(sorted(only), _READ_AT_ONCE):
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
        self._learned.load(tx, {(job.project, job.user, job.name) for job in page})
        return page, [
            demand_of(
                job,
                faults.get(job.job_id, ()),
                pools[job.project, job.pool],
                self._learned.of(job.project, job.user, job.name),
            )
            for job in page
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


def _groups(queue: Sequence[Demand]) -> list[str]:
    """The names of those who are spread together."""
    return sorted({each.apart.group for each in queue if each.apart and each.apart.group})


def in_parts(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The same things, so many at a time."""
    for first in range(0, len(things), size):
        yield things[first : first + size]


def demand_of(
    job: JobRow,
    faults: tuple[Fault, ...],
    pools: tuple[str, ...] | None,
    expected_run: RunTime | None = None,
) -> Demand:
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
        queue=job.queue,
        # Its age begins when it is let in.
        submitted_at=job.eligible_at or job.created_at,
        start_after=job.start_after,
        expected_run=expected_run,
        nodes=job.nodes,
        min_nodes=job.min_nodes,
        whole_cards=job.nodes > 1,
        topology=Topology(job.topology_required, job.topology_preferred),
        gpu_types=types_of(job.gpu_types),
        labels=label_rules(job.constraints),
        exclusive=job.exclusive,
        apart=spread_of(job.spread, job.spread_group),
        reservation=job.reservation_id,
    )
