import pytest

from windlass_server.resources.drain_waves import Afterwards, State, is_active, is_closed, seen
from windlass_server.resources.maintenance import State as Maintenance

GONE = None
OPEN, CORDONED, DRAINING, DRAINED = Maintenance


@pytest.mark.parametrize(
    ("state", "maintenance", "then"),
    [
        (State.WAITING, OPEN, State.WAITING),
        (State.WAITING, DRAINED, State.WAITING),
        (State.WAITING, GONE, State.SKIPPED),
        (State.DRAINING, DRAINING, State.DRAINING),
        (State.DRAINING, DRAINED, State.DRAINED),
        (State.DRAINING, OPEN, State.SKIPPED),
        (State.DRAINING, CORDONED, State.SKIPPED),
        (State.DRAINING, GONE, State.SKIPPED),
        (State.DRAINED, DRAINED, State.DRAINED),
        (State.DRAINED, CORDONED, State.DRAINED),
        (State.DRAINED, DRAINING, State.DRAINED),
        (State.DRAINED, OPEN, State.OPENED),
        (State.DRAINED, GONE, State.OPENED),
        (State.OPENED, DRAINED, State.OPENED),
        (State.SKIPPED, DRAINED, State.SKIPPED),
    ],
)
def test_how_far_a_node_is_follows_from_what_became_of_it(state, maintenance, then):
    assert seen(state, maintenance) is then


@pytest.mark.parametrize("afterwards", Afterwards)
@pytest.mark.parametrize("state", State)
def test_a_drain_is_done_with_a_node_that_neither_waits_nor_is_kept_closed(state, afterwards):
    waits = state is State.WAITING
    assert is_active(state, afterwards) == (waits or is_closed(state, afterwards))


@pytest.mark.parametrize(
    ("state", "afterwards", "closed"),
    [
        (State.WAITING, Afterwards.STAY_DRAINED, False),
        (State.DRAINING, Afterwards.STAY_DRAINED, True),
        (State.DRAINED, Afterwards.STAY_DRAINED, False),
        (State.DRAINED, Afterwards.AWAIT_UNCORDON, True),
        (State.OPENED, Afterwards.AWAIT_UNCORDON, False),
        (State.SKIPPED, Afterwards.AWAIT_UNCORDON, False),
    ],
)
def test_a_node_that_shall_come_back_is_away_until_it_is_open(state, afterwards, closed):
    assert is_closed(state, afterwards) == closed
