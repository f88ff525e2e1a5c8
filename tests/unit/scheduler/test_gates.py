"""What keeps jobs out of the queue though there is room for them."""

from dataclasses import replace

import pytest

from tests.unit.scheduler.worlds import a_job, a_node
from windlass_server.scheduler.plan import Waiting, plan
from windlass_server.scheduler.snapshot import Snapshot

NOW = 1_900_000_000_000_000
LATER = NOW + 5_000_000
AT_THE_EARLIEST = "starts at 2030-03-17T17:46:45Z at the earliest"


def at(time, *jobs, gpus=0):
    return plan(Snapshot(jobs, (a_node(gpus=gpus),), now=time))


@pytest.mark.parametrize(("time", "starts"), [(LATER - 1, False), (LATER, True), (LATER + 1, True)])
def test_a_job_is_placed_from_its_time_on_and_not_before(time, starts):
    result = at(time, replace(a_job(), start_after=LATER))
    assert bool(result.placements) == starts
    if not starts:
        assert result.waiting == (Waiting("job-1", "START_AFTER", AT_THE_EARLIEST),)


def test_a_job_that_is_held_takes_nothing_from_those_behind_it():
    held = replace(a_job("job-1", gpus=8, priority=9), start_after=LATER)
    result = at(NOW, held, a_job("job-2", gpus=8), gpus=8)
    assert [one.job_id for one in result.placements] == ["job-2"]
    assert [one.reason for one in result.waiting] == ["START_AFTER"]


def test_a_job_that_waits_for_others_is_told_so_before_anything_else():
    job = replace(a_job(), awaits="waits for job-9 to end", start_after=LATER)
    assert at(NOW, job).waiting == (Waiting("job-1", "DEPENDENCY", "waits for job-9 to end"),)


def test_its_time_is_said_also_where_no_node_could_ever_hold_it():
    result = at(NOW, replace(a_job(gpus=64), start_after=LATER))
    assert [one.reason for one in result.waiting] == ["START_AFTER"]


def test_those_that_wait_stand_in_the_order_in_which_they_were_considered():
    jobs = [
        a_job("job-1", gpus=64),
        replace(a_job("job-2"), start_after=LATER),
        a_job("job-3", gpus=64),
    ]
    assert [one.job_id for one in at(NOW, *jobs).waiting] == ["job-1", "job-2", "job-3"]
