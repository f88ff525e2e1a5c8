"""In which order jobs are considered."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.scheduler.worlds import a_job, a_node
from windlass_server.scheduler.fair_share import GPU, Account, Shares
from windlass_server.scheduler.order import half_lives_of, in_turn
from windlass_server.scheduler.plan import plan
from windlass_server.scheduler.policies import (
    Aging,
    FairShare,
    Policies,
    Policy,
    PriorityClass,
)
from windlass_server.scheduler.snapshot import Demand, Snapshot

DAY = 86_400_000_000
NOW = 1_000 * DAY
WEEK = 7 * DAY


def job(name: str, of: str = "p/u", **asked: Any) -> Demand:
    """A job of one GPU, `of` a project and a user of it."""
    project, user = of.split("/")
    more = {key: asked.pop(key) for key in ("queue", "submitted_at", "start_after") if key in asked}
    return replace(a_job(name, **({"gpus": 1} | asked)), project=project, user=user, **more)


def jobs(of: str, count: int, first: int = 0, **asked: Any) -> list[Demand]:
    """Jobs that are named after whom they are of, in the order of their submission."""
    return [job(f"{first + n:03}-{of}", of, **asked) for n in range(count)]


def owners(
    queue: Sequence[Demand],
    policies: Policies | None = None,
    had: Mapping[Account, float] | None = None,
    held: Mapping[Account, int] | None = None,
) -> list[str]:
    """Of whom the jobs are that come one after the other."""
    shares = Shares({WEEK: had or {}}, held or {})
    world = Snapshot(tuple(queue), (), now=NOW, policies=policies or Policies(), shares=shares)
    return [f"{one.project}/{one.user}" for one in in_turn(world)]


def names(queue: Sequence[Demand], policies: Policies | None = None) -> list[str]:
    world = Snapshot(tuple(queue), (), now=NOW, policies=policies or Policies())
    return [one.job_id for one in in_turn(world)]


def weighing(**weights: float) -> Policies:
    """Projects, or `project__user`, with their weights."""
    by = {tuple(f"{name}__".split("__")[:2]): weight for name, weight in weights.items()}
    return Policies(Policy(fair_share=FairShare(weights=by)))  # type: ignore[arg-type]


def test_jobs_of_one_user_go_by_priority_and_then_by_submission():
    queue = [job("c"), job("a", priority=-1), job("b"), job("d", priority=5)]
    assert names(queue) == ["d", "b", "c", "a"]
    assert names([]) == []


def test_projects_take_turns_however_many_jobs_one_has_submitted_before_the_others():
    queue = jobs("a/u", 4) + jobs("b/u", 2, first=10)
    assert owners(queue) == ["a/u", "b/u", "a/u", "b/u", "a/u", "a/u"]


def test_users_of_a_project_take_turns_within_its_turns():
    queue = jobs("a/x", 4) + jobs("a/y", 2, first=10) + jobs("b/z", 3, first=20)
    assert owners(queue)[:6] == ["a/x", "b/z", "a/y", "b/z", "a/x", "b/z"]


def test_a_project_of_twice_the_weight_gets_two_turns_for_one():
    queue = jobs("a/u", 6) + jobs("b/u", 6, first=10)
    assert Counter(owners(queue, weighing(a=2.0))[:9]) == {"a/u": 6, "b/u": 3}
    assert Counter(owners(queue, weighing(b=5.0))[:6]) == {"a/u": 1, "b/u": 5}


def test_a_user_of_twice_the_weight_gets_two_of_the_projects_turns_for_one():
    queue = jobs("a/x", 6) + jobs("a/y", 6, first=10)
    assert Counter(owners(queue, weighing(a__y=2.0))[:9]) == {"a/x": 3, "a/y": 6}


def test_what_a_job_holds_is_what_its_owner_has_not_how_many_jobs():
    queue = jobs("a/u", 2, gpus=4) + jobs("b/u", 8, first=10)
    assert Counter(owners(queue)[:6]) == {"a/u": 1, "b/u": 5} or owners(queue)[:6].count("a/u") == 2
    assert owners(queue)[:2] == ["a/u", "b/u"]
    assert owners(queue)[1:5] == ["b/u"] * 4


def test_who_had_less_lately_comes_first_until_he_has_as_much():
    queue = jobs("a/u", 5) + jobs("b/u", 5, first=10)
    found = owners(queue, had={("a", "u"): 3.0 * GPU})
    assert found == ["b/u"] * 3 + ["a/u", "b/u", "a/u", "b/u"] + ["a/u"] * 3
    assert found == owners(queue, held={("a", "u"): 3 * GPU})


def test_a_better_project_comes_first_whatever_its_user_had():
    """As in a fair tree: a user never suffers for another project's use."""
    queue = jobs("a/greedy", 1) + jobs("b/modest", 1, first=10)
    had = {("a", "greedy"): 5.0 * GPU, ("b", "modest"): 1.0 * GPU, ("b", "other"): 9.0 * GPU}
    assert owners(queue, had=had) == ["a/greedy", "b/modest"]


