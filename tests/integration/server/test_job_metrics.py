"""What a job's runs used is cut out of what their nodes measured: nothing of others is in it."""

import pytest

from tests.support.fake_agent import series
from tests.support.nodes import an_inventory
from tests.support.scheduled_world import ADA, ScheduledWorld
from tests.support.telemetry import MICROS, MeasuringWorld, Point, a_batch, points, power
from windlass_server.access.policy import Caller
from windlass_server.errors import InvalidInput, NotFound
from windlass_server.jobs import metrics
from windlass_server.jobs.metrics import JobAnswer, JobMetrics
from windlass_server.resources.metrics import Wanted
from windlass_server.telemetry.fields import NUMBERS

pytestmark = pytest.mark.usefixtures("acting")

POWER, CPU = NUMBERS["gpu_power_watts"], NUMBERS["cpu_used_millis"]
# What the card draws while nobody has it, and while the job has.
IDLE, BUSY = 60.0, 600.0


class World:
    """One node with two cards that measures once a second."""

    def __init__(self, scheduled: ScheduledWorld) -> None:
        self.scheduled = scheduled
        self.telemetry = MeasuringWorld(scheduled.database)
        self.telemetry.clock = self.clock = scheduled.clock
        self.telemetry.restart()
        self.metrics = JobMetrics(scheduled.database, self.telemetry.history, self.clock)
        self.node_id = ""

    async def start(self) -> None:
        """With nothing on it for a while."""
        inventory = an_inventory(gpus=2).SerializeToString()
        self.node_id = await self.scheduled.add_node("n1", inventory=inventory)
        await self.measure(100)

    async def a_job(self) -> str:
        """On one of the cards, from now on."""
        job_id = await self.scheduled.add_job(gpu_count=1, created_at=self.clock.now())
        return await self.begin(job_id)

    async def begin(self, job_id: str) -> str:
        await self.scheduled.cycle(job_id)
        await self.scheduled.report(job_id, "RUNNING")
        return job_id

    async def measure(self, seconds: int, job_id: str = "") -> None:
        """Both cards draw power; the job's draws more."""
        job = await self.scheduled.job(job_id) if job_id else None
        held = job.gpu_uuids if job is not None else ""
        for second in range(seconds):
            if second % 60 == 0:
                await self.telemetry.upkeep.cycle()
            some = [power(uuid, BUSY if uuid == held else IDLE) for uuid in ("GPU-0", "GPU-1")]
            if job is not None:
                some.append(series("CPU_USED_MILLIS", job.run_id, 250))
            self.telemetry.take(self.node_id, a_batch(self.clock.now(), *some))
            self.clock.advance(1)

    async def ask(self, job_id: str, resolution: int | None = None, **span: int) -> JobAnswer:
        wide = None if resolution is None else resolution * MICROS
        wanted = Wanted((), (), span.get("start"), span.get("end"), wide)
        return await self.metrics.get(ADA, job_id, wanted)


def drawn(answer: JobAnswer, run: int = 0) -> list[Point]:
    """The power of the only card of a run."""
    rollup = answer.runs[run].answer.rollups[POWER]
    assert len(rollup.subjects) == 1
    return list(points(rollup, rollup.subjects[0], answer.start).values())


@pytest.fixture
async def job_world(world: ScheduledWorld) -> World:
    made = World(world)
    await made.start()
    return made


async def test_a_job_has_what_its_card_did_while_it_held_it(job_world: World) -> None:
    world = job_world
    job_id = await world.a_job()
    await world.measure(60, job_id)
    await world.scheduled.report(job_id, "EXITED", cause="COMPLETED", exit_code=0)
    await world.measure(300)
    answer = await world.ask(job_id, 10)
    assert [(number, low, high) for number, low, high, *_ in drawn(answer)] == [
        (10, BUSY, BUSY)
    ] * 6
    run = answer.runs[0]
    cpu = run.answer.rollups[CPU]
    assert cpu.subjects == (run.run.run_id,)
    assert sum(number for number, *_ in points(cpu, run.run.run_id, answer.start).values()) == 60


