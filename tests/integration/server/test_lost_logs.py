"""A follower waits for output that a node may still have, and not for output that it has lost."""

import asyncio
from pathlib import Path

import pytest

from tests.support.scheduled_world import ScheduledWorld
from windlass.agents.v1 import agent_pb2
from windlass.jobs.v1 import job_pb2
from windlass_server.hub import EventHub
from windlass_server.jobs.logs import JobLogs
from windlass_server.jobs.states import Status
from windlass_server.objects.frames import encode
from windlass_server.objects.logs import LogStore
from windlass_server.storage.tables import JobRow, RunRow

pytestmark = pytest.mark.usefixtures("acting")

HEAD, REST = encode(1, 7, b"epoch 1\n"), encode(1, 8, b"epoch 2\n")
WHOLE = len(HEAD + REST)


async def a_running_job(world: ScheduledWorld) -> JobRow:
    """Of whose output the server has the first line."""
    await world.add_node("n1")
    job_id = await world.add_job()
    await world.cycle(job_id)
    await world.report(job_id, "RUNNING")
    job = await world.job(job_id)
    await world.logs.append(job.run_id, 0, HEAD)
    return job


async def run_of(world: ScheduledWorld, job: JobRow) -> RunRow:
    run = await world.database.read(lambda tx: tx.runs.get(job.run_id))
    assert run is not None
    return run


async def known_to_node(world: ScheduledWorld, job: JobRow) -> list[str]:
    return [one.run_id for one in await world.runs.directives(job.node_id)]


def missing(end: job_pb2.LogEnd) -> list[tuple[str, str]]:
    return [(one.run_id, one.reason) for one in end.incomplete]


async def test_a_run_that_its_node_knows_no_more_is_over_and_its_job_is_queued_again(
    world: ScheduledWorld,
):
    job = await a_running_job(world)
    await world.runs.hello(job.node_id, ())

    again, run = await world.job(job.job_id), await run_of(world, job)
    assert (again.status, again.status_reason) == (Status.QUEUED, "LOST")
    assert (run.active, run.forgotten) == (False, True)
    node = await world.database.read(lambda tx: tx.nodes.get(job.node_id))
    assert node is not None
    assert (node.cpu_held, node.memory_held) == (0, 0)
    # It must not begin a second time under its old epoch.
    assert await known_to_node(world, job) == []


async def test_a_follower_is_told_that_the_output_of_such_a_run_is_not_all_there(
    world: ScheduledWorld,
):
    job = await a_running_job(world)
    following = asyncio.ensure_future(world.follow(job.job_id))
    await world.runs.hello(job.node_id, ())
    world.clock.advance(10)
    second = await world.cycle(job.job_id)
    await world.logs.append(second.run_id, 0, REST)
    await world.report(job.job_id, "EXITED", cause="COMPLETED", exit_code=0, log_end=len(REST))

    async with asyncio.timeout(10):
        text, end = await following

    assert text == "epoch 1\nepoch 2\n"
    assert (end.status, end.exit_code) == (job_pb2.Job.SUCCEEDED, 0)
    assert missing(end) == [(job.run_id, "LOG_LOST_BY_NODE")]
    assert "does not know the run any more" in end.incomplete[0].message


async def test_a_run_that_was_not_reported_yet_may_still_be_on_its_way(world: ScheduledWorld):
    await world.add_node("n1")
    job = await world.cycle(await world.add_job())
    await world.runs.hello(job.node_id, ())
    assert (await world.job(job.job_id)).status == Status.SCHEDULED
    assert await known_to_node(world, job) == [job.run_id]


async def test_what_a_node_still_knows_is_not_touched(world: ScheduledWorld):
    job = await a_running_job(world)
    await world.runs.hello(job.node_id, {job.run_id})
    await world.runs.hello("node-of-others", ())
    assert (await world.job(job.job_id)).status == Status.RUNNING