def test_what_users_had_who_wait_for_nothing_counts_for_their_project():
    queue = jobs("a/x", 1) + jobs("b/z", 1, first=10)
    assert owners(queue, had={("a", "y"): 1.0}) == ["b/z", "a/x"]


def test_a_higher_priority_comes_before_any_share():
    queue = jobs("a/u", 3, priority=1) + jobs("b/u", 3, first=10)
    assert owners(queue, had={("a", "u"): 1e9 * GPU}) == ["a/u"] * 3 + ["b/u"] * 3


def test_within_a_class_the_share_comes_before_the_priority():
    classes = (PriorityClass("normal", 0), PriorityClass("urgent", 500))
    bands = Policies(Policy(classes=classes))
    queue = [
        *jobs("a/u", 3, priority=400),
        *jobs("b/u", 2, first=10),
        job("999-b/u", "b/u", priority=500),
    ]
    assert owners(queue, bands) == ["b/u", "a/u", "a/u", "b/u", "a/u", "b/u"]
    assert names([job("x", priority=1), job("y", priority=499)], bands) == ["y", "x"]


def test_what_stands_in_a_higher_band_counts_in_the_lower_ones():
    queue = jobs("a/u", 2, priority=9) + jobs("a/u", 2, first=10) + jobs("b/u", 3, first=20)
    assert owners(queue) == ["a/u"] * 2 + ["b/u"] * 2 + ["a/u", "b/u", "a/u"]


