"""What a job at another cluster is here, from what that cluster says of it. Pure."""

import enum
from dataclasses import dataclass

from windlass_server.jobs.rules import shown
from windlass_server.jobs.states import FINAL, Event, Status

UNREACHABLE = "CLUSTER_UNREACHABLE"
"""Why a job's status is not known: its cluster does not answer. It is held, not failed."""
UNKNOWN = "JOB_UNKNOWN_TO_CLUSTER"
"""The cluster answers and does not know the job that it accepted: somebody has to look."""


class State(enum.IntEnum):
    """How far a run at another cluster is. It never goes back."""

    # Nothing was sent: it can be taken back for certain.
    NEW = 0
    # It was sent, and no answer came: the cluster may have it or not.
    SUBMITTED = 1
    # The cluster has it.
    ACCEPTED = 2
    # It is over.
    ENDED = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """A job as its cluster shows it.

    Attributes:
        status: as here; one that a newer windlass has is none of ours, and means nothing.
        reason: why, an UPPER_SNAKE word.
        message: the same in a sentence.
    """

    status: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class News:
    """What becomes of the job here."""

    event: Event
    reason: str
    message: str

    @property
    def is_end(self) -> bool:
        """Whether the run is over by it."""
        return self.event in _ENDS.values() or self.event is Event.STOP


_ENDS = {
    Status.SUCCEEDED: Event.SUCCEED,
    Status.FAILED: Event.FAIL,
    Status.TIMED_OUT: Event.RUN_OUT_OF_TIME,
    Status.OUT_OF_MEMORY: Event.RUN_OUT_OF_MEMORY,
    Status.DEADLINE_EXCEEDED: Event.FAIL,
}
# What a job that has not ended there is here, with the words for it.
_AT_CLUSTER = {
    Status.RUNNING: (Event.START, "STARTED", "the command runs at cluster {cluster}"),
    Status.CANCELLING: (
        Event.START,
        "STOPPING_AT_CLUSTER",
        "is being stopped at cluster {cluster}: {message}",
    ),
    Status.SCHEDULED: (
        Event.AWAIT,
        "SCHEDULED_AT_CLUSTER",
        "has a place at cluster {cluster}",
    ),
    # By somebody of that cluster.
    Status.SUSPENDING: (
        Event.AWAIT,
        "SUSPENDED_AT_CLUSTER",
        "is being suspended at cluster {cluster}: {message}",
    ),
    Status.SUSPENDED: (
        Event.AWAIT,
        "SUSPENDED_AT_CLUSTER",
        "is suspended at cluster {cluster}: {message}",
    ),
}


def news(cluster_id: str, seen: Seen, *, cancelling: bool) -> News | None:
    """What a cluster's word on a job means here; None when it says nothing that we know.

    Args:
        cluster_id: the cluster, for the words.
        seen: what it says.
        cancelling: somebody here has asked for the job's end.
    """
    message = shown(seen.message)
    if seen.status in _ENDS:
        return News(_ENDS[Status(seen.status)], shown(seen.reason), message)
    if seen.status == Status.CANCELLED:
        if cancelling:
            return News(Event.STOP, shown(seen.reason), message)
        words = f"cancelled at cluster {cluster_id}: {message}"
        return News(Event.FAIL, "CANCELLED_AT_CLUSTER", words)
    if seen.status in _AT_CLUSTER:
        event, reason, words = _AT_CLUSTER[Status(seen.status)]
        return News(event, reason, words.format(cluster=cluster_id, message=message))
    if seen.status == Status.QUEUED:
        why = f" ({shown(seen.reason)})" if seen.reason else ""
        words = f"waits at cluster {cluster_id}{why}: {message}"
        return News(Event.AWAIT, "QUEUED_AT_CLUSTER", words)
    return None


def is_final(status: int) -> bool:
    """Whether a job of this status has ended."""
    return status in {int(one) for one in FINAL}
