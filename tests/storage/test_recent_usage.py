"""What owners had lately agrees with what the ledger counts, on both engines."""

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.storage.test_usage import CAUSES, GPU_SECOND, Life, World
from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.charged import require_right
from tests.support.databases import acting
from tests.support.jobs import add_jobs, add_projects, job_columns
from windlass_server.access.policy import Caller, Role
from windlass_server.resources import recent_usage
from windlass_server.resources.recent_usage import RecentUsage
from windlass_server.resources.shares import SharesService
from windlass_server.resources.shares_message import shares_message
from windlass_server.scheduler.fair_share import GPU, decayed
from windlass_server.storage.engine import Database

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

SECOND = 1_000_000
HALF_LIFE = 300 * SECOND
# So long that nothing is forgotten within a test.
FOR_EVER = 100 * 365 * 86_400 * SECOND
DONE = CAUSES[0]


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[World]:
    world = await World.start(database, tmp_path)
    await database.write(lambda tx: add_projects(tx, "other"))
    yield world
    await world.logs.close()


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_it_is_kept_up_to_what_the_ledger_says(world: World, seed: int):
    life, usage = Life(world, seed), RecentUsage(world.database, world.clock)
    await world.share_gpus(4)
    for number, gpu_type in enumerate(["H100", "H100", "A100"]):
        await world.add_gpu_node(f"n{number}", gpu_type=gpu_type)
    for step in range(120):
        await life.next()
        world.clock.advance(life.random.choice([0.000001, 0.999999, 7, 61.000001]))
        if step > 20 and life.random.random() < 0.4:
            await require_right(world, usage, HALF_LIFE)
    await require_right(world, usage, HALF_LIFE)
    await require_right(world, RecentUsage(world.database, world.clock), HALF_LIFE)


async def test_what_gpus_were_held_is_what_the_ledger_has_of_them(world: World):
    await world.add_gpu_node("n", gpus=4)
    usage = RecentUsage(world.database, world.clock)
    for gpus, seconds in ((1, 10), (3, 61), (2, 5)):
        await world.run(seconds, gpus=gpus, **DONE)
        await usage.look({FOR_EVER})
    await world.run(7, gpus=4)
    had = (await usage.look({FOR_EVER})).lately[FOR_EVER]["default", "ada"]
    (row,) = await world.rows("project")
    millis = had * FOR_EVER / math.log(2) * 1000 / GPU
    assert row.held.gpu_millis == (11 + 3 * 62 + 2 * 6 + 4 * 8) * GPU_SECOND
    assert math.isclose(millis, row.held.gpu_millis, rel_tol=1e-6)


async def test_nobody_had_anything_where_nothing_ran(world: World):
    shares = await RecentUsage(world.database, world.clock).look({HALF_LIFE})
    assert shares.of(HALF_LIFE) == {}
    assert (await RecentUsage(world.database, world.clock).look(())).of(HALF_LIFE) == {}


async def test_another_half_life_is_read_anew(world: World):
    await world.add_gpu_node("n")
    usage = RecentUsage(world.database, world.clock)
    await world.run(HALF_LIFE // SECOND - 1, gpus=1)
    await usage.look({HALF_LIFE})
    shares = await usage.look({HALF_LIFE, 2 * HALF_LIFE})
    account = "default", "ada"
    assert math.isclose(shares.lately[HALF_LIFE][account], GPU / 2, rel_tol=1e-9)
    expected = GPU * (1 - 2**-0.5)
    assert math.isclose(shares.lately[2 * HALF_LIFE][account], expected, rel_tol=1e-9)


async def test_what_is_ten_half_lives_ago_is_not_read(world: World):
    await world.add_gpu_node("n")
    await world.run(9, gpus=1, **DONE)
    world.clock.advance(11 * HALF_LIFE / SECOND)
    assert (await RecentUsage(world.database, world.clock).look({HALF_LIFE})).of(HALF_LIFE) == {}


async def test_of_very_much_the_newest_is_read(world: World, monkeypatch):
    monkeypatch.setattr(recent_usage, "MOST_READ", 2)
    await world.add_gpu_node("n")
    for _ in range(3):
        await world.run(9, gpus=1, **DONE)
    found = (await RecentUsage(world.database, world.clock).look({HALF_LIFE})).of(HALF_LIFE)
    two = decayed(decayed(0.0, GPU, 10 * SECOND, HALF_LIFE), GPU, 10 * SECOND, HALF_LIFE)
    assert math.isclose(found["default", "ada"], two * math.log(2) / HALF_LIFE, rel_tol=1e-9)


async def test_what_ended_unseen_behind_a_clock_that_was_set_back_is_found(world: World):
    await world.add_gpu_node("n")
    usage = RecentUsage(world.database, world.clock)
    job = await world.run(30, gpus=1)
    await usage.look({HALF_LIFE})
    world.clock.jump(-3600)
    await world.report(job, "EXITED", **DONE)
    assert (await usage.look({HALF_LIFE})).now == {}


async def test_a_look_at_nothing_new_reads_no_row_twice_over(world: World, monkeypatch):
    """However much is held, a look costs what has changed."""
    await world.add_gpu_node("n")
    usage = RecentUsage(world.database, world.clock)
    for _ in range(3):
        await world.run(9, gpus=1)
    world.clock.advance(60)
    await usage.look({HALF_LIFE})
    world.clock.advance(10)
    read = list[Any]()
    news = usage._news

    async def recorded(now: int) -> Any:
        found = await news(now)
        read.extend([*found.held, *found.over])
        return found

    monkeypatch.setattr(usage, "_news", recorded)
    await usage.look({HALF_LIFE})
    assert read == []
    await require_right(world, usage, HALF_LIFE)


async def test_a_cycle_lets_him_go_first_who_had_less(world: World):
    await world.add_gpu_node("n", gpus=1)
    await world.run(600, gpus=1, **DONE)
    jobs = [job_columns(gpu_count=1, user=user) for user in ("ada", "bob")]
    for job in jobs:
        await world.database.write(lambda tx, job=job: add_jobs(tx, job))  # type: ignore[misc]
    world.scheduling.world_changed()
    await world.scheduling.cycle()
    ada, bob = [(await world.job(job["job_id"])).status for job in jobs]
    assert (ada, bob) == (1, 2)


async def test_shares_say_who_had_what_and_whose_turn_is_next(world: World):
    await world.add_gpu_node("n", gpus=4)
    await world.run(600, gpus=2)
    waiting = job_columns(gpu_count=4, user="eve", project="other")
    await world.database.write(lambda tx: add_jobs(tx, waiting))
    service = SharesService(world.database, RecentUsage(world.database, world.clock))
    shown = shares_message(await service.get(ADMIN, "", ""))
    assert [(one.project, one.user, one.rank) for one in shown.shares] == [
        ("other", "", 1), ("other", "eve", 1), ("default", "", 2), ("default", "ada", 2),
    ]  # fmt: skip
    ada = shown.shares[3]
    assert (ada.held_gpus, ada.share, ada.entitled_share, ada.weight) == (2.0, 1.0, 0.5, 1.0)
    assert 0 < ada.lately_gpus < 1
    assert shown.enabled
    assert shown.jain_index == 0.5
    of_eve = shares_message(await service.get(Caller("eve", roles={"other": Role.VIEWER}), "", ""))
    assert [one.project for one in of_eve.shares] == ["other", "other"]
    assert shares_message(await service.get(Caller("nobody"), "q", "p")).shares == []