def test_waiting_raises_a_job_over_newer_ones_of_higher_priority_as_far_as_it_is_said():
    policies = Policies(Policy(aging=Aging(boost=10, over=DAY)))
    old = job("old", submitted_at=NOW - DAY // 2)
    older = job("older", submitted_at=NOW - 30 * DAY)
    above = [job(f"new-{p}", priority=p, submitted_at=NOW) for p in (4, 6, 9, 11)]
    found = names([old, older, *above], policies)
    assert found == ["new-11", "older", "new-9", "new-6", "old", "new-4"]


def test_a_job_does_not_age_before_it_may_start():
    policies = Policies(Policy(aging=Aging(boost=10, over=DAY)))
    later = job("a", submitted_at=NOW - 30 * DAY, start_after=NOW - DAY // 10)
    assert names([later, job("b", priority=2, submitted_at=NOW)], policies) == ["b", "a"]


def test_a_queue_without_fair_share_goes_by_priority_and_submission():
    plain = Policies(Policy(fair_share=FairShare(enabled=False)))
    queue = jobs("a/u", 3) + jobs("b/u", 2, first=10)
    assert owners(queue, plain, had={("a", "u"): 9.0}) == ["a/u"] * 3 + ["b/u"] * 2


def test_queues_that_share_by_other_rules_take_turns():
    plain = Policies(queues={"plain": Policy(fair_share=FairShare(enabled=False))})
    queue = jobs("a/u", 2, queue="plain") + jobs("b/u", 2, first=10, queue="plain")
    queue += jobs("c/u", 4, first=20, queue="fair")
    assert owners(queue, plain) == ["a/u", "c/u", "a/u", "c/u", "b/u", "c/u", "b/u", "c/u"]


def test_a_plan_gives_projects_their_turns():
    node = a_node(gpus=4)
    queue = jobs("a/u", 10) + jobs("b/u", 10, first=20)
    placed = plan(Snapshot(tuple(queue), (node,))).placements
    assert Counter(one.job_id[4:] for one in placed) == {"a/u": 2, "b/u": 2}


def test_who_waits_for_others_turns_is_told_so():
    queue = jobs("a/u", 2) + jobs("b/u", 1, first=10)
    (waiting,) = plan(Snapshot(tuple(queue), (a_node(gpus=2),))).waiting
    assert (waiting.job_id, waiting.reason) == ("001-a/u", "WAITING_BEHIND_EARLIER_JOBS")
    assert "2 jobs whose turn came first took the room" in waiting.message


# ---------------------------------------------------------------------------------------------------
# Properties


def chosen_one_by_one(world: Snapshot, policy: Policy) -> list[str]:
    """The same order, chosen one job after the other; shares no code with the scheduler."""
    left = sorted(world.queue, key=lambda one: one.order)
    rules = policy.fair_share or FairShare()
    users = dict(world.shares.of(rules.half_life))
    stands: Counter[object] = Counter()
    chosen = list[str]()

    def raised(one: Demand) -> int:
        aging = policy.aging or Aging()
        return (
            one.priority + aging.boost * min(world.now - one.submitted_at, aging.over) // aging.over
        )

    def band(one: Demand) -> int:
        classes = policy.classes
        if not classes:
            return raised(one)
        return max([c.priority for c in classes if c.priority <= raised(one)], default=-9999)

    def of_project(one: Demand) -> float:
        had = sum(
            amount for (project, _), amount in sorted(users.items()) if project == one.project
        )
        return (had + stands[one.project]) / rules.of_project(one.project)

    def of_user(one: Demand) -> float:
        account = one.project, one.user
        return (users.get(account, 0) + stands[account]) / rules.of_user(*account)

    while left:
        high = max(map(band, left))
        heads = [one for one in left if band(one) == high]
        # Of each user the best job, of each project the best user's; min() takes the first of equals.
        heads = [
            min(own, key=lambda one: -raised(one))
            for account in {(one.project, one.user) for one in heads}
            for own in [[one for one in heads if (one.project, one.user) == account]]
        ]
        heads.sort(key=lambda one: one.order)
        heads = [
            min((one for one in heads if one.project == project), key=of_user)
            for project in {one.project for one in heads}
        ]
        heads.sort(key=lambda one: one.order)
        best = min(heads, key=of_project)
        left.remove(best)
        chosen.append(best.job_id)
        stands[best.project] += best.gpu_count * GPU
        stands[best.project, best.user] += best.gpu_count * GPU
    return chosen


accounts = st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"))
policies = st.builds(
    Policy,
    classes=st.sampled_from([None, (PriorityClass("low", 0), PriorityClass("high", 2))]),
    aging=st.sampled_from([None, Aging(3, 10 * DAY)]),
    fair_share=st.builds(
        FairShare,
        weights=st.dictionaries(
            st.tuples(st.sampled_from("ab"), st.sampled_from(["", "x", "y"])),
            st.sampled_from([0.5, 1.0, 2.0, 4.0]),
        ),
    ),
)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Snapshot, Policy]:
    queue = [
        job(
            f"{n:03}",
            f"{draw(st.sampled_from('abc'))}/{draw(st.sampled_from('xyz'))}",
            gpus=draw(st.integers(1, 8)),
            priority=draw(st.integers(-1, 3)),
            submitted_at=NOW - (30 - n) * DAY,
        )
        for n in range(draw(st.integers(0, 25)))
    ]
    had = draw(st.dictionaries(accounts, st.integers(0, 20).map(lambda n: float(n * GPU))))
    held = draw(st.dictionaries(accounts, st.integers(0, 20).map(lambda n: n * GPU)))
    policy = draw(policies)
    world = Snapshot(
        tuple(queue), (), now=NOW, policies=Policies(policy), shares=Shares({WEEK: had}, held)
    )
    return world, policy


@given(worlds())
def test_the_order_is_as_if_the_next_job_were_chosen_again_and_again(drawn):
    world, policy = drawn
    assert [one.job_id for one in in_turn(world)] == chosen_one_by_one(world, policy)


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_a_queue_does_not_depend_on_how_it_is_given(drawn, random):
    world, _ = drawn
    shuffled = replace(world, queue=tuple(random.sample(world.queue, len(world.queue))))
    assert in_turn(shuffled) == in_turn(world)


@given(worlds())
def test_no_job_is_lost_or_comes_twice(drawn):
    world, _ = drawn
    assert sorted(in_turn(world), key=lambda one: one.order) == list(world.queue)


@given(st.integers(0, 2000), st.lists(st.tuples(st.integers(-1000, 1000), st.integers(0, 99))))
def test_waiting_never_lifts_a_job_over_one_that_is_higher_by_more_than_the_boost(boost, drawn):
    policies = Policies(Policy(aging=Aging(boost, 50 * DAY)))
    queue = [
        job(f"{n:03}", priority=priority, submitted_at=NOW - age * DAY)
        for n, (priority, age) in enumerate(drawn)
    ]
    world = Snapshot(tuple(queue), (), now=NOW, policies=policies)
    highest_behind = -5000
    for one in reversed(in_turn(world)):
        assert highest_behind <= one.priority + boost
        highest_behind = max(highest_behind, one.priority)


@settings(max_examples=50)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=5),
    st.integers(1, 4),
    st.integers(0, 10),
)
def test_who_has_least_waits_for_no_more_than_the_others_shares(weights, own, lead):
    """Before a job of somebody's come of each other what he may have for his weight, and one job more."""
    others = [f"p{n}/u" for n in range(len(weights))]
    queue = [one for n, of in enumerate(others) for one in jobs(of, 60, first=100 * n)]
    queue += jobs("me/u", 8, first=900)
    shares = {"me": float(own)} | {f"p{n}": float(weight) for n, weight in enumerate(weights)}
    found = owners(queue, weighing(**shares), had={("me", "u"): float(lead * GPU)})
    turns = [place for place, of in enumerate(found) if of == "me/u"]
    for mine, place in enumerate(turns):
        before = Counter(found[:place])
        for of, weight in zip(others, weights, strict=True):
            assert before[of] <= (lead + mine) * weight / own + 1


@pytest.mark.parametrize("count", [0, 1, 2])
def test_short_queues_are_in_order_too(count):
    assert len(names(jobs("a/u", count))) == count


def test_what_owners_had_matters_only_where_several_share():
    plain = Policy(fair_share=FairShare(enabled=False))
    slow = Policy(fair_share=FairShare(half_life=9))
    queues = Policies(queues={"plain": plain, "slow": slow})
    one, two = jobs("a/u", 2), jobs("a/v", 1, first=10)
    assert half_lives_of([], queues) == half_lives_of(one, queues) == frozenset()
    assert half_lives_of(one + two, queues) == {WEEK}
    assert half_lives_of(jobs("a/u", 1) + jobs("b/u", 1, queue="slow"), queues) == frozenset()
    both = jobs("a/u", 1, queue="slow") + jobs("b/u", 1, queue="slow")
    assert half_lives_of(both + one, queues) == {9}
    off = jobs("a/u", 1, queue="plain") + jobs("b/u", 1, queue="plain")
    assert half_lives_of(off, queues) == frozenset()
