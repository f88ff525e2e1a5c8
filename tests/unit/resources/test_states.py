"""The life cycle of a node."""

import itertools

import pytest

from windlass.resources.v1 import node_pb2
from windlass_server.errors import WrongState
from windlass_server.resources.states import TRANSITIONS, Event, Status, after


def test_the_statuses_are_numbered_as_in_the_contract() -> None:
    contract = dict(node_pb2.Node.Status.items())
    assert all(contract[status.name] == status for status in Status)


@pytest.mark.parametrize(("status", "event"), list(itertools.product(Status, Event)))
def test_hello_always_leads_to_ready_and_loss_always_to_unreachable(
    status: Status, event: Event
) -> None:
    assert (status, event) in TRANSITIONS
    expected = Status.READY if event is Event.HELLO else Status.UNREACHABLE
    assert after(status, event) is expected


@pytest.mark.parametrize("status", [0, 3, -1])
def test_there_are_no_other_statuses(status: int) -> None:
    with pytest.raises(WrongState):
        after(status, Event.HELLO)
