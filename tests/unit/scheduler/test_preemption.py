"""Who is stopped for whom: the fewest, then the cheapest, and nobody for nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.scheduler.crowds import (
    MINUTE,
    NOW,
    ON,
    SECOND,
    a_run,
    a_world,
    high,
    may_go,
    policies,
    price,
    stopped,
    without,
)
from tests.unit.scheduler.worlds import GIB, a_job, a_node, holds
from windlass_server.scheduler.outlook import Verdict, outlook
from windlass_server.scheduler.plan import Plan, plan
from windlass_server.scheduler.policies import Policies, Policy, PreemptionRules
from windlass_server.scheduler.preempting import GaveWay, MakingRoom, Preemptions
from windlass_server.scheduler.quota import Dimension, Quota
from windlass_server.scheduler.snapshot import (
    Demand,
    Kept,
    Moment,
    Running,
    Snapshot,
)

pytestmark = pytest.mark.timeout(60)


def reason(result: Plan, job_id: str = "high") -> str:
    return next(one.reason for one in result.waiting if one.job_id == job_id)


def test_a_job_of_higher_priority_takes_the_place_of_one_of_lower():
    world = a_world([high()], [a_node(gpus=1)], [a_run("low", gpus=[0])])
    result = plan(world)
    assert [(one.run_id, one.job_id, one.for_job_id, one.node_id) for one in result.evictions] == [
        ("run-low-n1", "low", "high", "node-n1")
    ]
    (waiting,) = result.waiting
    assert (waiting.reason, waiting.message) == (
        "MAKING_ROOM",
        "1 job is being stopped for it on node n1",
    )


def test_who_only_asks_is_told_whom_it_would_have_stopped():
    world = a_world([high()], [a_node(gpus=1)], [a_run("low", gpus=[0])])
    found = outlook(world, "high")
    assert [each.job_id for each in found.evictions] == ["low"]
    assert (found.verdict, found.reason, found.message) == (
        Verdict.WAITS,
        "MAKING_ROOM",
        "1 job would be stopped to make room for it",
    )


def test_by_default_nobody_is_stopped():
    world = a_world([high()], [a_node(gpus=1)], [a_run("low", gpus=[0])])
    result = plan(replace(world, policies=Policies()))
    assert (result.evictions, reason(result)) == ((), "INSUFFICIENT_GPUS")


@pytest.mark.parametrize(
    ("job", "run", "rules"),
    [
        (high(), a_run("low", gpus=[0], priority=100), ON),
        (high(), a_run("low", gpus=[0], priority=101), ON),
        (high(), a_run("low", gpus=[0], priority=51), replace(ON, min_priority_gap=50)),
        (high(), a_run("low", gpus=[0], preemptible=False), ON),
        (high(), a_run("low", gpus=[0], ran=ON.min_run - 1), ON),
        (high(), a_run("low", gpus=[0]), replace(ON, budget=0)),
        (high(2), a_run("low", gpus=[0]), ON),
        (high(gpu_type="L4"), a_run("low", gpus=[0]), ON),
        (high(pools=("other",)), a_run("low", gpus=[0]), ON),
        (high(min_isolation=4), a_run("low", gpus=[0]), ON),
        (high(cpu_millis=64_000), a_run("low", gpus=[0]), ON),
        (high(memory_bytes=512 * GIB), a_run("low", gpus=[0]), ON),
    ],
    ids=[
        "an equal", "a higher one", "one that is too near", "one that may not be stopped",
        "one that has just begun", "no budget", "not enough GPUs", "GPUs of another type",
        "in another pool", "isolation too weak", "not enough CPU", "not enough memory",
    ],
)  # fmt: skip
def test_nobody_is_stopped_where_that_may_not_be_or_does_not_help(
    job: Demand, run: Running, rules: PreemptionRules
):
    assert plan(a_world([job], [a_node(gpus=1)], [run], rules)).evictions == ()


@pytest.mark.parametrize("closed", [{"ready": False}, {"takes_work": False}, {"sick": 1}])
def test_nobody_is_stopped_on_a_node_that_takes_nothing(closed: Mapping[str, object]):
    node = a_node(gpus=1, **closed)  # type: ignore[arg-type]
    assert plan(a_world([high()], [node], [a_run("low", gpus=[0])])).evictions == ()


def test_the_fewest_are_stopped_then_who_loses_least_then_the_lowest_then_the_youngest():
    nodes = [a_node(f"n{number}", gpus=2) for number in range(4)]
    few = [a_run("a", "n0", gpus=[0]), a_run("b", "n0", gpus=[1])]
    one_dear = a_run("c", "n1", gpus=[0, 1], unsaved=30 * MINUTE)
    one_cheap = a_run("d", "n2", gpus=[0, 1], unsaved=10 * MINUTE, priority=7)
    lower = a_run("e", "n3", gpus=[0, 1], unsaved=10 * MINUTE, priority=6)
    younger = replace(lower, job_id="z", started_at=lower.started_at + SECOND)
    for runs, expected in [
        ([*few], {"a", "b"}),
        ([*few, one_dear], {"c"}),
        ([*few, one_dear, one_cheap], {"d"}),
        ([*few, one_dear, one_cheap, lower], {"e"}),
        (
            [
                *few,
                one_dear,
                replace(younger, node_id="node-n2", gpu_uuids=("n2-0", "n2-1")),
                lower,
            ],
            {"z"},
        ),
    ]:
        there = [node for node in nodes if any(run.node_id == node.node_id for run in runs)]
        assert stopped(plan(a_world([high(2)], there, runs))) == expected


def test_a_small_checkpointed_job_is_not_stopped_beside_another_that_is_enough():
    """Whoever need not go stays."""
    runs = [a_run("small", gpus=[0], unsaved=0), a_run("large", gpus=[1, 2, 3])]
    assert stopped(plan(a_world([high(3)], [a_node(gpus=4)], runs))) == {"large"}


def test_jobs_that_hold_cpu_alone_go_where_it_is_cpu_that_lacks():
    runs = [a_run("cpu", cpu=8000), a_run("gpu", gpus=[0], cpu=1000)]
    world = a_world([a_job("high", cpu=4000, priority=1)], [a_node(cpu=9000, gpus=1)], runs)
    assert stopped(plan(world)) == {"cpu"}


def test_a_gang_goes_as_a_whole():
    runs = [a_run("gang", "n1", gpus=[0]), a_run("gang", "n2", gpus=[0])]
    result = plan(a_world([high()], [a_node("n1", gpus=1), a_node("n2", gpus=1)], runs))
    assert {one.run_id for one in result.evictions} == {"run-gang-n1", "run-gang-n2"}


def test_a_share_is_made_free_on_a_card_on_which_that_is_enough():
    runs = [
        a_run("a", gpus=[0], share=500, unsaved=0),
        a_run("b", gpus=[0], share=500, priority=100),
        a_run("c", gpus=[1], share=800),
    ]
    demand = replace(a_job("high", share=700, priority=100))
    assert stopped(plan(a_world([demand], [a_node(gpus=2, sharers=3)], runs))) == {"c"}


def test_what_leaves_already_is_waited_for():
    runs = [a_run("gone", gpus=[0], leaving=True), a_run("low", gpus=[1])]
    assert plan(a_world([high()], [a_node(gpus=2)], runs)).evictions == ()


def test_two_jobs_get_two_places():
    runs = [a_run("a", gpus=[0], unsaved=0), a_run("b", gpus=[1])]
    jobs = [high(), replace(high(), job_id="high-2", order="high-2")]
    result = plan(a_world(jobs, [a_node(gpus=2)], runs))
    assert (stopped(result), stopped(result, "high-2")) == ({"a"}, {"b"})
    one = plan(a_world(jobs, [a_node(gpus=2)], runs, replace(ON, budget=1)))
    assert (stopped(one), stopped(one, "high-2")) == ({"a"}, set())


def test_what_was_spent_within_the_hour_counts():
    runs = [a_run("low", gpus=[0])]
    for spent, expected in [(ON.budget - 1, {"low"}), (ON.budget, set())]:
        known = Preemptions(spent={"vip": spent, "other": 99})
        assert (
            stopped(plan(a_world([high()], [a_node(gpus=1)], runs, preemptions=known))) == expected
        )


@pytest.mark.parametrize(
    ("gave_way", "expected"),
    [
        ({"low": GaveWay(NOW - ON.back_off + 1, 100)}, set()),
        ({"low": GaveWay(NOW - ON.back_off, 100)}, {"low"}),
        ({"high": GaveWay(NOW - ON.back_off + 1, 0)}, set()),
        ({"high": GaveWay(NOW - ON.back_off + 1, 1)}, {"low"}),
        ({"high": GaveWay(NOW - ON.back_off, 0)}, {"low"}),
    ],
)
def test_who_gave_way_a_short_while_ago_does_not_again_and_takes_no_place_back(
    gave_way: Mapping[str, GaveWay], expected: set[str]
):
    known = Preemptions(gave_way=gave_way)
    world = a_world([high()], [a_node(gpus=1)], [a_run("low", gpus=[0])], preemptions=known)
    assert stopped(plan(world)) == expected


def test_a_policy_of_a_queue_or_a_pool_is_enough():
    nodes = [a_node("n1", gpus=1, pool="a"), a_node("n2", gpus=1, pool="b")]
    runs = [a_run("one", "n1", gpus=[0], unsaved=0), a_run("two", "n2", gpus=[0])]
    world = a_world([replace(high(), queue="urgent")], nodes, runs)
    by_queue = Policies(queues={"urgent": Policy(preemption=ON)})
    by_pool = Policies(pools={"b": Policy(preemption=ON)})
    assert stopped(plan(replace(world, policies=by_queue))) == {"one"}
    assert stopped(plan(replace(world, policies=by_pool))) == {"two"}
    other = Policies(queues={"other": Policy(preemption=ON)})
    assert stopped(plan(replace(world, policies=other))) == set()


def test_nobody_is_stopped_for_room_that_a_reservation_keeps():
    kept = Kept("res-1", "other", frozenset(), 1000, GIB, 1, "H100", NOW + MINUTE)
    moment = Moment("node-n1", NOW, 31_000, 255 * GIB, {"H100": 1}, (kept,))
    runs = [a_run("low", gpus=[0])]
    nodes = [a_node(gpus=2)]
    # One GPU is free and kept; the other would be free.
    assert stopped(plan(a_world([high(2)], nodes, runs, moments=[moment]))) == set()
    free = plan(a_world([high(1)], nodes, runs, moments=[moment]))
    assert stopped(free) == {"low"}
    # What a reservation's own project leaves, it leaves to the reservation.
    own = [replace(runs[0], project="other")]
    assert stopped(plan(a_world([high(1)], nodes, own, moments=[moment]))) == set()


def a_quota(project: str, guaranteed: int, used: int) -> Quota:
    """Of GPUs, lending to all others."""
    amounts = {
        "guaranteed": {Dimension.GPU: guaranteed * 1000},
        "used": {Dimension.GPU: used * 1000},
    }
    return Quota(f"q-{project}", project, cohort="all", **amounts)


def guaranteed(vip: int, low: int, *, held: int = 2, priority: int = 0) -> Snapshot:
    """A full node whose GPUs `low` has, and a job of `vip`; each has a guarantee."""
    runs = [
        a_run(f"low-{number}", gpus=[number], priority=priority, ran=(60 - number) * MINUTE)
        for number in range(held)
    ]
    world = a_world([high()], [a_node(gpus=held)], runs)
    return replace(world, quotas=(a_quota("vip", vip, 0), a_quota("low", low, held)))


def test_a_project_takes_back_from_equals_what_they_have_borrowed_and_no_more():
    assert stopped(plan(guaranteed(1, 1, priority=100))) == {"low-1"}
    assert stopped(plan(guaranteed(1, 2, priority=100))) == set()
    # One that would borrow itself takes nothing from equals, but from lower ones that borrow.
    beyond = replace(guaranteed(0, 1, priority=100), queue=(high(),))
    assert stopped(plan(beyond)) == set()
    assert stopped(plan(guaranteed(1, 0, priority=101))) == set()


def test_what_a_project_can_count_on_is_taken_by_no_other_whatever_its_priority():
    assert stopped(plan(guaranteed(1, 2))) == set()
    assert stopped(plan(guaranteed(2, 1))) == {"low-1"}
    own = guaranteed(1, 2)
    own = replace(own, queue=(replace(high(), project="low"),), quotas=(a_quota("low", 3, 2),))
    assert len(stopped(plan(own))) == 1


# --- what is made free is kept -------------------------------------------------------------------


def making_room(leaving: int = 1, *, awaited: bool = False) -> Preemptions:
    return Preemptions(making_room=(MakingRoom("high", ("node-n1",), leaving, 2, awaited),))


def test_a_smaller_job_does_not_get_what_is_being_made_free_for_another():
    runs = [a_run("low", gpus=[0], leaving=True)]
    small = replace(a_job("small", gpus=1), time_limit=MINUTE)
    result = plan(a_world([high(2), small], [a_node(gpus=2)], runs, preemptions=making_room()))
    assert (result.placements, result.evictions) == ((), ())
    told = {one.job_id: one.message for one in result.waiting}
    assert told["high"] == "2 jobs are being stopped for it on node n1; 1 of them still there"
    assert plan(a_world([high(2), small], [a_node(gpus=2)], runs)).placements


def test_what_is_made_free_is_kept_also_where_reservations_keep_something():
    """Then each sees a room of its own, which has to know it too."""
    kept = Kept("res-1", "other", frozenset(), 0, 0, 1, "H100", NOW + MINUTE)
    moment = Moment("node-n1", NOW, 32_000, 256 * GIB, {"H100": 2}, (kept,))
    runs = [a_run("low", gpus=[0], leaving=True)]
    jobs = [a_job("first", gpus=4, priority=200), high(2), a_job("small", gpus=1)]
    world = a_world(jobs, [a_node(gpus=3)], runs, preemptions=making_room(), moments=[moment])
    assert plan(world).placements == ()


def test_a_job_that_wants_a_node_alone_has_all_stopped_there_or_nobody():
    runs = [a_run("a", gpus=[0]), a_run("b", gpus=[1])]
    job = replace(high(1), exclusive=True)
    assert stopped(plan(a_world([job], [a_node(gpus=3)], runs))) == {"a", "b"}
    stays = [runs[0], replace(runs[1], preemptible=False)]
    assert stopped(plan(a_world([job], [a_node(gpus=3)], stays))) == set()


def test_what_is_left_beside_it_is_given_away():
    runs = [a_run("low", gpus=[0], leaving=True)]
    small = a_job("small", gpus=1)
    result = plan(a_world([high(2), small], [a_node(gpus=3)], runs, preemptions=making_room()))
    # It fits at once, and whoever comes behind it gets nothing: all of it is taken.
    assert [one.job_id for one in result.placements] == ["high"]
    result = plan(a_world([high(3), small], [a_node(gpus=5)], [*runs, a_run("x", gpus=[1, 2])]))
    assert [one.job_id for one in result.placements] == ["small"]


def test_whose_place_was_made_free_gets_it_before_an_equal_whose_turn_is_earlier():
    equal = replace(high(), job_id="early", order="early")
    higher = replace(high(), job_id="top", order="top", priority=101)
    late = replace(high(), order="zz")
    world = a_world([equal, late], [a_node(gpus=1)], [], preemptions=making_room(0))
    assert [one.job_id for one in plan(world).placements] == ["high"]
    world = a_world([equal, late, higher], [a_node(gpus=1)], [], preemptions=making_room(0))
    assert [one.job_id for one in plan(world).placements] == ["top"]


def test_nobody_else_is_stopped_while_room_is_being_made():
    runs = [a_run("going", gpus=[0], leaving=True), a_run("low", "n2", gpus=[0])]
    nodes = [a_node(gpus=1), a_node("n2", gpus=1)]
    assert plan(a_world([high()], nodes, runs, preemptions=making_room())).evictions == ()


@pytest.mark.parametrize(
    ("leaving", "told"),
    [
        (
            1,
            (
                "2 jobs are being stopped for it on node n1; 1 of them still there; "
                "the node is not connected"
            ),
        ),
        (0, "2 jobs were stopped for it on node n1; the node is not connected"),
    ],
)
def test_while_the_node_may_well_be_back_nobody_else_is_stopped(leaving: int, told: str):
    """Nor when all have left and it is the node alone that is missing."""
    going = [a_run("going", gpus=[0], leaving=True)] * leaving
    runs = [*going, a_run("low", "n2", gpus=[0])]
    nodes = [a_node(gpus=1, ready=False), a_node("n2", gpus=1)]
    preemptions = making_room(leaving, awaited=True)
    result = plan(a_world([high()], nodes, runs, preemptions=preemptions))
    assert (result.placements, result.evictions) == ((), ())
    (waiting,) = result.waiting
    assert (waiting.reason, waiting.message) == ("MAKING_ROOM", told)


def test_while_the_node_is_awaited_its_job_takes_what_is_free_elsewhere():
    nodes = [a_node(gpus=1, ready=False), a_node("n2", gpus=1)]
    runs = [a_run("going", gpus=[0], leaving=True)]
    result = plan(a_world([high()], nodes, runs, preemptions=making_room(awaited=True)))
    assert [one.node_id for one in result.placements] == ["node-n2"]


def test_while_the_node_of_one_is_awaited_others_are_stopped_for_another():
    other = replace(high(), job_id="other")
    nodes = [a_node(gpus=1, ready=False), a_node("n2", gpus=1)]
    runs = [a_run("going", gpus=[0], leaving=True), a_run("low", "n2", gpus=[0])]
    result = plan(a_world([high(), other], nodes, runs, preemptions=making_room(awaited=True)))
    assert [(one.job_id, one.for_job_id) for one in result.evictions] == [("low", "other")]


def test_what_is_made_free_for_it_on_a_second_node_is_for_nobody_else_while_the_first_is_awaited():
    """As after a restart, when others had been stopped because the first was away for long."""
    other = replace(high(), job_id="other")
    nodes = [a_node(gpus=1, ready=False), *(a_node(name, gpus=1) for name in ("n2", "n3"))]
    going = [a_run(f"going-{name}", name, gpus=[0], leaving=True) for name in ("n1", "n2")]
    runs = [*going, a_run("low", "n3", gpus=[0])]
    rooms = (
        MakingRoom("high", ("node-n1",), 1, 1, awaited=True),
        MakingRoom("high", ("node-n2",), 1, 1),
    )
    result = plan(a_world([high(), other], nodes, runs, preemptions=Preemptions(rooms)))
    assert [(one.job_id, one.for_job_id) for one in result.evictions] == [("low", "other")]


def test_when_the_node_is_lost_meanwhile_others_are_stopped_elsewhere():
    runs = [a_run("going", gpus=[0], leaving=True), a_run("low", "n2", gpus=[0])]
    nodes = [a_node(gpus=1, ready=False), a_node("n2", gpus=1)]
    assert stopped(plan(a_world([high()], nodes, runs, preemptions=making_room()))) == {"low"}


def test_nobody_takes_a_place_that_a_job_of_higher_priority_was_promised():
    low = replace(a_run("low", gpus=[0]), expected_end=NOW + 10 * MINUTE)
    fixed = replace(a_run("fixed", gpus=[1], preemptible=False), expected_end=NOW + 10 * MINUTE)
    top = replace(a_job("top", gpus=2, priority=200), project="vip")
    world = a_world([top, high()], [a_node(gpus=2)], [low, fixed])
    assert plan(world).evictions == ()
    short = a_world([top, high(time_limit=9 * MINUTE)], [a_node(gpus=2)], [low, fixed])
    assert stopped(plan(short)) == {"low"}
    unknown = [replace(run, expected_end=None) for run in (low, fixed)]
    assert stopped(plan(a_world([top, high()], [a_node(gpus=2)], unknown))) == {"low"}


def test_what_was_made_free_is_not_promised_to_another_before_its_job_has_it():
    fixed = replace(a_run("fixed", gpus=[1], preemptible=False), expected_end=NOW + 10 * MINUTE)
    top = replace(a_job("top", gpus=2, priority=200), project="vip")
    world = a_world([top, high()], [a_node(gpus=2)], [fixed], preemptions=making_room(0))
    assert [one.job_id for one in plan(world).placements] == ["high"]
    assert plan(replace(world, preemptions=Preemptions())).placements == ()


# --- properties ----------------------------------------------------------------------------------


@st.composite
def crowded(draw: st.DrawFn) -> Snapshot:
    """A few nodes that are rather full, and a few jobs that wait."""
    nodes, runs = [], list[Running]()
    for number in range(draw(st.integers(1, 3))):
        name = f"n{number}"
        gpus = draw(st.integers(0, 4))
        sick = draw(st.sampled_from([0, 0, 0, 1])) if gpus else 0
        node = a_node(
            name,
            gpus=gpus,
            sick=sick,
            cpu=draw(st.sampled_from([4000, 8000])),
            memory=8 * GIB,
            ready=draw(st.sampled_from([True, True, True, False])),
            sharers=draw(st.sampled_from([0, 2])),
        )
        nodes.append(node)
        free, cpu = list(range(gpus)), node.cpu_millis
        while cpu >= 1000 and draw(st.integers(0, 4)):
            count = draw(st.integers(0, min(2, len(free))))
            asked = draw(st.sampled_from([1000, 1000, 3000]))
            share = draw(st.sampled_from([0, 0, 400])) if count == 1 and node.max_sharers else 0
            if asked > cpu:
                break
            cpu -= asked
            index = free[:count]
            free = free[count:]
            for each in range(2 if share and cpu >= asked else 1):
                cpu -= asked * each
                runs.append(
                    a_run(
                        f"run-{len(runs)}",
                        name,
                        gpus=index,
                        share=share,
                        cpu=asked,
                        memory=draw(st.sampled_from([0, GIB])),
                        priority=draw(st.sampled_from([0, 0, 1, 2])),
                        ran=draw(st.sampled_from([1, 10, 20])) * MINUTE,
                        unsaved=draw(st.sampled_from([0, 1, 1])) * MINUTE,
                        preemptible=draw(st.sampled_from([True, True, True, False])),
                        leaving=draw(st.sampled_from([False] * 6 + [True])),
                    )
                )
    jobs = [
        replace(
            a_job(
                f"job-{number}",
                gpus=draw(st.integers(0, 3)),
                cpu=draw(st.sampled_from([1000, 4000])),
                memory=draw(st.sampled_from([GIB, 6 * GIB])),
                priority=draw(st.integers(0, 3)),
                share=draw(st.sampled_from([0, 0, 0, 500])),
            ),
            project="vip",
        )
        for number in range(draw(st.integers(1, 4)))
    ]
    return a_world(jobs, nodes, runs)


def waits(world: Snapshot) -> Sequence[Demand]:
    waiting = {one.job_id for one in plan(world).waiting}
    return sorted(
        (one for one in world.queue if one.job_id in waiting), key=lambda one: -one.priority
    )


@given(crowded())
@settings(max_examples=200)
def test_when_they_have_gone_the_job_fits_and_no_better_set_does(world: Snapshot):
    """One job that waits at a time, against all sets of victims there are."""
    for job in waits(world):
        alone = replace(world, queue=(job,))
        result = plan(alone)
        going = [run for run in world.running if run.leaving]
        able = [run for run in world.running if may_go(run, job)]
        sets = [
            chosen
            for size in range(len(able) + 1)
            for chosen in combinations(able, size)
            if any(holds(node, job) for node in without(world.nodes, [*going, *chosen]).values())
        ]
        if not sets:
            assert result.evictions == ()
            continue
        best = min(sets, key=price)
        chosen = [run for run in world.running if run.job_id in stopped(result, job.job_id)]
        assert all(may_go(run, job) for run in chosen)
        assert price(chosen) == price(best)
        if chosen:
            state = without(world.nodes, [*going, *chosen])
            assert holds(state[result.evictions[0].node_id], job)


@given(crowded())
def test_nobody_is_stopped_twice_and_only_for_a_job_that_waits_and_is_higher(world: Snapshot):
    result = plan(world)
    jobs = {job.job_id: job for job in world.queue}
    runs = {run.run_id: run for run in world.running}
    assert len({one.run_id for one in result.evictions}) == len(result.evictions)
    waiting = {one.job_id: one.reason for one in result.waiting}
    for one in result.evictions:
        assert waiting[one.for_job_id] == "MAKING_ROOM"
        assert may_go(runs[one.run_id], jobs[one.for_job_id])


@given(crowded(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(world: Snapshot, rng):
    mixed = replace(
        world,
        queue=tuple(rng.sample(world.queue, len(world.queue))),
        nodes=tuple(rng.sample(world.nodes, len(world.nodes))),
        running=tuple(rng.sample(world.running, len(world.running))),
    )
    assert plan(mixed) == plan(world)


def carried_out(world: Snapshot, result: Plan) -> Snapshot:
    """The world when all have left who were to leave, and who was stopped waits again."""
    going = {one.run_id for one in result.evictions} | {
        run.run_id for run in world.running if run.leaving
    }
    placed = {one.job_id: one for one in result.placements}
    jobs = {job.job_id: job for job in world.queue}
    state = without(world.nodes, [run for run in world.running if run.run_id in going])
    started = list[Running]()
    for one in result.placements:
        job, node = jobs[one.job_id], state[one.node_id]
        run = replace(
            a_run(job.job_id, cpu=job.cpu_millis, memory=job.memory_bytes, priority=job.priority),
            node_id=one.node_id,
            gpu_uuids=one.gpu_uuids,
            gpu_millis=job.gpu_millis,
            project=job.project,
        )
        started.append(run)
        shares = dict.fromkeys(one.gpu_uuids, job.gpu_millis)
        state[one.node_id] = replace(
            node,
            cpu_free=node.cpu_free - job.cpu_millis,
            memory_free=node.memory_free - job.memory_bytes,
            gpus=tuple(
                replace(
                    gpu,
                    held=True,
                    shared_millis=gpu.shared_millis + shares[gpu.uuid],
                    sharers=gpu.sharers + bool(shares[gpu.uuid]),
                )
                if gpu.uuid in shares
                else gpu
                for gpu in node.gpus
            ),
        )
    again = [
        replace(
            a_job(
                run.job_id,
                gpus=0 if run.gpu_millis else len(run.gpu_uuids),
                share=run.gpu_millis,
                cpu=run.cpu_millis,
                memory=run.memory_bytes,
                priority=run.priority,
            ),
            project=run.project,
        )
        for run in world.running
        if run.run_id in going
    ]
    return replace(
        world,
        nodes=tuple(state.values()),
        running=(*(run for run in world.running if run.run_id not in going), *started),
        queue=(*(job for job in world.queue if job.job_id not in placed), *again),
        preemptions=Preemptions(
            making_room=tuple(
                MakingRoom(job, (node,), 0, 1)
                for job, node in sorted({(one.for_job_id, one.node_id) for one in result.evictions})
            )
        ),
    )


def potential(world: Snapshot) -> list[int]:
    """How many jobs of each priority wait, the highest first."""
    return [sum(job.priority == level for job in world.queue) for level in (3, 2, 1, 0)]


@given(crowded())
@settings(max_examples=150)
def test_each_preemption_lowers_a_potential_so_that_there_are_no_loops(world: Snapshot):
    world = replace(world, policies=policies(replace(ON, min_run=0, back_off=0, budget=10**6)))
    for _ in range(40):
        result = plan(world)
        after = carried_out(world, result)
        if not result.evictions and not result.placements:
            return
        if result.evictions:
            # With the next plan those get their places for whom others were stopped.
            served = {one.for_job_id for one in result.evictions}
            following = plan(after)
            assert served <= {one.job_id for one in following.placements}
            assert potential(carried_out(after, following)) < potential(world)
        world = after
    raise AssertionError("it does not come to rest")
