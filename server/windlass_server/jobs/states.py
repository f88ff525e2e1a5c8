"""The life cycle of a job, as a table.

```
 QUEUED ──place──▶ SCHEDULED ──start──▶ RUNNING ──succeed──▶ SUCCEEDED
   │ ▲                │  │                 │ ├──fail───────▶ FAILED
   │ └───requeue──────┘  └──end────────────┤ ├──time out───▶ TIMED_OUT
   │                                       │ └──no memory──▶ OUT_OF_MEMORY
   └─cancel─▶ CANCELLED ◀──stopped── CANCELLING ◀──cancel── SCHEDULED, RUNNING, SUSPENDING

 SCHEDULED, RUNNING ──suspend──▶ SUSPENDING ──stopped, requeue──▶ SUSPENDED ──resume──▶ QUEUED
            RUNNING ──freeze───▶ SUSPENDING ──frozen──▶ SUSPENDED ──thaw──▶ RUNNING
```

A run can end before its start was reported, so every end is possible from SCHEDULED too. What ended
by itself while a cancel was under way keeps its own end: the cancel came too late. A job at another
cluster is SCHEDULED until its command runs there, and again when it was put back in the queue there.
What befalls a frozen job, which has its place, befalls it as one that is SUSPENDING: see `standing`.

An array has no place and no run; what it comes to is what its indices have come to:

```
 QUEUED ──start──▶ RUNNING ──succeed, fail──▶ SUCCEEDED, FAILED
 QUEUED, RUNNING ──cancel──▶ CANCELLING ──stopped──▶ CANCELLED
```
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType

from windlass_server.errors import WrongState


class Status(enum.IntEnum):
    """As `jobs.v1.Job.Status`."""

    QUEUED = 1
    SCHEDULED = 2
    RUNNING = 3
    CANCELLING = 4
    SUCCEEDED = 5
    FAILED = 6
    CANCELLED = 7
    TIMED_OUT = 8
    OUT_OF_MEMORY = 9
    SUSPENDED = 10
    SUSPENDING = 11
    DEADLINE_EXCEEDED = 12


class Event(enum.Enum):
    """What can happen to a job; the value completes the sentence "a … job cannot"."""

    PLACE = "be placed"
    START = "start"
    AWAIT = "wait at its cluster"
    CANCEL = "be cancelled"
    REQUEUE = "be queued again"
    SUCCEED = "succeed"
    FAIL = "fail"
    RUN_OUT_OF_TIME = "run out of time"
    RUN_OUT_OF_MEMORY = "run out of memory"
    STOP = "be stopped"
    RETRY = "be retried before it has ended"
    HOLD = "be held: only what is QUEUED"
    RELEASE = "be released: only what is QUEUED"
    SUSPEND = "be suspended: only what has a place"
    RESUME = "be resumed"
    FREEZE = "be frozen: only what runs"
    FROZEN = "stand still"
    THAW = "be thawed"
    MISS_DEADLINE = "miss its deadline"


_ENDS = {
    Event.SUCCEED: Status.SUCCEEDED,
    Event.FAIL: Status.FAILED,
    Event.RUN_OUT_OF_TIME: Status.TIMED_OUT,
    Event.RUN_OUT_OF_MEMORY: Status.OUT_OF_MEMORY,
}

FINAL = frozenset(
    {
        Status.SUCCEEDED,
        Status.FAILED,
        Status.CANCELLED,
        Status.TIMED_OUT,
        Status.OUT_OF_MEMORY,
        Status.DEADLINE_EXCEEDED,
    }
)

LEAVING = (Status.CANCELLING, Status.SUSPENDING)
"""Somebody has asked for the end of the present run; why, `status_reason` and `status_message` keep until then."""

TRANSITIONS: Mapping[tuple[Status, Event], Status] = MappingProxyType(
    {
        (Status.QUEUED, Event.PLACE): Status.SCHEDULED,
        (Status.QUEUED, Event.CANCEL): Status.CANCELLED,
        (Status.QUEUED, Event.HOLD): Status.QUEUED,
        (Status.QUEUED, Event.RELEASE): Status.QUEUED,
        (Status.SCHEDULED, Event.START): Status.RUNNING,
        (Status.SCHEDULED, Event.AWAIT): Status.SCHEDULED,
        (Status.SCHEDULED, Event.CANCEL): Status.CANCELLING,
        (Status.SCHEDULED, Event.REQUEUE): Status.QUEUED,
        (Status.RUNNING, Event.START): Status.RUNNING,
        (Status.RUNNING, Event.AWAIT): Status.SCHEDULED,
        (Status.RUNNING, Event.CANCEL): Status.CANCELLING,
        (Status.RUNNING, Event.REQUEUE): Status.QUEUED,
        (Status.CANCELLING, Event.CANCEL): Status.CANCELLING,
        (Status.CANCELLING, Event.START): Status.CANCELLING,
        (Status.CANCELLING, Event.AWAIT): Status.CANCELLING,
        (Status.CANCELLING, Event.STOP): Status.CANCELLED,
        (Status.CANCELLING, Event.REQUEUE): Status.CANCELLED,
        (Status.CANCELLED, Event.CANCEL): Status.CANCELLED,
        (Status.SCHEDULED, Event.SUSPEND): Status.SUSPENDING,
        (Status.RUNNING, Event.SUSPEND): Status.SUSPENDING,
        (Status.SUSPENDING, Event.SUSPEND): Status.SUSPENDING,
        (Status.SUSPENDED, Event.SUSPEND): Status.SUSPENDED,
        (Status.SUSPENDING, Event.START): Status.SUSPENDING,
        (Status.SUSPENDING, Event.REQUEUE): Status.SUSPENDED,
        (Status.SUSPENDING, Event.CANCEL): Status.CANCELLING,
        (Status.SUSPENDED, Event.CANCEL): Status.CANCELLED,
        (Status.SUSPENDED, Event.RESUME): Status.QUEUED,
        (Status.RUNNING, Event.FREEZE): Status.SUSPENDING,
        # Who is suspended otherwise already stays so.
        (Status.SUSPENDING, Event.FREEZE): Status.SUSPENDING,
        (Status.SUSPENDED, Event.FREEZE): Status.SUSPENDED,
        (Status.SUSPENDING, Event.FROZEN): Status.SUSPENDED,
        (Status.SUSPENDING, Event.THAW): Status.RUNNING,
        (Status.SUSPENDED, Event.THAW): Status.RUNNING,
        # What of a job that has none has missed its deadline is over; what has a place is cancelled first.
        (Status.QUEUED, Event.MISS_DEADLINE): Status.DEADLINE_EXCEEDED,
        (Status.SUSPENDED, Event.MISS_DEADLINE): Status.DEADLINE_EXCEEDED,
        (Status.SCHEDULED, Event.MISS_DEADLINE): Status.CANCELLING,
        (Status.RUNNING, Event.MISS_DEADLINE): Status.CANCELLING,
        (Status.SUSPENDING, Event.MISS_DEADLINE): Status.CANCELLING,
        (Status.CANCELLING, Event.MISS_DEADLINE): Status.DEADLINE_EXCEEDED,
    }
    # Who resumes twice means the same.
    | {
        (status, Event.RESUME): status
        for status in (Status.QUEUED, Status.SCHEDULED, Status.RUNNING)
    }
    | {
        (status, event): end
        for status in (Status.SCHEDULED, Status.RUNNING, Status.CANCELLING, Status.SUSPENDING)
        for event, end in _ENDS.items()
    }
    # A retry is a new job.
    | {(status, Event.RETRY): status for status in FINAL}
)

ARRAY_TRANSITIONS: Mapping[tuple[Status, Event], Status] = MappingProxyType(
    {
        (Status.QUEUED, Event.START): Status.RUNNING,
        (Status.CANCELLING, Event.CANCEL): Status.CANCELLING,
        (Status.CANCELLING, Event.STOP): Status.CANCELLED,
        (Status.CANCELLING, Event.MISS_DEADLINE): Status.DEADLINE_EXCEEDED,
        (Status.CANCELLED, Event.CANCEL): Status.CANCELLED,
    }
    | {
        (status, event): then or status
        for status in (Status.QUEUED, Status.RUNNING)
        for event, then in (
            (Event.CANCEL, Status.CANCELLING),
            # Its indices have to end first, however few there are.
            (Event.MISS_DEADLINE, Status.CANCELLING),
            (Event.SUCCEED, Status.SUCCEEDED),
            (Event.FAIL, Status.FAILED),
            (Event.HOLD, None),
            (Event.RELEASE, None),
        )
    }
    | {(status, Event.RETRY): status for status in FINAL}
)


def standing(status: int, *, frozen: bool) -> Status:
    """By which status it is decided what befalls a job: what is frozen has its place still."""
    return Status.SUSPENDING if frozen and status == Status.SUSPENDED else Status(status)


def leave(
    status: int, event: Event, job_id: str, *, frozen: bool, array: bool = False
) -> tuple[Status, bool]:
    """The status after an event that ends a job or an array, and whether its runs are to be told to stop.

    Raises WrongState as `after`.
    """
    then = after(standing(status, frozen=frozen), event, job_id, array=array)
    return then, then is Status.CANCELLING and (frozen or status not in LEAVING)


def after(status: int, event: Event, job_id: str, *, array: bool = False) -> Status:
    """The status after an event; WrongState when that cannot happen to a job, or an array, in `status`."""
    try:
        return (ARRAY_TRANSITIONS if array else TRANSITIONS)[Status(status), event]
    except KeyError:
        name = Status(status).name
        message = f"a {name} {'array' if array else 'job'} cannot {event.value}"
        raise WrongState(message, reason="JOB_WRONG_STATE", subject=job_id, status=name) from None
