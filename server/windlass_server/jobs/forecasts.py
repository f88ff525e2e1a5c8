"""Says what would become of a job: why it waits, and what a submission would get."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from windlass.jobs.v1 import job_pb2
from windlass_server.access.policy import Caller, absent, may, require_object
from windlass_server.clock import Clock
from windlass_server.jobs.dependency_rules import Held
from windlass_server.jobs.effective_priority import EffectivePriority, effective
from windlass_server.jobs.lineage import First, Lineage
from windlass_server.jobs.preemptions import stopped_text
from windlass_server.jobs.service import JobsService
from windlass_server.jobs.states import Status
from windlass_server.jobs.world import World, demand_of
from windlass_server.resources.pooling import rules_of, usable
from windlass_server.resources.price_book import HOUR, WHOLE_GPU, Holding, PriceBook
from windlass_server.resources.prices import price_book
from windlass_server.scheduler.outlook import Outlook, outlook
from windlass_server.scheduler.snapshot import Demand, Snapshot
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction

# Stands behind all jobs that were submitted; no job's id.
_ASKED_ABOUT = "job-~"
_FIRST = First()


@dataclass(frozen=True, slots=True)
class Cost:
    """In billionths of a currency: for an hour, and for all of its time limit (None without one)."""

    currency: str
    per_hour: int
    at_most: int | None


@dataclass(frozen=True, slots=True)
class Victim:
    """A job that would be stopped for another; `job_id` is empty where the caller may not read it."""

    job_id: str
    node_id: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would become of a job, as of a time (µs).

    Attributes:
        outlook: what the planner would do; None when it is not in the queue that a cycle looks at.
        node_names: of the nodes where it would start, or others be stopped, for people, by their ids.
        cost: None when something that it asks for has no price.
        victims: the jobs that would be stopped for it.
        spared: those that each rule spares by which nobody is, in the order of the outlook.
        priority: by which it is served; None when it is not in the queue.
    """

    job: JobRow
    outlook: Outlook | None
    node_names: Mapping[str, str]
    cost: Cost | None
    at: int
    victims: tuple[Victim, ...] = ()
    spared: tuple[tuple[Victim, ...], ...] = ()
    priority: EffectivePriority | None = None


