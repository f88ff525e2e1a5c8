"""The scheduler's cycle does not hold the server up, and what it decided late does no harm."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.jobs import add_projects
from tests.support.scheduled_world import ScheduledWorld
from windlass.resources.v1.scheduling_policy_pb2 import SchedulingPolicy
from windlass_server.controllers import scheduling
from windlass_server.jobs import planning
from windlass_server.jobs import world as scheduler_world
from windlass_server.jobs.states import Status
from windlass_server.paging import PageTokens
from windlass_server.resources.scheduling_policies import SchedulingPoliciesService
from windlass_server.scheduler.plan import Plan, plan
from windlass_server.scheduler.snapshot import Snapshot

pytestmark = pytest.mark.usefixtures("acting")


class SlowPlan:
    """A plan that is finished when the test lets it be."""

    def __init__(self) -> None:
        self._may_end = threading.Event()
        self._loop = asyncio.get_running_loop()
        self.begun = asyncio.Event()

    def __call__(self, snapshot: Snapshot) -> Plan:
        result = plan(snapshot)
        self._loop.call_soon_threadsafe(self.begun.set)
        assert self._may_end.wait(30)
        return result

    @contextmanager
    def ends_afterwards(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._may_end.set()


@pytest.fixture
async def slow_plan(monkeypatch: pytest.MonkeyPatch) -> SlowPlan:
    """Every plan is a large one, and takes its time."""
    slow = SlowPlan()
    monkeypatch.setattr(planning, "_PLANNED_AT_ONCE", 0)
    monkeypatch.setattr(planning, "plan", slow)
    return slow


async def test_while_a_large_plan_is_made_the_world_moves_on_and_stale_placements_are_refused(
    world: ScheduledWorld, slow_plan: SlowPlan
):
    small = await world.add_node("small", cpu_millis=1000)
    away = await world.add_node("away", cpu_millis=2000)
    cancelled = await world.add_job()
    kept_out = await world.add_job(cpu_millis=2000)
    cycle = asyncio.ensure_future(world.cycle(kept_out))
    with slow_plan.ends_afterwards():
        await slow_plan.begun.wait()
        job = await world.job(cancelled)
        await world.database.write(
            lambda tx: tx.jobs.change(cancelled, job.version, status=int(Status.CANCELLED))
        )
        await world.database.write(
            lambda tx: tx.nodes.mark_unreachable(
                away, seen_at=world.clock.now(), reason="GONE", message="gone"
            )
        )
    assert (await cycle).status == Status.QUEUED

    assert (await world.job(cancelled)).status == Status.CANCELLED
    for node_id in (small, away):
        node = await world.database.read(lambda tx, node_id=node_id: tx.nodes.get(node_id))
        assert node is not None
        assert node.cpu_held == 0
    # A refusal makes the next cycle look at everything.
    await world.scheduling.cycle()
    assert (await world.job(kept_out)).status_reason == "NODES_UNREACHABLE"


async def test_a_queue_of_many_pages_is_planned_as_one(
    world: ScheduledWorld, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scheduler_world, "_READ_AT_ONCE", 2)
    monkeypatch.setattr(scheduling, "_TOLD_AT_ONCE", 2)
    monkeypatch.setattr(scheduling, "_COMMITS_AT_ONCE", 2)
    await world.add_node("n1", cpu_millis=5000)
    jobs = [await world.add_job(priority=number % 3) for number in range(11)]
    await world.cycle(jobs[0])
    placed = {job for job in jobs if (await world.job(job)).status == Status.SCHEDULED}
    # Five fit: those of priority 2, which are three, and the two oldest of priority 1.
    assert placed == {jobs[2], jobs[5], jobs[8], jobs[1], jobs[4]}
    reasons = {(await world.job(job)).status_reason for job in set(jobs) - placed}
    assert reasons == {"BEHIND_HIGHER_PRIORITY"}


async def test_new_jobs_alone_are_looked_at_in_pages_too(
    world: ScheduledWorld, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scheduler_world, "_READ_AT_ONCE", 2)
    await world.add_node("n1")
    await world.cycle(await world.add_job())
    new = [await world.add_job() for _ in range(5)]
    for job in new:
        world.scheduling.job_queued(job)
    await world.scheduling.cycle()
    assert {(await world.job(job)).status for job in new} == {Status.SCHEDULED}


async def test_a_cycle_looks_no_deeper_into_the_queue_than_its_bound(
    world: ScheduledWorld, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scheduler_world, "_READ_AT_ONCE", 2)
    monkeypatch.setattr(scheduler_world, "QUEUE_DEPTH", 4)
    await world.add_node("n1")
    jobs = [await world.add_job() for _ in range(6)]
    await world.cycle(jobs[0])
    statuses = [(await world.job(job)).status for job in jobs]
    assert statuses == [Status.SCHEDULED] * 4 + [Status.QUEUED] * 2


async def test_a_cycle_looks_at_the_first_jobs_of_everybody_however_far_behind_they_stand(
    world: ScheduledWorld, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scheduler_world, "_READ_AT_ONCE", 2)
    monkeypatch.setattr(scheduler_world, "QUEUE_DEPTH", 4)
    await world.database.write(lambda tx: add_projects(tx, "other"))
    await world.add_node("n1", cpu_millis=4000)
    many = [await world.add_job() for _ in range(9)]
    few = [
        await world.add_job(project="other", user=user, priority=priority)
        for user, priority in (("eve", 0), ("bob", -1))
    ]
    await world.cycle(many[0])
    started = [job for job in many if (await world.job(job)).status == Status.SCHEDULED]
    assert (len(started), (await world.job(few[0])).status) == (3, Status.SCHEDULED)


async def test_a_policy_holds_from_the_next_cycle_on(world: ScheduledWorld):
    await world.database.write(lambda tx: add_projects(tx, "other"))
    policies = SchedulingPoliciesService(
        world.database, world.clock, PageTokens(b"key"), world.scheduling.world_changed
    )
    jobs = [await world.add_job(project=p) for p in ("default", "default", "default", "other")]

    async def started() -> list[bool]:
        await world.scheduling.cycle()
        return [(await world.job(job)).status == Status.SCHEDULED for job in jobs]

    wanted = SchedulingPolicy(policy_id="default", fair_share={"disabled": True})
    await policies.update(ADMIN, wanted, ())
    await world.add_node("n1", cpu_millis=2000)
    assert await started() == [True, True, False, False]
    await policies.delete(ADMIN, "default", "")
    await world.add_node("n2", cpu_millis=1000)
    assert await started() == [True, True, False, True]


async def test_another_reason_is_told_at_once_and_other_numbers_now_and_then(
    world: ScheduledWorld,
):
    node = await world.add_node("n1", cpu_millis=4000)
    await world.cycle(await world.add_job())
    job = await world.add_job(cpu_millis=4000)
    assert "most free on one node is 3 cores" in (await world.cycle(job)).status_message
    await world.cycle(await world.add_job(priority=1))
    # The scheduler's next look sees 2 cores, and does not write it for every waiting job each time.
    assert "is 3 cores" in (await world.cycle(job)).status_message
    world.clock.advance(10)
    assert "is 2 cores" in (await world.cycle(job)).status_message

    await world.database.write(
        lambda tx: tx.nodes.mark_unreachable(
            node, seen_at=world.clock.now(), reason="GONE", message="gone"
        )
    )
    assert (await world.cycle(job)).status_reason == "NODES_UNREACHABLE"
