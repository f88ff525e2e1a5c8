"""The life cycle of an allocation, as a table.

```
 ACTIVE ──release──▶ RELEASED
   │ └────expire───▶ EXPIRED
   └──────revoke───▶ REVOKED
```

Each end is final: what was held may be somebody else's a moment later.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType

from windlass_server.errors import WrongState


class Status(enum.IntEnum):
    """As `resources.v1.Allocation.Status`."""

    ACTIVE = 1
    RELEASED = 2
    EXPIRED = 3
    REVOKED = 4


class Event(enum.Enum):
    """What can happen to it; the value completes the sentence "an allocation that is … cannot"."""

    RENEW = "be renewed"
    RELEASE = "be released"
    EXPIRE = "expire"
    REVOKE = "be revoked"


TRANSITIONS: Mapping[tuple[Status, Event], Status] = MappingProxyType(
    {
        (Status.ACTIVE, Event.RENEW): Status.ACTIVE,
        (Status.ACTIVE, Event.RELEASE): Status.RELEASED,
        (Status.ACTIVE, Event.EXPIRE): Status.EXPIRED,
        (Status.ACTIVE, Event.REVOKE): Status.REVOKED,
    }
    # To give back again what is not held any more changes nothing.
    | {(status, Event.RELEASE): status for status in Status if status is not Status.ACTIVE}
)


def after(status: int, event: Event, allocation_id: str) -> Status:
    """The status after an event; WrongState when that cannot happen in `status`."""
    try:
        return TRANSITIONS[Status(status), event]
    except KeyError:
        name = Status(status).name
        message = f"an allocation that is {name} cannot {event.value}"
        raise WrongState(
            message, reason="ALLOCATION_ENDED", subject=allocation_id, status=name
        ) from None
