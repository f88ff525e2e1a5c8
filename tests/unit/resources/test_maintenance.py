"""Whether a node takes new work, and how it is emptied."""

import itertools

import pytest

from windlass.resources.v1 import node_pb2
from windlass_server.resources.maintenance import (
    TRANSITIONS,
    DrainMode,
    Event,
    Eviction,
    Leaving,
    Shown,
    State,
    after,
    estimated_end,
    eviction,
    shown,
)
from windlass_server.resources.states import Status

NOW = 1_000_000
SECOND = 1_000_000


@pytest.mark.parametrize(
    ("ours", "contract"),
    [
        (State, node_pb2.Maintenance.State),
        (DrainMode, node_pb2.Maintenance.DrainMode),
        (Shown, node_pb2.Node.Status),
    ],
)
def test_the_words_are_those_of_the_contract(ours, contract) -> None:
    assert {each.name: each.value for each in ours} == {
        name: value for name, value in contract.items() if value
    }


def test_everything_can_be_asked_of_every_node() -> None:
    assert set(TRANSITIONS) == set(itertools.product(State, Event))


@pytest.mark.parametrize("state", State)
def test_an_order_means_the_same_in_every_state(state: State) -> None:
    assert after(state, Event.CORDON) is State.CORDONED
    assert after(state, Event.UNCORDON) is State.OPEN
    assert after(state, Event.DRAIN) is State.DRAINING


@pytest.mark.parametrize("state", State)
def test_only_a_drain_ends_by_itself(state: State) -> None:
    expected = State.DRAINED if state is State.DRAINING else state
    assert after(state, Event.EMPTY) is expected


@pytest.mark.parametrize("state", State)
def test_that_a_node_is_unreachable_says_more_than_its_maintenance(state: State) -> None:
    assert shown(Status.UNREACHABLE, state) is Shown.UNREACHABLE
    assert shown(Status.READY, state).name == ("READY" if state is State.OPEN else state.name)


@pytest.mark.parametrize(
    ("mode", "deadline", "expected"),
    [
        (DrainMode.WAIT, None, None),
        (DrainMode.WAIT, NOW + 1, None),
        (DrainMode.WAIT, NOW, Eviction.CHECKPOINT),
        (DrainMode.WAIT, NOW - 1, Eviction.CHECKPOINT),
        (DrainMode.CHECKPOINT_REQUEUE, None, Eviction.CHECKPOINT),
        (DrainMode.CHECKPOINT_REQUEUE, NOW + 1, Eviction.CHECKPOINT),
        (DrainMode.FORCE, None, Eviction.KILL),
        (DrainMode.FORCE, NOW + 1, Eviction.KILL),
    ],
)
def test_runs_leave_as_the_mode_and_the_deadline_say(mode, deadline, expected) -> None:
    assert eviction(mode, deadline, NOW) is expected


def a_run(*, started=None, limit=None, grace=10, stopping=None) -> Leaving:
    return Leaving(
        started_at=started,
        time_limit=None if limit is None else limit * SECOND,
        grace=grace * SECOND,
        stopping_since=stopping,
    )


@pytest.mark.parametrize(
    ("runs", "deadline", "seconds"),
    [
        ([], None, 0),
        ([a_run()], None, None),
        ([a_run(limit=60)], None, 70),
        ([a_run(started=NOW - 20 * SECOND, limit=60)], None, 50),
        ([a_run(started=NOW - 90 * SECOND, limit=60)], None, 10),
        ([a_run()], NOW + 30 * SECOND, 40),
        ([a_run(limit=5)], NOW + 30 * SECOND, 15),
        ([a_run()], NOW - 30 * SECOND, 10),
        ([a_run(stopping=NOW - 4 * SECOND)], None, 6),
        ([a_run(stopping=NOW - 40 * SECOND)], None, 0),
        ([a_run(limit=60), a_run(stopping=NOW)], None, 70),
        ([a_run(limit=60), a_run()], None, None),
    ],
)
def test_a_drain_ends_with_the_last_run_that_something_bounds(runs, deadline, seconds) -> None:
    expected = None if seconds is None else NOW + seconds * SECOND
    assert estimated_end(runs, deadline, NOW) == expected
