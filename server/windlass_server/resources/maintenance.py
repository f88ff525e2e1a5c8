"""Whether a node takes new work, and how it is emptied: the life cycle as a table, and its rules.

```
          cordon               drain              nothing is left
 OPEN ───────────▶ CORDONED ──────────▶ DRAINING ────────────────▶ DRAINED
  ▲ └────────────────drain──────────────▲  │ ▲                       │ │
  │                  ▲  ▲───cordon─────────┘ └────────drain──────────┘ │
  └──uncordon, from each └───────────────cordon────────────────────────┘
```

It is apart from whether the node is connected: a node that cannot be reached can be drained too, and
is not drained before it has said that its runs have ended.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from windlass_server.resources.states import Status


class State(enum.IntEnum):
    """As `resources.v1.Maintenance.State`."""

    OPEN = 1
    CORDONED = 2
    DRAINING = 3
    DRAINED = 4


class Event(enum.Enum):
    """What can happen to it."""

    CORDON = "be cordoned"
    UNCORDON = "be opened"
    DRAIN = "be drained"
    EMPTY = "be found empty"


class DrainMode(enum.IntEnum):
    """As `resources.v1.Maintenance.DrainMode`."""

    WAIT = 1
    CHECKPOINT_REQUEUE = 2
    FORCE = 3


TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {(state, Event.CORDON): State.CORDONED for state in State}
    | {(state, Event.UNCORDON): State.OPEN for state in State}
    | {(state, Event.DRAIN): State.DRAINING for state in State}
    # Only a drain ends by itself: a cordoned node without runs stays cordoned.
    | {(state, Event.EMPTY): state for state in State if state is not State.DRAINING}
    | {(State.DRAINING, Event.EMPTY): State.DRAINED}
)


def after(state: int, event: Event) -> State:
    """The state after an event; every event is possible in every state."""
    return TRANSITIONS[State(state), event]


class Shown(enum.IntEnum):
    """As `resources.v1.Node.Status`: whether a node can take work, in one word."""

    READY = 1
    UNREACHABLE = 2
    CORDONED = 3
    DRAINING = 4
    DRAINED = 5


_SHOWN = {
    State.OPEN: Shown.READY,
    State.CORDONED: Shown.CORDONED,
    State.DRAINING: Shown.DRAINING,
    State.DRAINED: Shown.DRAINED,
}


STATES = {int(status): state for state, status in _SHOWN.items()}
"""What a connected node's maintenance is, by what people see."""


def shown(connection: int, state: int) -> Shown:
    """What people see: that a node cannot be reached says more than all else."""
    return Shown.UNREACHABLE if connection == Status.UNREACHABLE else _SHOWN[State(state)]


class Eviction(enum.Enum):
    """How a run is made to leave."""

    CHECKPOINT = "SIGTERM, its grace period, then SIGKILL"
    KILL = "SIGKILL"


def eviction(mode: int, deadline: int | None, now: int) -> Eviction | None:
    """How the runs of a draining node are made to leave now; None: they may go on.

    Args:
        mode: of the drain.
        deadline: when waiting ends, in microseconds; None: never.
        now: in microseconds.
    """
    if mode == DrainMode.FORCE:
        return Eviction.KILL
    leave = mode == DrainMode.CHECKPOINT_REQUEUE or is_late(deadline, now)
    return Eviction.CHECKPOINT if leave else None


def is_late(deadline: int | None, now: int) -> bool:
    """Whether waiting has come to its end."""
    return deadline is not None and now >= deadline


@dataclass(frozen=True, slots=True)
class Leaving:
    """What bounds the time of one run on a draining node, in microseconds.

    Attributes:
        started_at: when its command started; None: not yet.
        time_limit: how long it may run; None: for ever.
        grace: between SIGTERM and SIGKILL.
        stopping_since: when it was told to stop; None: it was not.
    """

    started_at: int | None
    time_limit: int | None
    grace: int
    stopping_since: int | None


def estimated_end(runs: list[Leaving], deadline: int | None, now: int) -> int | None:
    """When the last of the runs should be gone (µs); None when nothing bounds one of them."""
    ends = [_end(run, deadline, now) for run in runs]
    known = [end for end in ends if end is not None]
    return max(known, default=now) if len(known) == len(ends) else None


def _end(run: Leaving, deadline: int | None, now: int) -> int | None:
    if run.stopping_since is not None:
        return max(now, run.stopping_since + run.grace)
    bounds = [] if deadline is None else [max(now, deadline) + run.grace]
    if run.time_limit is not None:
        bounds.append(max(now, (run.started_at or now) + run.time_limit) + run.grace)
    return min(bounds, default=None)
