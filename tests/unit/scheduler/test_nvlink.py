"""Jobs whose GPUs must reach each other over NVLink, or had better."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scheduler.cards import a_card, node_of
from tests.unit.scheduler.test_backfill import MINUTE, NOW, job, outcome, runs, world
from tests.unit.scheduler.test_preemption import a_run, a_world, stopped
from tests.unit.scheduler.test_topology import CUBE_MESH, cards, switches
from tests.unit.scheduler.worlds import a_job, a_node, a_pool
from windlass_server.scheduler.feasibility import could_ever_fit
from windlass_server.scheduler.outlook import outlook
from windlass_server.scheduler.plan import Plan, plan
from windlass_server.scheduler.snapshot import (
    Demand,
    Gpu,
    Kept,
    Moment,
    NodeState,
    Snapshot,
    Topology,
)
from windlass_server.scheduler.topology import Level

pytestmark = pytest.mark.timeout(60)

TWO_OF_FOUR = switches("0123", "4567")
NVLINK = Topology(required=Level.NVLINK)
RATHER = Topology(preferred=Level.NVLINK)


def linked(links: Sequence[str], held: str = "", name: str = "n1", *, count: int = 8) -> NodeState:
    """A node of eight GPUs, numbered, of which these pairs are linked and these are held."""
    given = cards(count, links, held)
    named = [
        replace(
            gpu,
            uuid=f"{name}-{gpu.uuid}",
            nvlink_peers=frozenset(f"{name}-{peer}" for peer in gpu.nvlink_peers),
        )
        for gpu in given
    ]
    return a_node(name, gpus=named)


def asking(gpus: int, near: Topology = NVLINK, job_id: str = "job-1", **asked) -> Demand:
    return replace(a_job(job_id, gpus=gpus, **asked), topology=near)


def given_to(result: Plan, job_id: str = "job-1") -> str:
    """The numbers of the GPUs that a job gets."""
    (one,) = [each for each in result.placements if each.job_id == job_id]
    return "".join(uuid.rpartition("-")[2] for uuid in one.gpu_uuids)


@pytest.mark.parametrize(
    ("links", "held", "count", "gpus"),
    [
        (TWO_OF_FOUR, "", 4, "0123"),
        (TWO_OF_FOUR, "1", 4, "4567"),
        (TWO_OF_FOUR, "1", 3, "023"),  # so the other island stays whole
        (TWO_OF_FOUR, "15", 4, None),
        (TWO_OF_FOUR, "", 5, None),
        (switches("01234567"), "0", 7, "1234567"),
        (CUBE_MESH, "123", 2, "04"),
        ([], "", 2, None),
        ([], "", 1, "0"),
    ],
)
def test_gpus_that_must_reach_each_other_are_of_one_island(links, held, count, gpus):
    result = plan(Snapshot((asking(count),), (linked(links, held),)))
    assert (given_to(result) if result.placements else None) == gpus


def test_who_asks_for_no_such_thing_leaves_the_largest_island_whole_too():
    first, second = a_job("job-1", gpus=1), asking(4, job_id="job-2")
    result = plan(Snapshot((first, second), (linked(TWO_OF_FOUR, "0"),)))
    assert (given_to(result), given_to(result, "job-2")) == ("1", "4567")


def test_it_waits_until_an_island_is_free_and_is_told_so():
    result = plan(Snapshot((asking(4),), (linked(TWO_OF_FOUR, "15"),)))
    (waiting,) = result.waiting
    assert waiting.reason == "TOPOLOGY_UNAVAILABLE"
    assert waiting.message == (
        "needs 4 GPUs of one NVLink island; most free on one node is 3 of 4 (node n1); "
        "1 node fits it when empty"
    )


def test_the_smallest_change_is_to_ask_for_no_island():
    seen = outlook(Snapshot((asking(4),), (linked(TWO_OF_FOUR, "15"),)), "job-1")
    told = [(one.field, one.asked, one.enough) for one in seen.changes]
    assert told[:2] == [("topology.required", "NVLINK", ""), ("resources.gpu_count", "4", "3")]


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            linked(TWO_OF_FOUR),
            "needs 6 GPUs of one NVLink island; the most on one node is 4 (node n1)",
        ),
        (linked([]), "needs 6 GPUs of one NVLink island; the most on one node is 1 (node n1)"),
    ],
)
def test_what_no_island_could_ever_hold_is_refused(node: NodeState, message: str):
    lack = could_ever_fit(asking(6), [node], ())
    assert lack is not None
    assert (lack.dimension, lack.message) == ("topology", message)
    assert could_ever_fit(asking(6, RATHER), [node], ()) is None


def test_gpus_that_are_held_sick_or_only_declared_may_come_to_reach_each_other():
    node = linked(TWO_OF_FOUR, "0123")
    assert could_ever_fit(asking(4), [node], ()) is None
    pool = a_pool("big", template=replace(a_node("shape", gpus=8), labels=None))
    assert could_ever_fit(asking(8), [node], [pool]) is None


def test_what_is_only_wished_decides_where_it_goes_and_is_not_waited_for():
    apart, joined = linked(TWO_OF_FOUR, "0145", "a"), linked(switches("01234567"), "01", "b")
    job = asking(4, RATHER)
    (placement,) = plan(Snapshot((replace(job, topology=Topology()),), (apart, joined))).placements
    assert placement.node_id == "node-a"
    (placement,) = plan(Snapshot((job,), (apart, joined))).placements
    assert placement.node_id == "node-b"
    assert given_to(plan(Snapshot((job,), (apart,)))) == "2367"
    failed = replace(asking(4, RATHER, faults={"b": None}))
    (placement,) = plan(Snapshot((failed,), (apart, joined))).placements
    assert placement.node_id == "node-a"


def test_gpus_of_each_node_of_several_are_of_one_island_of_it():
    there = [
        linked(TWO_OF_FOUR, held, name) for name, held in (("a", "0"), ("b", "37"), ("c", "4"))
    ]
    there = [replace(node, address="10.0.0.1") for node in there]
    job = replace(asking(4), nodes=2, min_nodes=2)
    (placement,) = plan(Snapshot((job,), tuple(there))).placements
    assert [(one.node_id, one.gpu_uuids[0]) for one in placement.places] == [
        ("node-a", "a-4"), ("node-c", "c-0"),
    ]  # fmt: skip
    (waiting,) = plan(Snapshot((replace(job, nodes=3, min_nodes=3),), tuple(there))).waiting
    assert waiting.reason == "TOPOLOGY_UNAVAILABLE"
    assert waiting.message.startswith("needs 3 nodes with 4 GPUs of one NVLink island, 1 core")
    wished = replace(asking(4, RATHER), nodes=2, min_nodes=2)
    (placement,) = plan(Snapshot((wished,), tuple(there))).placements
    assert [one.node_id for one in placement.places] == ["node-a", "node-c"]
    (placement,) = plan(Snapshot((replace(wished, nodes=3, min_nodes=1),), tuple(there))).placements
    assert len(placement.places) == 3


def test_its_start_is_that_at_which_its_gpus_reach_each_other():
    node = linked(TWO_OF_FOUR)
    ends = ((0, 60), (1, 600), (4, 120), (5, 1200))
    running = [runs(node, gpu, until=minutes) for gpu, minutes in ends]
    first = replace(job("job-1", gpus=4, minutes=60), topology=NVLINK)
    result = plan(world([first], [node], running))
    (waiting,) = result.waiting
    assert waiting.start is not None
    assert waiting.start.at == NOW + 600 * MINUTE  # four are free after 60 minutes, of two islands
    # So who is over before is not held up, and who is not is.
    behind = [job("job-2", gpus=2, minutes=500), job("job-3", gpus=2, minutes=700)]
    told = outcome(world([first, *behind], [node], running))
    assert told["job-2"] == node.node_id
    assert told["job-3"] == "WOULD_DELAY_EARLIER_JOB"


def test_several_nodes_are_promised_when_each_has_an_island():
    nodes = [replace(linked(TWO_OF_FOUR, name=name), address="x") for name in ("a", "b")]
    running = [
        runs(node, gpu, until=minutes)
        for node in nodes
        for gpu, minutes in ((0, 60), (1, 600), (4, 120), (5, 1200))
    ]
    first = replace(job("job-1", gpus=4, minutes=60), topology=NVLINK, nodes=2, min_nodes=2)
    (waiting,) = plan(world([first], nodes, running)).waiting
    assert waiting.start is not None
    assert waiting.start.at == NOW + 600 * MINUTE


def test_those_are_stopped_without_whom_an_island_is_free():
    node = linked(TWO_OF_FOUR)
    held = {"a": "0", "b": "45", "c": "67", "d": "1", "e": "23"}
    low = [a_run(name, gpus=[*map(int, numbers)]) for name, numbers in held.items()]
    high = replace(a_job("high", gpus=4, priority=100), topology=NVLINK)
    result = plan(a_world([high], [node], low))
    assert stopped(result) == {"b", "c"}


def test_cards_are_made_whole_for_it():
    divided = [a_card(f"c{number}", "1g.10gb@0") for number in range(2)]
    whole = [a_card(f"c{number}") for number in range(2, 4)]
    node = node_of("n1", *divided, *whole)
    peers = frozenset(("c2", "c3"))
    gpus = [
        replace(gpu, nvlink_peers=peers - {gpu.uuid}) if gpu.uuid in peers else gpu
        for gpu in node.gpus
    ]
    node = replace(node, gpus=tuple(gpus))
    result = plan(Snapshot((asking(4, gpu_type="H100"),), (node,)))
    assert {change.card_uuid for change in result.changes} == {"c0", "c1"}


def test_of_an_island_only_what_reservations_leave_is_given():
    node = linked(switches("01234567"))
    kept = Kept("resv-1", "other", frozenset(), 0, 0, 5, "H100", NOW)
    moment = Moment(node.node_id, 0, node.cpu_millis, node.memory_bytes, {"H100": 8}, (kept,))
    result = plan(Snapshot((asking(3), asking(4, job_id="job-2")), (node,), moments=(moment,)))
    assert given_to(result) == "012"
    assert [one.reason for one in result.waiting] == ["BEHIND_HIGHER_PRIORITY"] or result.waiting


@st.composite
def worlds(draw: st.DrawFn) -> Snapshot:
    """Up to three nodes of up to six cards, linked anyhow, and jobs for them."""
    there = []
    for name in "abc"[: draw(st.integers(1, 3))]:
        count = draw(st.integers(1, 6))
        pairs = ["".join(pair) for pair in combinations("012345"[:count], 2)]
        links = [pair for pair in pairs if draw(st.booleans())]
        held = "".join(str(number) for number in range(count) if draw(st.integers(0, 3)) == 0)
        there.append(linked(links, held, name, count=count))
    near = st.sampled_from([NVLINK, NVLINK, RATHER, Topology()])
    queue = [
        asking(draw(st.integers(1, 4)), draw(near), f"job-{number}", cpu=0)
        for number in range(draw(st.integers(1, 5)))
    ]
    return Snapshot(tuple(queue), tuple(there))


def reach(gpus: Sequence[Gpu]) -> bool:
    """Whether all of these reach each other, written as plainly as it can be."""
    return all(b.uuid in a.nvlink_peers for a, b in combinations(gpus, 2))


@given(worlds())
def test_such_a_job_gets_gpus_that_reach_each_other_exactly_when_there_are_such(snapshot: Snapshot):
    result = plan(snapshot)
    jobs = {each.job_id: each for each in snapshot.queue}
    left = {gpu.uuid: (node.node_id, gpu) for node in snapshot.nodes for gpu in node.gpus}
    left = {uuid: pair for uuid, pair in left.items() if not pair[1].held}

    def possible(demand: Demand) -> bool:
        return any(
            reach(chosen)
            for node in snapshot.nodes
            for chosen in combinations(
                [gpu for node_id, gpu in left.values() if node_id == node.node_id],
                demand.gpu_count,
            )
        )

    for placement in result.placements:
        demand = jobs[placement.job_id]
        wished = demand.topology.preferred and possible(demand)
        gpus = [left.pop(uuid) for uuid in placement.gpu_uuids]
        assert {node_id for node_id, _ in gpus} == {placement.node_id}
        if demand.topology.required or wished:
            assert reach([gpu for _, gpu in gpus])
    for waiting in result.waiting:
        demand = jobs[waiting.job_id]
        if demand.topology.required:
            assert not possible(demand)
