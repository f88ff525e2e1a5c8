"""Jobs that come, start and end in virtual time."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.simulation.timed import a_job, a_node, most_held, played, starts
from windlass_server.scheduler.plan import Placement, Plan
from windlass_server.scheduler.snapshot import Snapshot
from windlass_server.simulation import virtual_time
from windlass_server.simulation.outcome import Outcome
from windlass_server.simulation.turns import BY_NAME
from windlass_server.simulation.virtual_time import play
from windlass_server.simulation.workload import SECOND, TimedJob, Workload
from windlass_server.simulation.world import OverCommittedError, World

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("policy", BY_NAME)
def test_jobs_start_when_there_is_room(policy: str):
    jobs = [a_job(1, 0, 10, 8), a_job(2, 1, 10, 8), a_job(3, 2.5, 5, 8)]
    outcome = played(policy, jobs)
    assert starts(outcome) == {"job-1": 0, "job-2": 10, "job-3": 20}
    assert [fate.ended_at for fate in outcome.fates] == [10 * SECOND, 20 * SECOND, 25 * SECOND]


def test_in_fifo_nobody_overtakes():
    jobs = [a_job(1, 0, 10, 6), a_job(2, 1, 10, 8), a_job(3, 2, 3, 2)]
    assert starts(played("fifo", jobs)) == {"job-1": 0, "job-2": 10, "job-3": 20}
    assert starts(played("greedy", jobs)) == {"job-1": 0, "job-2": 10, "job-3": 2}


def test_in_fifo_many_start_at_one_moment():
    jobs = [a_job(number, 0, 10) for number in range(100, 140)]
    at = starts(played("fifo", jobs)).values()
    assert sorted(at) == [when for when in (0, 10, 20, 30, 40) for _ in range(8)]


def test_greedy_lets_small_ones_keep_a_large_one_waiting():
    jobs = [a_job(100, 0, 10, 1)]
    jobs += [a_job(101, 1, 10, 8)] + [
        a_job(102 + number, 9 + 9 * number, 10) for number in range(5)
    ]
    assert starts(played("greedy", jobs))["job-101"] == 55
    assert starts(played("fifo", jobs))["job-101"] == 10


def test_a_higher_priority_goes_first():
    jobs = [a_job(1, 0, 10, 8), a_job(2, 1, 10, 8), a_job(3, 2, 10, 8, priority=5)]
    for policy in ("fifo", "greedy"):
        assert starts(played(policy, jobs)) == {"job-1": 0, "job-2": 20, "job-3": 10}


def test_a_limit_ends_a_job():
    outcome = played("greedy", [a_job(1, 0, 100, 8, limit=30), a_job(2, 0, 10, 8, limit=30)])
    assert starts(outcome)["job-2"] == 30
    assert [fate.job.times_out for fate in outcome.fates] == [True, False]


def test_a_job_that_needs_no_time_holds_nobody_up():
    assert starts(played("greedy", [a_job(1, 0, 0, 8), a_job(2, 0, 0, 8)])) == {
        "job-1": 0,
        "job-2": 0,
    }


@pytest.mark.parametrize("policy", BY_NAME)
@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (a_job(1, gpus=9), "INSUFFICIENT_GPUS"),
        (a_job(1, gpu_type="B200"), "GPU_TYPE_UNAVAILABLE"),
        (a_job(1, cpu=65_000), "INSUFFICIENT_CPU"),
        (a_job(1, share=500), "GPU_SHARING_UNAVAILABLE"),
    ],
)
def test_who_can_never_run_is_named_and_is_in_nobodys_way(policy: str, job: TimedJob, reason: str):
    outcome = played(policy, [job, a_job(2, 1)])
    assert outcome.fates[0].reason == reason
    assert outcome.fates[0].message
    assert starts(outcome) == {"job-1": None, "job-2": 1}


def test_shares_of_one_gpu_are_given_out_and_taken_back():
    jobs = [a_job(number, 0, 10, share=400) for number in range(1, 6)]
    outcome = played("greedy", jobs, a_node(gpus=2, sharers=4))
    assert sorted(starts(outcome).values()) == [0, 0, 0, 0, 10]


def test_what_is_idle_in_pieces_too_small_is_counted():
    """Of two nodes of 4 GPUs each has 2 idle at first; half of the jobs with GPUs take 4."""
    jobs = [a_job(1, 0, 10, 2), a_job(2, 0, 20, 2), a_job(3, 1, 1, 4), a_job(4, 1, 1, 4)]
    nodes = a_node("n1", 4, cpu=1), a_node("n2", 4, cpu=1)
    shares = played("fifo", jobs, *nodes).fragments
    assert shares[0] == (0, 0.25)
    assert shares[-1] == (20 * SECOND, 0)
    assert dict(shares)[10 * SECOND] == 0.125


@pytest.mark.parametrize("policy", BY_NAME)
def test_a_job_of_several_nodes_gets_all_of_them_at_once(policy: str):
    jobs = [a_job(1, 0, 10, 8), a_job(2, 1, 20, 8, nodes=2), a_job(3, 2, 5, 8, nodes=3)]
    outcome = played(policy, jobs, a_node("n1"), a_node("n2"))
    assert starts(outcome) == {"job-1": 0, "job-2": 10, "job-3": None}
    assert outcome.fates[1].node_ids == ("n1", "n2")
    assert outcome.fates[2].reason == "INSUFFICIENT_NODES"


def test_what_programs_take_is_learned_on_the_way():
    """After three runs of 10 s nobody waits for a limit of an hour: the small one is over in time."""
    jobs = [replace(a_job(n, 20 * n, 10, 8, limit=3600), name="short") for n in range(1, 4)]
    jobs += [replace(a_job(4, 100, 10, 7, limit=3600), name="short")]
    jobs += [a_job(5, 101, 10, 8, limit=60), a_job(6, 102, 15, 1, limit=15)]
    assert starts(played("backfill", jobs)) == {
        **{f"job-{n}": 20 * n for n in range(1, 4)},
        "job-4": 100,
        "job-5": 110,
        "job-6": 120,
    }
    unknown = [replace(job, name=job.demand.job_id) for job in jobs]
    assert starts(played("backfill", unknown))["job-6"] == 102


def test_progress_is_told():
    told = list[int]()
    workload = Workload((a_node(),), tuple(a_job(100 + number, number) for number in range(250)))
    play(workload, BY_NAME["greedy"], progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 250
    assert len(told) > 3


def test_a_plan_that_gives_out_what_is_not_there_is_found_out(monkeypatch: pytest.MonkeyPatch):
    def reckless(seen: Snapshot, *, explained: bool) -> Plan:
        return Plan(tuple(Placement(job.job_id, "n1", ("n1/0000",)) for job in seen.queue), ())

    monkeypatch.setattr(virtual_time, "plan", reckless)
    with pytest.raises(OverCommittedError, match="n1/0000 is not free for job-2"):
        played("greedy", [a_job(1), a_job(2)])


@pytest.mark.parametrize(
    ("changes", "uuids"),
    [
        ({"cpu_millis": 65_000}, ["n1/0000"]),
        ({"memory_bytes": 1 << 50}, ["n1/0000"]),
        ({}, []),
        ({}, ["n1/0000", "n1/0001"]),
        ({}, ["n2/0000"]),
        ({"gpu_millis": 500}, ["n1/0000"]),
        ({"nodes": 2, "min_nodes": 2}, ["n1/0000"]),
    ],
)
def test_a_world_gives_nothing_that_it_has_not(changes: dict[str, int], uuids: list[str]):
    demand = replace(a_job(1).demand, **changes)
    with pytest.raises(OverCommittedError):
        World([a_node()]).give(demand, Placement("job-1", "n1", tuple(uuids)))


def test_what_is_given_and_taken_back_leaves_the_world_as_it_was():
    world = World([a_node(sharers=2)])
    before = world.nodes
    for job in (a_job(1, gpus=1), a_job(2, share=300)):
        world.give(job.demand, Placement(job.demand.job_id, "n1", ("n1/0003",)))
        assert world.nodes != before
        world.take_back(job.demand, Placement(job.demand.job_id, "n1", ("n1/0003",)))
        assert world.nodes == before


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    nodes = [
        a_node(f"n{number}", draw(st.sampled_from([0, 2, 4, 8])), draw(st.integers(1, 16)), sharers)
        for number, sharers in enumerate(
            draw(st.lists(st.sampled_from([0, 3]), min_size=1, max_size=4))
        )
    ]
    times = draw(st.lists(st.integers(0, 60), min_size=1, max_size=16))
    jobs = [
        a_job(
            100 + number,
            at,
            draw(st.integers(0, 40)),
            draw(st.sampled_from([0, 1, 1, 2, 4, 8])),
            nodes=draw(st.sampled_from([1, 1, 1, 2, 3])),
            limit=draw(st.sampled_from([None, 5, 20])),
            priority=draw(st.sampled_from([0, 0, 5])),
            project=draw(st.sampled_from(["one", "two"])),
            share=draw(st.sampled_from([0, 0, 0, 300, 700])),
            cpu=draw(st.sampled_from([500, 1000, 8000])),
        )
        for number, at in enumerate(sorted(times))
    ]
    return Workload(tuple(nodes), tuple(jobs))


@pytest.mark.parametrize("policy", BY_NAME)
@given(workload=workloads())
@settings(max_examples=40, deadline=None)
def test_nothing_is_over_committed_and_nobody_is_lost(policy: str, workload: Workload):
    outcome = play(workload, BY_NAME[policy])
    assert [fate.job for fate in outcome.fates] == [*workload.jobs]
    for fate in outcome.fates:
        if fate.started_at is None:
            assert fate.reason
            assert fate.message
            assert fate.ended_at is None
            continue
        assert not fate.reason
        assert fate.started_at >= fate.job.submitted_at
        assert fate.ended_at == fate.started_at + fate.job.takes
        assert len(set(fate.node_ids)) == len(fate.node_ids) == fate.job.demand.nodes
    there = {node.node_id: node for node in workload.nodes}
    for (node_id, resource), most in most_held(outcome).items():
        node = there[node_id]
        has = {"gpu": len(node.gpus) * 1000, "cpu": node.cpu_millis, "memory": node.memory_bytes}
        assert most <= has[resource]


@pytest.mark.parametrize("policy", BY_NAME)
@given(workload=workloads())
@settings(max_examples=20, deadline=None)
def test_the_same_workload_gives_the_same_outcome(policy: str, workload: Workload):
    def seen(outcome: Outcome) -> list[tuple[int | None, tuple[str, ...]]]:
        return [(fate.started_at, fate.node_ids) for fate in outcome.fates]

    turned = replace(workload, nodes=workload.nodes[::-1])
    once, again = (play(each, BY_NAME[policy]) for each in (workload, turned))
    assert seen(once) == seen(again)


@given(workload=workloads())
@settings(max_examples=25, deadline=None)
def test_fifo_starts_jobs_of_one_priority_in_their_order(workload: Workload):
    outcome = play(workload, BY_NAME["fifo"])
    for priority in (0, 5):
        at = [
            fate.started_at
            for fate in outcome.fates
            if fate.job.demand.priority == priority and fate.started_at is not None
        ]
        assert at == sorted(at)


@st.composite
def crowds(draw: st.DrawFn) -> Workload:
    """Jobs on one node each that all state a limit, and come faster than they can be run."""
    nodes = tuple(a_node(f"n{number}", 4) for number in range(draw(st.integers(1, 3))))
    times = draw(st.lists(st.integers(0, 40), min_size=4, max_size=24))
    jobs = [
        a_job(
            100 + number,
            at,
            draw(st.integers(1, 40)),
            draw(st.sampled_from([1, 1, 2, 3, 4])),
            limit=draw(st.sampled_from([10, 20, 40])),
        )
        for number, at in enumerate(sorted(times))
    ]
    return Workload(nodes, tuple(jobs))


@given(workload=crowds())
@settings(max_examples=40, deadline=None)
def test_with_backfill_nobody_is_first_in_line_for_longer_than_the_longest_limit(
    workload: Workload,
):
    for fate in play(workload, BY_NAME["backfill"]).fates:
        assert fate.started_at is not None
        if fate.first_at is not None:
            assert fate.started_at - fate.first_at <= 40 * SECOND


def test_without_backfill_somebody_is():
    jobs = [a_job(100, 0, 9, 1, limit=9), a_job(101, 0, 9, 8, limit=9)]
    jobs += [a_job(102 + n, 5 * n, 9, 1, limit=9) for n in range(20)]
    waited = {
        policy: max(
            fate.started_at - fate.first_at
            for fate in played(policy, jobs).fates
            if fate.first_at is not None and fate.started_at is not None
        )
        for policy in ("greedy", "backfill")
    }
    assert waited["greedy"] > 90 * SECOND
    assert waited["backfill"] <= 9 * SECOND