class Forecasts:
    """Asks the planner about one job, without any effect.

    Args:
        world: what the scheduler sees.
        jobs: checks what is submitted.
    """

    def __init__(self, database: Database, world: World, jobs: JobsService, clock: Clock) -> None:
        self._database = database
        self._world = world
        self._jobs = jobs
        self._clock = clock
        # Each takes a look at the whole queue: one after the other, so that they leave room for others.
        self._one_at_a_time = asyncio.Lock()

    async def explain(self, who: Caller, job_id: str) -> Forecast:
        """What becomes of a job, and why; of an array, what becomes of its first index that waits.

        Raises:
            NotFound: no such job, or foreign.
        """

        def load(tx: Transaction) -> tuple[JobRow, list[tuple[str, ...] | None], str]:
            job = tx.jobs.get(job_id)
            if job is None:
                raise absent("job", job_id)
            require_object(who, "jobs.get", job.project, kind="job", object_id=job_id)
            if job.array_count and (rows := tx.arrays.jobs_from(job_id, 0, 1, (Status.QUEUED,))):
                (job,) = rows
            rules = rules_of(tx.pools.all())
            stopped = [stopped_text(row) for row in tx.preemptions.of_runs([job.run_id])]
            pools = [usable(job.project, pool, rules) for pool in (job.pool, "")]
            return job, pools, "".join(stopped)

        job, (chosen, any_pools), stopped = await self._database.read(load)
        if job.status != Status.QUEUED:
            return await self._forecast(who, job, None, None)
        snapshot, rows = await self._look()
        if job.held:
            # One that was let in meanwhile stands there already.
            others = tuple(one for one in snapshot.queue if one.job_id != job.job_id)
            snapshot = replace(snapshot, queue=(*others, _held_demand(job, chosen)))
            held = await self._outlook(snapshot, job.job_id, any_pools)
            return await self._forecast(who, job, snapshot, held)
        # It may have left the queue meanwhile, or stand deeper in it than a cycle looks.
        seen = job.job_id in rows
        found = await self._outlook(snapshot, job.job_id, any_pools) if seen else None
        if found is not None and found.message and stopped:
            found = replace(found, message=f"{found.message}; {stopped}")
        return await self._forecast(who, job, snapshot, found)

    async def dry_run(
        self, who: Caller, spec: job_pb2.Job, *, request_id: str = "", lineage: Lineage = _FIRST
    ) -> Forecast:
        """What would become of a job if it was submitted now; nothing is written.

        Raises:
            WindlassError: whatever its submission would be refused with.
        """
        job = await self._jobs.submit(
            who, spec, request_id=request_id, validate_only=True, lineage=lineage
        )
        if job.job_id:  # it was submitted before
            return await self._forecast(who, job, None, None)
        chosen, any_pools = await self._database.read(
            lambda tx: [
                usable(job.project, pool, rules_of(tx.pools.all())) for pool in (job.pool, "")
            ]
        )
        demand = replace(_held_demand(job, chosen), job_id=_ASKED_ABOUT, order=_ASKED_ABOUT)
        snapshot, _ = await self._look()
        snapshot = replace(snapshot, queue=(*snapshot.queue, demand))
        found = await self._outlook(snapshot, _ASKED_ABOUT, any_pools)
        return await self._forecast(who, job, snapshot, found)

    async def _look(self) -> tuple[Snapshot, dict[str, JobRow]]:
        async with self._one_at_a_time:
            return await self._world.look(running=True)

    async def _outlook(
        self, snapshot: Snapshot, job_id: str, any_pools: tuple[str, ...] | None
    ) -> Outlook:
        async with self._one_at_a_time:
            return await asyncio.to_thread(outlook, snapshot, job_id, any_pools=any_pools)

    async def _forecast(
        self, who: Caller, job: JobRow, snapshot: Snapshot | None, found: Outlook | None
    ) -> Forecast:
        now = self._clock.now()
        ranks, types = job.nodes, [job.gpu_type] * job.gpu_count * job.nodes
        names, victims = dict[str, str](), tuple[Victim, ...]()
        spared = tuple[tuple[Victim, ...], ...]()
        if snapshot is not None and found is not None:
            names = {node.node_id: node.name or node.node_id for node in snapshot.nodes}
            victims = victims_of(who, snapshot, found)
            spared = tuple(
                tuple(_victim(who, run.job_id, run.project, run.node_id) for run in one.spared)
                for one in found.withheld
            )
            if found.placement is not None:
                places = {place.node_id: set(place.gpu_uuids) for place in found.placement.places}
                types = [
                    gpu.gpu_type
                    for node in snapshot.nodes
                    for gpu in node.gpus
                    if gpu.uuid in places.get(node.node_id, ())
                ]
                ranks = len(found.placement.places)
        book = await self._database.read(price_book)
        cost, priority = _cost(job, ranks, types, book, now), _priority(job, snapshot, now)
        return Forecast(job, found, names, cost, now, victims, spared, priority)


def _priority(job: JobRow, snapshot: Snapshot | None, now: int) -> EffectivePriority | None:
    """By which priority it is served, where it waits."""
    if snapshot is None:
        return None
    ids = (job.job_id or _ASKED_ABOUT,)
    demand = next((one for one in snapshot.queue if one.job_id in ids), None)
    if demand is None:
        return None
    return effective(job, snapshot.policies.of_job(job.queue, demand.pools).aging, now)


def victims_of(who: Caller, snapshot: Snapshot, found: Outlook) -> tuple[Victim, ...]:
    """The jobs that would be stopped, each once for each of its nodes."""
    projects = {each.run_id: each.project for each in snapshot.running}
    return tuple(
        _victim(who, each.job_id, projects[each.run_id], each.node_id) for each in found.evictions
    )


def _victim(who: Caller, job_id: str, project: str, node_id: str) -> Victim:
    """Nobody is told of a foreign job which one it is."""
    return Victim(job_id if may(who, "jobs.get", project) else "", node_id)


def _held_demand(job: JobRow, pools: tuple[str, ...] | None) -> Demand:
    """What a job asks for that may be kept out of the queue, with what it waits for."""
    on_hold = job.held == Held.USER
    awaits = job.status_message if on_hold or job.held == Held.JOBS else ""
    return replace(demand_of(job, (), pools), awaits=awaits, on_hold=on_hold)


def _cost(job: JobRow, ranks: int, gpu_types: list[str], book: PriceBook, now: int) -> Cost | None:
    if not book:
        return None
    millis = job.gpu_millis or WHOLE_GPU
    held = [
        Holding("", 0, job.cpu_millis * ranks, job.memory_bytes * ranks),
        *(Holding(gpu_type, millis, 0, 0) for gpu_type in gpu_types),
    ]
    if any(True for one in held for _ in book.unpriced(one, now)):
        return None

    def cost(span: int) -> int:
        return sum(book.cost(one, since=now, until=now + span) for one in held)

    at_most = None if job.longest_run is None else cost(job.longest_run)
    return Cost(book.currency, cost(HOUR), at_most)
