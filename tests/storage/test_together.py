"""Writes that share a transaction: one that is refused does not spoil the others."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.support.jobs import add_projects
from windlass_server.errors import Conflict, Unavailable
from windlass_server.storage.engine import Database
from windlass_server.storage.gathering import Gathering, Readings
from windlass_server.storage.together import write_together
from windlass_server.storage.transaction import Transaction

pytestmark = pytest.mark.usefixtures("acting")


def add(tx: Transaction, names: Sequence[str]) -> list[str]:
    """Add projects; refuses those whose names begin with `bad`, behind what it has written."""
    add_projects(tx, *names)
    if any(name.startswith("bad") for name in names):
        raise Conflict("bad", reason="BAD")
    return [f"{name} is there" for name in names]


async def there(database: Database, names: Sequence[str]) -> list[bool]:
    return await database.read(lambda tx: [tx.access.has_project(name) for name in names])


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["a"],
        ["bad"],
        ["a", "b", "c"],
        ["bad1", "a", "b", "c", "d"],
        ["a", "b", "bad1", "c", "bad2", "d", "bad3"],
        ["bad1", "bad2"],
    ],
)
async def test_all_but_the_refused_are_written_each_with_its_answer(
    database: Database, names: list[str]
):
    answers = await write_together(database, names, add)
    good = [not name.startswith("bad") for name in names]
    assert await there(database, names) == good
    for name, is_good, answer in zip(names, good, answers, strict=True):
        if is_good:
            assert answer == f"{name} is there"
        else:
            assert isinstance(answer, Conflict)


async def test_a_database_that_is_away_is_not_asked_for_each_half(database: Database):
    asked: list[int] = []

    def away(_tx: Transaction, items: Sequence[int]) -> list[int]:
        asked.append(len(items))
        raise Unavailable("away", reason="AWAY")

    with pytest.raises(Unavailable):
        await write_together(database, range(8), away)
    assert asked == [8]


async def test_what_comes_while_others_are_written_is_written_together(database: Database):
    groups: list[Sequence[str]] = []

    def noted(tx: Transaction, names: Sequence[str]) -> list[str]:
        groups.append(names)
        return add(tx, names)

    gathering = Gathering[str, str](database, noted, actor="test", sleep=lambda _: asyncio.sleep(0))
    names = ["first", "b", "bad", "c"]
    first = asyncio.create_task(gathering.write("first"))
    while not groups:  # noqa: ASYNC110 - what changes is no event
        await asyncio.sleep(0)
    rest = asyncio.gather(*map(gathering.write, names[1:]), return_exceptions=True)
    answers = [await first, *await rest]
    assert groups[:2] == [["first"], ["b", "bad", "c"]]
    assert [isinstance(one, Conflict) for one in answers] == [False, False, True, False]
    assert await there(database, names) == [True, True, False, True]
    assert await gathering.write("later") == "later is there"


async def test_who_goes_away_meanwhile_keeps_nobody_else_from_an_answer(database: Database):
    gathering = Gathering[str, str](database, add, actor="test", sleep=lambda _: asyncio.sleep(0))
    gone = asyncio.create_task(gathering.write("gone"))
    stays = asyncio.create_task(gathering.write("stays"))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == "stays is there"
    assert await there(database, ["stays"]) == [True]


async def test_what_is_asked_for_at_once_is_read_at_once_each_with_its_answer(database: Database):
    await database.write(lambda tx: add(tx, ["a", "b"]))
    groups: list[Sequence[str]] = []

    def load(tx: Transaction, names: Sequence[str]) -> list[bool]:
        groups.append(names)
        if "broken" in names:
            raise Conflict("broken", reason="BROKEN")
        return [tx.access.has_project(name) for name in names]

    readings = Readings[str, bool](database, load, actor="test")
    answers = await asyncio.gather(*map(readings.read, ["a", "none", "b", "a"]))
    assert answers == [True, False, True, True]
    assert groups == [["a", "none", "b", "a"]]
    with pytest.raises(Conflict):
        await readings.read("broken")
    assert await readings.read("b")
