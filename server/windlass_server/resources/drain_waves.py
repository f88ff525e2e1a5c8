"""How a drain of many nodes goes on: which node is done with, and whose turn is next. Pure."""

import enum

from windlass_server.resources.maintenance import State as Maintenance


class Status(enum.IntEnum):
    """As `resources.v1.Drain.Status`."""

    RUNNING = 1
    COMPLETED = 2
    CANCELLED = 3


class Afterwards(enum.IntEnum):
    """As `resources.v1.Drain.Afterwards`: what becomes of a node that is empty."""

    STAY_DRAINED = 1
    AWAIT_UNCORDON = 2
    UNCORDON = 3


class State(enum.IntEnum):
    """As `resources.v1.DrainedNode.State`: how far a node of a drain is."""

    WAITING = 1
    DRAINING = 2
    DRAINED = 3
    OPENED = 4
    SKIPPED = 5


def seen(state: State, maintenance: int | None) -> State:
    """How far a node is, by what has become of it.

    Args:
        state: how far it was.
        maintenance: whether it takes new work now, as `maintenance.State`; None: it was removed.
    """
    if state is State.WAITING:
        return State.SKIPPED if maintenance is None else state
    if state is State.DRAINING:
        return _emptied(maintenance)
    if state is State.DRAINED and maintenance in (None, Maintenance.OPEN):
        return State.OPENED
    return state


def _emptied(maintenance: int | None) -> State:
    if maintenance == Maintenance.DRAINED:
        return State.DRAINED
    # Whoever opens or cordons a node ends its drain.
    return State.DRAINING if maintenance == Maintenance.DRAINING else State.SKIPPED


def is_closed(state: State, afterwards: Afterwards) -> bool:
    """Whether a node counts among those that the drain keeps away from work at present.

    One that shall stay closed does not: it is not expected back.
    """
    return state is State.DRAINING or (
        state is State.DRAINED and afterwards is not Afterwards.STAY_DRAINED
    )


def is_active(state: State, afterwards: Afterwards) -> bool:
    """Whether the drain has still something to do with a node."""
    return state is State.WAITING or is_closed(state, afterwards)
