"""Which jobs go to which remote cluster."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass_server.resources.remote_policy import (
    ORIGIN_LABEL,
    Affinity,
    Offer,
    Policy,
    Wish,
    assign,
    could_hold,
    preferred,
)
from windlass_server.scheduler.ledger import Ledger
from windlass_server.scheduler.snapshot import Demand, Gpu, NodeState

SECOND = 1_000_000
NOW = 1_800_000_000 * SECOND
SPILL = Policy(spill_after=60 * SECOND)


def a_node(*, gpus: int = 8, gpu_type: str = "H100", cores: int = 64, held: int = 0) -> NodeState:
    return NodeState(
        node_id="node-1",
        name="n1",
        ready=True,
        cpu_millis=cores * 1000,
        memory_bytes=1 << 40,
        cpu_free=cores * 1000,
        memory_free=1 << 40,
        gpus=tuple(
            Gpu(f"GPU-{number}", gpu_type, healthy=True, held=number < held)
            for number in range(gpus)
        ),
        isolation_level=3,
    )


def a_wish(job_id: str = "job-1", *, gpus: int = 1, gpu_type: str = "", **values) -> Wish:
    demand = Demand(
        job_id=job_id,
        priority=0,
        cpu_millis=1000,
        memory_bytes=1 << 28,
        gpu_count=gpus,
        gpu_type=gpu_type,
        min_isolation=0,
        order=job_id,
    )
    return Wish(**({"project": "vision", "labels": {}, "demand": demand} | values))


def an_offer(cluster_id: str = "west", policy: Policy = SPILL, *, jobs: int = 0, **node) -> Offer:
    return Offer(cluster_id, policy, jobs, Ledger([a_node(**node)]))


@pytest.mark.parametrize(
    ("policy", "wish", "goes"),
    [
        (SPILL, a_wish(waited=60 * SECOND), True),
        (SPILL, a_wish(waited=60 * SECOND - 1), False),
        (SPILL, a_wish(never_here=True), True),
        (SPILL, a_wish(waited=60 * SECOND, gpus=9), False),
        (Policy(spill_after=0), a_wish(), True),
        (Policy(), a_wish(waited=10**12, never_here=True), False),
        (replace(SPILL, paused=True), a_wish(never_here=True), False),
        (replace(SPILL, projects=frozenset({"vision"})), a_wish(never_here=True), True),
        (replace(SPILL, projects=frozenset({"speech"})), a_wish(never_here=True), False),
        # What another installation has sent is never sent on.
        (SPILL, a_wish(never_here=True, labels={ORIGIN_LABEL: "run-1"}), False),
        (SPILL, a_wish(never_here=True, labels={f"k{n}": "" for n in range(64)}), False),
        (SPILL, a_wish(never_here=True, labels={f"k{n}": "" for n in range(63)}), True),
        # Pools are this installation's.
        (SPILL, a_wish(never_here=True, pool="fast"), False),
        (Policy(affinity=Affinity()), a_wish(), True),
        (Policy(affinity=Affinity(labels=(("site", "w"),))), a_wish(labels={"site": "w"}), True),
        (Policy(affinity=Affinity(labels=(("site", "w"),))), a_wish(labels={"site": "e"}), False),
        (Policy(affinity=Affinity(gpu_types=("h100",))), a_wish(gpu_type="H100"), True),
        (Policy(affinity=Affinity(gpu_types=("H100",))), a_wish(gpu_type=""), False),
        (Policy(affinity=Affinity(gpu_types=("H100",))), a_wish(gpus=0, gpu_type="H100"), False),
        # Preferred: it goes there also when it has to wait there.
        (Policy(affinity=Affinity()), a_wish(gpus=8), True),
        (Policy(affinity=Affinity()), a_wish(gpus=100), True),
        # After a refusal the cluster is left alone for a minute, then for ten.
        (SPILL, a_wish(never_here=True, refusals=(("west", NOW - 59 * SECOND),)), False),
        (SPILL, a_wish(never_here=True, refusals=(("west", NOW - 60 * SECOND),)), True),
        (SPILL, a_wish(never_here=True, refusals=(("east", NOW),)), True),
        (
            SPILL,
            a_wish(never_here=True, refusals=(("west", NOW - 99 * SECOND), ("west", 0))),
            False,
        ),
    ],
)
def test_which_job_a_cluster_takes(policy, wish, goes):
    dealt = assign([wish], [an_offer(policy=policy)], NOW)
    assert dealt == ([("job-1", "west")] if goes else [])


def test_what_is_free_there_is_given_once():
    wishes = [a_wish(f"job-{number}", gpus=3, never_here=True) for number in range(4)]
    assert assign(wishes, [an_offer()], NOW) == [("job-0", "west"), ("job-1", "west")]


def test_without_a_fresh_word_on_its_nodes_only_preferred_jobs_go():
    preferring = Offer("west", Policy(spill_after=0, affinity=Affinity(gpu_types=("H100",))), 0)
    wishes = [a_wish("job-1"), a_wish("job-2", gpu_type="H100")]
    assert assign(wishes, [preferring], NOW) == [("job-2", "west")]


def test_no_cluster_has_more_jobs_than_it_may():
    offer = an_offer(policy=replace(SPILL, max_jobs=3), jobs=1)
    wishes = [a_wish(f"job-{number}", never_here=True) for number in range(4)]
    assert len(assign(wishes, [offer], NOW)) == 2


def test_jobs_are_dealt_out_by_weight():
    offers = [
        an_offer("east", replace(SPILL, weight=300), gpus=100),
        an_offer("west", replace(SPILL, weight=100), gpus=100),
    ]
    wishes = [a_wish(f"job-{number}", never_here=True) for number in range(40)]
    dealt = [cluster for _, cluster in assign(wishes, offers, NOW)]
    assert (dealt.count("east"), dealt.count("west")) == (30, 10)


def test_a_cluster_that_is_full_leaves_a_job_to_another():
    offers = [an_offer("east", held=8), an_offer("west")]
    assert assign([a_wish(never_here=True)], offers, NOW) == [("job-1", "west")]


@pytest.mark.parametrize(
    ("policy", "jobs", "chosen"),
    [
        (Policy(affinity=Affinity()), 0, "west"),
        (SPILL, 0, ""),
        (Policy(affinity=Affinity(), max_jobs=2), 2, ""),
        (Policy(affinity=Affinity(), paused=True), 0, ""),
    ],
)
def test_a_new_job_goes_at_once_only_where_it_is_preferred(policy, jobs, chosen):
    assert preferred([Offer("west", policy, jobs)], a_wish()) == chosen


@pytest.mark.parametrize(
    ("policy", "wish", "able"),
    [
        (SPILL, a_wish(gpus=8), True),
        (SPILL, a_wish(gpus=9), False),
        (SPILL, a_wish(gpu_type="B200"), False),
        (Policy(), a_wish(), False),
        (replace(SPILL, paused=True), a_wish(), False),
        (Policy(affinity=Affinity()), a_wish(gpus=8), True),
    ],
)
def test_what_a_cluster_could_ever_run_is_accepted_here(policy, wish, able):
    assert could_hold(policy, [a_node(held=8)], wish) is able
    assert not could_hold(policy, [], wish)


@given(
    st.lists(st.tuples(st.integers(1, 8), st.booleans()), max_size=20),
    st.lists(st.tuples(st.integers(0, 8), st.integers(1, 5)), min_size=1, max_size=4),
)
def test_every_job_goes_to_one_cluster_at_most_and_none_gets_more_than_it_has(asked, had):
    offers = [
        an_offer(f"c{number}", replace(SPILL, max_jobs=most), gpus=gpus)
        for number, (gpus, most) in enumerate(had)
    ]
    wishes = [
        a_wish(f"job-{number}", gpus=gpus, never_here=ready)
        for number, (gpus, ready) in enumerate(asked)
    ]
    dealt = assign(wishes, offers, NOW)
    assert len({job for job, _ in dealt}) == len(dealt)
    sizes = {wish.demand.job_id: wish.demand.gpu_count for wish in wishes if wish.never_here}
    for number, (gpus, most) in enumerate(had):
        there = [sizes[job] for job, cluster in dealt if cluster == f"c{number}"]
        assert len(there) <= most
        assert sum(there) <= gpus
