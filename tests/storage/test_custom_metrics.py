"""What runs say of themselves is kept once each, in curves that stay short, on both databases."""

import math
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tests.support.scheduled_world import ADA, ScheduledWorld
from tests.support.telemetry import MeasuringWorld
from windlass.agents.v1 import custom_metric_pb2 as pb
from windlass_server.errors import InvalidInput
from windlass_server.jobs import metrics
from windlass_server.jobs.metric_series import Aggregate
from windlass_server.jobs.metrics import JobAnswer, JobMetrics, Shape
from windlass_server.resources.metrics import Wanted
from windlass_server.storage.engine import Database
from windlass_server.telemetry import custom
from windlass_server.telemetry.custom import MAX_NAMES, MAX_POINTS, CustomMetrics

pytestmark = pytest.mark.usefixtures("acting")

MICROS = 1_000_000


class World:
    """A job that runs and says what it measures."""

    def __init__(self, scheduled: ScheduledWorld) -> None:
        self.scheduled, self.clock = scheduled, scheduled.clock
        telemetry = MeasuringWorld(scheduled.database)
        telemetry.clock = self.clock
        telemetry.restart()
        self.custom = CustomMetrics(scheduled.database, scheduled.clock)
        self.metrics = JobMetrics(scheduled.database, telemetry.history, self.clock)
        self.job_id = self.run_id = ""
        self.position = 0

    async def start(self) -> None:
        await self.scheduled.add_node("n1")
        self.job_id = await self.scheduled.add_job(created_at=self.clock.now())
        await self.scheduled.cycle(self.job_id)
        await self.scheduled.report(self.job_id, "RUNNING")
        self.run_id = (await self.scheduled.job(self.job_id)).run_id
        self.clock.advance(10)

    def a_batch(self, *columns: pb.MetricColumn, source: int = 1, **tally: int) -> pb.MetricBatch:
        batch = pb.MetricBatch(
            run_id=self.run_id,
            epoch=1,
            source=source,
            position=self.position,
            columns=columns,
            tally=pb.MetricTally(**tally),
        )
        self.position += 1
        return batch

    def a_column(self, name: str, values: Sequence[float], first_step: int = 0) -> pb.MetricColumn:
        now = self.clock.now()
        return pb.MetricColumn(
            name=name,
            times=range(now, now + len(values)),
            steps=range(first_step, first_step + len(values)),
            values=values,
        )

    async def say(self, name: str, *values: float, first_step: int = 0) -> None:
        await self.custom.take(self.a_batch(self.a_column(name, values, first_step)))

    async def ask(self, *metrics: str, by_step: bool = True, **shape: Aggregate) -> JobAnswer:
        wanted = Wanted((), (), None, None, None)
        return await self.metrics.get(
            ADA, self.job_id, wanted, Shape(metrics, by_step=by_step, **shape)
        )


