"""Whatever happens to a job at the same time, it keeps to its life cycle and nothing stays held."""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from tests.support.remote_runs import nowhere_else
from tests.support.scheduled_world import ADA, ScheduledWorld
from windlass_server.errors import Conflict, WrongState
from windlass_server.ids import IdSource
from windlass_server.jobs.service import JobHints, JobsService
from windlass_server.jobs.states import FINAL, TRANSITIONS, Status
from windlass_server.paging import PageTokens
from windlass_server.resources.cluster import Cluster
from windlass_server.storage.tables import RunRow

pytestmark = pytest.mark.usefixtures("acting")

ENDS = ("COMPLETED", "LOST", "LAUNCH_FAILED", "STOPPED", "NODE_SHUTDOWN", "OUT_OF_MEMORY")
AT_ONCE = 6
ROUNDS = 6


class Troubled:
    """A job to which anything may happen, by a seed."""

    def __init__(self, world: ScheduledWorld, job_id: str, seed: int) -> None:
        self._world = world
        self._job_id = job_id
        self._random = Random(seed)
        cluster = Cluster(world.database, (), lambda _node_id: frozenset())
        hints = JobHints(lambda _job_id: None, lambda _node_id: None)
        tokens = PageTokens(b"k" * 32)
        ids = IdSource(world.clock)
        elsewhere = nowhere_else(world.database, world.logs, world.clock, ids)
        self._jobs = JobsService(
            world.database, cluster, world.clock, ids, tokens, hints, elsewhere
        )

    async def something(self) -> None:
        """One thing, which may be refused as no longer possible."""
        happenings: list[Callable[[], Awaitable[object]]] = [
            self._schedule,
            self._start,
            self._end,
            self._end,
            self._forget,
            self._evict,
        ]
        if self._random.random() < 0.1:
            happenings = [self._cancel]
        with contextlib.suppress(WrongState, Conflict):
            await self._random.choice(happenings)()

    async def _schedule(self) -> None:
        self._world.scheduling.world_changed()
        await self._world.scheduling.cycle()

    async def _start(self) -> None:
        if (await self._world.job(self._job_id)).run_id:
            await self._world.report(self._job_id, "RUNNING")

    async def _end(self) -> None:
        if (await self._world.job(self._job_id)).run_id:
            cause = self._random.choice(ENDS)
            await self._world.report(self._job_id, "EXITED", cause=cause, exit_code=0)

    async def _cancel(self) -> None:
        await self._jobs.cancel(ADA, self._job_id, reason="")

    async def _forget(self) -> None:
        job = await self._world.job(self._job_id)
        if job.node_id:
            await self._world.runs.hello(job.node_id, ())

    async def _evict(self) -> None:
        job = await self._world.job(self._job_id)
        if job.run_id:
            kill = self._random.random() < 0.5
            await self._world.runs.evict(job.run_id, kill=kill, why="its node drains")


async def runs_of(world: ScheduledWorld, job_id: str) -> list[RunRow]:
    return list(await world.database.read(lambda tx: tx.runs.of_job(job_id)))


async def assert_sound(world: ScheduledWorld, job_id: str) -> None:
    """The job's story is one that its life cycle can tell, and what its runs hold is theirs."""
    job, runs = await world.job(job_id), await runs_of(world, job_id)
    events = await world.database.read(lambda tx: tx.events.page(job_id, after=0, size=1000))
    possible = {(before, after) for (before, _), after in TRANSITIONS.items()}
    story = [int(Status.QUEUED), *(event.status for event in events)]
    pairs = itertools.pairwise(story)
    assert all(pair in possible or pair[0] == pair[1] for pair in pairs), story
    assert story[-1] == job.status
    active = [run for run in runs if run.active]
    placed = job.status in {Status.SCHEDULED, Status.RUNNING, Status.CANCELLING}
    assert [run.run_id for run in active] == ([job.run_id] if placed else [])
    assert [run.attempt for run in runs] == list(range(1, len(runs) + 1))
    nodes = await world.database.read(lambda tx: tx.nodes.all())
    held = {run.node_id: run.cpu_millis for run in active}
    assert {node.node_id: node.cpu_held for node in nodes if node.cpu_held} == held


@pytest.mark.parametrize("seed", range(8))
async def test_anything_at_once_leaves_a_job_that_makes_sense(world: ScheduledWorld, seed: int):
    for name in ("a", "b"):
        await world.add_node(name)
    job_id = await world.add_job()
    troubled = Troubled(world, job_id, seed)
    await troubled._schedule()
    for _ in range(ROUNDS):
        await asyncio.gather(*(troubled.something() for _ in range(AT_ONCE)))
        await assert_sound(world, job_id)
        world.clock.advance(600)
        if (await world.job(job_id)).status in FINAL:
            break
