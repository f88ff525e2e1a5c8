"""The telemetry streams of nodes, without a wire; logs on a real disk."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.fake_agent import FakeStream, log_batch, samples, series
from tests.support.fake_clock import FakeClock
from tests.support.fake_duties import FakeRunMetrics, FakeRuns, directive
from tests.support.fake_sleep import FakeSleep, settle
from windlass.agents.v1 import agent_pb2, custom_metric_pb2
from windlass_server.errors import InvalidInput, WindlassError
from windlass_server.hub import EventHub
from windlass_server.nodes.pace import Pace
from windlass_server.nodes.telemetry_session import TelemetrySession, telemetry
from windlass_server.objects import log_files
from windlass_server.objects.frames import encode
from windlass_server.objects.logs import LogStore
from windlass_server.telemetry.latest import LatestTelemetry

RUN = "run-" + "0" * 26
OTHER = "run-" + "1" * 26
FRAME = encode(1, 7, b"hello\n")

Agent = FakeStream[agent_pb2.TelemetryMessage, agent_pb2.TelemetryReply]


class World:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.sleep = FakeSleep(self.clock)
        self.pace = Pace(self.clock.monotonic)
        self.logs = LogStore(folder, EventHub())
        self.latest = LatestTelemetry(self.clock)
        self.metrics = FakeRunMetrics()
        self.runs = FakeRuns()
        self.told: list[tuple[str, agent_pb2.RunDirective]] = []
        self.session = session = TelemetrySession(
            "node-1",
            self.logs,
            self.latest,
            self.metrics,
            self.runs,
            lambda node_id, told: self.told.append((node_id, told)),
            self.pace,
            monotonic=self.clock.monotonic,
            sleep=self.sleep,
        )
        self.agent: Agent = FakeStream(lambda messages: telemetry(session, messages))

    async def acknowledged(self) -> tuple[str, int]:
        while True:
            reply = await self.agent.receive()
            if reply.WhichOneof("content") == "log_ack":
                return reply.log_ack.run_id, reply.log_ack.position

    async def ended(self) -> None:
        """Return when the stream has ended without an error."""
        try:
            while True:
                await self.agent.receive()
        except EOFError:
            return

    async def end(self) -> WindlassError:
        try:
            while True:
                await self.agent.receive()
        except WindlassError as error:
            return error


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    made.runs.owned = {("node-1", RUN, 1), ("node-1", OTHER, 1)}
    yield made
    await made.agent.break_off()
    await made.logs.close()


async def test_output_is_acknowledged_when_it_is_on_disk(world: World) -> None:
    world.agent.send(log_batch(RUN, 0, FRAME))
    assert await world.acknowledged() == (RUN, len(FRAME))
    assert [frame.payload for frame in await world.logs.read(RUN, 0)] == [b"hello\n"]


async def test_an_empty_batch_asks_what_the_server_has(world: World) -> None:
    await world.logs.append(RUN, 0, FRAME * 3)
    world.agent.send(log_batch(RUN, 0, b""))
    assert await world.acknowledged() == (RUN, 3 * len(FRAME))


async def test_that_the_rest_of_a_log_is_lost_is_passed_on_behind_what_is_there(
    world: World,
) -> None:
    world.agent.send(
        log_batch(RUN, 0, FRAME), log_batch(RUN, len(FRAME), b"", lost="the disk broke")
    )
    while not world.runs.lost:
        assert await world.acknowledged() == (RUN, len(FRAME))
        await settle()
    assert world.runs.lost == [(RUN, "the disk broke")]
    assert [(node, told.run_id) for node, told in world.told] == [("node-1", RUN)]


async def test_batches_of_a_run_are_stored_in_the_order_in_which_they_came(world: World) -> None:
    for number in range(100):
        world.agent.send(log_batch(RUN, number * len(FRAME), FRAME))
    while await world.acknowledged() != (RUN, 100 * len(FRAME)):
        pass


async def test_output_that_comes_twice_is_stored_once(world: World) -> None:
    world.agent.send(log_batch(RUN, 0, FRAME), log_batch(RUN, 0, FRAME * 2))
    while await world.acknowledged() != (RUN, 2 * len(FRAME)):
        pass
    assert len(await world.logs.read(RUN, 0)) == 2


@pytest.mark.parametrize(
    ("run_id", "epoch"),
    [("run-" + "9" * 26, 1), (RUN, 2), (RUN, 0), ("../../../etc/cron.d/x", 1), ("", 1)],
)
async def test_output_for_a_run_that_is_not_the_nodes_is_left_out(
    world: World, run_id: str, epoch: int
) -> None:
    world.agent.send(*[log_batch(run_id, 0, FRAME, epoch)] * 3, log_batch(OTHER, 0, FRAME))
    assert await world.acknowledged() == (OTHER, len(FRAME))
    assert await world.logs.end(RUN) == 0
    # Nor is the database asked for every batch that is sent.
    assert world.runs.asked_for_owner == 2


async def test_who_owns_a_run_is_asked_once(world: World) -> None:
    for number in range(5):
        world.agent.send(log_batch(RUN, number * len(FRAME), FRAME))
    while await world.acknowledged() != (RUN, 5 * len(FRAME)):
        pass
    assert world.runs.asked_for_owner == 1


async def test_frames_that_are_none_are_left_out_and_spoil_nothing(world: World) -> None:
    world.agent.send(log_batch(RUN, 0, FRAME))
    assert await world.acknowledged() == (RUN, len(FRAME))
    world.agent.send(log_batch(RUN, len(FRAME), b"no frames at all"))
    assert await world.acknowledged() == (RUN, len(FRAME))
    world.agent.send(log_batch(RUN, len(FRAME), FRAME))
    assert await world.acknowledged() == (RUN, 2 * len(FRAME))


async def test_a_gap_ends_the_stream_so_that_the_agent_asks_anew(world: World) -> None:
    world.agent.send(log_batch(RUN, 1000, FRAME))
    error = await world.end()
    assert (error.reason, error.metadata) == ("LOG_GAP", {"end": "0"})


async def test_a_disk_that_takes_nothing_ends_the_stream(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log_files.os, "pwrite", full)
    world.agent.send(log_batch(RUN, 0, FRAME))
    assert (await world.end()).reason == "LOG_NOT_WRITABLE"
    monkeypatch.undo()
    assert await world.logs.end(RUN) == 0


async def test_a_run_whose_log_has_become_whole_is_forgotten_on_the_control_stream(
    world: World,
) -> None:
    world.runs.at_log_end[RUN, len(FRAME)] = directive(RUN, generation=2, want="FORGOTTEN")
    world.agent.send(log_batch(RUN, 0, FRAME))
    await world.acknowledged()
    await settle()
    assert world.runs.log_ends == [(RUN, len(FRAME))]
    assert world.told == [("node-1", directive(RUN, generation=2, want="FORGOTTEN"))]


async def test_what_was_sent_before_a_half_close_is_still_stored(world: World) -> None:
    for number in range(40):
        world.agent.send(log_batch(RUN, number * len(FRAME), FRAME))
    world.agent.half_close()
    await world.ended()
    assert await world.logs.end(RUN) == 40 * len(FRAME)


def temperature(value: float) -> agent_pb2.Series:
    return series("GPU_TEMPERATURE_CELSIUS", "GPU-0", value)


def shown(world: World) -> float | None:
    values = world.latest.gpu("node-1", "GPU-0")
    return None if values is None else values.number(agent_pb2.Series.GPU_TEMPERATURE_CELSIUS)


async def test_an_agent_that_keeps_to_the_interval_never_runs_dry(world: World) -> None:
    first = await world.agent.receive()
    assert (first.credit.batches, first.credit.min_interval.seconds) == (10, 1)
    credit = first.credit.batches
    for number in range(100):
        await world.sleep.pass_time(1)
        for reply in world.agent.received():
            if reply.HasField("credit"):
                credit = reply.credit.batches
        assert credit > 0
        credit -= 1
        world.agent.send(samples(temperature(number)))
        await settle()
        assert shown(world) == number


async def test_an_agent_never_runs_dry_however_often_the_interval_changes(world: World) -> None:
    credit = 0
    for second in range(200):
        world.pace.interval_seconds = (1.0, 2.0, 4.0, 8.0)[second // 6 % 4] if second < 100 else 1.0
        await world.sleep.pass_time(1)
        for reply in world.agent.received():
            if reply.HasField("credit"):
                credit = reply.credit.batches
        assert credit > 0, second
        credit -= 1
        world.agent.send(samples(temperature(second)))
        await settle()
        assert shown(world) == second


async def test_an_agent_that_uses_its_credit_at_once_gets_more_later(world: World) -> None:
    for _ in range(5):
        await settle()
        (reply,) = world.agent.received()
        world.agent.send(*(samples(temperature(n)) for n in range(reply.credit.batches)))
        await settle()
        assert shown(world) == reply.credit.batches - 1
        world.agent.send(samples(temperature(-1)))
        await world.sleep.pass_time(5)
        assert shown(world) == reply.credit.batches - 1


async def test_an_agent_that_sends_nothing_is_granted_nothing_more(world: World) -> None:
    await settle()
    assert len(world.agent.received()) == 1
    for _ in range(5):
        await world.sleep.pass_time(5)
    assert world.agent.received() == []


async def test_what_was_sent_before_the_next_grant_was_heard_of_is_not_held_against_an_agent(
    world: World,
) -> None:
    world.agent.send(*(samples(temperature(n)) for n in range(5)))
    await settle()
    await world.sleep.pass_time(5)
    assert len(world.agent.received()) == 2
    # Five of the first credit and ten of the second.
    world.agent.send(*(samples(temperature(n)) for n in range(15)))
    await settle()
    assert shown(world) == 14


async def sample_ack(world: World) -> tuple[int, int]:
    """The newest word on samples: how many came, and how many were kept."""
    ack = [reply.sample_ack for reply in world.agent.received() if reply.HasField("sample_ack")][-1]
    return ack.received, ack.kept


@pytest.mark.parametrize(
    ("sent", "kept"), [(3, 3), (10, 10), (13, 10)], ids=["within", "all of", "beyond"]
)
async def test_an_agent_hears_what_became_of_its_samples(
    world: World, sent: int, kept: int
) -> None:
    world.agent.send(*(samples(temperature(n)) for n in range(sent)))
    await settle()
    await world.sleep.pass_time(5)
    assert await sample_ack(world) == (sent, kept)
    for _ in range(3):  # and is not told again what it knows
        await world.sleep.pass_time(5)
        await settle()
    assert world.agent.received() == []


async def test_an_agent_that_closes_its_side_hears_what_became_of_its_last_samples(
    world: World,
) -> None:
    world.agent.send(*(samples(temperature(n)) for n in range(12)))
    world.agent.half_close()
    assert (await world.agent.receive()).sample_ack.received == 0
    ack = (await world.agent.receive()).sample_ack
    assert (ack.received, ack.kept) == (12, 10)
    await world.ended()


async def test_a_burst_of_samples_delays_no_output(world: World) -> None:
    world.agent.send(*[samples(temperature(1))] * 1000, log_batch(RUN, 0, FRAME))
    assert await world.acknowledged() == (RUN, len(FRAME))


async def read_so_far(world: World) -> int:
    """How many batches were read when nothing more is read without time passing."""
    while True:
        before = world.session._received
        await settle()
        if world.session._received == before:
            return before


@pytest.mark.parametrize(
    ("series_of_each", "at_once", "a_second"),
    [(1, 2000, 1000), (4000, 25, 8)],
    ids=["many small", "large"],
)
async def test_a_flood_of_samples_is_read_no_faster_than_it_may_cost(
    world: World, series_of_each: int, at_once: int, a_second: int
) -> None:
    batch = samples(*[temperature(1)] * series_of_each)
    world.agent.send(*[batch] * (at_once + 12 * a_second))
    first = await read_so_far(world)
    assert 1 < first <= at_once
    for _ in range(10):
        await world.sleep.pass_time(1)
        await read_so_far(world)
    assert a_second / 4 <= (await read_so_far(world) - first) / 10 <= a_second


async def test_a_node_that_keeps_to_its_credit_is_never_held_up(world: World) -> None:
    large = samples(*[temperature(1)] * 4096)
    for number in range(1, 31):
        await world.sleep.pass_time(1)
        world.agent.send(large)
        assert await read_so_far(world) == number


async def test_a_server_that_is_behind_asks_for_fewer_samples_and_later_for_more(
    world: World,
) -> None:
    await settle()
    (first,) = world.agent.received()
    assert first.credit.min_interval.seconds == 1
    for interval in (4.0, 1.0):
        world.pace.interval_seconds = interval
        await world.sleep.pass_time(5)
        (changed,) = world.agent.received()
        assert changed.credit.min_interval.seconds == interval
        await world.sleep.pass_time(5)
        assert world.agent.received() == []


async def test_a_message_that_says_nothing_is_no_harm(world: World) -> None:
    world.agent.send(agent_pb2.TelemetryMessage(), log_batch(RUN, 0, FRAME))
    assert await world.acknowledged() == (RUN, len(FRAME))


def metrics_of(run_id: str, position: int) -> agent_pb2.TelemetryMessage:
    batch = custom_metric_pb2.MetricBatch(run_id=run_id, epoch=1, source=5, position=position)
    return agent_pb2.TelemetryMessage(metrics=batch)


async def metrics_acknowledged(world: World) -> tuple[str, int, int]:
    while True:
        ack = (await world.agent.receive()).metric_ack
        if ack.run_id:
            return ack.run_id, ack.source, ack.position


async def test_what_runs_measure_is_acknowledged_when_it_is_stored(world: World) -> None:
    world.agent.send(metrics_of(RUN, 3))
    assert await metrics_acknowledged(world) == (RUN, 5, 3)
    assert [batch.position for batch in world.metrics.taken] == [3]


async def test_what_is_said_of_another_nodes_run_is_not_taken(world: World) -> None:
    stranger = "run-" + "9" * 26
    world.agent.send(metrics_of(stranger, 0), metrics_of(RUN, 0))
    assert (await metrics_acknowledged(world))[0] == RUN
    assert [batch.run_id for batch in world.metrics.taken] == [RUN]


async def test_metrics_that_make_no_sense_are_acknowledged_so_that_the_next_can_come(
    world: World,
) -> None:
    world.metrics.refuses = InvalidInput("uneven", reason="METRIC_BATCH_UNEVEN")
    world.agent.send(metrics_of(RUN, 0))
    assert await metrics_acknowledged(world) == (RUN, 5, 0)
    assert world.metrics.taken == []


async def test_metrics_that_cannot_be_stored_are_not_acknowledged(world: World) -> None:
    world.metrics.refuses = RuntimeError("the disk is full")
    world.agent.send(metrics_of(RUN, 0))
    with pytest.raises(RuntimeError, match="full"):
        await metrics_acknowledged(world)
