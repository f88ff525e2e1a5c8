"""The life cycle of an allocation."""

import itertools

import pytest

from windlass.resources.v1 import allocation_pb2
from windlass_server.errors import WrongState
from windlass_server.resources.allocation_states import TRANSITIONS, Event, Status, after

ENDS = [status for status in Status if status is not Status.ACTIVE]


def test_the_statuses_are_those_of_the_contract() -> None:
    assert {status.name: status.value for status in Status} == {
        name: value for name, value in allocation_pb2.Allocation.Status.items() if value
    }


@pytest.mark.parametrize("event", Event)
def test_everything_can_happen_to_what_is_held(event: Event) -> None:
    assert (Status.ACTIVE, event) in TRANSITIONS


@pytest.mark.parametrize(("status", "event"), list(itertools.product(ENDS, Event)))
def test_an_end_is_final_and_may_be_released_again(status: Status, event: Event) -> None:
    if event is Event.RELEASE:
        assert after(status, event, "alloc-1") is status
        return
    with pytest.raises(
        WrongState, match=f"an allocation that is {status.name} cannot {event.value}"
    ):
        after(status, event, "alloc-1")
