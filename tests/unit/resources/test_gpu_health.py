"""The health of a GPU over what is reported of it, and over time."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windlass_server.resources import gpu_health, health_policy
from windlass_server.resources.gpu_health import Facts, GpuState, Health, Xid, take, tick
from windlass_server.resources.health_policy import RULES, Action, Policy

SECOND = 1_000_000
POLICY = Policy()
START = 1_800_000_000 * SECOND
# An agent has looked at the card before.
KNOWN = GpuState(agent_start=1)


def facts(*codes: int, first: int = 1, **values: object) -> Facts:
    """A report with XIDs that are numbered from `first` on."""
    xids = tuple(Xid(first + place, code, START) for place, code in enumerate(codes))
    return Facts(agent_start=1, xids=xids, **values)  # type: ignore[arg-type]


def after(*reports: Facts, state: GpuState = KNOWN, now: int = START) -> GpuState:
    for report in reports:
        state, _ = take(state, report, POLICY, now)
    return state


def passed(
    state: GpuState,
    seconds: float,
    *,
    idle: bool = True,
    can_reset: bool = True,
    now: int = START,
    policy: Policy = POLICY,
) -> GpuState:
    """The state when so many seconds have passed since `START`."""
    return tick(state, policy, now + int(seconds * SECOND), idle=idle, can_reset=can_reset)


@pytest.mark.parametrize(
    ("report", "health", "reason", "stops"),
    [
        (facts(), "HEALTHY", "", False),
        (facts(13), "HEALTHY", "", False),
        (facts(31, 43, 45), "HEALTHY", "", False),
        (facts(94), "HEALTHY", "", True),
        (facts(uncorrected=3), "HEALTHY", "", True),
        (facts(92), "SUSPECT", "XID_92", False),
        (facts(too_hot=True), "SUSPECT", "GPU_TOO_HOT", False),
        (facts(rows_pending=True), "SUSPECT", "ROW_REMAP_PENDING", False),
        (facts(64_000), "SUSPECT", "XID_64000", False),
        (facts(48), "UNHEALTHY", "XID_48", True),
        (facts(119, 13), "UNHEALTHY", "XID_119", True),
        (facts(reset_required=True), "UNHEALTHY", "GPU_RESET_REQUIRED", True),
        (facts(79), "UNHEALTHY", "XID_79", True),
        (facts(48, 79), "UNHEALTHY", "XID_79", True),
        (facts(79, 48), "UNHEALTHY", "XID_79", True),
        (facts(lost=True, too_hot=True), "UNHEALTHY", "GPU_LOST", True),
        (facts(rows_failed=True), "UNHEALTHY", "ROW_REMAP_FAILED", True),
    ],
)
def test_what_is_reported_makes_a_card_what_the_table_says(
    report: Facts, health: str, reason: str, stops: bool
) -> None:
    state, found = take(KNOWN, report, POLICY, START)
    assert (state.health.name, state.reason) == (health, reason)
    assert any(fault.stops_task for fault in found) == stops
    assert bool(state.message) == (state.health is not Health.HEALTHY)
    assert state.changed_at == (START if reason else 0)


@pytest.mark.parametrize(
    ("report", "drains"),
    [(facts(48), False), (facts(92), False), (facts(79), True), (facts(lost=True), True)],
)
def test_only_what_no_reset_mends_closes_the_node(report: Facts, drains: bool) -> None:
    assert after(report).closes_node == drains


def test_a_repeated_report_is_no_news() -> None:
    report = facts(48, 94, lost=True)
    once, found = take(KNOWN, report, POLICY, START)
    again, nothing = take(once, report, POLICY, START + SECOND)
    assert len(found) == 3
    assert nothing == ()
    assert replace(again, faulted_at=once.faulted_at) == once


def test_xids_of_another_start_of_the_agent_count_from_one_again() -> None:
    state = after(facts(13, 13, 13))
    restarted = replace(facts(48), agent_start=2)
    assert take(state, restarted, POLICY, START)[0].health is Health.UNHEALTHY
    assert take(state, facts(48, first=3), POLICY, START)[0].health is Health.HEALTHY


def test_errors_from_before_the_first_look_are_not_held_against_a_card() -> None:
    state, found = take(GpuState(), facts(uncorrected=7), POLICY, START)
    assert (state.uncorrected, found) == (7, ())
    assert [fault.kind for fault in take(state, facts(uncorrected=8), POLICY, START)[1]] == [
        "ECC_UNCORRECTED"
    ]
    # The driver was loaded anew, or the card does not tell now.
    assert take(state, facts(uncorrected=0), POLICY, START)[1] == ()
    assert take(state, facts(lost=True), POLICY, START)[0].uncorrected == 7


def test_a_suspect_card_is_healthy_again_when_it_has_been_quiet() -> None:
    state = after(facts(92))
    assert passed(state, 599) == state
    assert passed(state, 600).health is Health.HEALTHY
    assert passed(state, 600, idle=False).health is Health.HEALTHY


def test_what_lasts_keeps_a_card_suspect_and_its_quiet_time_begins_when_it_ends() -> None:
    hot = after(facts(too_hot=True))
    assert passed(hot, 10_000) == hot
    cool = after(facts(), state=hot, now=START + 10_000 * SECOND)
    assert passed(cool, 10_599).health is Health.SUSPECT
    assert passed(cool, 10_600).health is Health.HEALTHY


def test_a_card_is_reset_when_nothing_holds_it_and_comes_back_after_a_clean_burn_in() -> None:
    bad = after(facts(48))
    assert passed(bad, 1, idle=False) == bad
    assert passed(bad, 1, can_reset=False) == bad
    ordered = passed(bad, 1)
    assert (ordered.health, ordered.reason, ordered.reset_wanted) == (
        Health.RECOVERING,
        "RESETTING",
        1,
    )
    assert ordered.wants_reset
    assert passed(ordered, 10_000) == ordered  # until it is answered
    watched = after(facts(48, reset_done=1), state=ordered, now=START + 100 * SECOND)
    assert (watched.health, watched.reason, watched.wants_reset) == (
        Health.RECOVERING,
        "BURN_IN",
        False,
    )
    assert passed(watched, 159).health is Health.RECOVERING
    healthy = passed(watched, 160)
    assert (healthy.health, healthy.reason, healthy.action) == (Health.HEALTHY, "", 0)


def test_an_answer_to_an_earlier_order_is_none() -> None:
    ordered = replace(passed(after(facts(48)), 1), reset_wanted=2, reset_done=1)
    assert after(facts(48, reset_done=1), state=ordered).wants_reset


def burning() -> GpuState:
    return after(facts(48, reset_done=1), state=passed(after(facts(48)), 1))


def test_a_fault_in_the_burn_in_ends_it() -> None:
    again = after(facts(48, 92, reset_done=1), state=burning())
    assert (again.health, again.reason, again.action) == (
        Health.UNHEALTHY,
        "XID_92",
        Action.RESET_GPU,
    )


def test_a_fault_of_a_program_in_the_burn_in_does_not() -> None:
    assert after(facts(48, 31, reset_done=1), state=burning()).reason == "BURN_IN"


def test_a_fault_that_restarts_tasks_begins_the_burn_in_anew() -> None:
    state = after(facts(48, 94, reset_done=1), state=burning(), now=START + 50 * SECOND)
    assert passed(state, 109).health is Health.RECOVERING
    assert passed(state, 110).health is Health.HEALTHY


def test_what_still_lasts_after_a_reset_counts_again() -> None:
    ordered = passed(after(facts(reset_required=True)), 1)
    still = after(facts(reset_required=True, reset_done=1), state=ordered)
    assert (still.health, still.reason) == (Health.UNHEALTHY, "GPU_RESET_REQUIRED")


def test_a_reset_that_fails_is_tried_again_later_and_given_up_in_the_end() -> None:
    state, now = after(facts(48)), START
    for generation in range(1, POLICY.resets + 1):
        state = passed(state, 0, now=now)
        assert state.reset_wanted == generation
        failed = facts(48, reset_done=generation, reset_error="in use")
        state = after(failed, state=state, now=now)
        assert (state.reason, state.message) == ("RESET_FAILED", "it could not be reset: in use")
        if generation < POLICY.resets:
            assert passed(state, 59, now=now) == state
        now += 60 * SECOND
    given_up = passed(state, 0, now=now)
    assert (given_up.reason, given_up.closes_node) == ("RESETS_EXHAUSTED", True)
    assert passed(given_up, 3600, now=now) == given_up
    tomorrow = passed(given_up, 24 * 3600, now=now)
    assert passed(tomorrow, 24 * 3600, now=now).reset_wanted == POLICY.resets + 1


def test_a_row_that_waits_for_a_reset_gets_it_when_the_card_is_idle() -> None:
    pending = after(facts(rows_pending=True))
    assert passed(pending, 1, idle=False) == pending
    assert passed(pending, 1, can_reset=False) == pending
    ordered = passed(pending, 1)
    assert ordered.reason == "RESETTING"
    assert after(facts(reset_done=1), state=ordered).reason == "BURN_IN"


def test_a_card_that_is_back_on_the_bus_is_watched_before_it_is_used() -> None:
    lost = after(facts(lost=True))
    assert passed(lost, 10_000) == lost
    back = after(facts(), state=lost, now=START + 100 * SECOND)
    assert passed(back, 699) == back
    watched = passed(back, 700)
    assert watched.reason == "BURN_IN"
    assert passed(watched, 760).health is Health.HEALTHY


@pytest.mark.parametrize("report", [facts(79), facts(48), facts(lost=True)])
def test_a_machine_that_was_booted_has_reset_its_cards(report: Facts) -> None:
    for state in (after(report), passed(after(report), 1)):
        booted = gpu_health.booted(state, START)
        assert (booted.reason, booted.wants_reset, booted.action) == ("BURN_IN", False, 0)
    assert gpu_health.booted(KNOWN, START) == KNOWN


def test_a_card_that_an_operator_vouches_for_is_watched_unless_something_is_wrong_yet() -> None:
    for bad in (after(facts(48)), after(facts(79))):
        watched = gpu_health.trusted(bad, START)
        assert (watched.reason, watched.action) == ("BURN_IN", 0)
        assert passed(watched, 60, can_reset=False).usable
    for other in (after(facts(lost=True)), after(facts(92)), KNOWN, burning()):
        assert gpu_health.trusted(other, START) == other


def test_time_in_which_nobody_could_look_counts_for_nothing() -> None:
    late = START + 10_000 * SECOND
    for state in (after(facts(92)), burning()):
        back = gpu_health.returned(state, late)
        assert passed(state, 10_000).health is Health.HEALTHY
        assert passed(back, 10_030).health is state.health
    bad = after(facts(48))
    assert gpu_health.returned(bad, late) == bad


def test_an_operator_may_have_other_rules() -> None:
    policy = Policy(actions={"XID_31": Action.DRAIN, "GPU_TOO_HOT": Action.IGNORE})
    assert take(KNOWN, facts(31), policy, START)[0].closes_node
    assert take(KNOWN, facts(too_hot=True), policy, START)[0].health is Health.HEALTHY


def test_every_rule_has_words() -> None:
    assert all(rule.words for rule in RULES.values())
    assert {rule.action for rule in RULES.values()} == set(Action)
    # NVIDIA's numbers of what is serious.
    serious = (48, 62, 64, 74, 79, 95, 109, 119, 120, 140)
    assert all(RULES[f"XID_{code}"].action >= Action.RESET_GPU for code in serious)
    assert health_policy.LOST in RULES


REPORTS = st.builds(
    Facts,
    agent_start=st.integers(1, 2),
    lost=st.booleans(),
    reset_required=st.booleans(),
    too_hot=st.booleans(),
    rows_pending=st.booleans(),
    rows_failed=st.booleans(),
    uncorrected=st.none() | st.integers(0, 3),
    xids=st.lists(st.builds(Xid, st.integers(1, 5), st.sampled_from([13, 48, 79, 92, 94]), st.just(START)), max_size=3).map(tuple),
    reset_done=st.integers(0, 3),
    reset_error=st.sampled_from(["", "in use"]),
)  # fmt: skip
STEPS = st.lists(REPORTS | st.tuples(st.integers(1, 2000), st.booleans()), max_size=30)


@settings(deadline=None)
@given(STEPS)
def test_whatever_happens_a_card_is_never_lost_to_the_rules(steps: list[object]) -> None:
    """Given time, quiet and resets that work, every card is healthy in the end."""
    state, now = KNOWN, START
    for step in steps:
        if isinstance(step, Facts):
            state, _ = take(state, step, POLICY, now)
        else:
            seconds, idle = step  # type: ignore[misc]
            now += seconds * SECOND
            state = tick(state, POLICY, now, idle=idle, can_reset=True)
        assert state.reset_done <= state.reset_wanted
        assert state.usable == (state.reason == "" and state.action == 0)
        # Nothing that should hold a card back is there while it is given to jobs.
        assert not state.usable or not any(
            POLICY.rule(kind).action >= Action.SUSPECT for kind in state.standing
        )
    now += POLICY.resets_within
    for _ in range(20):
        sound = Facts(agent_start=9, reset_done=state.reset_wanted)
        state, _ = take(state, sound, POLICY, now)
        now += POLICY.quiet
        state = tick(state, POLICY, now, idle=True, can_reset=True)
    assert state.usable
