"""What nodes measure is taken into buckets by when it was measured, whatever they send."""

import itertools
import math

import pytest

from tests.support.fake_agent import series
from tests.support.fake_clock import START, FakeClock
from tests.support.telemetry import MICROS, Point, a_batch, points, power
from windlass.agents.v1 import agent_pb2
from windlass_server.telemetry import readings
from windlass_server.telemetry.fields import NUMBERS
from windlass_server.telemetry.levels import FINEST
from windlass_server.telemetry.readings import Decoder
from windlass_server.telemetry.recent import FLUSH, RecentHistory, rollups_of

POWER, ENERGY = NUMBERS["gpu_power_watts"], NUMBERS["gpu_energy_joules"]
RUN = "run-" + "0" * 26


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.recent = RecentHistory(self.clock)
        self.decoder = Decoder()

    def take(self, *some: agent_pb2.Series, at: float = 0, deltas: tuple[int, ...] = (0,)) -> None:
        """Take in a batch that the node measured `at` seconds from now."""
        now = self.clock.now() + round(at * MICROS)
        self.take_batch(a_batch(now, *some, deltas=deltas))

    def take_batch(self, batch: agent_pb2.SampleBatch, node: str = "node-1") -> None:
        readings = self.decoder.decode(batch)
        if readings is not None:
            self.recent.take(node, readings)

    def points(self, field: int = POWER, subject: str = "GPU-0") -> dict[int, Point]:
        return points(self.recent.of("node-1", [field]).get(field), subject, START)


@pytest.fixture
def world() -> World:
    return World()


def test_values_of_ten_seconds_are_one_bucket(world: World) -> None:
    for second in range(12):
        world.take(power("GPU-0", second))
        world.clock.advance(1)
    assert world.points() == {0: (10, 0, 9, 45, 9), 10: (2, 10, 11, 21, 11)}


def test_a_batch_of_several_times_is_taken_apart(world: World) -> None:
    world.clock.advance(20)
    second = 1_000_000_000
    world.take(power("GPU-0", 1, 2, math.nan, 4), at=-12, deltas=(0, second, second, second))
    assert world.points() == {0: (2, 1, 2, 3, 2), 10: (1, 4, 4, 4, 4)}


def test_the_newest_value_is_the_last_whatever_came_last(world: World) -> None:
    world.clock.advance(5)
    world.take(power("GPU-0", 50))
    world.take(power("GPU-0", 20), at=-3)
    assert world.points() == {0: (2, 20, 50, 70, 50)}


def test_a_late_value_goes_where_it_belongs(world: World) -> None:
    world.clock.advance(35)
    world.take(power("GPU-0", 7))
    world.take(power("GPU-0", 3), at=-25)
    assert world.points() == {10: (1, 3, 3, 3, 3), 30: (1, 7, 7, 7, 7)}


