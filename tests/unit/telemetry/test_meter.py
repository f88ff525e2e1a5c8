"""What is used is added up for whoever holds it, and what was not measured is not known."""

import math
from typing import Any

import pytest

from tests.support.fake_clock import START, FakeClock
from windlass.agents.v1.agent_pb2 import SampleBatch, Series
from windlass_server.telemetry.meter import MAX_GAP, SLOT, Measured, UsageMeter
from windlass_server.telemetry.readings import Decoder

SECOND = 1_000_000
UTIL, POWER = Series.GPU_UTILIZATION_PERCENT, Series.GPU_POWER_WATTS
CPU, MEMORY = Series.CPU_USED_MILLIS, Series.MEMORY_USED_BYTES
RUN = "run-" + "a" * 26
SLOT_NOW = START // SLOT * SLOT


class World:
    """A meter, and nodes that measure something each second."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.meter = UsageMeter(self.clock)
        self.decoder = Decoder()

    def measure(self, node: str = "n", *, skew: float = 0, **values: float) -> None:
        """One value of each, as `util_0=50`; half an hour of skew is a node's clock set ahead."""
        fields = {"util": UTIL, "power": POWER, "cpu": CPU, "memory": MEMORY}
        batch = SampleBatch(
            base_time_nanos=(self.clock.now() + round(skew * SECOND)) * 1000, time_deltas_nanos=[0]
        )
        for name, value in values.items():
            field, _, subject = name.partition("_")
            of = RUN if field in ("cpu", "memory") and not subject else f"GPU-{subject}"
            batch.series.add(field=fields[field], subject=of, values=[value])
        readings = self.decoder.decode(batch)
        assert readings is not None
        self.meter.take(node, readings)

    def run(self, seconds: int, **values: float) -> None:
        """Measure each second."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.measure(**values)

    def drain(self) -> dict[tuple[str, str, int], Measured]:
        return self.meter.drain()


@pytest.fixture
def world() -> World:
    return World()


def test_each_value_stands_for_the_time_since_the_one_before(world: World):
    world.meter.hold([("n", "GPU-0", "run-1", 1000), ("n", "GPU-1", "run-1", 1000)])
    world.measure(util_0=100, util_1=100, power_0=700, power_1=700)
    world.run(4, util_0=50, util_1=0, power_0=300, power_1=100)
    world.run(6, util_0=100, util_1=0, power_0=700, power_1=100)
    (found,) = world.drain().items()
    assert found == (
        ("run-1", "n", SLOT_NOW),
        Measured(
            gpu_used=8 * SECOND,
            gpu_known=20 * SECOND,
            energy=(4 * 400 + 6 * 800) * 1000,
            energy_known=20 * SECOND,
        ),
    )
    assert world.drain() == {}


def test_what_runs_use_of_processors_and_memory_is_theirs_without_a_claim(world: World):
    world.measure(cpu=0, memory=0)
    world.run(10, cpu=2500, memory=3 * 1024 * 1024)
    assert world.drain() == {
        (RUN, "n", SLOT_NOW): Measured(
            cpu_used=25_000_000,
            cpu_known=10 * SECOND,
            memory_used=3 * 1024 * 10_000,
            memory_known=10 * SECOND,
        )
    }


@pytest.mark.parametrize(
    ("gap", "known"), [(1, 2), (MAX_GAP // SECOND, 1 + MAX_GAP // SECOND), (16, 1), (3600, 1)]
)
def test_a_gap_is_not_known_and_is_no_idleness(world: World, gap: int, known: int):
    world.meter.hold([("n", "GPU-0", "run-1", 1000)])
    world.measure(util_0=100)
    world.clock.advance(gap)
    world.measure(util_0=100)
    world.run(1, util_0=100)
    ((_, found),) = world.drain().items()
    assert (found.gpu_used, found.gpu_known) == (known * SECOND, known * SECOND)


def test_a_value_that_is_none_leaves_its_time_to_the_next_one(world: World):
    world.meter.hold([("n", "GPU-0", "run-1", 1000)])
    world.measure(util_0=100, power_0=100)
    world.run(3, util_0=math.nan, power_0=100)
    world.run(1, util_0=50, power_0=math.inf)
    ((_, found),) = world.drain().items()
    assert (found.gpu_used, found.gpu_known) == (2 * SECOND, 4 * SECOND)
    assert found.energy_known == 3 * SECOND


def test_gpus_that_change_hands_are_counted_for_each_holder(world: World):
    world.meter.hold([("n", "GPU-0", "run-1", 1000), ("m", "GPU-0", "run-9", 1000)])
    world.measure(util_0=0)
    world.run(3, util_0=100)
    world.meter.hold([("n", "GPU-0", "alloc-2", 1000)])
    world.run(5, util_0=50)
    world.meter.hold([])
    world.run(7, util_0=100)
    found = {holder: one.gpu_used for (holder, _, _), one in world.drain().items()}
    assert found == {"run-1": 3 * SECOND, "alloc-2": 5 * SECOND // 2}


def test_what_a_shared_gpu_does_is_told_apart_by_what_is_held_of_it(world: World):
    world.meter.hold([("n", "GPU-0", "run-1", 600), ("n", "GPU-0", "run-2", 200)])
    world.measure(util_0=80, power_0=400)
    world.run(10, util_0=80, power_0=400)
    assert world.drain() == {
        # All that it did is somebody's, and each is known of as much as it holds.
        ("run-1", "n", SLOT_NOW): Measured(
            gpu_used=6 * SECOND, gpu_known=6 * SECOND, energy=3_000_000, energy_known=6 * SECOND
        ),
        ("run-2", "n", SLOT_NOW): Measured(
            gpu_used=2 * SECOND, gpu_known=2 * SECOND, energy=1_000_000, energy_known=2 * SECOND
        ),
    }


def test_a_node_that_came_after_the_claims_knows_its_holders(world: World):
    world.meter.hold([("n", "GPU-0", "run-1", 1000)])
    world.measure("m", util_0=100)
    world.measure("n", util_0=100)
    world.run(2, util_0=100)
    assert [holder for holder, _, _ in world.drain()] == ["run-1"]


def test_it_is_kept_by_the_hour_of_the_servers_clock(world: World):
    world.meter.hold([("n", "GPU-0", "run-1", 1000)])
    world.measure(util_0=100, skew=86_400)
    for _ in range(2):
        for _ in range(5):
            world.clock.advance(1)
            world.measure(util_0=100, skew=86_400)
        found = world.drain()
        assert found == {
            ("run-1", "n", world.clock.now() // SLOT * SLOT): Measured(5 * SECOND, 5 * SECOND)
        }
        world.clock.advance(SLOT / SECOND)
        world.measure(util_0=100, skew=86_400)


def test_a_clock_that_runs_ahead_makes_no_time(world: World):
    world.meter.hold([("n", "GPU-0", "run-1", 1000)])
    for ahead in range(1000):
        world.measure(util_0=100, skew=10.0 * ahead)
    world.clock.advance(1)
    ((_, found),) = world.drain().items()
    assert found.gpu_known == found.gpu_used == SECOND + MAX_GAP


def test_a_clock_that_is_set_back_makes_nothing_negative(world: World):
    world.meter.hold([("n", "GPU-0", "run-1", 1000)])
    world.run(2, util_0=100)
    for _ in range(3):
        world.clock.advance(1)
        world.measure(util_0=100, skew=-3600)
    ((_, found),) = world.drain().items()
    assert found == Measured(3 * SECOND, 3 * SECOND)


@pytest.mark.parametrize(
    ("values", "used"),
    [
        ({"util_0": 1e9}, {"gpu_used": 1 * SECOND}),
        ({"util_0": -5}, {"gpu_used": 0}),
        ({"power_0": 1e300}, {"energy": 10**8}),
        ({"cpu": -1}, {"cpu_used": 0}),
        ({"memory": 1e300}, {"memory_used": 2**40 * 1000}),
    ],
)
def test_nonsense_is_cut_to_what_can_be(
    world: World, values: dict[str, float], used: dict[str, Any]
):
    world.meter.hold([("n", "GPU-0", "run-1", 1000)])
    world.measure(**values)
    world.run(1, **values)
    ((_, found),) = world.drain().items()
    assert {name: getattr(found, name) for name in used} == used


def test_runs_that_have_ended_are_forgotten(world: World):
    for number in range(4100):
        world.measure(**{f"util_{number}": 1})
        world.clock.advance(1)
        world.measure(**{f"util_{number}": 1})
    world.drain()
    assert world.meter._nodes == {}
