"""What jobs ask of their places: labels of nodes, types of GPUs by wish, and nodes of their own."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.scheduler.worlds import GIB, a_job, a_node, a_pool
from windlass_server.scheduler.feasibility import could_ever_fit
from windlass_server.scheduler.filters import Refusal
from windlass_server.scheduler.plan import plan
from windlass_server.scheduler.rooms import passing
from windlass_server.scheduler.snapshot import LabelRule, LabelTest, NodeState, Snapshot

IN, NOT_IN, EXISTS, ABSENT = LabelTest.IN, LabelTest.NOT_IN, LabelTest.EXISTS, LabelTest.ABSENT


def labelled(name: str, gpus: int = 0, **labels: str) -> NodeState:
    return replace(a_node(name, gpus=gpus), labels=tuple(sorted(labels.items())))


def asking(*rules: LabelRule, **asked):
    return replace(a_job(**asked), labels=rules)


def where(job, *nodes, **world) -> str | None:
    made = plan(Snapshot((job,), nodes, **world))
    return made.placements[0].node_id.removeprefix("node-") if made.placements else None


def why(job, *nodes, **world) -> tuple[str, str]:
    (waiting,) = plan(Snapshot((job,), nodes, **world)).waiting
    return waiting.reason, waiting.message


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (LabelRule("zone", IN, ("eu",)), ["eu"]),
        (LabelRule("zone", IN, ("eu", "us")), ["eu", "us"]),
        (LabelRule("zone", NOT_IN, ("eu",)), ["us", "bare"]),
        (LabelRule("zone", EXISTS), ["eu", "us"]),
        (LabelRule("zone", ABSENT), ["bare"]),
        (LabelRule("Zone", EXISTS), []),
        (LabelRule("zone", IN, ("EU",)), []),
        (LabelRule("zone", IN, ("",)), []),
    ],
)
def test_only_nodes_whose_labels_pass_take_a_job(rule, expected):
    nodes = [labelled("eu", zone="eu"), labelled("us", zone="us"), labelled("bare")]
    assert [node.name for node in nodes if where(asking(rule), node)] == expected


def test_all_rules_must_be_passed():
    rules = LabelRule("zone", IN, ("eu",)), LabelRule("disk", IN, ("nvme",))
    nodes = [
        labelled("a", zone="eu"),
        labelled("b", disk="nvme"),
        labelled("c", zone="eu", disk="nvme"),
    ]
    assert where(asking(*rules), *nodes) == "c"


def test_what_is_preferred_decides_before_packing_and_after_faults():
    wish = LabelRule("zone", IN, ("eu",), preferred=True)
    full, wished = labelled("a", gpus=1), labelled("b", gpus=8, zone="eu")
    job = asking(wish, gpus=1)
    assert where(replace(job, labels=()), full, wished) == "a"
    assert where(job, full, wished) == "b"
    assert where(job, full) == "a"
    failed = replace(a_job(gpus=1, faults={"b": None}), labels=(wish,))
    assert where(failed, full, wished) == "a"


def test_labels_that_no_node_has_are_said_and_a_declared_pool_may_come_to_have_them():
    job = asking(LabelRule("zone", IN, ("eu", "us")), LabelRule("old", ABSENT))
    text = "needs a node with the labels zone eu or us, old none; no node has such labels"
    assert why(job, labelled("a", zone="asia")) == (
        "NODE_LABELS_UNAVAILABLE", f"{text}; no registered node could hold it",
    )  # fmt: skip
    lack = could_ever_fit(job, (labelled("a"),), ())
    assert lack is not None
    assert (lack.dimension, lack.refusal) == ("node_labels", Refusal.NODE_LABELS_UNAVAILABLE)
    pool = a_pool("big", template=replace(a_node("shape"), labels=None))
    assert could_ever_fit(job, (labelled("a"),), (pool,)) is None


_LABELS = st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["", "x", "y"]))
_RULES = st.lists(
    st.one_of(
        st.builds(
            LabelRule,
            st.sampled_from(["a", "b"]),
            st.sampled_from([IN, NOT_IN]),
            st.lists(st.sampled_from(["", "x", "y"]), min_size=1).map(tuple),
        ),
        st.builds(LabelRule, st.sampled_from(["a", "b"]), st.sampled_from([EXISTS, ABSENT])),
    ),
    max_size=3,
)


@settings(max_examples=100)
@given(st.lists(_LABELS, min_size=1, max_size=4), _RULES)
def test_the_planner_and_the_commit_agree_on_labels(all_labels, rules):
    nodes = [labelled(f"n{number}", **labels) for number, labels in enumerate(all_labels)]
    able = {
        node.name for node in nodes if all(passing(rule, dict(node.labels or ())) for rule in rules)
    }
    place = where(asking(*rules), *nodes)
    assert place in able if able else place is None


def wishing(*types: str, **asked):
    return replace(a_job(**asked), gpu_types=types)


A100 = a_node("old", gpus=2, gpu_type="A100")
H100 = a_node("new", gpus=8, gpu_type="H100")


@pytest.mark.parametrize(
    ("job", "nodes", "expected"),
    [
        (wishing("H100", "A100", gpus=2), [A100, H100], "new"),
        (wishing("a100", "H100", gpus=2), [A100, H100], "old"),
        (wishing("H100", "A100", gpus=2), [A100], "old"),
        (wishing("H100", "A100", gpus=2), [A100, replace(H100, ready=False)], "old"),
        (wishing("A100", "H100", gpus=4), [A100, H100], "new"),
        (wishing("L4", "B200", gpus=1), [A100, H100], None),
    ],
)
def test_gpus_are_of_the_best_type_that_has_enough(job, nodes, expected):
    assert where(job, *nodes) == expected


def test_on_one_node_the_better_type_is_given():
    mixed = a_node("m", gpus=[*a_node("x", gpus=1, gpu_type="A100").gpus, *H100.gpus])
    (placement,) = plan(Snapshot((wishing("H100", "A100", gpus=1),), (mixed,))).placements
    assert placement.gpu_uuids == ("new-0",)


def test_a_share_is_of_the_best_type_that_has_room():
    old, new = (replace(node, max_sharers=4) for node in (A100, H100))
    job = replace(a_job(share=500), gpu_types=("H100", "A100"))
    assert where(job, old, new) == "new"
    assert where(job, old) == "old"


def test_several_nodes_have_the_better_type_where_enough_have():
    nodes = [
        replace(a_node(f"{kind}{number}", gpus=2, gpu_type=kind), address="10.0.0.1")
        for kind in ("A100", "H100")
        for number in range(2)
    ]
    job = replace(wishing("H100", "A100", gpus=2), nodes=2, min_nodes=2)
    (placement,) = plan(Snapshot((job,), tuple(nodes))).placements
    assert [place.node_id for place in placement.places] == ["node-H1000", "node-H1001"]


def test_types_that_will_do_are_said():
    reason, message = why(wishing("H100", "A100", gpus=16), A100, H100)
    assert reason == "INSUFFICIENT_GPUS"
    assert message.startswith("needs 16 H100 or A100; the most on one node is 8")
    assert why(wishing("L4", "B200", gpus=1), A100)[0] == "GPU_TYPE_UNAVAILABLE"


def alone(job_id: str = "job-1", **asked):
    return replace(a_job(job_id, **asked), exclusive=True)


def test_a_job_that_has_its_node_alone_takes_an_empty_one_and_all_of_it():
    used, empty = a_node("a", gpus=4, cpu_free=31_000), a_node("b", gpus=4)
    (placement,) = plan(Snapshot((alone(gpus=1),), (used, empty))).placements
    assert (placement.node_id, placement.gpu_uuids) == ("node-b", ("b-0", "b-1", "b-2", "b-3"))


def test_nothing_is_placed_beside_a_job_that_has_its_node_alone():
    jobs = [alone("job-1", priority=9), a_job("job-2", cpu=1, memory=1), a_job("job-3", gpus=1)]
    result = plan(Snapshot(tuple(jobs), (a_node("a", gpus=4),)))
    assert [one.job_id for one in result.placements] == ["job-1"]
    assert {one.reason for one in result.waiting} == {"BEHIND_HIGHER_PRIORITY"}


def test_a_job_is_not_placed_alone_where_this_plan_has_placed_another():
    jobs = [a_job("job-1", priority=9), alone("job-2")]
    result = plan(Snapshot(tuple(jobs), (a_node("a"), a_node("b", memory_free=255 * GIB))))
    assert {one.job_id: one.node_id for one in result.placements}.get("job-2", "node-a") == "node-a"
    assert len(result.placements) + len(result.waiting) == 2


def test_that_no_node_is_empty_is_said_and_it_is_not_never():
    job = alone()
    reason, message = why(job, a_node("a", cpu_free=31_000), a_node("b", memory_free=GIB))
    assert reason == "NODE_NOT_EMPTY"
    assert message == (
        "needs a node on which nothing else is; something holds a part of each node that has enough; "
        "2 nodes fit it when empty"
    )
    assert could_ever_fit(job, (a_node("a", cpu_free=0),), ()) is None


@settings(max_examples=100)
@given(st.data())
def test_who_has_a_node_alone_has_it_alone_whatever_the_queue(data):
    jobs = [
        replace(
            a_job(
                f"job-{number}",
                gpus=data.draw(st.integers(0, 2)),
                priority=data.draw(st.integers(0, 2)),
            ),
            exclusive=data.draw(st.booleans()),
        )
        for number in range(data.draw(st.integers(1, 8)))
    ]
    nodes = tuple(a_node(f"n{number}", gpus=2, cpu=3000) for number in range(3))
    result = plan(Snapshot(tuple(jobs), nodes))
    exclusive = {job.job_id for job in jobs if job.exclusive}
    for placement in result.placements:
        beside = [one for one in result.placements if one.node_id == placement.node_id]
        assert len(beside) == 1 or not exclusive & {one.job_id for one in beside}
