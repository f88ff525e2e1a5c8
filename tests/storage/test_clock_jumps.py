"""Clocks that jump, a node's or the server's: what ran is neither lost nor ended before it began."""

from pathlib import Path

import pytest

from tests.support.fake_clock import START
from tests.support.scheduled_world import ScheduledWorld
from windlass.agents.v1 import agent_pb2
from windlass.jobs.v1 import job_pb2
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow, RunRow

pytestmark = pytest.mark.usefixtures("acting")

HOUR = 3600
SECOND = 1_000_000
Report = agent_pb2.RunReport


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> ScheduledWorld:
    world = await ScheduledWorld.start(database, tmp_path)
    await world.add_node("n1")
    return world


async def report(world: ScheduledWorld, run: RunRow, state: str, **said: int) -> None:
    """A node's word; `start` and `end` are what its clock said, in seconds after the beginning."""
    told = Report(run_id=run.run_id, epoch=run.epoch, state=Report.State.Value(state))
    told.start_time.FromSeconds(START // SECOND + said["start"])
    if "end" in said:
        told.exit.cause, told.exit.exit_code = agent_pb2.RunExit.COMPLETED, 0
        told.exit.end_time.FromSeconds(START // SECOND + said["end"])
    await world.runs.report(run.node_id, told)


async def placed(world: ScheduledWorld) -> RunRow:
    job = await world.cycle(await world.add_job())
    run = await world.database.read(lambda tx: tx.runs.get(job.run_id))
    assert run is not None
    return run


async def stored(world: ScheduledWorld, run: RunRow) -> tuple[JobRow, RunRow]:
    again = await world.database.read(lambda tx: tx.runs.get(run.run_id))
    assert again is not None
    return await world.job(run.job_id), again


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (-3 * HOUR, -3 * HOUR + 60),
        (3 * HOUR, 3 * HOUR + 60),
        # It jumped while the run went on.
        (5, 3 * HOUR),
        (5, -3 * HOUR),
        (3 * HOUR, 60),
    ],
)
async def test_a_node_whose_clock_is_wrong_moves_no_run_out_of_its_time(
    world: ScheduledWorld, start: int, end: int
) -> None:
    run = await placed(world)
    world.clock.advance(5)
    await report(world, run, "RUNNING", start=start)
    world.clock.advance(60)
    await report(world, run, "EXITED", start=start, end=end)
    job, run = await stored(world, run)
    assert job.status == job_pb2.Job.SUCCEEDED
    assert job.started_at == run.started_at
    assert job.ended_at == run.end_noted_at == START + 65 * SECOND
    assert run.started_at is not None
    assert run.ended_at is not None
    assert START <= run.started_at <= START + 5 * SECOND
    assert run.started_at <= run.ended_at <= START + 65 * SECOND


async def test_a_job_whose_end_overtakes_its_start_is_within_its_time_too(
    world: ScheduledWorld,
) -> None:
    run = await placed(world)
    world.clock.advance(9)
    await report(world, run, "EXITED", start=9 * HOUR, end=-9 * HOUR)
    job, run = await stored(world, run)
    assert job.started_at == run.started_at == run.ended_at == START + 9 * SECOND


@pytest.mark.parametrize("when", ["before it starts", "while it runs"])
async def test_a_servers_clock_that_is_set_back_ends_nothing_before_it_began(
    world: ScheduledWorld, when: str
) -> None:
    run = await placed(world)
    if when == "before it starts":
        world.clock.jump(-2 * HOUR)
    world.clock.advance(5)
    await report(world, run, "RUNNING", start=5)
    if when == "while it runs":
        world.clock.jump(-2 * HOUR)
    world.clock.advance(60)
    await report(world, run, "EXITED", start=5, end=65)
    job, run = await stored(world, run)
    assert job.status == job_pb2.Job.SUCCEEDED
    assert job.started_at is not None
    assert job.ended_at is not None
    assert run.ended_at is not None
    assert run.end_noted_at is not None
    assert job.created_at <= job.started_at <= run.ended_at <= job.ended_at == run.end_noted_at
