"""The life cycle of a node, as a table.

```
 join ──▶ UNREACHABLE ──hello──▶ READY ──┐
              ▲  ▲                │  ▲   │ hello
              │  └──lose──────────┘  └───┘
              └──lose (nothing changes)
```

A node that cannot be reached keeps its work: unreachable is not failed. Whether it takes new work is
another matter, and so is what people see of both: `maintenance`.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType

from windlass_server.errors import WrongState


class Status(enum.IntEnum):
    """Whether its agent is connected; numbered as in `resources.v1.Node.Status`."""

    READY = 1
    UNREACHABLE = 2


class Event(enum.Enum):
    """What can happen to a node; the value completes the sentence "a … node cannot"."""

    HELLO = "say hello"
    LOSE = "be lost"


TRANSITIONS: Mapping[tuple[Status, Event], Status] = MappingProxyType(
    {
        (Status.UNREACHABLE, Event.HELLO): Status.READY,
        (Status.READY, Event.HELLO): Status.READY,
        (Status.READY, Event.LOSE): Status.UNREACHABLE,
        (Status.UNREACHABLE, Event.LOSE): Status.UNREACHABLE,
    }
)


def after(status: int, event: Event) -> Status:
    """The status after an event; WrongState when that cannot happen to a node in `status`."""
    try:
        return TRANSITIONS[Status(status), event]
    except (KeyError, ValueError):
        message = f"a node in status {status} cannot {event.value}"
        raise WrongState(
            message, reason="NODE_WRONG_STATE", subject="node", status=str(status)
        ) from None
