"""Layouts of cards, and the GPUs that are kept free for them, on both engines."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from tests.support.databases import Engines
from tests.support.fake_clock import START
from tests.support.jobs import add_projects
from tests.support.nodes import add_node, add_run, hold_all
from windlass_server.errors import Conflict
from windlass_server.storage.engine import Database, open_database
from windlass_server.storage.guard import acting_as
from windlass_server.storage.tables import GpuClaimRow
from windlass_server.storage.transaction import Transaction

pytestmark = pytest.mark.usefixtures("acting")

CHANGING, DONE, FAILED = 1, 2, 3


async def a_node(database: Database) -> str:
    def store(tx: Transaction) -> str:
        add_projects(tx, "default")
        return add_node(tx, cpu_millis=64_000, memory_bytes=1 << 40)

    return await database.write(store)


async def begin(
    database: Database,
    node_id: str,
    card: str,
    *going: str,
    instances: str = "",
    generation: int = 1,
) -> str:
    """The reason why it was refused; empty when it was not."""

    def store(tx: Transaction) -> None:
        tx.nodes.lock(node_id)
        tx.layouts.begin(
            node_id, card, generation=generation, instances=instances, going=going, at=START
        )

    try:
        await database.write(store)
    except Conflict as refused:
        return refused.reason
    return ""


async def hold(database: Database, node_id: str, *gpus: str) -> str:
    """The run that holds these GPUs now; empty when another has one."""

    def store(tx: Transaction) -> str:
        run_id = add_run(tx, node_id, gpu_uuids=",".join(gpus))
        hold_all(tx, run_id)
        return run_id

    try:
        return await database.write(store)
    except Conflict:
        return ""


async def end(database: Database, node_id: str, card: str, state: int, message: str = "") -> None:
    def store(tx: Transaction) -> None:
        tx.nodes.lock(node_id)
        tx.layouts.end(node_id, card, state=state, message=message, at=START + 1)

    await database.write(store)


async def claims(database: Database) -> dict[str, str | None]:
    rows = await database.read(lambda tx: tx.nodes.all_claims())
    return {row.gpu_uuid: row.layout for row in rows}


async def test_a_layout_keeps_what_will_be_gone_free_until_it_is_there(database: Database) -> None:
    node_id = await a_node(database)
    assert await begin(database, node_id, "GPU-0", "GPU-0", instances="1g.10gb@6") == ""
    assert await hold(database, node_id, "GPU-0") == ""
    (told,) = await database.read(lambda tx: tx.layouts.pending(node_id))
    assert (told.card_uuid, told.generation, told.instances) == ("GPU-0", 1, "1g.10gb@6")

    await end(database, node_id, "GPU-0", DONE)
    assert await database.read(lambda tx: tx.layouts.pending(node_id)) == []
    assert await claims(database) == {}
    assert await hold(database, node_id, "GPU-0") != ""


async def test_what_is_held_is_not_divided_and_nothing_is_left_of_the_attempt(database: Database):
    node_id = await a_node(database)
    await hold(database, node_id, "MIG-1")
    assert await begin(database, node_id, "GPU-0", "MIG-0", "MIG-1") == "GPU_TAKEN"
    assert await claims(database) == {"MIG-1": None}
    assert await database.read(lambda tx: tx.layouts.all()) == []


async def test_a_card_is_told_one_layout_after_another(database: Database) -> None:
    node_id = await a_node(database)
    for generation, state, message in ((3, FAILED, "the driver refused"), (8, DONE, "")):
        told = {"instances": f"x@{generation}", "generation": generation}
        assert await begin(database, node_id, "GPU-0", "GPU-0", **told) == ""  # type: ignore[arg-type]
        await end(database, node_id, "GPU-0", state, message)
        row = await database.read(lambda tx: tx.layouts.get(node_id, "GPU-0"))
        assert row is not None
        assert (row.generation, row.instances) == (generation, f"x@{generation}")
        assert (row.state, row.message) == (state, message)


async def test_cards_of_nodes_are_told_apart(database: Database) -> None:
    nodes = [await a_node(database), await a_node(database)]
    for node_id in nodes:
        for card in ("GPU-0", "GPU-1"):
            await begin(database, node_id, card, card)
    await end(database, nodes[0], "GPU-0", DONE)
    pending = [await database.read(lambda tx, one=one: tx.layouts.pending(one)) for one in nodes]  # type: ignore[misc]
    assert [[row.card_uuid for row in rows] for rows in pending] == [
        ["GPU-1"],
        ["GPU-0", "GPU-1"],
    ]

    await database.write(lambda tx: tx.layouts.drop(nodes[1]))
    left = await database.read(lambda tx: tx.layouts.of_nodes(nodes))
    assert [(row.node_id, row.card_uuid, row.state) for row in left] == [
        (nodes[0], "GPU-0", DONE),
        (nodes[0], "GPU-1", CHANGING),
    ]
    assert await claims(database) == {"GPU-1": "GPU-1"}


@pytest.mark.parametrize(
    "claim",
    [
        {},
        {"layout": "GPU-0", "shared_millis": 500},
        {"layout": "GPU-0", "run_id": "run"},
        {"shared_millis": 0},
        {"shared_millis": 1001},
        {"layout": "GPU-9"},
    ],
    ids=["nobody", "layout and share", "layout and run", "no share", "more than all", "no layout"],
)
async def test_the_database_refuses_a_claim_of_nobody_or_of_two(
    database: Database, claim: dict[str, object]
) -> None:
    node_id = await a_node(database)
    await begin(database, node_id, "GPU-0")
    run_id = await hold(database, node_id)
    if "run_id" in claim:
        claim = claim | {"run_id": run_id}

    def store(tx: Transaction) -> None:
        row = GpuClaimRow(**({"node_id": node_id, "gpu_uuid": "GPU-0"} | claim))
        table = GpuClaimRow.__table__  # type: ignore[attr-defined]
        tx.connection.execute(table.insert(), row.model_dump())

    with pytest.raises(IntegrityError):
        await database.write(store)


async def test_of_a_run_and_a_layout_at_once_one_gets_the_gpu(database: Database) -> None:
    node_id = await a_node(database)
    for number in range(8):
        card = f"GPU-{number}"
        run_id, refused = await asyncio.gather(
            hold(database, node_id, card), begin(database, node_id, card, card)
        )
        assert bool(run_id) == (refused == "GPU_TAKEN")


STEPS = st.lists(
    st.tuples(st.sampled_from(["hold", "release", "begin", "end"]), st.integers(0, 3)), max_size=30
)


@pytest.mark.parametrize("name", ["sqlite"])
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
async def test_no_gpu_ever_has_two_claims_whatever_happens(
    engines: Engines, name: str, steps: list[tuple[str, int]]
) -> None:
    """Against a model: who has which of four GPUs, one by one card."""
    database = await open_database(engines.by_name(name).new(migrated=True))
    with acting_as("test"):
        node_id = await a_node(database)
        runs: dict[str, str] = {}
        layouts: set[str] = set()
        for what, number in steps:
            gpu = f"GPU-{number}"
            free = gpu not in runs and gpu not in layouts
            if what == "hold":
                run_id = await hold(database, node_id, gpu)
                assert bool(run_id) == free
                runs |= {gpu: run_id} if run_id else {}
            elif what == "begin" and gpu not in layouts:
                assert (await begin(database, node_id, gpu, gpu) == "") == free
                layouts |= {gpu} if free else set()
            elif what == "end" and gpu in layouts:
                await end(database, node_id, gpu, DONE)
                layouts.discard(gpu)
            elif what == "release" and gpu in runs:
                run_id = runs.pop(gpu)
                await database.write(lambda tx, run_id=run_id: _end_run(tx, node_id, run_id))  # type: ignore[misc]
            assert await claims(database) == dict.fromkeys(runs) | {one: one for one in layouts}
    await database.close()


def _end_run(tx: Transaction, node_id: str, run_id: str) -> None:
    tx.runs.change(run_id, active=False)
    tx.nodes.release(node_id, run_id)