@pytest.mark.parametrize("off", [-86_400, -31, 6, 3600, -START // MICROS + 1])
def test_a_node_whose_clock_is_off_is_taken_at_our_time(world: World, off: int) -> None:
    world.take(power("GPU-0", 5), at=off)
    assert world.points() == {0: (1, 5, 5, 5, 5)}


def test_a_clock_that_jumps_makes_no_holes_and_no_doubles(world: World) -> None:
    for second in range(20):
        world.take(power("GPU-0", second), at=0 if second < 7 else -7200)
        world.clock.advance(1)
    assert [point[0] for point in world.points().values()] == [10, 10]


def test_a_counter_is_taken_by_its_increases(world: World) -> None:
    for joules in (100, 150, 250):
        world.take(series("GPU_ENERGY_JOULES", "GPU-0", joules))
        world.clock.advance(1)
    assert world.points(ENERGY) == {0: (2, 50, 100, 150, 100)}


def test_a_counter_that_begins_anew_has_grown_by_what_it_shows(world: World) -> None:
    for joules in (1000, 1010, 4, 10, math.nan, 12):
        world.take(series("GPU_ENERGY_JOULES", "GPU-0", joules))
        world.clock.advance(1)
    assert world.points(ENERGY) == {0: (4, 2, 10, 10 + 4 + 6 + 2, 2)}


def test_counters_within_one_batch_grow_too(world: World) -> None:
    second = 1_000_000_000
    world.take(series("GPU_ENERGY_JOULES", "GPU-0", 5, 6, 9), deltas=(0, second, second))
    assert world.points(ENERGY) == {0: (2, 1, 3, 4, 3)}


def test_things_come_and_go(world: World) -> None:
    world.take(power("GPU-0", 1), power("GPU-1", 2))
    world.take(power("GPU-1", 4), at=1)
    world.take(power("GPU-1", 6), series("CPU_USED_MILLIS", RUN, 8), at=2)
    assert world.points() == {0: (1, 1, 1, 1, 1)}
    assert world.points(subject="GPU-1") == {0: (3, 2, 6, 12, 6)}
    assert world.points(NUMBERS["cpu_used_millis"], RUN) == {0: (1, 8, 8, 8, 8)}


NONSENSE: list[agent_pb2.SampleBatch] = [
    agent_pb2.SampleBatch(),
    agent_pb2.SampleBatch(base_time_nanos=-1, time_deltas_nanos=[0], series=[power("GPU-0", 1)]),
    agent_pb2.SampleBatch(
        base_time_nanos=1, time_deltas_nanos=[0, -5], series=[power("GPU-0", 1, 2)]
    ),
    agent_pb2.SampleBatch(
        base_time_nanos=1 << 62, time_deltas_nanos=[1 << 62, 1 << 62], series=[power("G", 1, 2)]
    ),
    a_batch(START, power("GPU-0")),
    a_batch(START, power("GPU-0", 1, 2)),
    a_batch(START, power("", 1)),
    a_batch(START, power("G" * 129, 1)),
    a_batch(START, series("CPU_USED_MILLIS", "run-x", 1)),
    a_batch(START, series("LOAD_1M", RUN, 1)),
    a_batch(START, agent_pb2.Series(field=9999, subject="GPU-0", values=[1])),  # type: ignore[arg-type]
    a_batch(START, series("GPU_THROTTLE_REASONS", "GPU-0", 4)),
]


@pytest.mark.parametrize("batch", NONSENSE)
def test_nonsense_is_left_out(world: World, batch: agent_pb2.SampleBatch) -> None:
    world.take_batch(batch)
    for rollup in world.recent.of("node-1", None).values():
        assert not rollup.columns.number.any()


def test_a_series_without_a_value_takes_nothing_from_the_others(world: World) -> None:
    world.take(power("GPU-0", 1, 2), power("GPU-1", 5), series("GPU_SM_CLOCK_MHZ", "GPU-1"))
    assert world.points(subject="GPU-1") == {0: (1, 5, 5, 5, 5)}
    assert world.points() == {}


def test_no_more_series_of_a_node_are_kept_than_agreed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "MAX_SERIES", 3)
    for number in range(10):
        world.take(power(f"GPU-{number}", 1), power("GPU-0", 1))
    assert set(world.recent.of("node-1", None)[POWER].subjects) == {"GPU-0", "GPU-1", "GPU-2"}


def test_a_node_is_due_once_in_five_minutes_and_only_with_what_is_finished(world: World) -> None:
    turns = []
    for second in range(3600):
        world.take(power("GPU-0", 1))
        world.clock.advance(1)
        if world.recent.due(10):
            buckets = world.recent.finished("node-1")
            rollup = rollups_of(buckets)[POWER]
            assert (rollup.columns.number == 10).all()
            assert rollup.starts[-1] <= world.clock.now() - FINEST.width
            turns.append(second)
            world.recent.written("node-1", buckets)
    gaps = {later - earlier for earlier, later in itertools.pairwise(turns)}
    assert gaps == {FLUSH // MICROS}


def test_nodes_have_their_turns_at_times_of_their_own(world: World) -> None:
    nodes = [f"node-{number}" for number in range(300)]
    most = 0
    for _ in range(FLUSH // MICROS // 10 + 6):
        for node in nodes:
            world.take_batch(a_batch(world.clock.now(), power("GPU-0", 1)), node)
        world.clock.advance(10)
        due = world.recent.due(1000)
        most = max(most, len(due))
        for node in due:
            world.recent.written(node, world.recent.finished(node))
    assert most < 60


def test_a_node_that_says_nothing_more_is_written_and_forgotten(world: World) -> None:
    world.take(power("GPU-0", 1))
    world.clock.advance(2 * FLUSH // MICROS)
    (due,) = world.recent.due(10)
    world.recent.written(due, world.recent.finished(due))
    assert world.recent.due(10) == []
    assert world.recent.nodes() == []


def test_what_cannot_be_written_is_bounded(world: World) -> None:
    for _ in range(3600):
        world.take(power("GPU-0", 1))
        world.clock.advance(1)
    kept = world.points()
    assert min(kept) >= 3600 - 1800 - 60
    assert max(kept) == 3590
