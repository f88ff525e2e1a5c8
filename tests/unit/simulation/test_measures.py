"""What is measured of workloads that were played."""

import numpy as np
import pytest

from tests.unit.simulation.timed import a_job, a_node, played
from windlass_server.scheduler.policies import FairShare, Policies, Policy
from windlass_server.simulation.measures import SLICES, Spread, fairness, measured
from windlass_server.simulation.turns import Turns


def test_waits_completions_and_slowdowns():
    """The second waits 10 s, the third 20 s and takes less than the bound of 10 s."""
    jobs = [a_job(1, 0, 10, 8), a_job(2, 0, 10, 8), a_job(3, 0, 5, 8)]
    found = measured(played("fifo", jobs))
    assert (found.wait.mean, found.wait.p50, found.wait.most) == (10, 10, 20)
    assert found.completion.mean == pytest.approx((10 + 20 + 25) / 3)
    assert found.slowdown.mean == pytest.approx((1 + 2 + 2.5) / 3)
    assert (found.jobs, found.finished, found.timed_out, found.never) == (3, 3, 0, 0)
    assert found.makespan == 25


def test_who_is_first_in_line_is_told_for_how_long():
    """The second comes to the front when it comes, the third when the second starts."""
    jobs = [a_job(1, 0, 10, 8), a_job(2, 4, 10, 8), a_job(3, 5, 5, 8)]
    assert measured(played("fifo", jobs)).first == Spread.of([6, 10])
    assert measured(played("fifo", jobs[:1])).first == Spread.of([])


def test_allocation_is_of_the_time_in_which_jobs_come():
    """Half of the GPUs, for half of the time until the last job comes; what is later is not counted."""
    found = measured(played("greedy", [a_job(1, 0, 50, 4), a_job(2, 100, 900, 8)]))
    assert found.allocation == pytest.approx(25)
    assert found.used[0] == pytest.approx(50)
    assert found.used[-1] == 0
    assert len(found.used) == len(found.times) == len(found.waiting) == SLICES


def test_without_gpus_cores_are_counted():
    jobs = [a_job(1, 0, 100, 0, cpu=16_000), a_job(2, 100, 1, 0)]
    found = measured(played("greedy", jobs, a_node(gpus=0)))
    assert (found.unit, found.allocation) == ("CPU", pytest.approx(25))
    assert found.fragmentation == 0


def test_waiting_jobs_are_counted_over_time():
    jobs = [a_job(1, 0, 100, 8), a_job(2, 0, 10, 8), a_job(3, 50, 10, 8), a_job(4, 100, 10, 1)]
    found = measured(played("fifo", jobs))
    assert found.waiting[0] == pytest.approx(1)
    assert found.waiting[-1] == pytest.approx(2)


def test_what_timed_out_or_never_ran_is_told():
    found = measured(played("greedy", [a_job(1, takes=9, limit=5), a_job(2, gpus=16)]))
    assert (found.finished, found.timed_out, found.never) == (0, 1, 1)
    assert [(left.job, left.reason) for left in found.left] == [("job-2", "INSUFFICIENT_GPUS")]


def test_hours_of_projects():
    jobs = [
        a_job(1, 0, 7200, 4, project="a"),
        a_job(2, 0, 3600, 2, project="b"),
        a_job(3, 3600, 3600, 1, project="b"),
    ]
    a, b = measured(played("greedy", jobs)).projects
    assert (a.name, a.jobs, a.wanted, a.got) == ("a", 1, pytest.approx(8), pytest.approx(4))
    assert (b.name, b.jobs, b.wanted, b.got) == ("b", 2, pytest.approx(3), pytest.approx(2))


@pytest.mark.parametrize(
    ("got", "wanted", "index"),
    [
        ([[4], [4]], [[9], [9]], 1),  # equal parts
        ([[8], [0]], [[9], [9]], 0.5),  # one got all
        ([[2], [6]], [[2], [9]], 1),  # who wants less than an equal part leaves the rest
        ([[8], [0], [0], [0]], [[9], [9], [9], [9]], 0.25),
        ([[8], [0]], [[8], [0]], 1),  # nobody else wants any
        ([[3], [0]], [[3], [1]], 1),  # there is enough: that somebody waits has other reasons
        ([[4, 8], [4, 0]], [[9, 9], [9, 9]], 0.75),  # the mean of slices
        ([[0], [0]], [[9], [9]], 1),
    ],
)
def test_fairness(got: list[list[float]], wanted: list[list[float]], index: float):
    found = fairness(np.array(got, float), np.array(wanted, float), 8)
    assert found == pytest.approx(index)


@pytest.mark.parametrize(("got", "index"), [([6, 2], 1), ([4, 4], 0.8), ([8, 0], 0.5), ([3, 1], 1)])
def test_what_is_fair_goes_by_weights(got: list[float], index: float):
    parts, wanted = np.array([got], float).T, np.array([[9.0], [9.0]])
    assert fairness(parts, wanted, 8, [3, 1]) == pytest.approx(index)


def test_a_policys_weights_are_those_of_its_fairness():
    shares = FairShare(weights={("a", ""): 3.0})
    turns = Turns("mine", Policies(Policy(fair_share=shares)))
    assert turns.weights(["a", "b"]) == [3.0, 1.0]


def test_a_project_that_starves_is_seen():
    """In turns each gets half; one after the other is unfair until the first is done."""
    one_first = [a_job(100 + n, 0, 10, 8, project="a") for n in range(10)]
    one_first += [a_job(200 + n, 0, 10, 8, project="b") for n in range(10)]
    by_turns = [a_job(100 + n, 0, 10, 8, project="ab"[n % 2]) for n in range(20)]
    last = a_job(999, 200, 1, 1, project="a")
    unfair, fair = (
        measured(played("fifo", [*jobs, last])).jain_projects for jobs in (one_first, by_turns)
    )
    assert unfair == pytest.approx(0.75, abs=0.05)
    assert fair == pytest.approx(1)


def test_percentiles_of_nothing_are_0():
    assert Spread.of([]) == Spread(0, 0, 0, 0, 0)
    assert Spread.of([3]) == Spread(3, 3, 3, 3, 3)