@pytest.fixture
async def saying(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[World]:
    scheduled = await ScheduledWorld.start(database, tmp_path)
    made = World(scheduled)
    await made.start()
    yield made
    await scheduled.logs.close()


async def test_what_a_run_says_is_read_by_its_steps(saying: World) -> None:
    await saying.say("loss", 3, 2)
    await saying.say("loss", 1, first_step=2)
    await saying.say("acc", 0.5)
    answer = await saying.ask("custom.loss")
    (one,) = answer.points
    assert (one.metric, one.curve.steps.tolist(), one.means.tolist()) == (
        "custom.loss",
        [0, 1, 2],
        [3, 2, 1],
    )
    assert one.run is not None
    assert one.run.run_id == saying.run_id
    assert answer.custom_names == ["acc", "loss"]
    assert answer.notes == []
    assert [found.metric for found in (await saying.ask("custom.*")).points] == [
        "custom.acc",
        "custom.loss",
    ]


async def test_what_is_no_number_is_read_as_it_was_said(saying: World) -> None:
    await saying.say("loss", 1, math.nan, math.inf, -math.inf)
    for by_step in (True, False):
        (one,) = (await saying.ask("custom.loss", by_step=by_step)).points
        assert repr(one.means.tolist()) == "[1.0, nan, inf, -inf]"


async def test_a_batch_that_comes_again_is_taken_in_once(saying: World) -> None:
    batch = saying.a_batch(saying.a_column("x", [1, 2]))
    await saying.custom.take(batch)
    await saying.custom.take(batch)
    await saying.say("x", 3, first_step=2)
    await saying.custom.take(batch)
    (one,) = (await saying.ask("custom.x")).points
    assert one.means.tolist() == [1, 2, 3]


async def test_a_new_agent_counts_anew_and_nothing_is_taken_for_known(saying: World) -> None:
    for _ in range(3):
        await saying.say("x", 1, first_step=saying.position)
    saying.position = 0
    await saying.custom.take(saying.a_batch(saying.a_column("x", [2], 3), source=2))
    (one,) = (await saying.ask("custom.x")).points
    assert one.means.tolist() == [1, 1, 1, 2]


async def test_a_long_curve_becomes_coarser_evenly_and_loses_nothing(saying: World) -> None:
    count = 0
    while count < 3 * MAX_POINTS:
        await saying.say("x", *map(float, range(count, count + 500)), first_step=count)
        count += 500
    (one,) = (await saying.ask("custom.x")).points
    assert int(one.curve.counts.sum()) == count
    assert (one.curve.lows.min(), one.curve.highs.max()) == (0, count - 1)
    # By time nobody says how wide: as many points as an answer has at most, of as many values each.
    assert len(one.curve) <= 1000
    assert len(set(one.curve.counts.tolist()[:-1])) == 1
    stored = await saying.scheduled.database.read(
        lambda tx: tx.custom_metrics.curve(saying.run_id, ["x"])
    )
    assert sum(len(custom.decode(data)) for _, data in stored) <= MAX_POINTS + 500


async def test_names_beyond_those_that_a_job_may_use_are_left_out_and_told(saying: World) -> None:
    for first in range(0, MAX_NAMES + 10, 70):
        columns = [saying.a_column(f"n{first + number}", [1]) for number in range(70)]
        await saying.custom.take(saying.a_batch(*columns))
    await saying.say("n0", 2)
    answer = await saying.ask("custom.n0")
    assert len(answer.custom_names) == MAX_NAMES
    assert answer.points[0].curve.counts.sum() == 2
    assert answer.notes == [
        "10 values of custom metrics are dropped: the job has used its 200 names"
    ]


async def test_what_made_no_sense_and_came_too_fast_is_told(saying: World) -> None:
    batch = saying.a_batch(malformed_lines=2, dropped_values=7)
    batch.tally.last_malformed = "not name=number: x"
    await saying.custom.take(batch)
    assert (await saying.ask("custom.x")).notes == [
        "2 lines of custom metrics made no sense; the last was not name=number: x",
        "7 values of custom metrics came too fast and are dropped",
    ]


@pytest.mark.parametrize("lacks", ["times", "steps", "values"])
async def test_columns_that_do_not_fit_together_are_refused(saying: World, lacks: str) -> None:
    column = saying.a_column("x", [1, 2])
    del getattr(column, lacks)[1:]
    with pytest.raises(InvalidInput, match="lengths"):
        await saying.custom.take(saying.a_batch(column))


async def test_a_name_that_comes_twice_in_a_batch_is_refused(saying: World) -> None:
    column = saying.a_column("x", [1])
    with pytest.raises(InvalidInput):
        await saying.custom.take(saying.a_batch(column, column))


async def test_values_of_a_clock_that_is_ahead_are_of_now(saying: World) -> None:
    now = saying.clock.now()
    column = pb.MetricColumn(
        name="x", times=[now + 3_599 * MICROS, now + 3_600 * MICROS], steps=[0, 1], values=[1, 2]
    )
    await saying.custom.take(saying.a_batch(column))
    (one,) = (await saying.ask("custom.x")).points
    assert one.curve.times.tolist() == [now - MICROS, now]


async def test_many_curves_have_fewer_points_each_and_too_many_are_refused(
    saying: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcd":
        await saying.say(name, *map(float, range(16)))
    monkeypatch.setattr(metrics, "MAX_ROWS", 16)
    assert [len(one.curve) for one in (await saying.ask("custom.*")).points] == [4] * 4
    monkeypatch.setattr(metrics, "MOST_READ", 3 * custom.PART_POINTS)
    with pytest.raises(InvalidInput) as caught:
        await saying.ask("custom.*")
    assert caught.value.reason == "TOO_MANY_POINTS"
    assert len((await saying.ask("custom.a")).points) == 1


async def test_what_nodes_measure_has_no_steps(saying: World) -> None:
    with pytest.raises(InvalidInput) as caught:
        await saying.ask("custom.x", "cpu")
    assert caught.value.reason == "STEPS_ARE_CUSTOM"
