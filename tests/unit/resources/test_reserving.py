import pytest

from tests.unit.scheduler.worlds import GIB, a_node
from windlass_server.resources.reserving import NotSoMuch, Part, Wanted, parts

A, B, C = (
    a_node("a", gpus=8, cpu=64_000, memory=64 * GIB),
    a_node("b", gpus=8, cpu=64_000, memory=64 * GIB),
    a_node("c", gpus=4, gpu_type="L4", cpu=16_000, memory=32 * GIB),
)
NODES = [A, B, C]


def got(wanted: Wanted, *reserved: Part, nodes=NODES) -> list[tuple[str, int, str]]:
    """Node, GPUs and type of each part."""
    return [(one.node_id, one.gpu_count, one.gpu_type) for one in parts(wanted, nodes, reserved)]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(gpu_count=8, gpu_type="H100"), [("node-a", 8, "H100")]),
        (Wanted(gpu_count=3, gpu_type="h100"), [("node-a", 3, "H100")]),
        (Wanted(gpu_count=12, gpu_type="H100"), [("node-a", 8, "H100"), ("node-b", 4, "H100")]),
        (Wanted(gpu_count=2, gpu_type="L4"), [("node-c", 2, "L4")]),
        (Wanted(node_count=2), [("node-a", 8, "H100"), ("node-b", 8, "H100")]),
        (Wanted(node_count=1, gpu_type="L4"), [("node-c", 4, "L4")]),
        (Wanted(node_ids=("node-c", "node-a")), [("node-c", 4, "L4"), ("node-a", 8, "H100")]),
        (Wanted(cpu_millis=70_000), [("node-a", 0, ""), ("node-b", 0, "")]),
    ],
)
def test_a_reservation_gets_its_parts_of_few_nodes(wanted, expected):
    assert got(wanted) == expected


def test_gpus_come_with_their_share_of_their_node_unless_amounts_are_said():
    (part,) = parts(Wanted(gpu_count=2, gpu_type="H100"), NODES, ())
    assert (part.cpu_millis, part.memory_bytes) == (16_000, 16 * GIB)
    (part,) = parts(Wanted(gpu_count=2, gpu_type="H100", cpu_millis=3000), NODES, ())
    assert (part.cpu_millis, part.memory_bytes) == (3000, 16 * GIB)


def test_what_others_have_at_the_time_is_not_given_again():
    taken = Part("node-a", 48_000, 48 * GIB, 6, "H100")
    assert got(Wanted(gpu_count=8, gpu_type="H100"), taken) == [("node-b", 8, "H100")]
    assert got(Wanted(gpu_count=2, gpu_type="H100"), taken) == [("node-a", 2, "H100")]
    assert got(Wanted(node_count=2), taken) == [("node-b", 8, "H100"), ("node-c", 4, "L4")]


def test_gpus_without_cpu_left_are_of_no_use():
    taken = Part("node-a", 60_000, 0)
    assert got(Wanted(gpu_count=1, gpu_type="H100"), taken) == [("node-b", 1, "H100")]


def test_nodes_that_can_work_now_come_first():
    away = a_node("a", gpus=8, ready=False)
    closed = a_node("b", gpus=8, takes_work=False)
    there = a_node("z", gpus=8)
    nodes = [away, closed, there]
    assert got(Wanted(gpu_count=8), nodes=nodes) == [("node-z", 8, "H100")]
    assert len(got(Wanted(gpu_count=24), nodes=nodes)) == 3


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wanted(gpu_count=17, gpu_type="H100"), "needs 17 H100; 16 are left"),
        (Wanted(gpu_count=1, gpu_type="B200"), "needs 1 B200; 0 are left"),
        (Wanted(node_count=4), "needs 4 whole nodes; 3 are left"),
        (Wanted(node_count=2, gpu_type="L4"), "needs 2 whole nodes; 1 are left"),
        (Wanted(cpu_millis=144_001), "1 thousandths of a core are not left"),
        (Wanted(memory_bytes=161 * GIB), "1073741824 bytes of memory are not left"),
    ],
)
def test_what_there_is_not_is_said(wanted, words):
    with pytest.raises(NotSoMuch, match=words):
        parts(wanted, NODES, ())


def test_a_node_of_which_somebody_has_a_part_is_no_whole_node():
    with pytest.raises(NotSoMuch):
        parts(Wanted(node_ids=("node-a",)), NODES, [Part("node-a", 1, 0)])
