"""The past, from memory and database together, is the same at every level of detail."""

import asyncio
from typing import Any

import pytest

from tests.support.fake_clock import START
from tests.support.fake_sleep import settle
from tests.support.telemetry import MICROS, MeasuringWorld
from windlass_server.errors import InvalidInput
from windlass_server.storage.engine import Database, Work
from windlass_server.telemetry.fields import NUMBERS
from windlass_server.telemetry.levels import LEVELS

pytestmark = pytest.mark.usefixtures("acting")

HOUR = 3600
# The hour in which START lies begins there.
MIDNIGHT = START // (86_400 * MICROS) * 86_400 * MICROS


@pytest.fixture
def world(database: Database) -> MeasuringWorld:
    return MeasuringWorld(database, start=MIDNIGHT)


async def test_what_was_just_measured_is_there(world: MeasuringWorld) -> None:
    world.measure(15, lambda second: second - MIDNIGHT // MICROS)
    assert await world.points(MIDNIGHT, world.clock.now()) == {
        0: (10, 0, 9, 45, 9),
        10: (5, 10, 14, 60, 14),
    }


async def test_what_was_written_is_there_with_what_was_not(world: MeasuringWorld) -> None:
    for _ in range(90):
        world.measure(10, lambda _: 2)
        await world.upkeep.cycle()
    assert (await world.stored())[0] >= 2
    found = await world.points(MIDNIGHT, world.clock.now(), 10)
    assert found == dict.fromkeys(range(0, 900, 10), (10, 2, 2, 20, 2))


async def test_a_server_that_stops_writes_all_and_doubles_nothing(world: MeasuringWorld) -> None:
    world.measure(25, lambda _: 2)
    await world.upkeep.stop()
    world.restart()
    world.measure(5, lambda _: 4)
    found = await world.points(MIDNIGHT, world.clock.now(), 10)
    assert found == {0: (10, 2, 2, 20, 2), 10: (10, 2, 2, 20, 2), 20: (10, 2, 4, 30, 4)}


async def test_a_crash_loses_minutes_and_nothing_before_them(world: MeasuringWorld) -> None:
    for _ in range(120):
        world.measure(10, lambda _: 2)
        await world.upkeep.cycle()
    world.restart()
    found = await world.points(MIDNIGHT, world.clock.now(), 10)
    assert len(found) >= 120 - 30 - 5
    assert sorted(found) == list(range(0, 10 * len(found), 10))


async def a_day(world: MeasuringWorld) -> None:
    """A day with a value each minute, the number of the hour, and a gap from 5 to 6."""
    for minute in range(24 * 60):
        if minute // 60 == 5:
            world.clock.advance(60)
        else:
            world.measure(1, lambda _, minute=minute: minute // 60)  # type: ignore[misc]
            world.clock.advance(59)
        if minute % 10 == 0:
            await world.upkeep.cycle()
    await world.keep(1800)


async def test_every_resolution_tells_the_same_day(world: MeasuringWorld) -> None:
    await a_day(world)
    assert all(await world.stored())
    for resolution in (60, 300, 600, 3600, 7200):
        await assert_is_the_day(world, resolution)


async def assert_is_the_day(world: MeasuringWorld, resolution: int) -> None:
    found = await world.points(MIDNIGHT, MIDNIGHT + 86_400 * MICROS, resolution)
    assert sum(number for number, *_ in found.values()) == 23 * 60
    whole = {
        start: point
        for start, point in found.items()
        if not start <= 5 * HOUR <= start + resolution - 1 and start // HOUR != 5
    }
    for start, (number, low, high, total, last) in whole.items():
        hours = {second // HOUR for second in range(start, start + resolution, 60)}
        assert number == resolution // 60
        assert (low, high, last) == (min(hours), max(hours), max(hours))
        assert total == sum(second // HOUR for second in range(start, start + resolution, 60))
    assert not any(5 * HOUR <= start < 6 * HOUR for start in found if resolution <= HOUR)


async def test_a_coarser_level_holds_what_the_finer_one_held(world: MeasuringWorld) -> None:
    await a_day(world)
    for level in (1, 2, 3):
        await world.remove(level - 1)
        found = await world.points(MIDNIGHT, MIDNIGHT + 86_400 * MICROS, 3600)
        assert [point[0] for point in found.values()] == [60] * 23


async def test_two_servers_make_each_period_once(world: MeasuringWorld) -> None:
    for _ in range(400):
        world.measure(10, lambda _: 1)
        await world.upkeep.cycle() if world.clock.now() < MIDNIGHT + HOUR * MICROS else None
    await world.upkeep.stop()
    world.clock.advance(HOUR)
    marks = await world.database.read(lambda tx: tx.telemetry.due(1, world.clock.now(), 10))
    other = MeasuringWorld(world.database, start=world.clock.now())
    # Both have seen the same mark before either acted on it.
    for upkeep in (world.upkeep, other.upkeep):
        for mark in marks:
            await upkeep.make(LEVELS[1], mark)
    found = await world.points(MIDNIGHT, MIDNIGHT + HOUR * MICROS, 60)
    assert [point[0] for point in found.values()] == [60] * 60


async def test_old_values_go_level_by_level(database: Database) -> None:
    world = MeasuringWorld(database, days=(0.25, 0.5, 2, 10), start=MIDNIGHT)
    await a_day(world)
    await world.keep(600)
    fine = await world.points(MIDNIGHT, world.clock.now(), 10)
    # Answered by the level that is kept since then, where finer ones are not.
    assert (await world.ask(MIDNIGHT, world.clock.now(), 10)).resolution == 600 * MICROS
    assert sum(number for number, *_ in fine.values()) == 23 * 60
    recent = world.clock.now() - 5 * HOUR * MICROS
    assert (await world.ask(recent, world.clock.now(), 10)).resolution == 10 * MICROS
    for _ in range(20):
        world.clock.advance(86_400)
        for _ in range(5):
            await world.upkeep.cycle()
    assert await world.stored() == [0, 0, 0, 0]


async def test_a_node_that_comes_back_goes_on(world: MeasuringWorld) -> None:
    world.measure(60, lambda _: 1)
    await world.keep(3 * HOUR)
    world.measure(60, lambda _: 2)
    await world.keep(3 * HOUR)
    found = await world.points(MIDNIGHT, world.clock.now(), 60)
    assert [(number, last) for number, *_, last in found.values()] == [(60, 1), (60, 2)]
    assert (await world.stored())[1] == 2


async def test_only_what_was_asked_for_is_answered(world: MeasuringWorld) -> None:
    world.measure(30, lambda _: 1)
    assert (await world.points(MIDNIGHT + 10 * MICROS, MIDNIGHT + 20 * MICROS, 10)).keys() == {0}
    assert await world.points(MIDNIGHT - HOUR * MICROS, MIDNIGHT, 10) == {}
    assert (await world.ask(MIDNIGHT, world.clock.now(), node="node-2")).rollups == {}


async def test_more_than_an_answer_holds_is_refused_with_what_to_do(world: MeasuringWorld) -> None:
    start = world.clock.now() - 365 * 86_400 * MICROS
    world = MeasuringWorld(world.database, days=(400, 400, 400, 730))
    with pytest.raises(InvalidInput, match="wider buckets") as refused:
        await world.ask(start, world.clock.now(), 10)
    assert refused.value.reason == "TOO_MANY_POINTS"
    assert [violation.field for violation in refused.value.violations] == ["resolution"]


async def test_what_cannot_be_written_stays_and_is_written_later(
    world: MeasuringWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.measure(600, lambda _: 1)

    async def full(_work: object) -> None:
        raise OSError(28, "disk full")

    with monkeypatch.context() as patch:
        patch.setattr(world.database, "write", full)
        with pytest.raises(OSError, match="disk full"):
            await world.upkeep.cycle()
    await world.keep(600)
    assert [point[0] for point in (await world.points(MIDNIGHT, world.clock.now(), 10)).values()] == [10] * 60  # fmt: skip


def test_every_field_of_the_contract_has_a_name_of_its_own() -> None:
    assert len(set(NUMBERS)) == len(set(NUMBERS.values()))
    assert "gpu_power_watts" in NUMBERS
    assert "field_unspecified" not in NUMBERS


async def test_a_time_that_is_partly_made_into_a_level_is_told_whole(
    world: MeasuringWorld,
) -> None:
    for _ in range(3 * 60):
        world.measure(6, lambda _: 1)
        world.clock.advance(54)
        await world.upkeep.cycle()
    segments = await world.stored()
    assert segments[0]
    assert segments[1] in (1, 2)
    for resolution in (60, 600, 3600):
        found = await world.points(MIDNIGHT, world.clock.now(), resolution)
        assert [number for number, *_ in found.values()] == [resolution // 10] * len(found)
        assert sum(number for number, *_ in found.values()) == 3 * 60 * 6


async def test_who_asks_while_buckets_are_written_sees_each_of_them_once(
    world: MeasuringWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.measure(600, lambda _: 1)
    stored, go_on = asyncio.Event(), asyncio.Event()
    write = world.database.write

    async def write_and_wait(work: Work[Any]) -> Any:
        result = await write(work)
        stored.set()
        await go_on.wait()
        return result

    with monkeypatch.context() as patch:
        patch.setattr(world.database, "write", write_and_wait)
        writing = asyncio.ensure_future(world.upkeep.cycle())
        await stored.wait()
        asking = asyncio.ensure_future(world.points(MIDNIGHT, world.clock.now(), 10))
        await settle()
        go_on.set()
        await writing
        found = await asking
    assert [number for number, *_ in found.values()] == [10] * 60


async def test_a_level_is_made_only_of_what_is_whole_in_the_one_before(
    world: MeasuringWorld,
) -> None:
    for _ in range(8 * 6):
        world.measure(1, lambda _: 1)
        world.clock.advance(599)
        # Nothing is made of it for hours, as by a server that is busy or was away.
        await world.upkeep.stop()
    assert await world.stored() == [48, 0, 0, 0]
    await world.keep(1800)
    assert (await world.stored())[2] == 1
    for resolution in (60, 600, 3600):
        found = await world.points(MIDNIGHT, world.clock.now(), resolution)
        assert sum(number for number, *_ in found.values()) == 48
