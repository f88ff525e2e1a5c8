"""How much of the idle GPUs is of no use, and to whom."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scheduler.cards import a_card, node_of
from tests.unit.scheduler.worlds import GIB, a_node, nodes
from windlass_server.scheduler.fragmentation import (
    IdleNode,
    TaskClass,
    fragmentation,
    idle_node,
    useless_to,
)
from windlass_server.scheduler.snapshot import Gpu

ROOMY = {"cpu_millis": 32_000, "memory_bytes": 256 * GIB}


def idle(*gpus: str | tuple[str, int], **room: int) -> IdleNode:
    parts = [one if isinstance(one, tuple) else (one, 1000) for one in gpus]
    return IdleNode(gpus=tuple(sorted(parts)), **(ROOMY | room))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("task", "node", "useless"),
    [
        (TaskClass(1), idle(), 0),
        (TaskClass(1), idle("h100"), 0),
        (TaskClass(2), idle("h100"), 1000),
        (TaskClass(2), idle("h100", "h100"), 0),
        # By the definition what is left over beside a task counts when it is looked at again.
        (TaskClass(2), idle("h100", "h100", "h100"), 0),
        (TaskClass(8), idle(*["h100"] * 7), 7000),
        (TaskClass(1, "H100"), idle("l4"), 1000),
        (TaskClass(1, "h100"), idle("h100"), 0),
        (TaskClass(1, "H100"), idle("h100", "l4", "l4"), 2000),
        # All GPUs of a job are of one type.
        (TaskClass(2), idle("h100", "l4"), 2000),
        (TaskClass(2), idle("h100", "l4", "l4"), 1000),
        (TaskClass(1, cpu_millis=33_000), idle("h100"), 1000),
        (TaskClass(1, memory_bytes=257 * GIB), idle("h100", "h100"), 2000),
        (TaskClass(1), idle("h100", cpu_millis=-1), 1000),
        # Parts of GPUs, as in the paper: 0.4 and 0.6 of two GPUs, for half a GPU and for a whole one.
        (TaskClass(1, gpu_millis=500), idle(("h100", 400), ("h100", 600)), 400),
        (TaskClass(1), idle(("h100", 400), ("h100", 600)), 1000),
        (TaskClass(1, gpu_millis=300), idle(("h100", 400), ("h100", 600)), 0),
        (TaskClass(2, gpu_millis=500), idle(("h100", 400), ("h100", 600)), 1000),
    ],
)
def test_what_is_useless_on_a_node(task: TaskClass, node: IdleNode, useless: int):
    assert useless_to(task, node) == useless


def test_what_shares_leave_of_a_card_is_idle_where_another_may_share_it():
    shared = [(250, 1), (600, 2), (100, 3), (1000, 1)]
    node = a_node(gpus=8, held=2, sick=1, sharers=3, shared=shared)
    parts = (("h100", 400), ("h100", 750), ("h100", 1000))
    assert idle_node(node).gpus == parts
    assert idle_node(replace(node, max_sharers=0)).gpus == (("h100", 1000),)
    report = fragmentation([node], [(TaskClass(1, gpu_millis=500), 3)])
    assert report.summary == "2.15 GPUs idle, 19 % of them useless to your 0.5-GPU jobs"


def test_instances_of_cards_are_of_use_to_those_alone_who_name_their_type():
    node = node_of("n1", a_card("c", " ".join(f"1g.10gb@{at}" for at in range(7))), a_card("d"))
    report = fragmentation([node], [(TaskClass(3, "H100-1g.10gb"), 1), (TaskClass(1, "H100"), 1)])
    useless = {(one.task.gpu_count, one.task.gpu_type): one.useless for one in report.classes}
    # No class of 4 or 8: with as many instances it is a node of two cards.
    assert useless == {
        (1, ""): 7000,
        (2, ""): 8000,
        (1, "H100"): 7000,
        (3, "H100-1g.10gb"): 1000,
    }


def test_only_what_can_be_given_away_now_is_idle():
    node = a_node(gpus=8, held=2, sick=1, cpu_free=5000)
    assert idle_node(node) == IdleNode(5000, 256 * GIB, (("h100", 1000),) * 5)
    closed = [a_node("n2", gpus=8, ready=False), a_node("n3", gpus=8, takes_work=False)]
    assert fragmentation([node, *closed], []).idle == 5000


def test_the_sentence_that_people_read():
    """A cluster like that of the issue: 312 GPUs idle, of which 122 are on whole nodes."""
    whole = [a_node(f"w{number}", gpus=8) for number in range(15)]
    broken = [a_node(f"b{number}", gpus=8, held=2) for number in range(32)]
    report = fragmentation([*whole, *broken], [(TaskClass(8), 3)])
    assert report.summary == "312 GPUs idle, 62 % of them useless to your 8-GPU jobs"
    assert report.index == pytest.approx(192 / 312)


@pytest.mark.parametrize(
    ("cluster", "waiting", "summary"),
    [
        ([], [], "no GPU is idle"),
        ([], [(TaskClass(8), 1)], "no GPU is idle"),
        ([a_node(gpus=8, held=8)], [], "no GPU is idle"),
        ([a_node(gpus=8)], [], "8 GPUs idle, all of use to jobs of up to 8 GPUs"),
        ([a_node(gpus=1)], [], "1 GPU idle, all of use to jobs of up to 1 GPU"),
        ([a_node(gpus=4)], [], "4 GPUs idle, all of use to jobs of up to 4 GPUs"),
        ([a_node(gpus=8, held=7)], [], "1 GPU idle, all of them useless to 8-GPU jobs"),
        ([a_node(gpus=8)], [(TaskClass(8), 1)], "8 GPUs idle, all of use to the jobs that wait"),
        (
            [a_node(gpus=8), a_node("n2", gpus=8, held=6)],
            [],
            "10 GPUs idle, 20 % of them useless to 8-GPU jobs",
        ),
        (
            [a_node(gpus=8), a_node("n2", gpus=8, gpu_type="L4", held=7)],
            [(TaskClass(1, "L4"), 1), (TaskClass(8, "H100"), 9)],
            "9 GPUs idle, 89 % of them useless to your 1-GPU L4 jobs",
        ),
        (
            [*(a_node(f"w{n}", gpus=8) for n in range(99)), a_node(gpus=8, held=7)],
            [],
            "793 GPUs idle, 1 % of them useless to 8-GPU jobs",
        ),
        (
            [a_node(gpus=8), *(a_node(f"b{n}", gpus=8, held=1) for n in range(300))],
            [],
            "2108 GPUs idle, 99 % of them useless to 8-GPU jobs",
        ),
    ],
)
def test_summaries(cluster, waiting, summary):
    assert fragmentation(cluster, waiting).summary == summary


def test_classes_are_the_sizes_that_a_node_could_hold_and_what_waits():
    cluster = [a_node(gpus=4, held=3), a_node("n2", gpus=2, ready=False)]
    odd = TaskClass(3, "H100", cpu_millis=2000)
    report = fragmentation(cluster, [(odd, 2), (TaskClass(1), 6), (TaskClass(0), 50)])
    assert [(one.task, one.waiting, one.popularity) for one in report.classes] == [
        (TaskClass(1), 6, 0.75),
        (TaskClass(2), 0, 0),
        (TaskClass(4), 0, 0),
        (odd, 2, 0.25),
    ]
    assert [one.useless for one in report.classes] == [0, 1000, 1000, 1000]
    assert report.index == 0.25


def test_of_very_many_classes_those_of_most_jobs_are_looked_at():
    waiting = [(TaskClass(1, cpu_millis=number), number) for number in range(1, 101)]
    report = fragmentation([a_node(gpus=1)], waiting)
    assert [one.waiting for one in report.classes] == [0, *range(100, 84, -1)]
    assert sum(one.popularity for one in report.classes) == pytest.approx(1)


CLASSES = st.builds(
    TaskClass,
    st.integers(0, 4),
    st.sampled_from(["", "H100", "L4"]),
    st.sampled_from([0, 1000, 5000]),
    st.sampled_from([0, GIB, 9 * GIB]),
)


@given(
    st.lists(nodes(), max_size=4),
    st.lists(st.tuples(CLASSES, st.integers(1, 5)), max_size=4),
)
def test_shares_are_shares_and_the_order_says_nothing(cluster, waiting):
    report = fragmentation(cluster, waiting)
    assert 0 <= report.index <= 1 + 1e-9
    assert all(0 <= one.useless <= report.idle for one in report.classes)
    if report.classes:
        assert sum(one.popularity for one in report.classes) == pytest.approx(1)
    again = fragmentation(cluster[::-1], waiting[::-1])
    assert (again.idle, again.index) == (report.idle, pytest.approx(report.index))


@given(nodes(), CLASSES)
def test_what_can_be_placed_is_not_useless_and_a_lack_makes_all_of_it_so(node, task):
    there = idle_node(node)
    lacking = TaskClass(task.gpu_count, task.gpu_type, there.cpu_millis + 1, task.memory_bytes)
    assert useless_to(lacking, there) == there.idle
    usable = [gpu for gpu in node.gpus if gpu.healthy and (not gpu.held or gpu.shared_millis)]
    parts = [1000 - gpu.shared_millis for gpu in usable if gpu.sharers < (node.max_sharers or 1)]
    if not node.max_sharers:
        parts = [1000 for gpu in usable if not gpu.held]
    assert there.idle == sum(parts)
    more = Gpu("extra", "H100", healthy=True, held=False)
    assert idle_node(replace(node, gpus=(*node.gpus, more))).idle == there.idle + 1000
