"""Jobs of several nodes get all of their nodes at once or none, as near to each other as they can be."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scheduler.cards import a_card, node_of
from tests.unit.scheduler.worlds import (
    a_job,
    a_node,
    a_pool,
    demands,
    emptied,
    holds,
    nodes,
    with_job,
)
from windlass_server.scheduler.feasibility import could_ever_fit
from windlass_server.scheduler.plan import Placement, plan
from windlass_server.scheduler.snapshot import Demand, NodeState, Snapshot, Topology
from windlass_server.scheduler.topology import Level

pytestmark = pytest.mark.timeout(60)

Domain = tuple[str, ...]
# How many of cluster, zone, block and rack say which domain of a level a node is in.
DEPTHS = {0: 1, Level.RACK: 4, Level.BLOCK: 3}


def a_gang(count: int, least: int = 0, *, required: int = 0, preferred: int = 0, **job) -> Demand:
    """A job of `count` nodes, or of `least` at least."""
    wanted = Topology(required, preferred)
    return replace(a_job(**job), nodes=count, min_nodes=least or count, topology=wanted)


def placed(node: NodeState, rack: str = "", block: str = "", cluster: str = "c") -> NodeState:
    """A node that runs parts of such jobs, and where it stands."""
    return replace(node, place=(cluster, "", block, rack), address="10.0.0.1")


def in_racks(*counts: int, gpus: int = 8, **node) -> list[NodeState]:
    """Racks of so many nodes each, r0 and so on, all in one block."""
    return [
        placed(a_node(f"{rack}{number}", gpus=gpus, **node), f"r{rack}", "b")
        for rack, count in enumerate(counts)
        for number in range(count)
    ]


def domain(node: NodeState, level: int) -> Domain:
    own = f"only {node.node_id}"
    cluster, zone, block, rack = node.place
    alone = f"only rack {rack}" if rack else own
    return (cluster, zone, block or alone, rack or own)[: DEPTHS[level]]


@st.composite
def worlds(draw: st.DrawFn) -> Snapshot:
    queue = []
    for index in range(draw(st.integers(0, 6))):
        job = replace(draw(demands(f"job-{index:02}")), gpu_millis=0)
        count = draw(st.sampled_from([1, 2, 2, 3, 4]))
        required = draw(st.sampled_from([0, 0, Level.RACK, Level.BLOCK]))
        near = [0, Level.BLOCK] if required != Level.RACK else [0]
        preferred = draw(st.sampled_from(near)) if required != Level.BLOCK else 0
        if count > 1:
            least = draw(st.integers(1, count))
            wanted = Topology(required, preferred)
            job = replace(job, nodes=count, min_nodes=least, topology=wanted)
        queue.append(job)
    there = []
    for index in range(draw(st.integers(0, 7))):
        node = draw(nodes(f"n{index}"))
        place = tuple(draw(st.sampled_from(names)) for names in ("cd", ["", "z"], ["", "b"], "rs"))
        node = replace(node, place=place, address=draw(st.sampled_from(["", "x", "x", "x"])))
        there.append(node)
    return Snapshot(tuple(queue), tuple(there))


def kinds(job: Demand) -> Iterator[Demand]:
    """The job with each type of GPUs that it could have."""
    if job.gpu_count and not job.gpu_type:
        yield from (replace(job, gpu_type=gpu_type) for gpu_type in ("H100", "L4"))
    else:
        yield job


def most(state: dict[str, NodeState], job: Demand, level: int) -> int:
    """In how many nodes of one domain the job could have a part, written as plainly as it can be."""
    best = 0
    for kind in kinds(job):
        able = [node for node in state.values() if node.address and holds(node, kind)]
        best = max([best, *Counter(domain(node, level) for node in able).values()])
    return best


def taken(state: dict[str, NodeState], job: Demand, placement: Placement) -> dict[str, NodeState]:
    """The nodes behind a placement; each step asserts that there was room."""
    types = set()
    for place in placement.places:
        node = state[place.node_id]
        types |= {gpu.gpu_type.lower() for gpu in node.gpus if gpu.uuid in place.gpu_uuids}
        (kind,) = {replace(job, gpu_type=one) for one in types} or {job}
        assert holds(node, kind)
        assert len(place.gpu_uuids) == job.gpu_count
        free = {gpu.uuid for gpu in node.gpus if gpu.healthy and not gpu.held}
        assert free.issuperset(place.gpu_uuids)
        state = state | {node.node_id: with_job(node, job, place.gpu_uuids)}
    assert len(types) <= 1
    return state


@given(worlds())
def test_a_job_has_as_many_nodes_as_it_may_and_can_or_none_and_none_is_overcommitted(
    world: Snapshot,
):
    result = plan(world)
    jobs = {job.job_id: job for job in world.queue}
    state = {node.node_id: node for node in world.nodes}
    for one in result.placements:
        job = jobs[one.job_id]
        count = len({place.node_id for place in one.places})
        assert count == len(one.places)
        assert job.min_nodes <= count <= job.nodes
        if job.nodes > 1:
            assert count == min(job.nodes, most(state, job, job.topology.required))
            inside = {domain(state[place.node_id], job.topology.required) for place in one.places}
            assert len(inside) == 1
        state = taken(state, job, one)
    for waiting in result.waiting:
        job = jobs[waiting.job_id]
        assert waiting.message
        if job.nodes > 1:
            assert most(state, job, job.topology.required) < job.min_nodes


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_what_is_seen_changes_nothing(world: Snapshot, random):
    queue, there = list(world.queue), list(world.nodes)
    random.shuffle(queue)
    random.shuffle(there)
    assert plan(Snapshot(tuple(queue), tuple(there))) == plan(world)


@given(worlds())
def test_a_job_lies_in_one_rack_where_one_has_room_for_all_of_it(world: Snapshot):
    jobs = {job.job_id: job for job in world.queue}
    state = {node.node_id: node for node in world.nodes}
    for one in plan(world).placements:
        job = jobs[one.job_id]
        racks = [domain(state[place.node_id], Level.RACK) for place in one.places]
        # Nodes of one rack have ranks in a row.
        assert len([*groupby(racks)]) == len(set(racks))
        if job.nodes > 1 and not job.topology.preferred and not job.faults:
            fits = most(state, job, Level.RACK) >= job.nodes
            assert (len(set(racks)) == 1) >= fits
        state = taken(state, job, one)


@given(worlds())
def test_what_is_refused_for_ever_does_not_fit_when_all_is_empty(world: Snapshot):
    there = {node.node_id: emptied(node) for node in world.nodes}
    for job in world.queue:
        job = replace(job, faults=())  # noqa: PLW2901 - they are forgotten by then
        if job.nodes > 1 and there:
            ever = most(there, job, job.topology.required) >= job.min_nodes
            assert (could_ever_fit(job, world.nodes, ()) is None) == ever


@pytest.mark.parametrize(
    ("_case", "job", "racks", "expected"),
    [
        ("the rack that it fills", a_gang(2, gpus=8), (3, 2), "r1 r1"),
        ("the fewest racks", a_gang(5, gpus=8), (2, 4, 3), "r0 r1 r1 r1 r1"),
        ("the smallest rack for the rest", a_gang(6, gpus=8), (4, 3, 2), "r0 r0 r0 r0 r2 r2"),
        ("no rack for all", a_gang(3, required=Level.RACK, gpus=8), (2, 2), ""),
        ("as many as one rack has", a_gang(4, 2, required=Level.RACK, gpus=8), (2, 3), "r1 r1 r1"),
        ("more rather than nearer", a_gang(4, 2, gpus=8), (2, 3), "r0 r1 r1 r1"),
        ("all of what there is", a_gang(9, 2, gpus=8), (2, 3), "r0 r0 r1 r1 r1"),
        ("less than it makes do with", a_gang(9, 6, gpus=8), (2, 3), ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_which_racks_a_job_gets(_case, job, racks, expected):
    there = in_racks(*racks)
    result = plan(Snapshot((job,), tuple(there)))
    by_id = {node.node_id: node.place[3] for node in there}
    got = [by_id[place.node_id] for one in result.placements for place in one.places]
    assert " ".join(got) == expected


def test_a_rack_whose_nodes_name_no_block_is_one_all_the_same():
    there = [placed(a_node(name, gpus=8), rack) for name, rack in (("a", "r1"), ("b", "r1"))]
    job = a_gang(2, required=Level.RACK, gpus=8)
    assert plan(Snapshot((job,), tuple(there))).placements
    apart = [placed(a_node("a", gpus=8), "r1"), placed(a_node("b", gpus=8), "r2")]
    assert not plan(Snapshot((job,), tuple(apart))).placements


def test_nodes_of_two_clusters_are_never_one_jobs():
    there = [placed(a_node("a", gpus=8)), placed(a_node("b", gpus=8), cluster="other")]
    (waits,) = plan(Snapshot((a_gang(2, gpus=8),), tuple(there))).waiting
    assert waits.reason == "INSUFFICIENT_NODES"


def test_nodes_of_two_types_are_never_one_jobs():
    there = [placed(a_node("a", gpus=8)), placed(a_node("b", gpus=8, gpu_type="L4"))]
    assert not plan(Snapshot((a_gang(2, gpus=8),), tuple(there))).placements
    (one,) = plan(Snapshot((a_gang(2),), tuple(there))).placements
    assert [place.node_id for place in one.places] == ["node-a", "node-b"]


def test_a_node_that_failed_it_is_its_last_choice_and_better_than_fewer_nodes():
    there = in_racks(2, 2)
    job = a_gang(2, gpus=8, faults={"00": None})
    (one,) = plan(Snapshot((job,), tuple(there))).placements
    assert [place.node_id for place in one.places] == ["node-10", "node-11"]
    (one,) = plan(Snapshot((replace(job, nodes=4),), tuple(there))).placements
    assert len(one.places) == 4


EACH = "8 H100, 1 core and 1 GiB of memory each"
H8 = {"gpus": 8, "gpu_type": "H100"}


@pytest.mark.parametrize(
    ("job", "there", "reason", "message"),
    [
        (
            a_gang(4, **H8),
            in_racks(2, 1),
            "INSUFFICIENT_NODES",
            f"needs 4 nodes with {EACH}; at most 3 could hold that",
        ),
        (
            a_gang(3, required=Level.RACK, **H8),
            in_racks(1, 2),
            "TOPOLOGY_UNAVAILABLE",
            f"needs 3 nodes in one rack with {EACH}; at most 2 in one rack could hold that (rack r1)",
        ),
        (
            a_gang(3, 2, required=Level.RACK, **H8),
            [*in_racks(2), *in_racks(0, 2, held=1), *in_racks(0, 0, 3, held=1)][1:],
            "INSUFFICIENT_NODES",
            (
                f"needs 2 nodes in one rack with {EACH}; at most 1 in one rack have room for that now "
                "(rack r0); 3 could hold it when empty"
            ),
        ),
        (
            a_gang(2, required=Level.RACK, **H8),
            [*in_racks(1), *in_racks(0, 1), *in_racks(0, 0, 2, held=1)],
            "TOPOLOGY_UNAVAILABLE",
            (
                f"needs 2 nodes in one rack with {EACH}; at most 1 in one rack have room for that now "
                "(rack r0); 2 could hold it when empty"
            ),
        ),
        (
            a_gang(2, **H8),
            in_racks(3, held=1),
            "INSUFFICIENT_GPUS",
            "needs 8 H100; most free on one node is 7 of 8 (node 00); 3 nodes fit it when empty",
        ),
        (
            a_gang(2, **H8),
            [*in_racks(1), *in_racks(0, 1, ready=False)],
            "NODES_UNREACHABLE",
            f"needs 2 nodes with {EACH}; of 2 that could hold that 1 are reachable",
        ),
        (
            a_gang(2, **H8),
            [*in_racks(1), *in_racks(0, 1, takes_work=False)],
            "NODES_CORDONED",
            f"needs 2 nodes with {EACH}; of 2 that could hold that 1 are open to new work",
        ),
        (
            a_gang(2, gpus=8, gpu_type="B200"),
            in_racks(3),
            "GPU_TYPE_UNAVAILABLE",
            (
                "needs 8 B200; no node has such GPUs (types there are: H100); no registered node could "
                "hold it"
            ),
        ),
    ],
)
def test_why_a_job_of_several_nodes_waits(job, there, reason, message):
    (waits,) = plan(Snapshot((job,), tuple(there))).waiting
    assert (waits.reason, waits.message) == (reason, message)


def test_it_waits_behind_a_job_of_several_nodes_as_behind_one():
    first, second = a_gang(2, job_id="job-1", **H8), a_gang(2, job_id="job-2", **H8)
    (waits,) = plan(Snapshot((first, second), tuple(in_racks(3)))).waiting
    assert waits.reason == "WAITING_BEHIND_EARLIER_JOBS"
    assert waits.message == "would fit, but 1 job submitted earlier took the room in this round"


@pytest.mark.parametrize(
    ("_case", "job", "there", "pools", "dimension"),
    [
        ("a sum says nothing", a_gang(2, gpus=8), in_racks(8, gpus=4), [], "gpu_count"),
        ("too few nodes", a_gang(3, gpus=8), in_racks(2), [], "nodes"),
        ("enough of the least", a_gang(3, 2, gpus=8), in_racks(2), [], None),
        ("not near", a_gang(3, required=Level.RACK), in_racks(2, 2), [], "topology"),
        ("near enough", a_gang(3, required=Level.BLOCK), in_racks(2, 2), [], None),
        ("not of one type", a_gang(2, gpus=1), [*in_racks(1), *in_racks(0, 1, gpu_type="L4")], [], "nodes"),
        ("agents of an older release", a_gang(2), [a_node("a"), a_node("b")], [], "nodes"),
        ("a pool will have them", a_gang(3, gpus=8), in_racks(1), [a_pool(template=a_node(gpus=8), count=2)], None),
        ("too small a pool", a_gang(4, gpus=8), in_racks(1), [a_pool(template=a_node(gpus=8), count=2)], "nodes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_could_never_run_is_judged_node_by_node(_case, job, there, pools, dimension):
    lack = could_ever_fit(job, there, pools)
    assert (lack and lack.dimension) == dimension


def gpus_of(name: str, *cards, **values) -> NodeState:
    return placed(node_of(name, *cards, **values))


def test_cards_are_made_whole_for_a_job_of_several_nodes_on_all_of_them_or_none():
    idle, busy = a_card("c", "1g.10gb@0"), a_card("b", "1g.10gb@0", busy=[0])
    whole = gpus_of("whole", a_card("w"))
    job = a_gang(2, gpus=1, gpu_type="H100")
    result = plan(Snapshot((job,), (gpus_of("idle", idle), whole)))
    assert [(one.card_uuid, one.instances) for one in result.changes] == [("c", ())]
    assert result.waiting[0].reason == "GPU_LAYOUT_CHANGING"
    assert result.waiting[0].message == "a card of node idle is being made whole for it"
    result = plan(Snapshot((job,), (gpus_of("busy", busy), whole)))
    assert (result.placements, result.changes) == ((), ())


def test_who_has_agents_of_an_older_release_is_told_so():
    lack = could_ever_fit(a_gang(2), [placed(a_node("a")), a_node("b")], [])
    assert lack is not None
    assert lack.message == (
        "needs 2 nodes with 1 core and 1 GiB of memory each; at most 1 could hold that; "
        "the agents of 1 are too old for jobs of several nodes"
    )


def test_each_node_gives_its_share_of_one_card_and_all_cards_are_of_one_type():
    there = [
        placed(a_node(name, gpus=1, gpu_type=kind, sharers=4, shared=[(taken, 1)] if taken else ()))
        for name, kind, taken in (
            ("a", "A100", 0),
            ("b", "H100", 600),
            ("c", "H100", 300),
            ("d", "L4", 900),
        )
    ]
    job = replace(a_gang(2, share=400), whole_cards=True)
    (one,) = plan(Snapshot((job,), tuple(there))).placements
    assert [(place.node_id, place.gpu_uuids) for place in one.places] == [
        ("node-b", ("b-0",)), ("node-c", ("c-0",)),
    ]  # fmt: skip
    more = replace(a_gang(3, share=400), whole_cards=True)
    (waiting,) = plan(Snapshot((more,), tuple(there))).waiting
    assert waiting.reason == "INSUFFICIENT_NODES"


def test_cards_with_so_much_memory_are_whole_ones_in_jobs_of_several_nodes():
    nodes = [
        placed(node_of("a", a_card("a0", "3g.40gb@4"))),
        placed(node_of("b", a_card("b0"))),
        placed(node_of("c", a_card("c0"))),
    ]
    several = replace(a_gang(2, gpus=1), gpu_memory_bytes=20 << 30, whole_cards=True)
    (one,) = plan(Snapshot((several,), tuple(nodes))).placements
    assert [place.gpu_uuids for place in one.places] == [("b0",), ("c0",)]
    # One that takes a part does not get a whole card for it.
    alone = replace(several, nodes=1, min_nodes=1, whole_cards=False)
    (one,) = plan(Snapshot((alone,), tuple(nodes))).placements
    assert one.gpu_uuids == ("a0/4",)
    # The divided card is made whole.
    three = replace(several, nodes=3, min_nodes=3)
    result = plan(Snapshot((three,), tuple(nodes)))
    assert [change.card_uuid for change in result.changes] == ["a0"]
