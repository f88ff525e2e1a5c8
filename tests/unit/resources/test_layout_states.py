"""The life of a card's layout."""

import itertools

import pytest

from windlass_server.errors import WrongState
from windlass_server.resources.layout_states import TRANSITIONS, Event, State, after


@pytest.mark.parametrize(("state", "event"), list(itertools.product([None, *State], Event)))
def test_a_layout_begins_at_rest_and_ends_under_way(state: State | None, event: Event) -> None:
    under_way = state is State.CHANGING
    if under_way == (event is Event.BEGIN):
        with pytest.raises(WrongState, match=f"cannot {event.value}") as refused:
            after(state, event)
        assert refused.value.reason == "LAYOUT_WRONG_STATE"
    else:
        assert after(state, event) is TRANSITIONS[state, event]


def test_every_state_can_be_reached_and_left() -> None:
    assert set(TRANSITIONS.values()) == set(State)
    assert {state for state, _ in TRANSITIONS} == {None, *State}
