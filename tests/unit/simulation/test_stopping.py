"""Jobs that are stopped for others in virtual time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.simulation.timed import a_job, a_node, starts
from windlass_server.scheduler.policies import Backfill, Policies, Policy, PreemptionRules
from windlass_server.simulation.measures import measured
from windlass_server.simulation.turns import Turns
from windlass_server.simulation.virtual_time import play
from windlass_server.simulation.workload import SECOND, TimedJob, Workload

pytestmark = pytest.mark.timeout(60)

RULES = PreemptionRules(enabled=True, min_run=0, back_off=0)


def turns(rules: PreemptionRules = RULES, depth: int = 10) -> Turns:
    return Turns("stops", Policies(Policy(preemption=rules, backfill=Backfill(depth))))


def test_a_higher_priority_takes_the_place_of_a_lower_one():
    jobs = [a_job(1, 0, 100, 8), a_job(2, 10, 20, 8, priority=9), a_job(3, 11, 5, 8)]
    outcome = play(Workload((a_node(),), tuple(jobs)), turns())
    first, urgent, last = outcome.fates
    assert (urgent.started_at, urgent.ended_at) == (10 * SECOND, 30 * SECOND)
    assert first.cut_short == [(0, 10 * SECOND)]
    assert (first.started_at, first.resumed_at, first.ended_at) == (0, 30 * SECOND, 130 * SECOND)
    assert first.spans == [(0, 10 * SECOND), (30 * SECOND, 130 * SECOND)]
    assert last.started_at == 130 * SECOND
    found = measured(outcome)
    assert (found.stopped, found.finished) == (1, 3)
    assert found.lost == pytest.approx(8 * 10 / 3600)
    assert found.wait.mean == pytest.approx(119 / 3)
    assert found.completion.mean == pytest.approx((130 + 20 + 124) / 3)
    assert found.allocation == pytest.approx(100)


@pytest.mark.parametrize(
    "rules",
    [
        PreemptionRules(),
        PreemptionRules(enabled=True, min_run=60 * SECOND),
        PreemptionRules(enabled=True, min_run=0, min_priority_gap=10),
        PreemptionRules(enabled=True, min_run=0, budget=0),
    ],
)
def test_the_rules_hold_in_virtual_time(rules: PreemptionRules):
    jobs = [a_job(1, 0, 100, 8), a_job(2, 10, 20, 8, priority=9)]
    outcome = play(Workload((a_node(),), tuple(jobs)), turns(rules))
    assert starts(outcome) == {"job-1": 0, "job-2": 100}
    assert measured(outcome).stopped == 0


def test_a_job_of_several_nodes_is_stopped_as_a_whole():
    jobs = [a_job(1, 0, 100, 8, nodes=2), a_job(2, 10, 20, 8, priority=9)]
    outcome = play(Workload((a_node("n1"), a_node("n2")), tuple(jobs)), turns())
    assert outcome.fates[1].started_at == 10 * SECOND
    assert outcome.fates[0].resumed_at == 30 * SECOND


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    times = draw(st.lists(st.integers(0, 40), min_size=2, max_size=14))
    jobs: list[TimedJob] = [
        a_job(
            100 + number,
            at,
            draw(st.integers(0, 30)),
            draw(st.sampled_from([1, 2, 4])),
            limit=draw(st.sampled_from([None, 20])),
            priority=draw(st.sampled_from([0, 5, 9])),
            project=draw(st.sampled_from(["one", "two"])),
            nodes=draw(st.sampled_from([1, 1, 2])),
        )
        for number, at in enumerate(sorted(times))
    ]
    return Workload((a_node("n1", 4), a_node("n2", 4)), tuple(jobs))


@given(workload=workloads(), depth=st.sampled_from([0, 3]))
@settings(max_examples=40, deadline=None)
def test_whoever_is_stopped_ends_after_all_and_nothing_is_over_committed(
    workload: Workload, depth: int
):
    """That nothing is over-committed the world sees to: it refuses what it has not."""
    outcome = play(workload, turns(depth=depth))
    steps = list[tuple[int, int]]()
    for fate in outcome.fates:
        assert fate.ended_at is not None
        *before, (begin, end) = fate.spans
        assert end - begin == fate.job.takes
        assert all(cut - start < fate.job.takes or not fate.job.takes for start, cut in before)
        assert all(
            first[1] <= then[0] for first, then in zip(fate.spans, fate.spans[1:], strict=False)
        )
        gpus = fate.job.demand.gpu_count * fate.job.demand.nodes
        steps += [
            (at, gpus * sign) for span in fate.spans for at, sign in zip(span, (1, -1), strict=True)
        ]
    held = 0
    for _, step in sorted(steps):
        held += step
        assert held <= 8