@pytest.mark.parametrize("resolution", [60, 3600, None])
async def test_wide_buckets_have_no_more_of_others_in_them_than_fine_ones(
    job_world: World, resolution: int | None
) -> None:
    world = job_world
    job_id = await world.a_job()
    await world.measure(1200, job_id)
    await world.scheduled.report(job_id, "EXITED", cause="COMPLETED", exit_code=0)
    await world.measure(3600)
    found = drawn(await world.ask(job_id, resolution))
    assert sum(number for number, *_ in found) == 1200
    assert {low for _, low, *_ in found} == {BUSY}


async def test_each_run_has_its_own(job_world: World) -> None:
    world = job_world
    job_id = await world.a_job()
    await world.measure(60, job_id)
    # It asks to be run again.
    await world.scheduled.report(job_id, "EXITED", cause="COMPLETED", exit_code=85)
    await world.measure(120)
    await world.begin(job_id)
    await world.measure(30, job_id)
    answer = await world.ask(job_id, 10)
    first, second = answer.runs
    assert first.run.run_id != second.run.run_id
    assert sum(number for number, *_ in drawn(answer, 0)) == 60
    assert sum(number for number, *_ in drawn(answer, 1)) == 30
    late = await world.ask(job_id, 10, start=world.clock.now() - 40 * MICROS)
    assert [one.run.run_id for one in late.runs] == [second.run.run_id]


async def test_a_job_of_more_runs_than_an_answer_has_is_told_of_its_last_ones_and_how_many_are_left_out(
    job_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = job_world
    job_id = await world.a_job()
    for _ in range(2):
        await world.measure(20, job_id)
        await world.scheduled.report(job_id, "EXITED", cause="COMPLETED", exit_code=85)
        await world.measure(120)
        await world.begin(job_id)
    await world.measure(20, job_id)
    every = await world.ask(job_id, 10)
    assert (len(every.runs), every.omitted) == (3, 0)
    monkeypatch.setattr(metrics, "MAX_RUNS", 2)
    some = await world.ask(job_id, 10)
    assert [one.run.run_id for one in some.runs] == [one.run.run_id for one in every.runs[1:]]
    assert some.omitted == 1


async def test_buckets_are_wider_where_all_would_be_too_many_unless_their_width_was_asked_for(
    job_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = job_world
    job_id = await world.a_job()
    await world.measure(600, job_id)
    fine = await world.ask(job_id)
    monkeypatch.setattr(metrics, "MAX_POINTS", 10)
    coarse = await world.ask(job_id)
    assert coarse.resolution > fine.resolution
    assert sum(number for number, *_ in drawn(coarse)) == sum(number for number, *_ in drawn(fine))
    with pytest.raises(InvalidInput, match="an answer has at most 10"):
        await world.ask(job_id, 10)


async def test_a_job_that_has_not_run_has_used_nothing(job_world: World) -> None:
    job_id = await job_world.scheduled.add_job()
    assert (await job_world.ask(job_id)).runs == []


async def test_what_makes_no_sense_is_refused(job_world: World) -> None:
    world = job_world
    job_id = await world.a_job()
    await world.measure(10, job_id)
    now = world.clock.now()
    with pytest.raises(NotFound):
        await world.ask("job-x")
    with pytest.raises(NotFound):
        await world.metrics.get(Caller("eve"), job_id, Wanted((), (), None, None, None))
    with pytest.raises(InvalidInput, match="nothing is measured"):
        await world.metrics.get(ADA, job_id, Wanted(["taste"], (), None, None, None))
    with pytest.raises(InvalidInput, match="after start_time"):
        await world.ask(job_id, start=now, end=now - 1)
    start, wide = now - 10 * 86_400 * MICROS, 60 * MICROS
    much = Wanted(["gpu_power_watts"], (), start, None, wide)
    with pytest.raises(InvalidInput, match="11000 buckets"):
        await world.metrics.get(ADA, job_id, much)
