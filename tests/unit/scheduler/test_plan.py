"""Where jobs go, as tables."""

from dataclasses import replace

import pytest

from tests.unit.scheduler.worlds import GIB, a_job, a_node
from windlass_server.scheduler.plan import Placement, plan
from windlass_server.scheduler.policies import Backfill, Policies, Policy
from windlass_server.scheduler.snapshot import Gpu, Snapshot

DIVIDED = [
    Gpu("d-whole", "H100", True, False),
    *(Gpu(f"d-{index}", "H100-1g.10gb", True, False, part=True) for index in range(3)),
]
LATER = 1_900_000_000_000_000
MIXED = [Gpu(f"m-{index}", "L4" if index < 3 else "A100", True, False) for index in range(5)]


def placed_on(job, *cluster) -> str | None:
    """Where the scores alone put a job."""
    world = Snapshot((job,), cluster, policies=Policies(Policy(packing="tight")))
    placements = plan(world).placements
    return placements[0].node_id.removeprefix("node-") if placements else None


@pytest.mark.parametrize(
    ("_case", "job", "cluster", "expected"),
    [
        (
            "a small job leaves the big node whole",
            a_job(gpus=2),
            [a_node("big", gpus=8), a_node("small", gpus=2)],
            "small",
        ),
        (
            "a broken-into node is filled up first",
            a_job(gpus=2),
            [a_node("a-whole", gpus=8), a_node("b-open", gpus=8, held=5)],
            "b-open",
        ),
        (
            "the tightest fit wins",
            a_job(gpus=2),
            [a_node("a", gpus=8, held=4), a_node("b", gpus=8, held=6), a_node("c", gpus=8)],
            "b",
        ),
        (
            "a job without GPUs keeps off GPU nodes, even when those are fuller",
            a_job(cpu=1000),
            [a_node("a-gpu", gpus=8, held=8, cpu=1000), a_node("b-cpu", cpu=64_000)],
            "b-cpu",
        ),
        (
            "a job without GPUs uses the GPU node that loses the fewest of them",
            a_job(),
            [a_node("a", gpus=8), a_node("b", gpus=8, held=6)],
            "b",
        ),
        (
            "CPU and memory decide between equals",
            a_job(),
            [a_node("a", cpu=64_000), a_node("b", cpu=2000)],
            "b",
        ),
        (
            "GPUs weigh more than CPU and memory",
            a_job(gpus=1, cpu=2000),
            [a_node("a", gpus=8, cpu=2000), a_node("b", gpus=7, cpu=500_000)],
            "b",
        ),
        ("the id decides between twins", a_job(), [a_node("b"), a_node("a")], "a"),
        ("types are compared without case", a_job(gpus=1, gpu_type="h100"), [a_node(gpus=1)], "n1"),
        ("an exact fit fits", a_job(cpu=32_000, memory=256 * GIB), [a_node()], "n1"),
        ("an unreachable node takes nothing", a_job(), [a_node(ready=False)], None),
        ("a cordoned node takes nothing", a_job(), [a_node(takes_work=False)], None),
        ("one missing byte is too little", a_job(memory=256 * GIB + 1), [a_node()], None),
        ("a weak sandbox is refused", a_job(isolation=3), [a_node(isolation=2)], None),
        ("GPUs of two types do not add up", a_job(gpus=4), [a_node(gpus=MIXED)], None),
        (
            "a node that failed it is the last choice, though it would be the best",
            a_job(gpus=2, faults={"best": None}),
            [a_node("best", gpus=2), a_node("far-too-big", gpus=64)],
            "far-too-big",
        ),
        (
            "a node that failed it will do when it is the only one",
            a_job(gpus=2, faults={"only": None, "gone": LATER}),
            [a_node("only", gpus=2), a_node("full", gpus=2, held=1)],
            "only",
        ),
        (
            "a node that failed it not long ago will not",
            a_job(faults={"only": LATER}),
            [a_node("only")],
            None,
        ),
        ("a shrunk node takes not even nothing", a_job(cpu=0), [a_node(cpu_free=-1)], None),
        (
            "a share goes to the card that has least left beyond it",
            a_job(share=250),
            [
                a_node("a", gpus=2, sharers=9, shared=[(250, 1)]),
                a_node("b", gpus=2, sharers=9, shared=[(500, 1)]),
                a_node("c", gpus=2, sharers=9, shared=[(800, 1)]),
            ],
            "b",
        ),
        (
            "a share breaks into the node with the fewest whole cards when no card has room",
            a_job(share=600),
            [
                a_node("a", gpus=8, sharers=9, shared=[(500, 1)]),
                a_node("b", gpus=8, sharers=9, held=5),
                a_node("c", gpus=8, sharers=9, held=8),
            ],
            "b",
        ),
        (
            "a share joins another one rather than break into a card of a smaller node",
            a_job(share=250),
            [a_node("big", gpus=8, sharers=9, shared=[(1, 1)]), a_node("small", gpus=1, sharers=9)],
            "big",
        ),
        (
            "a share goes elsewhere than to the node that failed the job, though that has a card for it",
            a_job(share=250, faults={"a": None}),
            [a_node("a", gpus=1, sharers=9, shared=[(750, 1)]), a_node("b", gpus=1, sharers=9)],
            "b",
        ),
        (
            "the last thousandth of a card is given",
            a_job(share=1),
            [a_node(gpus=1, sharers=9, shared=[(999, 8)])],
            "n1",
        ),
        ("but no more", a_job(share=2), [a_node(gpus=1, sharers=9, shared=[(999, 8)])], None),
        (
            "a card takes no more jobs than may share it",
            a_job(share=1),
            [a_node(gpus=1, sharers=2, shared=[(2, 2)])],
            None,
        ),
        ("nothing is shared where that is not allowed", a_job(share=1), [a_node(gpus=8)], None),
        (
            "a card that is held whole is not shared",
            a_job(share=1),
            [a_node(gpus=1, sharers=9, held=1)],
            None,
        ),
        (
            "a shared card is nobody's as a whole",
            a_job(gpus=1),
            [a_node(gpus=1, sharers=9, shared=[(1, 1)])],
            None,
        ),
        (
            "a sick card is not shared",
            a_job(share=1),
            [a_node(gpus=1, sharers=9, sick=1, shared=[(1, 1)])],
            None,
        ),
        (
            "an instance of a divided card is not shared",
            a_job(share=1, gpu_type="H100-1g.10gb"),
            [a_node(gpus=DIVIDED[1:], sharers=9)],
            None,
        ),
        (
            "a share of any type is of a whole card",
            a_job(share=1),
            [a_node("a", gpus=DIVIDED[1:], sharers=9), a_node("b", gpus=DIVIDED, sharers=9)],
            "b",
        ),
        (
            "CPU is needed beside a share",
            a_job(share=250, cpu=2000),
            [
                a_node("a", gpus=1, sharers=9, shared=[(750, 1)], cpu_free=1999),
                a_node("b", gpus=1, sharers=9, shared=[(1, 1)]),
            ],
            "b",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_where_a_job_goes(_case, job, cluster, expected):
    assert placed_on(job, *cluster) == expected


def test_any_type_takes_the_type_that_fits_tightest():
    result = plan(Snapshot((a_job(gpus=2),), (a_node(gpus=MIXED),)))
    assert result.placements == (Placement("job-1", "node-n1", ("m-3", "m-4")),)


def test_the_first_free_healthy_gpus_by_uuid_are_given():
    node = a_node(gpus=8, held=2, sick=2)
    node = replace(node, gpus=node.gpus[::-1])
    result = plan(Snapshot((a_job(gpus=3),), (node,)))
    assert result.placements[0].gpu_uuids == ("n1-2", "n1-3", "n1-4")


def test_shares_fill_one_card_after_the_other():
    queue = tuple(a_job(f"job-{number}", share=400) for number in range(5))
    result = plan(Snapshot(queue, (a_node(gpus=3, sharers=9),)))
    uuids = [each.gpu_uuids for each in result.placements]
    assert uuids == [("n1-0",), ("n1-0",), ("n1-1",), ("n1-1",), ("n1-2",)]


def test_a_card_that_is_broken_into_is_gone_for_whole_jobs_behind():
    queue = (a_job("a", share=1), a_job("b", gpus=2), a_job("c", gpus=1))
    greedy = Policies(Policy(backfill=Backfill(0)))
    result = plan(Snapshot(queue, (a_node(gpus=2, sharers=9),), policies=greedy))
    assert [each.job_id for each in result.placements] == ["a", "c"]


def test_no_more_jobs_than_may_share_a_card_are_placed_on_it_at_once():
    queue = tuple(a_job(f"job-{number}", share=1) for number in range(5))
    result = plan(Snapshot(queue, (a_node(gpus=2, sharers=2),)))
    assert [each.gpu_uuids[0] for each in result.placements] == ["n1-0", "n1-0", "n1-1", "n1-1"]


def test_a_share_of_any_type_breaks_into_the_type_with_the_fewest_cards():
    result = plan(Snapshot((a_job(share=1),), (a_node(gpus=MIXED, sharers=9),)))
    assert result.placements[0].gpu_uuids == ("m-3",)


def test_priority_goes_before_order_and_order_before_id():
    queue = [a_job("a"), a_job("b", priority=9), replace(a_job("c"), order="0")]
    result = plan(Snapshot(tuple(queue), (a_node(),)))
    assert [each.job_id for each in result.placements] == ["b", "c", "a"]


def test_a_later_job_may_start_when_the_one_before_it_does_not_fit():
    queue = (a_job("a-big", gpus=8, priority=9), a_job("b-small", gpus=1))
    result = plan(Snapshot(queue, (a_node(gpus=4),)))
    assert [each.job_id for each in result.placements] == ["b-small"]
    assert [each.job_id for each in result.waiting] == ["a-big"]


def test_mixed_types_are_counted_down_for_a_job_that_takes_any():
    """Takes L4s by name, then asks for any: what is the most of one type must have shrunk."""
    queue = (a_job("a", gpus=3, gpu_type="L4"), a_job("b", gpus=3))
    result = plan(Snapshot(queue, (a_node(gpus=MIXED),)))
    assert [each.job_id for each in result.placements] == ["a"]


def test_a_type_that_is_used_up_does_not_keep_another_type_waiting():
    queue = (a_job("a", gpus=4, gpu_type="L4"), a_job("b", gpus=2, gpu_type="A100"))
    result = plan(Snapshot(queue, (a_node(gpus=MIXED),)))
    assert [each.job_id for each in result.placements] == ["b"]


def test_a_node_that_failed_one_job_takes_its_twins():
    queue = (a_job("a", gpus=4, faults={"n1": LATER}), a_job("b", gpus=4))
    result = plan(Snapshot(queue, (a_node("n1", gpus=8),)))
    assert [each.job_id for each in result.placements] == ["b"]
    assert [(each.job_id, each.reason) for each in result.waiting] == [("a", "NODE_AVOIDED")]


def test_an_empty_world_gives_an_empty_plan():
    result = plan(Snapshot((), ()))
    assert (result.placements, result.waiting) == ((), ())


def test_an_instance_of_a_divided_card_is_for_those_who_ask_for_its_type():
    node = a_node("n", gpus=DIVIDED)
    anything = [a_job("job-1", gpus=1), a_job("job-2", gpus=1)]
    result = plan(Snapshot(tuple(anything), (node,)))
    assert [placement.gpu_uuids for placement in result.placements] == [("d-whole",)]
    assert [waiting.reason for waiting in result.waiting] == ["WAITING_BEHIND_EARLIER_JOBS"]
    parts = tuple(a_job(gpus=1, gpu_type="h100-1g.10gb") for _ in range(4))
    result = plan(Snapshot(parts, (node,)))
    assert sorted(uuid for one in result.placements for uuid in one.gpu_uuids) == [
        "d-0",
        "d-1",
        "d-2",
    ]
    both = (a_job(gpus=1, gpu_type="h100-1g.10gb"), a_job(gpus=1))
    result = plan(Snapshot(both, (node,)))
    assert len(result.placements) == 2


def test_a_node_with_nothing_but_instances_has_no_gpu_for_who_would_take_any():
    node = a_node("n", gpus=DIVIDED[1:])
    (waiting,) = plan(Snapshot((a_job(gpus=1),), (node,))).waiting
    assert waiting.reason == "GPU_TYPE_UNAVAILABLE"


def test_a_job_without_gpus_keeps_off_a_node_of_instances():
    assert placed_on(a_job(cpu=1000), a_node("a", gpus=DIVIDED[1:], cpu=1000), a_node("b")) == "b"
