"""Why nobody is stopped for a job: which rule withholds that, whom it spares, and until when."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.scheduler.crowds import (
    MINUTE,
    NOW,
    ON,
    a_run,
    a_world,
    high,
    policies,
    stopped,
)
from tests.unit.scheduler.worlds import a_node
from windlass_server.scheduler.outlook import Outlook, outlook
from windlass_server.scheduler.plan import plan
from windlass_server.scheduler.policies import PreemptionRules
from windlass_server.scheduler.preempting import GaveWay, MakingRoom, Preemptions
from windlass_server.scheduler.quota import Quota
from windlass_server.scheduler.snapshot import Running, Snapshot
from windlass_server.scheduler.withheld import Rule

pytestmark = pytest.mark.timeout(60)

HOUR = 60 * MINUTE
TWO = [a_run("a", gpus=[0], ran=2 * MINUTE), a_run("b", gpus=[1], ran=3 * MINUTE)]
OLD = [replace(run, started_at=NOW - HOUR) for run in TWO]
LATE = "1970-01-01T16:43:00Z"


def a_full_node(
    runs: list[Running], rules: PreemptionRules = ON, *, gpus: int = 2, **preemptions: Any
) -> Snapshot:
    """A node of two GPUs, each of which somebody has, and a job for all of it."""
    world = a_world([high(gpus)], [a_node(gpus=2)], runs, rules)
    return replace(world, preemptions=Preemptions(**preemptions))


def spared(found: Outlook) -> list[tuple[Rule, str, int | None]]:
    return [
        (one.rule, " ".join(run.job_id for run in one.spared), one.until) for one in found.withheld
    ]


SPENT = {"spent": {"vip": 19}, "spent_at": {"vip": [NOW - MINUTE * number for number in range(19)]}}
BACK = {"gave_way": {"a": GaveWay(NOW - 10 * MINUTE, 50)}}


@pytest.mark.parametrize(
    ("_case", "world", "expected"),
    [
        ("young", a_full_node(TWO), [(Rule.MIN_RUN_TIME, "a b", NOW + 3 * MINUTE)]),
        ("one is enough", a_full_node(TWO, gpus=1), [(Rule.MIN_RUN_TIME, "a", NOW + 3 * MINUTE)]),
        ("spent", a_full_node(OLD, **SPENT), [(Rule.HOURLY_BUDGET, "a b", NOW + 42 * MINUTE)]),
        ("never enough", a_full_node(OLD, replace(ON, budget=1)), [(Rule.HOURLY_BUDGET, "a b", None)]),
        ("stopped before", a_full_node(OLD, **BACK), [(Rule.BACK_OFF, "a b", NOW + 20 * MINUTE)]),
        (
            "two rules together",
            a_full_node(TWO, **SPENT),
            [(Rule.HOURLY_BUDGET, "a b", NOW + 42 * MINUTE), (Rule.MIN_RUN_TIME, "a b", NOW + 3 * MINUTE)],
        ),
        ("nothing withholds it", a_full_node(OLD), []),
        ("nobody could go", a_full_node([replace(run, preemptible=False) for run in TWO]), []),
        ("no policy lets it", a_full_node(TWO, replace(ON, enabled=False)), []),
    ],
)  # fmt: skip
def test_the_rule_is_named_with_whom_it_spares_and_until_when(
    _case: str, world: Snapshot, expected: list[tuple[Rule, str, int | None]]
) -> None:
    found = outlook(world, "high")
    assert spared(found) == expected
    assert bool(found.evictions) == (_case == "nothing withholds it")
    for one in found.withheld:
        if one.until is not None:
            # From then on they go, when no other rule is in the way.
            later = replace(world, now=one.until, preemptions=Preemptions())
            assert stopped(plan(later)) == {run.job_id for run in one.spared}


def test_it_is_said_in_words():
    told = [
        outlook(world, "high").withheld[0].message
        for world in (
            a_full_node(TWO),
            a_full_node(OLD, **SPENT),
            a_full_node(OLD, replace(ON, budget=1)),
        )
    ]
    assert told == [
        f"2 jobs would be stopped for it, but not before min_run_time is over, at {LATE}",
        (
            "2 jobs would be stopped for it, but hourly_budget lets 20 be stopped for project vip within "
            "an hour, and 19 were; it is enough again from 1970-01-01T17:22:00Z on"
        ),
        "2 jobs would be stopped for it, but hourly_budget lets 1 be stopped for project vip within an hour",
    ]


def test_a_quota_that_lets_it_have_no_higher_priority_is_named():
    equals = [replace(run, priority=100) for run in OLD]
    world = replace(a_full_node(equals), quotas=(Quota("q", "vip", max_priority=100),))
    (one,) = outlook(world, "high").withheld
    assert (one.rule, {run.job_id for run in one.spared}, one.until) == (
        Rule.MAX_PRIORITY,
        {"a", "b"},
        None,
    )
    assert "max_priority of a quota of project vip is 100" in one.message
    for most in (None, 101):
        free = replace(world, quotas=(Quota("q", "vip", max_priority=most),))
        assert outlook(free, "high").withheld == ()


def test_while_they_leave_it_is_said_until_when_they_may():
    going = [replace(run, leaving=True, limit_end=NOW + MINUTE) for run in OLD]
    room = MakingRoom("high", ("node-n1",), 2, 2)
    world = a_full_node(going, making_room=(room,))
    found = outlook(world, "high")
    assert found.reason == "MAKING_ROOM"
    assert spared(found) == [(Rule.GRACE_PERIOD, "a b", NOW + MINUTE)]
    assert found.withheld[0].message.startswith("2 jobs leave within the grace period")
    assert world.policies == policies()
