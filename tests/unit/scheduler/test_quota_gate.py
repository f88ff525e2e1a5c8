"""Quotas in a plan: nobody gets more than he may, and what is guaranteed goes first."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scheduler.worlds import a_job, a_node
from windlass_server.scheduler.guarantees import Guarantees, borrowed, whole
from windlass_server.scheduler.outlook import Verdict, outlook
from windlass_server.scheduler.plan import plan
from windlass_server.scheduler.policies import Policies, Policy, PreemptionRules
from windlass_server.scheduler.quota import Dimension, Quota, Use
from windlass_server.scheduler.quota_gate import (
    ask_of,
    guaranteed_first,
    least_asks,
)
from windlass_server.scheduler.snapshot import Demand, Gpu, Running, Snapshot

GPU, CPU, MEMORY, RUNNING, QUEUED, _ = Dimension


def a_job_of(project: str, job_id: str, gpus: int = 1, user: str = "ann", **values: Any) -> Demand:
    return replace(a_job(job_id, gpus=gpus), project=project, user=user, **values)


def a_quota(project: str, gpus: int | None = None, **values: Any) -> Quota:
    """With so many GPUs as the limit."""
    limit = {} if gpus is None else {GPU: gpus * 1000}
    return Quota(**({"quota_id": f"q-{project}", "project": project, "limit": limit} | values))


def placed(*jobs: Demand, quotas: Any, nodes: Any = None) -> list[str]:
    nodes = (a_node(gpus=8),) if nodes is None else nodes
    result = plan(Snapshot(jobs, tuple(nodes), quotas=tuple(quotas)))
    return [one.job_id for one in result.placements]


def test_a_plan_counts_what_it_gives_away():
    jobs = [a_job_of("ml", f"job-{number}", 2) for number in range(3)]
    result = plan(Snapshot(tuple(jobs), (a_node(gpus=8),), quotas=(a_quota("ml", 4),)))
    assert [one.job_id for one in result.placements] == ["job-0", "job-1"]
    (waiting,) = result.waiting
    assert (waiting.reason, waiting.message) == (
        "QUOTA",
        "needs 2 GPUs; project ml has 4 GPUs of the 4 GPUs that its quota allows",
    )


def test_its_quota_is_said_of_a_job_that_has_no_room_either():
    job = a_job_of("ml", "job-1", 16)
    (waiting,) = plan(Snapshot((job,), (a_node(gpus=8),), quotas=(a_quota("ml", 4),))).waiting
    assert waiting.reason == "QUOTA"


def test_what_is_guaranteed_goes_before_what_would_be_borrowed_whatever_its_priority():
    quotas = [
        a_quota(project, guaranteed={GPU: 4000}, used={GPU: used})
        for project, used in (("a", 4000), ("b", 0))
    ]
    borrower = a_job_of("a", "job-1", 4, priority=100)
    owner, more = (a_job_of("b", f"job-{number}", 4) for number in (2, 3))
    assert placed(borrower, owner, more, quotas=quotas, nodes=[a_node(gpus=4)]) == ["job-2"]
    # Beyond its own it is as everybody else.
    assert guaranteed_first([borrower, owner, more], quotas) == [owner, borrower, more]


def test_without_a_guarantee_nobody_goes_first():
    jobs = [a_job_of("a", "job-1"), a_job_of("b", "job-2")]
    assert guaranteed_first(jobs, [a_quota("b", 8)]) == jobs


def test_a_job_that_names_no_type_gets_one_of_which_it_may_have_more():
    nodes = [a_node("n1", gpus=8, gpu_type="A100"), a_node("n2", gpus=8, gpu_type="H100")]
    quota = a_quota("ml", 1, gpu_type="a100")
    jobs = [a_job_of("ml", f"job-{number}", 2) for number in range(3)]
    result = plan(Snapshot(tuple(jobs), tuple(nodes), quotas=(quota,)))
    assert {one.node_id for one in result.placements} == {"node-n2"}
    both = [quota, a_quota("ml", 2, quota_id="q2", gpu_type="H100")]
    assert placed(*jobs, quotas=both, nodes=nodes) == ["job-0"]


def test_of_the_types_that_a_job_wishes_it_gets_one_of_which_it_may_have_more():
    kinds = ("A100", "H100", "L4")
    nodes = [a_node(f"n{number}", gpus=8, gpu_type=kind) for number, kind in enumerate(kinds)]
    quota = a_quota("ml", 1, gpu_type="a100")
    job = a_job_of("ml", "job-1", 2, gpu_types=("A100", "L4"))
    (given,) = plan(Snapshot((job,), tuple(nodes), quotas=(quota,))).placements
    assert given.node_id == "node-n2"
    three = a_job_of("ml", "job-1", 2, gpu_types=("A100", "L4", "H100"))
    (given,) = plan(Snapshot((three,), tuple(nodes), quotas=(quota,))).placements
    assert given.node_id == "node-n2"
    both = [quota, a_quota("ml", 1, quota_id="q2", gpu_type="L4")]
    assert placed(job, quotas=both, nodes=nodes) == []


def test_a_job_that_has_its_node_alone_counts_with_all_of_it():
    job = a_job_of("ml", "job-1", 1, exclusive=True)
    assert placed(job, quotas=[a_quota("ml", 8)]) == ["job-1"]
    assert placed(job, quotas=[a_quota("ml", 7)]) == []
    assert placed(job, quotas=[a_quota("ml", 7, gpu_type="H100")]) == []
    assert placed(job, quotas=[a_quota("ml", 7, gpu_type="A100")]) == ["job-1"]
    assert placed(job, quotas=[a_quota("ml", limit={CPU: 31_999})]) == []
    # Small nodes that it cannot have do not count.
    nodes = [a_node("n1", gpus=4), a_node("n2", gpus=0, cpu=99_000)]
    assert placed(job, quotas=[a_quota("ml", limit={CPU: 32_000})], nodes=nodes) == ["job-1"]


def test_a_job_that_has_its_node_alone_gets_one_that_its_quotas_allow():
    job = a_job_of("ml", "job-1", 1, exclusive=True)
    large, small = a_node("n1", gpus=8), a_node("n2", gpus=4)
    quotas = (a_quota("ml", 4),)
    (given,) = plan(Snapshot((job,), (large, small), quotas=quotas)).placements
    assert given.node_id == "node-n2"
    # While that is in use it waits for it, and not for its quota.
    taken = replace(small, cpu_free=1000)
    (waiting,) = plan(Snapshot((job,), (large, taken), quotas=quotas)).waiting
    assert waiting.reason == "NODE_NOT_EMPTY"
    closed = Snapshot(
        (replace(job, pools=("a",)),), (replace(large, pool="a"), small), quotas=quotas
    )
    (waiting,) = plan(closed).waiting
    assert waiting.reason == "QUOTA"
    assert waiting.message == (
        "needs a node that its quotas let it hold whole; each node that is open to it is larger; "
        "1 node fits it when empty"
    )
    assert outlook(closed, "job-1").verdict is Verdict.NEVER
    assert (
        outlook(replace(closed, quotas=(a_quota("ml", 8),)), "job-1").verdict is Verdict.STARTS_NOW
    )


@pytest.mark.parametrize(
    ("least", "sizes", "expected"),
    [
        (1, (8, 4), [4, 8]),
        (1, (8, 8), [8]),
        (2, (8, 4), [8]),  # of several nodes each may be of the smallest size
        (1, (), [2]),  # no node is known
    ],
)
def test_what_a_job_would_have_at_least_that_has_nodes_alone(least, sizes, expected):
    job = a_job_of("ml", "job-1", 2, exclusive=True, nodes=least, min_nodes=least)
    nodes = [a_node(f"n{number}", gpus=gpus) for number, gpus in enumerate(sizes)]
    asks = least_asks(job, [*nodes, a_node("small", gpus=1)])
    assert [ask.amounts[GPU] // 1000 for ask in asks] == expected


def test_a_job_of_several_nodes_gets_as_many_as_its_quota_allows():
    nodes = [replace(a_node(f"n{number}", gpus=2), address="10.0.0.1") for number in range(4)]
    job = a_job_of("ml", "job-1", 2, nodes=4, min_nodes=2)
    (given,) = plan(Snapshot((job,), tuple(nodes), quotas=(a_quota("ml", 6),))).placements
    assert len(given.places) == 3
    assert placed(job, quotas=[a_quota("ml", 3)], nodes=nodes) == []


def a_run(project: str, run_id: str, gpus: int, began: int = 0, **values: Any) -> Running:
    uuids = tuple(f"{run_id}-{number}" for number in range(gpus))
    fixed: dict[str, Any] = {
        "job_id": f"job-{run_id}", "run_id": run_id, "project": project, "user": "ann", "queue": "",
        "priority": 0, "node_id": "n", "cpu_millis": 1000, "memory_bytes": 1, "gpu_uuids": uuids,
        "gpu_type": "H100" if gpus else "", "gpu_millis": 0, "started_at": began, "likely_end": None,
        "expected_end": None, "limit_end": None, "saved_at": 0, "preemptible": True, "leaving": False,
    }  # fmt: skip
    return Running(**(fixed | values))


BORROWED = [
    ("nobody is guaranteed anything", [a_quota("a", 8)], []),
    (
        "what began last, until the rest is guaranteed",
        [a_quota("a", guaranteed={GPU: 4000}, used={GPU: 7000})],
        ["a3", "a2"],
    ),
    ("within the guarantee", [a_quota("a", guaranteed={GPU: 7000}, used={GPU: 7000})], []),
    (
        "what has no guarantee, where others have one",
        [a_quota("b", guaranteed={GPU: 1000})],
        ["a3", "a2", "a1"],
    ),
    (
        "of a type",
        [a_quota("a", gpu_type="H100", guaranteed={GPU: 6000}, used={GPU: 7000})],
        ["a3"],
    ),
]


@pytest.mark.parametrize(("quotas", "runs"), [case[1:] for case in BORROWED], ids=[case[0] for case in BORROWED])  # fmt: skip
def test_what_is_borrowed(quotas: list[Quota], runs: list[str]):
    running = [a_run("a", "a2", 2, 2), a_run("a", "a1", 4, 1), a_run("a", "a3", 1, 3)]
    found = borrowed(whole(running).values(), Use(quotas))
    assert [job_id.removeprefix("job-") for job_id in found] == runs


def test_what_is_leaving_already_counts_as_gone_first():
    quotas = [a_quota("a", guaranteed={GPU: 4000}, used={GPU: 6000})]
    running = [a_run("a", "a1", 2, 1, leaving=True), a_run("a", "a2", 2, 2), a_run("a", "a3", 2, 3)]
    sure = Guarantees(quotas, running, [])
    assert not any(sure.is_borrowed(one.job_id, in_part=True) for one in running)
    sure = Guarantees(quotas, [replace(one, leaving=False) for one in running], [])
    assert [sure.is_borrowed(f"job-{name}", in_part=True) for name in ("a1", "a2", "a3")] == [False, False, True]  # fmt: skip


def test_what_has_got_a_place_counts_in_what_a_project_can_count_on():
    quotas = [a_quota("a", guaranteed={GPU: 4000}, used={GPU: 2000})]
    sure = Guarantees(quotas, [a_run("a", "a1", 2)], [a_job_of("a", "job-1", 1)])
    assert sure.within_guarantee(a_job_of("a", "job-2", 1))
    sure.placed(a_job_of("a", "job-2", 1))
    assert not sure.within_guarantee(a_job_of("a", "job-3", 1))
    assert not sure.is_borrowed("job-a1", in_part=True)


PREEMPTING = Policies(cluster=Policy(preemption=PreemptionRules(enabled=True)))
HOUR = 3600 * 1_000_000


def reclaimed(
    *jobs: Demand,
    running: Sequence[Running],
    quotas: Sequence[Quota],
    policies: Policies = PREEMPTING,
) -> list[tuple[str, str]]:
    """Who is stopped for whom on a node of eight GPUs that are all in use."""
    held = {uuid for one in running for uuid in one.gpu_uuids}
    assert len(held) == 8
    gpus = tuple(Gpu(uuid, "H100", healthy=True, held=True) for uuid in sorted(held))
    node = a_node("n1", gpus=gpus)
    running = [replace(one, node_id=node.node_id) for one in running]
    snapshot = Snapshot(
        jobs, (node,), now=9 * HOUR, policies=policies, running=tuple(running), quotas=tuple(quotas)
    )
    return [(one.run_id, one.for_job_id) for one in plan(snapshot).evictions]


def halves(used_a: int, used_b: int) -> list[Quota]:
    """Two projects are guaranteed four GPUs each."""
    return [
        a_quota(project, guaranteed={GPU: 4000}, used={GPU: used * 1000})
        for project, used in (("a", used_a), ("b", used_b))
    ]


def test_who_is_within_his_guarantee_gets_back_what_others_borrowed_last():
    running = [a_run("a", f"a{number}", 2, number) for number in range(4)]
    job = a_job_of("b", "job-1", 2)
    assert reclaimed(job, running=running, quotas=halves(8, 0)) == [("a3", "job-1")]
    # A policy that lets nobody be stopped lets nobody be stopped.
    assert reclaimed(job, running=running, quotas=halves(8, 0), policies=Policies()) == []


def test_no_more_is_taken_back_than_was_borrowed_and_than_is_guaranteed():
    running = [a_run("a", f"a{number}", 2, number) for number in range(4)]
    jobs = [a_job_of("b", f"job-{number}", 2) for number in range(4)]
    assert reclaimed(*jobs, running=running, quotas=halves(8, 0)) == [
        ("a3", "job-0"),
        ("a2", "job-1"),
    ]
    whole = [a_run("a", "a0", 6, 0), a_run("a", "a1", 2, 1)]
    guaranteed = [a_quota("a", guaranteed={GPU: 8000}, used={GPU: 8000}), halves(0, 0)[1]]
    assert reclaimed(jobs[0], running=whole, quotas=guaranteed) == []


def test_who_would_borrow_stops_nobody_whose_work_is_guaranteed_whatever_his_priority():
    running = [a_run("a", f"a{number}", 2, number) for number in range(2)]
    running += [a_run("c", f"c{number}", 2, number) for number in range(2)]
    borrower = a_job_of("d", "job-1", 2, priority=500)
    quotas = halves(4, 0)
    # Those of a project without a guarantee have to go, not those of one within its own.
    assert [run_id[0] for run_id, _ in reclaimed(borrower, running=running, quotas=quotas)] == ["c"]


_jobs = st.lists(
    st.builds(
        lambda project, user, gpus, kind, priority: (project, user, gpus, kind, priority),
        st.sampled_from("ab"), st.sampled_from("uv"), st.integers(0, 4),
        st.sampled_from(("", "H100", "A100")), st.integers(0, 2),
    ),
    max_size=12,
)  # fmt: skip
_limits = st.dictionaries(
    st.tuples(st.sampled_from("ab"), st.sampled_from(("", "u")), st.sampled_from(("", "H100"))),
    st.tuples(st.integers(0, 6), st.integers(0, 6)),
    max_size=5,
)


@given(_jobs, _limits)
def test_no_plan_gives_more_than_quotas_allow(jobs: Any, limits: Any):
    quotas = [
        Quota(
            f"q{number}", project, user, kind,
            guaranteed={} if user else {GPU: guaranteed * 1000},
            limit={GPU: (guaranteed + more) * 1000},
        )
        for number, ((project, user, kind), (guaranteed, more)) in enumerate(limits.items())
    ]  # fmt: skip
    queue = tuple(
        a_job_of(project, f"job-{number:02}", gpus, user, gpu_type=kind, priority=priority)
        for number, (project, user, gpus, kind, priority) in enumerate(jobs)
    )
    nodes = (a_node("n1", gpus=8), a_node("n2", gpus=8, gpu_type="A100"))
    types = {"node-n1": "h100", "node-n2": "a100"}
    result = plan(Snapshot(queue, nodes, quotas=tuple(quotas)))
    assert len(result.placements) + len(result.waiting) == len(queue)
    by_id = {one.job_id: one for one in queue}
    use = Use(quotas)
    for one in result.placements:
        ask = ask_of(by_id[one.job_id], types[one.node_id])
        assert use.refusals(ask) == ()
        use.take(ask)
    again = plan(Snapshot(queue[::-1], nodes[::-1], quotas=tuple(quotas[::-1])))
    assert again == result
