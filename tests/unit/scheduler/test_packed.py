"""Plans that choose among nodes by a packing policy."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.unit.scheduler.worlds import a_job, a_node
from windlass_server.scheduler.packed import most_frequent
from windlass_server.scheduler.packing.policies import POLICIES
from windlass_server.scheduler.packing.shapes import Shape
from windlass_server.scheduler.plan import plan
from windlass_server.scheduler.policies import PACKINGS, Policies, Policy
from windlass_server.scheduler.snapshot import Demand, Gpu, NodeState, Snapshot


def placed(
    *nodes: NodeState, queue: list[Demand], packing: str = "holes-first"
) -> dict[str, tuple[str, tuple[str, ...]]]:
    policies = Policies(Policy(packing=packing))
    made = plan(Snapshot(tuple(queue), nodes, policies=policies))
    return {each.job_id: (each.node_id, each.gpu_uuids) for each in made.placements}


def test_every_name_of_a_policy_is_one_that_there_is():
    assert set(PACKINGS) == {*POLICIES, "tight", "spread"} - {"random"}


def test_of_classes_that_are_as_frequent_the_same_count_in_whatever_order_they_come():
    shapes = [Shape(millis, 1, 1000) for millis in range(1, 101)]
    told = most_frequent(Counter(shapes))
    assert told == most_frequent(Counter(reversed(shapes)))
    assert len(told) == 64


@pytest.mark.parametrize("packing", sorted(set(PACKINGS) - {"spread"}))
def test_a_single_job_goes_where_gpus_are_in_use_already(packing: str):
    nodes = a_node("a", gpus=8), a_node("b", gpus=8, held=5)
    assert placed(*nodes, queue=[a_job(gpus=1)], packing=packing)["job-1"][0] == "node-b"


def test_a_share_goes_to_the_card_on_which_the_rest_is_of_use():
    # Jobs take 700 or 300: after 300 the first card has 400 left, of which 300 is of use; the second none.
    node = a_node(gpus=3, sharers=9, shared=[(300, 1), (700, 1)])
    queue = [a_job("job-1", share=300), a_job("job-2", share=700), a_job("job-3", share=700)]
    found = placed(node, queue=queue)
    assert found["job-1"] == ("node-n1", ("n1-1",))
    assert {found[name][1] for name in ("job-2", "job-3")} == {("n1-0",), ("n1-2",)}


def test_a_card_that_no_other_may_join_is_not_chosen():
    node = a_node(gpus=2, sharers=2, shared=[(300, 1)])
    queue = [a_job(f"job-{number}", share=100) for number in (1, 2, 3)]
    uuids = [found[1] for found in placed(node, queue=queue).values()]
    assert sorted(uuids) == [("n1-0",), ("n1-1",), ("n1-1",)]


def test_a_job_without_gpus_leaves_the_cpu_to_those_who_need_it_with_gpus():
    starved = a_node("a", gpus=8, held=4, cpu=4000)
    rich = a_node("b", gpus=8, held=4, cpu=64_000)
    gpu_jobs = [a_job(f"job-{number}", gpus=1, cpu=1000) for number in range(2, 10)]
    found = placed(starved, rich, queue=[a_job("job-1", cpu=4000), *gpu_jobs])
    assert len(found) == 9
    assert found["job-1"][0] == "node-b"


def test_nodes_with_several_types_are_left_to_the_scores():
    mixed = a_node("a", gpus=[Gpu("a-0", "H100", True, False), Gpu("a-1", "L4", True, False)])
    assert placed(mixed, queue=[a_job(gpus=1, gpu_type="L4")])["job-1"] == ("node-a", ("a-1",))


def test_a_node_that_failed_the_job_is_the_last_choice():
    nodes = a_node("a", gpus=8, held=7), a_node("b", gpus=8)
    job = replace(a_job(gpus=1, faults={"a": None}))
    assert placed(*nodes, queue=[job])["job-1"][0] == "node-b"


def test_more_gpus_are_given_out_than_by_the_scores_when_shares_are_many():
    chance = np.random.default_rng(7)
    sizes = chance.choice([300, 400, 600, 700], 400)
    nodes = [a_node(f"n{number:02}", gpus=4, sharers=9) for number in range(10)]
    queue = [
        a_job(f"job-{number:03}", share=int(size), cpu=100) for number, size in enumerate(sizes)
    ]
    by_id = dict(zip((job.job_id for job in queue), sizes, strict=True))

    def given(packing: str) -> int:
        return int(sum(by_id[job_id] for job_id in placed(*nodes, queue=queue, packing=packing)))

    assert given("holes-first") > given("tight")


def test_a_node_that_a_job_has_alone_is_full_for_the_policy_too():
    nodes = a_node("a", gpus=8), a_node("b", gpus=8, held=7)
    alone = replace(a_job("job-1", gpus=8), exclusive=True)
    found = placed(*nodes, queue=[alone, a_job("job-2", gpus=1), a_job("job-3", gpus=1)])
    assert {job_id: node for job_id, (node, _) in found.items()} == {
        "job-1": "node-a",
        "job-2": "node-b",
    }


def test_types_that_will_do_are_tried_in_the_order_of_the_wish():
    nodes = a_node("a", gpus=8, held=1), a_node("b", gpus=8, gpu_type="L4", held=7)
    job = replace(a_job(gpus=1), gpu_types=("H100", "L4"))
    assert placed(*nodes, queue=[job])["job-1"][0] == "node-a"
