"""Closing, emptying and opening nodes, on both engines, with the scheduler and no agents."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.databases import acting
from tests.support.fake_clock import START
from tests.support.upkeep import Upkeep
from windlass_server.access.policy import ORGANISATION, Caller, Role
from windlass_server.errors import Conflict, Denied, NotFound, WrongState
from windlass_server.jobs.states import Status
from windlass_server.resources.maintenance import DrainMode, State
from windlass_server.resources.upkeep import Drain
from windlass_server.storage.engine import Database

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

SECOND = 1_000_000
VIEWER = Caller("eve", organisation_role=Role.DEVELOPER)
WAIT = Drain(DrainMode.WAIT, None, "kernel")
LEAVE = Drain(DrainMode.CHECKPOINT_REQUEUE, None, "kernel")
FORCE = Drain(DrainMode.FORCE, None, "fire")


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[Upkeep]:
    world = await Upkeep.start(database, tmp_path)
    yield world
    await world.logs.close()


RUNNING, STOPPED = 1, 2


async def test_nothing_is_placed_on_a_cordoned_node_until_it_is_opened_again(world: Upkeep):
    node = await world.add_node("only")
    await world.upkeep.cordon(ADMIN, node, "fan")
    job = await world.add_job()
    waiting = await world.cycle(job)
    assert (waiting.status, waiting.status_reason) == (Status.QUEUED, "NODES_CORDONED")
    await world.upkeep.uncordon(ADMIN, node)
    assert (await world.cycle(job)).node_id == node


async def test_a_cordon_leaves_alone_what_runs(world: Upkeep):
    node = await world.add_node("only")
    await world.placed_job()
    await world.upkeep.cordon(ADMIN, node, "fan")
    await world.upkeep.empty_draining()
    assert [want for want, _ in await world.wants(node)] == [RUNNING]
    assert (await world.node(node)).maintenance == State.CORDONED


async def test_a_plan_made_before_the_cordon_is_refused_by_the_database(world: Upkeep):
    node = await world.add_node("only")
    job = await world.add_job()
    place = world.runs.place_all

    async def cordon_first(planned, *, epoch):
        await world.upkeep.cordon(ADMIN, node, "")
        return await place(planned, epoch=epoch)

    world.runs.place_all = cordon_first  # type: ignore[method-assign]
    assert (await world.cycle(job)).status == Status.QUEUED


async def test_a_node_without_runs_is_drained_at_once(world: Upkeep):
    node = await world.add_node("idle")
    view = await world.upkeep.drain(ADMIN, node, WAIT)
    assert view.row.maintenance == State.DRAINED
    assert [event for event, _, _ in await world.events(node)] == ["DRAINING", "DRAINED"]


async def test_a_patient_drain_waits_for_the_end_of_what_runs(world: Upkeep):
    node = await world.add_node("busy")
    job, _ = await world.placed_job()
    view = await world.upkeep.drain(ADMIN, node, WAIT)
    assert (view.row.maintenance, view.row.drain_runs) == (State.DRAINING, 1)
    assert await world.upkeep.empty_draining()
    assert await world.wants(node) == [(RUNNING, 10)]
    await world.report(job, "EXITED", cause="COMPLETED", exit_code=0)
    assert not await world.upkeep.empty_draining()
    assert (await world.node(node)).maintenance == State.DRAINED
    assert (await world.job(job)).status == Status.SUCCEEDED


async def test_a_patient_drain_loses_patience_at_its_deadline(world: Upkeep):
    node = await world.add_node("busy")
    job, _ = await world.placed_job()
    await world.upkeep.drain(ADMIN, node, Drain(DrainMode.WAIT, 600 * SECOND, "kernel"))
    world.clock.advance(599)
    await world.upkeep.empty_draining()
    assert await world.wants(node) == [(RUNNING, 10)]
    world.clock.advance(1)
    await world.upkeep.empty_draining()
    assert await world.wants(node) == [(STOPPED, 10)]
    told = await world.job(job)
    assert (told.status_reason, told.status_message) == (
        "EVICTING",
        "node busy is being drained: kernel",
    )


async def test_a_job_that_had_to_leave_goes_elsewhere_in_its_old_place(world: Upkeep):
    node = await world.add_node("a")
    job, _ = await world.placed_job()
    await world.report(job, "RUNNING")
    later = [await world.add_job() for _ in range(2)]
    await world.upkeep.drain(ADMIN, node, LEAVE)
    await world.upkeep.empty_draining()
    # Still there: not drained while its process may live, however often one looks.
    await world.upkeep.empty_draining()
    assert (await world.node(node)).maintenance == State.DRAINING
    assert await world.wants(node) == [(STOPPED, 10)]

    await world.report(job, "EXITED", cause="STOPPED", exit_code=0)

    queued = await world.job(job)
    assert (queued.status, queued.status_reason) == (Status.QUEUED, "EVICTED")
    other = await world.add_node("b", cpu_millis=1000)
    await world.cycle(job)
    moved = await world.job(job)
    assert (moved.node_id, moved.attempt) == (other, 2)
    assert [(await world.job(one)).status for one in later] == [Status.QUEUED] * 2
    assert await world.database.read(lambda tx: tx.runs.nodes_ended_by(job, (5, 7))) == []
    await world.upkeep.empty_draining()
    assert (await world.node(node)).maintenance == State.DRAINED


async def test_force_kills_also_what_was_told_to_leave_in_peace(world: Upkeep):
    node = await world.add_node("burning")
    await world.placed_job()
    await world.upkeep.drain(ADMIN, node, LEAVE)
    await world.upkeep.empty_draining()
    await world.upkeep.drain(ADMIN, node, FORCE)
    await world.upkeep.empty_draining()
    assert await world.wants(node) == [(STOPPED, 0)]
    generations = [one.generation for one in await world.runs.directives(node)]
    await world.upkeep.empty_draining()
    assert [one.generation for one in await world.runs.directives(node)] == generations


async def test_a_job_that_is_being_cancelled_stays_so_and_is_cancelled(world: Upkeep):
    node = await world.add_node("busy")
    job, _ = await world.placed_job()
    row = await world.job(job)
    await world.database.write(
        lambda tx: tx.jobs.change(job, row.version, status=int(Status.CANCELLING))
    )
    await world.upkeep.drain(ADMIN, node, LEAVE)
    await world.upkeep.empty_draining()
    assert (await world.job(job)).status == Status.CANCELLING
    await world.report(job, "EXITED", cause="STOPPED", exit_signal=15)
    assert (await world.job(job)).status == Status.CANCELLED


@pytest.mark.parametrize(
    ("order", "ends"),
    [
        (FORCE, "REVOKED"),
        (Drain(DrainMode.WAIT, 0, ""), "REVOKED"),
        (LEAVE, "ACTIVE"),
        (WAIT, "ACTIVE"),
    ],
)
async def test_a_drain_takes_allocations_back_by_force_or_at_its_deadline(
    world: Upkeep, order: Drain, ends: str
):
    node = await world.add_node("held")
    allocation, _ = await world.allocation()
    view = await world.upkeep.drain(ADMIN, node, order)
    assert (view.row.maintenance, view.row.drain_runs) == (State.DRAINING, 1)
    await world.upkeep.empty_draining()
    assert await world.status_of(allocation) == ends
    with pytest.raises((Conflict, WrongState)) as refused:
        await world.allocations.renew(ADMIN, allocation, None)
    assert refused.value.reason in ("NODE_DRAINING", "ALLOCATION_ENDED")
    world.clock.advance(600)
    await world.allocations.expire()
    await world.upkeep.empty_draining()
    assert (await world.node(node)).maintenance == State.DRAINED


async def test_an_opened_node_is_not_found_drained_by_a_look_that_began_before(world: Upkeep):
    node = await world.add_node("busy")
    job, _ = await world.placed_job()
    await world.upkeep.drain(ADMIN, node, WAIT)
    await world.upkeep.uncordon(ADMIN, node)
    await world.report(job, "EXITED", cause="COMPLETED", exit_code=0)
    await world.upkeep.empty_draining()
    assert (await world.node(node)).maintenance == State.OPEN


async def test_orders_that_change_nothing_leave_no_trace(world: Upkeep):
    node = await world.add_node("n")
    for _ in range(2):
        await world.upkeep.cordon(ADMIN, node, "fan")
    await world.upkeep.cordon(ADMIN, node, "another fan")
    for _ in range(2):
        await world.upkeep.uncordon(ADMIN, node)
    assert await world.events(node) == [
        ("CORDONED", ADMIN.user, ORGANISATION),
        ("CORDONED", ADMIN.user, ORGANISATION),
        ("OPENED", ADMIN.user, ORGANISATION),
    ]


async def test_a_node_keeps_since_when_it_is_closed_while_only_the_reason_changes(world: Upkeep):
    node = await world.add_node("n")
    world.clock.advance(5)
    await world.upkeep.cordon(ADMIN, node, "fan")
    world.clock.advance(5)
    row = (await world.upkeep.cordon(ADMIN, node, "another fan")).row
    assert (row.maintenance_at, row.maintenance_reason) == (START + 5 * SECOND, "another fan")


@pytest.mark.parametrize("order", ["cordon", "uncordon", "drain"])
async def test_only_administrators_keep_nodes_and_only_those_that_there_are(world, order):
    node = await world.add_node("n")
    given = {"cordon": ("",), "uncordon": (), "drain": (WAIT,)}[order]
    with pytest.raises(Denied):
        await getattr(world.upkeep, order)(VIEWER, node, *given)
    with pytest.raises(NotFound, match="there is no node 'node-none'"):
        await getattr(world.upkeep, order)(ADMIN, "node-none", *given)
