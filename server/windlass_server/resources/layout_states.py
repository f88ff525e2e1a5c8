"""The life of a card's layout.

```
        BEGIN            DONE
 (none) ────▶ CHANGING ──────▶ DONE ───┐
                │  ▲                   │ BEGIN
                │  └───────────────────┤
                └──────FAIL──▶ FAILED ─┘
```
"""

import enum

from windlass_server.errors import WrongState


class State(enum.IntEnum):
    """As the column `state` of gpu_layouts."""

    CHANGING = 1
    DONE = 2
    FAILED = 3


class Event(enum.Enum):
    """What happens to a layout."""

    BEGIN = "begin"
    DONE = "be done"
    FAIL = "fail"


TRANSITIONS: dict[tuple[State | None, Event], State] = {
    (None, Event.BEGIN): State.CHANGING,
    (State.DONE, Event.BEGIN): State.CHANGING,
    (State.FAILED, Event.BEGIN): State.CHANGING,
    (State.CHANGING, Event.DONE): State.DONE,
    (State.CHANGING, Event.FAIL): State.FAILED,
}


def after(state: int | None, event: Event) -> State:
    """The state after an event; raises WrongState when it cannot happen."""
    known = None if state is None else State(state)
    try:
        return TRANSITIONS[known, event]
    except KeyError:
        name = "missing" if known is None else known.name
        message = f"a layout that is {name} cannot {event.value}"
        raise WrongState(
            message, reason="LAYOUT_WRONG_STATE", subject="layout", state=name
        ) from None
