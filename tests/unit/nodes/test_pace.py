"""How often nodes may send samples."""

import pytest

from tests.support.fake_clock import FakeClock
from windlass_server.nodes.pace import CYCLE_SECONDS, Pace


async def cycles(pace: Pace, clock: FakeClock, seconds: float, late: float) -> None:
    """Let so many seconds of cycles pass, each `late` seconds later than it should be."""
    passed = 0.0
    while passed < seconds:
        clock.advance(CYCLE_SECONDS + late)
        passed += CYCLE_SECONDS + late
        await pace.cycle()


@pytest.mark.parametrize(
    ("late", "interval"), [(0.0, 1), (0.01, 1), (0.05, 1), (0.3, 16), (2.0, 16)]
)
async def test_the_interval_grows_while_the_loop_is_late_for_long(
    late: float, interval: float
) -> None:
    clock = FakeClock()
    pace = Pace(clock.monotonic)
    await cycles(pace, clock, 60, late)
    assert pace.interval_seconds == interval


async def test_one_long_answer_changes_nothing() -> None:
    clock = FakeClock()
    pace = Pace(clock.monotonic)
    for _ in range(20):
        await cycles(pace, clock, 5, 0.001)
        await cycles(pace, clock, 0.5, 0.5)
    assert pace.interval_seconds == 1


async def test_a_server_that_has_caught_up_asks_for_samples_as_before() -> None:
    clock = FakeClock()
    pace = Pace(clock.monotonic)
    await cycles(pace, clock, 60, 1.0)
    assert pace.interval_seconds == 16
    await cycles(pace, clock, 12, 0.0)
    assert 1 < pace.interval_seconds < 16  # by steps
    await cycles(pace, clock, 60, 0.0)
    assert pace.interval_seconds == 1


async def test_each_step_waits_for_what_comes_of_the_one_before() -> None:
    clock = FakeClock()
    pace = Pace(clock.monotonic)
    steps = set()
    for _ in range(200):
        await cycles(pace, clock, CYCLE_SECONDS, 0.2)
        steps.add(pace.interval_seconds)
    assert steps == {1, 2, 4, 8, 16}
