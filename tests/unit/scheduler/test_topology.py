"""GPUs that lie near to each other: what is chosen, and what is left."""

from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scheduler.worlds import a_node
from windlass_server.scheduler.islands import connected, nearest
from windlass_server.scheduler.snapshot import Gpu, NodeState
from windlass_server.scheduler.topology import beside, emptied, in_one_island, of_free_gpus


def switches(*islands: str) -> list[str]:
    return [a + b for island in islands for a, b in combinations(island, 2)]


# The first DGX: each card reaches four of eight, and two sets of four do so among themselves.
CUBE_MESH = [*switches("0123", "4567"), "04", "15", "26", "37"]


def cards(count: int, links: Sequence[str], held: str = "", sick: str = "") -> list[Gpu]:
    """GPUs 0, 1, 2, … with a link between each pair that is named."""
    peers: dict[str, set[str]] = {str(number): set() for number in range(count)}
    for one, other in links:
        peers[one].add(other)
        peers[other].add(one)
    return [
        Gpu(name, "H100", name not in sick, name in held, nvlink_peers=frozenset(others))
        for name, others in peers.items()
    ]


def free(node: NodeState) -> str:
    return "".join(gpu.uuid for gpu in of_free_gpus(node).gpus)


@pytest.mark.parametrize(
    ("links", "held", "count", "chosen"),
    [
        (switches("0123", "4567"), "", 2, "01"),
        (switches("0123", "4567"), "0", 2, "12"),  # the smaller island, so that 4567 stays whole
        (switches("0123", "4567"), "012", 2, "45"),
        (switches("0123", "4567"), "", 4, "0123"),
        (switches("0123", "4567"), "0", 4, "4567"),
        (switches("0123", "4567"), "01", 5, "24567"),  # none has five: as few islands as can be
        (switches("0123", "4567"), "04", 6, "123567"),
        (["02", "13"], "", 2, "02"),  # bridges
        (["02", "13"], "0", 2, "13"),
        ([], "", 3, "012"),
        (CUBE_MESH, "", 4, "0123"),
        (CUBE_MESH, "0", 4, "4567"),
        (CUBE_MESH, "123", 2, "04"),  # the pair that nobody else can use
    ],
)
def test_gpus_are_chosen_near_to_each_other_and_leave_what_others_can_use(
    links: list[str], held: str, count: int, chosen: str
):
    size = 8 if links and max(map(max, links)) > "3" else 4
    left = [gpu for gpu in cards(size, links) if gpu.uuid not in held]
    assert "".join(nearest(left, count)) == chosen


@pytest.mark.parametrize(
    ("count", "held", "sick", "offered"),
    [
        (4, "", "", "0123"),
        (4, "2", "", "4567"),
        (3, "2", "", "013"),
        (4, "", "2", "4567"),
        (4, "2", "5", "013"),  # no island has four: the largest, by which a refusal counts
    ],
)
def test_a_node_offers_the_free_gpus_of_one_island(count: int, held: str, sick: str, offered: str):
    node = a_node(gpus=cards(8, switches("0123", "4567"), held, sick))
    assert free(in_one_island(node, count)) == offered
    assert len(in_one_island(node, count).gpus) == 8


def test_islands_are_of_one_type_each():
    gpus = cards(4, switches("0123"))
    gpus[3] = Gpu("3", "A100", True, False, nvlink_peers=gpus[3].nvlink_peers)
    assert free(in_one_island(a_node(gpus=gpus), 3)) == "0123"
    assert not connected([*cards(3, switches("012")), Gpu("3", "H100", True, False)])


def test_a_link_of_which_only_one_end_tells_is_none():
    told = Gpu("0", "H100", True, False, nvlink_peers=frozenset({"1"}))
    assert not connected([told, Gpu("1", "H100", True, False)])


@pytest.mark.parametrize(
    ("others", "offered"),
    [("0", "123"), ("01", "23"), ("5", "467"), ("05", ""), ("", "01234567")],
)
def test_beside_gpus_are_those_that_reach_all_of_them(others: str, offered: str):
    node = a_node(gpus=cards(8, switches("0123", "4567")))
    assert free(beside(node, frozenset(others))) == offered


def test_when_nothing_runs_all_gpus_are_free_and_well():
    node = a_node(gpus=cards(8, switches("0123", "4567"), held="01", sick="2"))
    assert free(in_one_island(emptied(node), 4)) == "0123"


@st.composite
def meshes(draw: st.DrawFn) -> list[Gpu]:
    """Up to nine cards, linked anyhow."""
    count = draw(st.integers(1, 9))
    pairs = ["".join(pair) for pair in combinations("012345678"[:count], 2)]
    links = [pair for pair in pairs if draw(st.booleans())]
    held = "".join(str(number) for number in range(count) if draw(st.integers(0, 3)) == 0)
    return cards(count, links, held)


@given(meshes(), st.integers(1, 9))
def test_gpus_of_one_island_all_reach_each_other_whenever_such_gpus_are_free(
    gpus: list[Gpu], count: int
):
    able = [gpu for gpu in gpus if not gpu.held]
    peers = {gpu.uuid: gpu.nvlink_peers for gpu in gpus}
    possible = any(
        all(b.uuid in peers[a.uuid] for a, b in combinations(chosen, 2))
        for chosen in combinations(able, count)
    )
    offered = free(in_one_island(a_node(gpus=gpus), count))
    assert all(b in peers[a] for a, b in combinations(offered, 2))
    assert (len(offered) >= count) == possible


@given(meshes(), st.integers(1, 9))
def test_as_many_as_are_asked_for_are_chosen_each_once(gpus: list[Gpu], count: int):
    count = min(count, len(gpus))
    chosen = nearest(gpus, count)
    assert len(set(chosen)) == len(chosen) == count


def test_a_node_that_tells_of_a_tangle_is_answered_soon():
    # 3**20 islands of twenty: all pairs reach each other but those of one triple.
    peers = {
        str(one): frozenset(str(other) for other in range(60) if other // 3 != one // 3)
        for one in range(60)
    }
    gpus = [Gpu(name, "H100", True, False, nvlink_peers=there) for name, there in peers.items()]
    assert connected([gpu for gpu in gpus if gpu.uuid in nearest(gpus, 20)])
