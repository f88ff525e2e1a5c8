"""Tasks of a trace as they come, and what is written down of them."""

from pathlib import Path

import numpy as np
import pytest

from tests.unit.simulation.traces import NODES, TASKS, files
from windlass_server.scheduler.packing.policies import POLICIES
from windlass_server.simulation import openb
from windlass_server.simulation.arrivals import arrivals
from windlass_server.simulation.replay import Replay, replay
from windlass_server.simulation.trace import Trace, demand_of

# With seed 1: GPUs given out in the end, in thousandths.
GOLDEN = {
    "holes-first": 20_780,
    "fgd": 19_320,
    "best-fit": 19_780,
    "dot-product": 19_320,
    "random": 12_780,
}


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    return openb.read(*files(tmp_path))


def played(trace: Trace, policy: str, seed: int = 7, **options: bool) -> Replay:
    return replay(trace, arrivals(trace, 1.3, seed), policy, seed, **options)


def a_replay(arrived: list[float], allocated: list[float]) -> Replay:
    return Replay("fgd", 1, np.array(arrived), np.array(allocated), 1, 2.0)


def test_copies_of_tasks_come_until_enough_is_asked_for(trace: Trace):
    tasks = arrivals(trace, 1.3, 7)
    assert set(tasks) == set(trace.tasks)
    assert demand_of(tasks) >= 1.3 * trace.capacity
    assert demand_of(tasks[:-1]) < 1.3 * trace.capacity
    assert tasks == arrivals(trace, 1.3, 7)
    assert tasks != arrivals(trace, 1.3, 8)


def test_of_too_many_tasks_the_last_are_left_out(trace: Trace):
    tasks = arrivals(trace, 0.3, 7)
    assert 0.3 * 22_000 <= demand_of(tasks) < 0.3 * 22_000 + 8_000
    assert len(tasks) < len(trace.tasks)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_small_trace_gives_out_as_many_gpus_as_it_did(trace: Trace, policy: str):
    run = played(trace, policy, seed=1)
    assert run.arrived[-1] * 22_000 == pytest.approx(demand_of(arrivals(trace, 1.3, 1)))
    assert round(run.allocated[-1] * 22_000) == GOLDEN[policy]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("learned", [False, True])
def test_the_same_seed_gives_the_same_run(trace: Trace, policy: str, learned: bool):
    one, other = (played(trace, policy, learned=learned) for _ in range(2))
    assert one.allocated.tolist() == other.allocated.tolist()
    assert one.placed == other.placed


def test_the_order_of_the_files_changes_nothing(trace: Trace, tmp_path: Path):
    heading, *lines = NODES.splitlines(keepends=True)
    turned = openb.read(*files(tmp_path, heading + "".join(reversed(lines))))
    tasks = arrivals(trace, 1.3, 7)
    for policy in POLICIES:
        one, other = (replay(each, tasks, policy, 1) for each in (trace, turned))
        assert one.allocated.tolist() == other.allocated.tolist()


def test_no_more_is_given_out_than_there_is_or_was_asked_for(trace: Trace):
    for policy in POLICIES:
        run = played(trace, policy)
        assert (run.allocated <= run.arrived + 1e-12).all()
        assert run.allocated[-1] <= 1
        assert (np.diff(run.allocated) >= 0).all()


def test_a_policy_that_learns_knows_nothing_of_what_is_to_come(trace: Trace):
    """Trace and arrivals agree up to the fifth task: so do the places."""
    tasks = arrivals(trace, 1.3, 7)
    first = Trace(trace.nodes, trace.tasks[:1])
    one = replay(trace, tasks, "fgd", 1, learned=True)
    other = replay(first, tasks[:5], "fgd", 1, learned=True)
    assert (one.allocated[:5] * 22_000).tolist() == (other.allocated * 22_000).tolist()


@pytest.mark.parametrize(
    ("arrived", "allocated", "mark", "percent"),
    [
        # The mean of all arrivals at that whole per cent.
        ([0.5, 0.7951, 0.8, 0.8049, 0.9], [0.5, 0.7, 0.71, 0.72, 0.73], 80, 71),
        # A leap over the mark: what was given out before.
        ([0.5, 0.78, 0.9], [0.4, 0.6, 0.7], 80, 60),
        ([1.0], [0.9], 80, 0),
        # So much was never asked for.
        ([0.5, 0.78], [0.4, 0.6], 80, None),
    ],
)
def test_what_was_given_out_at_a_mark(arrived, allocated, mark: int, percent: float | None):
    found = a_replay(arrived, allocated).percent_at(mark)
    assert found == (None if percent is None else pytest.approx(percent))


def test_progress_is_told(trace: Trace):
    told: list[int] = []
    tasks = arrivals(trace, 1.3, 7)
    replay(trace, tasks, "fgd", 1, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == len(tasks)
    # After 1, 2, 4, 8, 16 tasks, and at each twentieth of the GPUs that one task does not leap over.
    assert told[:4] == [0, 1, 2, 4]
    assert len(told) > 10
    assert "task-09" in TASKS
