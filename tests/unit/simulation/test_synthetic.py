"""Traces that are made."""

from collections import Counter

import pytest

from windlass_server.simulation import clusters, synthetic
from windlass_server.simulation.workload import SECOND

NODES = clusters.made("4x8xH100")


def test_the_same_seed_makes_the_same_trace():
    assert synthetic.made(NODES, 300, 1.2, 7) == synthetic.made(NODES, 300, 1.2, 7)
    assert synthetic.made(NODES, 300, 1.2, 7) != synthetic.made(NODES, 300, 1.2, 8)


@pytest.mark.parametrize("load", [0.5, 1.2])
def test_jobs_want_as_much_as_they_should(load: float):
    jobs = synthetic.made(NODES, 3000, load, 7)
    assert len(jobs) == 3000
    wanted = sum(job.run_time * job.demand.gpu_count for job in jobs)
    came = jobs[-1].submitted_at - jobs[0].submitted_at
    assert wanted / (32 * came) == pytest.approx(load, rel=0.05)


def test_a_few_long_jobs_take_most_of_the_time():
    jobs = synthetic.made(NODES, 3000, 1.2, 7)
    sizes = sorted((job.run_time * job.demand.gpu_count for job in jobs), reverse=True)
    assert sum(sizes[:300]) > 0.4 * sum(sizes)
    assert sizes[1500] < 4 * 3600 * SECOND


def test_projects_want_unequal_amounts_and_nobody_runs_into_a_limit():
    jobs = synthetic.made(NODES, 3000, 1.2, 7)
    counts = Counter(job.demand.project for job in jobs)
    assert counts["vision"] > 3 * counts["robots"] > 0
    assert all(not job.times_out for job in jobs if job.run_time < 40 * 3600 * SECOND)


def test_no_job_is_larger_than_a_node():
    jobs = synthetic.made(clusters.made("9x2xL4"), 300, 1.2, 7)
    assert {job.demand.gpu_count for job in jobs} == {1, 2}


def test_nodes_without_gpus_are_refused():
    with pytest.raises(ValueError, match="no node has a GPU"):
        synthetic.made([clusters.node("n", 0, "", 1000, 1)], 3, 1.2, 7)
