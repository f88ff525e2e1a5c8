"""A node that fails a job is avoided for it, and a job that nodes keep failing comes to an end."""

import asyncio

import pytest

from tests.support.scheduled_world import ScheduledWorld
from windlass_server.jobs.states import Status

pytestmark = pytest.mark.usefixtures("acting")


async def test_a_job_that_could_not_be_started_goes_to_another_node_at_once(world: ScheduledWorld):
    nodes = {await world.add_node(name) for name in ("a", "b")}
    job = await world.add_job()
    first = (await world.cycle(job)).node_id
    await world.report(job, "EXITED", cause="LAUNCH_FAILED", message="no space left on device")
    assert (await world.job(job)).status_reason == "LAUNCH_FAILED"

    second = await world.cycle(job)

    assert (second.status, second.attempt) == (Status.SCHEDULED, 2)
    assert {first, second.node_id} == nodes


async def test_a_node_that_failed_one_job_is_good_for_others(world: ScheduledWorld):
    node = await world.add_node("only")
    failed = await world.add_job()
    await world.cycle(failed)
    await world.report(failed, "EXITED", cause="LOST")
    other = await world.add_job()
    assert (await world.cycle(other)).node_id == node
    assert (await world.job(failed)).status_reason == "NODE_AVOIDED"


async def test_the_only_node_is_tried_again_ever_more_seldom_and_the_job_given_up_at_last(
    world: ScheduledWorld,
):
    await world.add_node("only")
    job = await world.add_job()
    assert (await world.cycle(job)).status == Status.SCHEDULED
    for pause in (10, 60, 360, 2160):
        await world.report(job, "EXITED", cause="LAUNCH_FAILED")
        waiting = await world.cycle(job)
        assert (waiting.status, waiting.status_reason) == (Status.QUEUED, "NODE_AVOIDED")
        assert "node only" in waiting.status_message
        world.clock.advance(pause - 1)
        # Nothing to tell, so nothing is written.
        assert (await world.cycle(job)).version == waiting.version
        world.clock.advance(1)
        assert (await world.cycle(job)).status == Status.SCHEDULED
    await world.report(job, "EXITED", cause="LOST", message="the machine was booted")
    given_up = await world.cycle(job)
    assert (given_up.status, given_up.status_reason) == (Status.FAILED, "TOO_MANY_NODE_FAULTS")
    assert given_up.status_message.endswith("the last: the machine was booted")


async def test_the_node_is_the_last_choice_also_when_its_pause_is_over(world: ScheduledWorld):
    bad = await world.add_node("a-bad")
    job = await world.add_job()
    await world.cycle(job)
    await world.report(job, "EXITED", cause="LOST")
    world.clock.advance(3600)
    good = await world.add_node("b-good", cpu_millis=64_000)
    assert (await world.cycle(job)).node_id == good != bad


async def test_nodes_that_shut_down_fail_no_job_however_often(world: ScheduledWorld):
    node = await world.add_node("only")
    job = await world.add_job()
    for _ in range(7):
        assert (await world.cycle(job)).status == Status.SCHEDULED
        world.clock.advance(1)
        await world.report(job, "EXITED", cause="NODE_SHUTDOWN", exit_signal=15)
        # It is about to go, so not before it has come back.
        assert (await world.cycle(job)).status_reason == "NODE_AVOIDED"
        world.clock.advance(1)
        await world.say_hello(node)


async def test_a_run_that_its_node_stops_unasked_counts_as_lost(world: ScheduledWorld):
    await world.add_node("only")
    job = await world.add_job()
    await world.cycle(job)
    await world.report(job, "EXITED", cause="STOPPED", exit_signal=15)
    assert (await world.job(job)).status_reason == "LOST"
    assert (await world.cycle(job)).status_reason == "NODE_AVOIDED"


async def test_a_job_that_was_cancelled_meanwhile_is_cancelled_and_not_failed(
    world: ScheduledWorld,
):
    await world.add_node("only")
    job = await world.add_job()
    await world.cycle(job)
    seen = await world.job(job)
    await world.database.write(
        lambda tx: tx.jobs.change(job, seen.version, status=int(Status.CANCELLING))
    )
    await world.report(job, "EXITED", cause="LOST")
    assert (await world.job(job)).status == Status.CANCELLED


async def test_an_end_that_is_reported_many_times_at_once_counts_once(world: ScheduledWorld):
    await world.add_node("only")
    job = await world.add_job()
    await world.cycle(job)
    await asyncio.gather(*(world.report(job, "EXITED", cause="LOST") for _ in range(8)))
    events = await world.database.read(lambda tx: tx.events.page(job, after=0, size=100))
    assert [event.reason for event in events] == ["PLACED", "LOST"]
    assert (await world.job(job)).status == Status.QUEUED