async def test_a_node_that_lost_an_ended_run_with_the_rest_of_its_log_ends_the_follower(
    world: ScheduledWorld,
):
    job = await a_running_job(world)
    await world.report(job.job_id, "EXITED", cause="COMPLETED", exit_code=3, log_end=WHOLE)
    following = asyncio.ensure_future(world.follow(job.job_id))
    # A node that cannot be reached may still have it.
    done, _ = await asyncio.wait([following], timeout=0.2)
    assert not done

    await world.runs.hello(job.node_id, ())

    async with asyncio.timeout(10):
        text, end = await following
    assert (text, end.status, end.exit_code) == ("epoch 1\n", job_pb2.Job.FAILED, 3)
    assert missing(end) == [(job.run_id, "LOG_LOST_BY_NODE")]


async def test_a_node_that_lost_what_the_server_has_already_has_lost_nothing(
    world: ScheduledWorld,
):
    job = await a_running_job(world)
    await world.report(job.job_id, "EXITED", cause="COMPLETED", exit_code=0, log_end=WHOLE)
    await world.logs.append(job.run_id, len(HEAD), REST)
    await world.runs.hello(job.node_id, ())
    _, end = await world.follow(job.job_id)
    assert missing(end) == []
    assert (await run_of(world, job)).forgotten


async def test_a_log_that_the_server_has_lost_is_not_waited_for_either(
    world: ScheduledWorld, tmp_path: Path
):
    job = await a_running_job(world)
    await world.report(job.job_id, "EXITED", cause="COMPLETED", exit_code=0, log_end=WHOLE)
    await world.logs.append(job.run_id, len(HEAD), REST)
    await world.runs.log_complete(job.run_id, WHOLE)
    hub = EventHub()
    emptied = LogStore(tmp_path / "emptied", hub)
    world.job_logs = JobLogs(world.runs, emptied, hub)

    async with asyncio.timeout(10):
        text, end = await world.follow(job.job_id)

    assert (text, end.status) == ("", job_pb2.Job.SUCCEEDED)
    assert missing(end) == [(job.run_id, "LOG_NOT_ON_SERVER")]
    assert f"{WHOLE} bytes" in end.incomplete[0].message
    await emptied.close()


@pytest.mark.parametrize("first", ["the end", "the loss"])
async def test_a_node_can_say_that_it_lost_the_log_alone_before_or_after_the_end(
    world: ScheduledWorld, first: str
):
    job = await a_running_job(world)

    async def say_end() -> agent_pb2.RunDirective | None:
        return await world.report(
            job.job_id, "EXITED", cause="COMPLETED", exit_code=0, log_end=WHOLE
        )

    async def say_loss() -> agent_pb2.RunDirective | None:
        return await world.runs.log_lost(job.run_id, "21 bytes\nare gone")

    steps = [say_end, say_loss] if first == "the end" else [say_loss, say_end]
    following = asyncio.ensure_future(world.follow(job.job_id))
    answers = [await step() for step in steps]

    async with asyncio.timeout(10):
        text, end = await following
    assert (text, end.status) == ("epoch 1\n", job_pb2.Job.SUCCEEDED)
    assert [one.message for one in end.incomplete] == ["21 bytes?are gone"]
    # Only then may the node drop it.
    assert answers[0] is None
    assert answers[1] is not None
    assert answers[1].want == agent_pb2.RunDirective.FORGOTTEN
    assert await known_to_node(world, job) == []


async def test_a_log_that_is_shorter_on_its_node_than_here_is_not_whole(world: ScheduledWorld):
    job = await a_running_job(world)
    told = await world.report(job.job_id, "EXITED", cause="COMPLETED", exit_code=0, log_end=0)
    _, end = await world.follow(job.job_id)
    assert missing(end) == [(job.run_id, "LOG_LOST_BY_NODE")]
    assert told is not None
    # Repeated reports are answered the same.
    again = await world.report(job.job_id, "EXITED", cause="COMPLETED", exit_code=0, log_end=0)
    assert again is not None
    assert again.want == agent_pb2.RunDirective.FORGOTTEN
