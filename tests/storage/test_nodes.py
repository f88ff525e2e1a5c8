"""Nodes and what of them is held, on both engines."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest
from sqlalchemy.exc import IntegrityError

from tests.support.fake_clock import START
from tests.support.jobs import add_projects
from tests.support.nodes import GIB, add_node, add_run, hold_all
from windlass_server.errors import Conflict
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import NodeRow
from windlass_server.storage.transaction import Transaction

pytestmark = pytest.mark.usefixtures("acting")

T = TypeVar("T")
READY, UNREACHABLE = 1, 2


async def a_node(database: Database, **values: object) -> str:
    def store(tx: Transaction) -> str:
        add_projects(tx, "default")
        return add_node(tx, **values)

    return await database.write(store)


async def the_node(database: Database, node_id: str) -> NodeRow:
    node = await database.read(lambda tx: tx.nodes.get(node_id))
    assert node is not None
    return node


async def a_held_run(database: Database, node_id: str, **values: object) -> str:
    def store(tx: Transaction) -> str:
        run_id = add_run(tx, node_id, **values)
        hold_all(tx, run_id)
        return run_id

    return await database.write(store)


async def end(database: Database, node_id: str, run_id: str) -> None:
    def store(tx: Transaction) -> None:
        tx.runs.change(run_id, active=False)
        tx.nodes.release(node_id, run_id)

    await database.write(store)


async def hello(database: Database, node_id: str, **values: int) -> bool:
    told = {"cpu_millis": 8000, "memory_bytes": 16 * GIB, "at": START} | values
    told.setdefault("seen_at", told["at"])
    return await database.write(
        lambda tx: tx.nodes.hello(
            node_id,
            name="n",
            inventory=b"",
            pool="default",
            reason="AGENT_CONNECTED",
            message="",
            **told,
        )
    )


async def refusal(database: Database, work: Callable[[Transaction], T]) -> str:
    with pytest.raises(Conflict) as refused:
        await database.write(work)
    return refused.value.reason


async def test_a_node_is_found_by_its_id_and_by_its_key(database: Database) -> None:
    node_id = await a_node(database, public_key=b"k" * 32)

    assert (await the_node(database, node_id)).name == "rack1-n1"
    found = await database.read(lambda tx: tx.nodes.by_public_key(b"k" * 32))
    assert found is not None
    assert found.node_id == node_id
    assert await database.read(lambda tx: tx.nodes.by_public_key(b"x" * 32)) is None
    assert await database.read(lambda tx: tx.nodes.get("node-x")) is None


async def test_two_nodes_cannot_have_the_same_key(database: Database) -> None:
    await a_node(database, public_key=b"k" * 32)
    with pytest.raises(IntegrityError):
        await a_node(database, public_key=b"k" * 32)


async def test_pages_go_on_behind_a_node_and_keep_to_a_status(database: Database) -> None:
    ids = [await a_node(database, status=1 + number % 2) for number in range(5)]

    async def page(after: str, status: int = 0) -> list[str]:
        rows = await database.read(lambda tx: tx.nodes.page(after=after, size=2, status=status))
        return [row.node_id for row in rows]

    assert await page("") == ids[:2]
    assert await page(ids[1]) == ids[2:4]
    assert await page(ids[4]) == []
    assert await page("", READY) == [ids[0], ids[2]]
    assert await page(ids[2], READY) == [ids[4]]
    assert [row.node_id for row in await database.read(lambda tx: tx.nodes.all())] == ids


async def test_hello_makes_a_node_ready_with_what_it_has_now(database: Database) -> None:
    node_id = await a_node(database, status=UNREACHABLE)

    assert await hello(database, node_id, cpu_millis=4000, memory_bytes=GIB, at=START + 5)

    node = await the_node(database, node_id)
    assert (node.status, node.cpu_millis, node.memory_bytes) == (READY, 4000, GIB)
    assert (node.last_seen_at, node.status_reason) == (START + 5, "AGENT_CONNECTED")
    assert not node.shrunk
    assert not await hello(database, "node-x")


@pytest.mark.parametrize(
    ("told", "shrunk"),
    [
        ({"cpu_millis": 1999}, True),
        ({"memory_bytes": 2 * GIB - 1}, True),
        ({"cpu_millis": 2000, "memory_bytes": 2 * GIB}, False),
    ],
)
async def test_a_node_that_comes_back_with_less_than_it_holds_is_marked(
    database: Database, told: dict[str, int], shrunk: bool
) -> None:
    node_id = await a_node(database)
    run_id = await a_held_run(database, node_id, cpu_millis=2000, memory_bytes=2 * GIB)

    await hello(database, node_id, **told)

    assert (await the_node(database, node_id)).shrunk is shrunk
    # It takes nothing while it is too small, not even nothing much ...
    work = lambda tx: tx.nodes.hold(node_id, "r", cpu_millis=0, memory_bytes=0, gpu_uuids=())  # noqa: E731
    if shrunk:
        assert await refusal(database, work) == "NODE_FULL"
    # ... and is as good as any when what it held has ended, or when it has grown again.
    await end(database, node_id, run_id)
    assert not (await the_node(database, node_id)).shrunk
    await database.write(work)


async def test_a_shrunk_node_that_has_grown_again_takes_work(database: Database) -> None:
    node_id = await a_node(database)
    await a_held_run(database, node_id, cpu_millis=2000)
    await hello(database, node_id, cpu_millis=1000)
    await hello(database, node_id, cpu_millis=3000)

    await a_held_run(database, node_id, cpu_millis=1000)

    assert (await the_node(database, node_id)).cpu_held == 3000


async def test_a_lost_node_keeps_what_it_holds(database: Database) -> None:
    node_id = await a_node(database)
    await a_held_run(database, node_id, gpu_uuids="GPU-0")

    moved = await database.write(
        lambda tx: tx.nodes.mark_unreachable(node_id, seen_at=START, reason="R", message="m")
    )

    node = await the_node(database, node_id)
    assert moved
    assert (node.status, node.status_reason, node.status_message) == (UNREACHABLE, "R", "m")
    assert node.cpu_held == 1000
    assert len(await database.read(lambda tx: tx.nodes.claims_on(node_id))) == 1


async def test_a_node_that_somebody_heard_later_is_not_lost(database: Database) -> None:
    node_id = await a_node(database)
    await hello(database, node_id, at=START + 2)

    def lose(tx: Transaction) -> bool:
        return tx.nodes.mark_unreachable(node_id, seen_at=START + 1, reason="R", message="")

    assert not await database.write(lose)
    assert (await the_node(database, node_id)).status == READY


async def test_a_node_is_lost_once(database: Database) -> None:
    node_id = await a_node(database)

    def lose(tx: Transaction) -> bool:
        return tx.nodes.mark_unreachable(node_id, seen_at=START, reason="R", message="")

    assert [await database.write(lose), await database.write(lose)] == [True, False]


async def test_a_touch_never_goes_back(database: Database) -> None:
    node_id = await a_node(database)
    await database.write(lambda tx: tx.nodes.touch(node_id, START + 9))
    await database.write(lambda tx: tx.nodes.touch(node_id, START + 3))
    assert (await the_node(database, node_id)).last_seen_at == START + 9


async def test_holds_add_up_to_the_last_bit_and_no_further(database: Database) -> None:
    node_id = await a_node(database, cpu_millis=3000, memory_bytes=3 * GIB)
    for _ in range(3):
        await a_held_run(database, node_id)

    node = await the_node(database, node_id)
    assert (node.cpu_held, node.memory_held) == (3000, 3 * GIB)
    for cpu, memory in ((1, 0), (0, 1)):
        reason = await refusal(
            database,
            lambda tx, cpu=cpu, memory=memory: tx.nodes.hold(  # type: ignore[misc]
                node_id, "r", cpu_millis=cpu, memory_bytes=memory, gpu_uuids=()
            ),
        )
        assert reason == "NODE_FULL"
    assert await the_node(database, node_id) == node


async def test_a_node_that_is_not_ready_takes_nothing(database: Database) -> None:
    node_id = await a_node(database, status=UNREACHABLE)
    for wanted in (node_id, "node-x"):
        reason = await refusal(
            database,
            lambda tx, wanted=wanted: tx.nodes.hold(  # type: ignore[misc]
                wanted, "r", cpu_millis=1, memory_bytes=1, gpu_uuids=()
            ),
        )
        assert reason == "NODE_NOT_READY"


async def test_a_gpu_has_one_holder_and_a_refused_hold_leaves_nothing(database: Database) -> None:
    node_id = await a_node(database)
    holder = await a_held_run(database, node_id, gpu_uuids="GPU-0,GPU-1")
    before = await the_node(database, node_id)

    def claim(tx: Transaction) -> None:
        hold_all(tx, add_run(tx, node_id, gpu_uuids="GPU-2,GPU-1"))

    assert await refusal(database, claim) == "GPU_TAKEN"
    claims = await database.read(lambda tx: tx.nodes.claims_on(node_id))
    assert {(claim.gpu_uuid, claim.run_id) for claim in claims} == {
        ("GPU-0", holder),
        ("GPU-1", holder),
    }
    assert await the_node(database, node_id) == before


async def test_the_same_uuid_on_another_node_is_another_gpu(database: Database) -> None:
    nodes = [await a_node(database), await a_node(database)]
    for node_id in nodes:
        await a_held_run(database, node_id, gpu_uuids="GPU-0")
    claims = await database.read(lambda tx: tx.nodes.all_claims())
    assert [claim.node_id for claim in claims] == nodes


async def test_a_release_gives_back_once_however_often_it_is_called(database: Database) -> None:
    node_id = await a_node(database)
    stays = await a_held_run(database, node_id, cpu_millis=500, gpu_uuids="GPU-7")
    ends = await a_held_run(database, node_id, cpu_millis=2000, gpu_uuids="GPU-0")

    for _ in range(3):
        await end(database, node_id, ends)

    node = await the_node(database, node_id)
    assert (node.cpu_held, node.memory_held) == (500, GIB)
    claims = await database.read(lambda tx: tx.nodes.claims_on(node_id))
    assert [(claim.run_id, claim.gpu_uuid) for claim in claims] == [(stays, "GPU-7")]


async def test_a_release_may_come_before_the_run_is_made_inactive(database: Database) -> None:
    node_id = await a_node(database)
    run_id = await a_held_run(database, node_id)

    def store(tx: Transaction) -> None:
        tx.nodes.release(node_id, run_id)
        tx.runs.change(run_id, active=False)

    await database.write(store)
    assert (await the_node(database, node_id)).cpu_held == 0


async def test_holds_and_releases_at_once_never_drift(database: Database) -> None:
    node_id = await a_node(database, cpu_millis=6000, memory_bytes=6 * GIB)
    first = [await a_held_run(database, node_id) for _ in range(4)]

    async def try_to_hold() -> bool:
        try:
            await a_held_run(database, node_id)
        except Conflict:
            return False
        return True

    results = await asyncio.gather(
        *(try_to_hold() for _ in range(8)), *(end(database, node_id, run_id) for run_id in first)
    )

    held = sum(result is True for result in results)
    node = await the_node(database, node_id)
    assert 2 <= held <= 6
    assert (node.cpu_held, node.memory_held) == (held * 1000, held * GIB)


async def test_the_database_itself_refuses_more_than_there_is(database: Database) -> None:
    with pytest.raises(IntegrityError):
        await a_node(database, cpu_millis=1000, cpu_held=1001)
