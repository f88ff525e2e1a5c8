"""Whatever happens to an array's indices, in whatever order: its counts are its rows, and it ends as they do."""

import asyncio
import contextlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.arrays import ArrayWorld
from tests.support.databases import Engines
from tests.support.scheduled_world import ADA
from windlass_server.errors import WrongState
from windlass_server.jobs.states import FINAL, Status
from windlass_server.storage.engine import Database, open_database
from windlass_server.storage.guard import acting_as

COUNT = 6
OF_ARRAY = ("place", "start", "look", "sweep", "hold", "release", "cancel")
OF_INDEX = ("succeed", "fail", "lose", "stop")
# Most of what happens is that indices run and end, so that there is something to count.
STEPS = (*OF_ARRAY, *OF_INDEX, *("place", "start", "look", "succeed", "fail") * 3)
Step = tuple[str, int]


async def to_array(world: ArrayWorld, array: str, what: str) -> None:
    """One thing that may happen to the array, or to all there is."""
    if what == "place":
        await world.place()
    elif what == "start":
        for child in (await world.children(array)).values():
            if child.status == Status.SCHEDULED:
                await world.world.report(child.job_id, "RUNNING")
    elif what == "look":
        await world.outbox.cycle()
        await world.array_duty.cycle()
    elif what == "sweep":
        world.start_duty()
        await world.array_duty.cycle()
    elif what == "cancel":
        await world.jobs.cancel(ADA, array, reason="")
    else:
        hold = world.holds.hold if what == "hold" else world.holds.release
        await hold(ADA, array, reason="")


async def to_index(world: ArrayWorld, array: str, what: str, number: int) -> None:
    """One thing that may happen to an index that has a job, and for what needs one a place."""
    rows = [one for one in (await world.children(array)).values() if one.status not in FINAL]
    if what != "stop":
        rows = [one for one in rows if one.status not in (Status.QUEUED, Status.SUSPENDED)]
    if not rows:
        return
    child = rows[number % len(rows)]
    if what == "stop":
        await world.jobs.cancel(ADA, child.job_id, reason="")
    elif what == "lose":
        await world.world.report(child.job_id, "EXITED", cause="NODE_SHUTDOWN")
    else:
        await world.end(array, child.array_index or 0, int(what == "fail"))


async def act(world: ArrayWorld, array: str, what: str, index: int) -> None:
    """One thing that may happen; what cannot happen now does not."""
    with contextlib.suppress(WrongState):
        if what in OF_ARRAY:
            await to_array(world, array, what)
        else:
            await to_index(world, array, what, index)


async def finish(world: ArrayWorld, array: str) -> None:
    """Let all that is left of an array come to its end."""
    await world.settle()
    if (await world.job(array)).status in (Status.QUEUED, Status.RUNNING):
        await world.holds.release(ADA, array, reason="")
        await world.settle()
    for _ in range(4 * COUNT):
        await world.start_all(array)
        for index, child in (await world.children(array)).items():
            if child.status == Status.RUNNING:
                await world.end(array, index)
            elif child.status == Status.CANCELLING:
                await world.world.report(child.job_id, "EXITED", cause="STOPPED")
        await world.settle()


async def check(database: Database, folder: Path, parallel: int, steps: list[Step]) -> None:
    world = await ArrayWorld.begin(database, folder)
    array = await world.submit_array(COUNT, parallel=parallel)
    for what, index in steps:
        await act(world, array, what, index)
        await world.counted(array)
        rows = await world.children(array)
        live = [one for one in rows.values() if one.status not in FINAL]
        assert not parallel or len(live) <= parallel
    await finish(world, array)
    await world.counted(array)
    rows = await world.children(array)
    ends = Counter(Status(one.status) for one in rows.values())
    assert set(ends) <= set(FINAL)
    became = Status((await world.job(array)).status)
    if became is Status.CANCELLED:
        return
    assert [*rows] == [*range(COUNT)]
    assert became is (Status.SUCCEEDED if ends == {Status.SUCCEEDED: COUNT} else Status.FAILED)


@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    parallel=st.integers(0, 3),
    steps=st.lists(
        st.tuples(st.sampled_from(STEPS), st.integers(0, COUNT - 1)), min_size=12, max_size=25
    ),
)
def test_counts_are_what_the_rows_say_and_the_end_is_that_of_the_indices(
    engines: Engines, tmp_path_factory, name: str, parallel: int, steps: list[Step]
):
    async def run() -> None:
        engine = engines.by_name(name)
        url = engine.new(migrated=True)
        database = await open_database(url)
        try:
            with acting_as("test"):
                await check(database, tmp_path_factory.mktemp("array"), parallel, steps)
        finally:
            await database.close()
            engine.give_back(url)

    asyncio.run(run())
