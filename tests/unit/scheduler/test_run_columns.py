"""What runs as arrays is what runs, and is made anew only when something else does."""

from dataclasses import replace
from random import Random

import numpy as np

from tests.unit.scheduler.crowds import MINUTE, NOW, ON, a_run, high, policies, stopped
from tests.unit.scheduler.test_gang_preemption import a_gang_run, in_racks
from tests.unit.scheduler.worlds import a_node
from windlass_server.scheduler.crowd import Crowd
from windlass_server.scheduler.plan import plan
from windlass_server.scheduler.run_columns import UNKNOWN, columns_of
from windlass_server.scheduler.snapshot import Snapshot


def test_the_columns_are_those_of_the_runs_by_their_jobs():
    runs = [
        *a_gang_run("gang", "n00", "n01", gpus=[0, 1]),
        a_run("alone", "n02", gpus=[0], share=300),
        replace(a_run("", "n02"), run_id="allocation-1"),
        replace(a_run("", "n02"), run_id="allocation-2", expected_end=NOW + 1),
    ]
    mixed = Random(1).sample(runs, len(runs))
    made = columns_of(mixed)
    assert [run.job_id for run in made.runs] == ["", "", "alone", "gang", "gang"]
    assert made.job.tolist() == [0, 1, 2, 3, 3]
    assert made.firsts().tolist() == [0, 1, 2, 3]
    assert made.millis.tolist() == [0, 0, 300, 2000, 2000]
    assert made.stoppable.tolist() == [False, False, True, True, True]
    assert sorted(made.expected_end.tolist()) == [UNKNOWN] * 4 + [NOW + 1]
    assert columns_of([*mixed]) is made
    again = columns_of([replace(mixed[0], priority=7), *mixed[1:]])
    assert again is not made
    assert again.priority.max() == 7
    assert columns_of(()).firsts().tolist() == []


def test_several_runs_of_a_job_on_a_node_are_one_part_of_it():
    """One attempt may still be leaving when another has begun, as far as a snapshot knows."""
    twice = [replace(a_run("a", gpus=[number]), run_id=f"run-{number}") for number in (0, 1)]
    node = replace(a_node(gpus=2), cpu_free=30_000)
    held = tuple(replace(gpu, held=True) for gpu in node.gpus)
    world = Snapshot((high(2),), (replace(node, gpus=held),), now=NOW, policies=policies(ON))
    world = replace(world, running=tuple(twice))
    assert stopped(plan(world)) == {"a"}
    crowd = Crowd(world, {"node-n1": 0}, ["default"])
    here = crowd.crowding({"default": np.ones(1, np.bool_)})
    assert [one.job_id for one in here.on(0)] == ["a"]


def test_what_thousands_of_gpus_have_done_in_a_year_can_be_compared():
    year = 365 * 24 * 60 * MINUTE
    racks = in_racks(64, gpus=64)
    nodes = [node.name for node in racks]
    runs = a_gang_run("long", *nodes, gpus=range(64), ran=year)
    full = [
        replace(node, gpus=tuple(replace(one, held=True) for one in node.gpus)) for node in racks
    ]
    now = NOW + year
    runs = [replace(run, started_at=0, saved_at=0) for run in runs]
    world = Snapshot((high(64),), tuple(full), now=now, policies=policies(ON), running=tuple(runs))
    assert stopped(plan(world)) == {"long"}
