"""Which policy holds for whom."""

from hypothesis import given
from hypothesis import strategies as st

from windlass_server.scheduler.policies import (
    BUILT_IN,
    LOWEST_BAND,
    Aging,
    Backfill,
    FairShare,
    Policies,
    Policy,
    PreemptionRules,
    PriorityClass,
    Settings,
)

DAY = 86_400_000_000
BANDS = (PriorityClass("batch", -100), PriorityClass("normal", 0), PriorityClass("urgent", 500))


def test_without_any_policy_what_is_built_in_holds():
    nothing = Policies()
    assert nothing.of_job("any") == nothing.of_pool("any") == nothing.of_cluster() == BUILT_IN
    assert BUILT_IN.fair_share.enabled
    assert BUILT_IN.aging.boost == 0
    assert not nothing.preemption("any", "any").enabled


def test_a_jobs_queue_comes_before_its_pool_and_both_before_the_cluster():
    policies = Policies(
        Policy(aging=Aging(1), backfill=Backfill(1), packing="tight"),
        queues={"fast": Policy(aging=Aging(2))},
        pools={"h100": Policy(aging=Aging(3), backfill=Backfill(3))},
    )
    cases = [
        (policies.of_job("slow"), 1, 1),
        (policies.of_job("fast"), 2, 1),
        (policies.of_job("fast", ("h100",)), 2, 3),
        (policies.of_job("slow", ("h100",)), 3, 3),
        (policies.of_job("slow", ("h100", "l4")), 1, 1),
        (policies.of_job("slow", ()), 1, 1),
        (policies.of_pool("h100"), 3, 3),
        (policies.of_pool("l4"), 1, 1),
    ]
    for settings, boost, depth in cases:
        assert (settings.aging.boost, settings.backfill.depth) == (boost, depth)


def test_a_part_of_a_policy_is_taken_whole():
    rules = PreemptionRules(enabled=True, budget=3)
    policies = Policies(
        Policy(preemption=PreemptionRules(min_run=7)), queues={"fast": Policy(preemption=rules)}
    )
    assert policies.preemption("fast") == rules
    assert policies.preemption("slow").min_run == 7


def test_a_priority_is_in_the_class_that_begins_at_it_or_next_below():
    settings = Settings(classes=BANDS)
    cases = {-1000: LOWEST_BAND, -101: LOWEST_BAND, -100: -100, -1: -100, 0: 0, 499: 0, 500: 500}
    assert {priority: settings.band(priority) for priority in cases} == cases
    assert Settings().band(17) == 17


def test_waiting_adds_evenly_up_to_the_boost_and_no_more():
    aging = Aging(10, DAY)
    assert [aging.gained(DAY * n // 10) for n in (0, 1, 5, 10, 11, 1000)] == [0, 1, 5, 10, 10, 10]
    assert aging.gained(-5) == 0


@given(st.integers(0, 2000), st.integers(1, 10**15), st.integers(-(10**16), 10**16))
def test_waiting_never_adds_more_than_the_boost(boost, over, age):
    assert 0 <= Aging(boost, over).gained(age) <= boost


def test_a_weight_of_a_user_in_a_project_comes_before_one_in_all():
    weights = {("vision", ""): 3.0, ("vision", "ada"): 5.0, ("", "ada"): 2.0}
    share = FairShare(weights=weights)
    assert share.of_project("vision") == 3.0
    assert share.of_project("speech") == 1.0
    assert share.of_user("vision", "ada") == 5.0
    assert share.of_user("speech", "ada") == 2.0
    assert share.of_user("vision", "bob") == 1.0
    assert share.of_user("vision", "") == 1.0
