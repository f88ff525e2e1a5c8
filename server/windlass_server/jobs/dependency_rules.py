"""When a job may start that waits for others; nothing here needs more than its arguments.

| the dependency | is met when the awaited job | can never be met when it |
|---|---|---|
| AFTER | has started, or has ended without | |
| AFTER_OK | SUCCEEDED | ended otherwise |
| AFTER_NOT_OK | ended otherwise than SUCCEEDED | SUCCEEDED |
| AFTER_ANY | has ended | |
| SINGLETON | has ended, and so has every other one before it | |

An AFTER_OK that follows retries does not give up: it stalls until the awaited job is retried, and waits for
the retry from then on. It is met as soon as any retry of the job that was named has succeeded, and any retry's
retry.

These are Slurm's words (sbatch, `--dependency`). All of a job's dependencies must be met. What was met once
stays so: a job that had started and is queued again has started.
"""

import enum
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from windlass_server.jobs.states import FINAL, Status

MAX_DEPENDENCIES = 100
"""Jobs that one may wait for."""
MAX_PRIORITY = 1000
"""The highest priority that a job can be given, and so that it can take over from one that waits for it."""


class Kind(enum.IntEnum):
    """As `jobs.v1.Dependency.Type`."""

    AFTER = 1
    AFTER_OK = 2
    AFTER_NOT_OK = 3
    AFTER_ANY = 4
    # Which job is awaited changes: see singletons.
    SINGLETON = 5


class State(enum.IntEnum):
    """What has become of a dependency."""

    OPEN = 0
    MET = 1
    NEVER = 2
    # Nobody waits for it any more: the job that did has ended.
    DROPPED = 3
    # It can only be met by a retry of the awaited job.
    STALLED = 4


class Edge(NamedTuple):
    """That a job waits for another, in which way, what has become of that, and whether it follows retries."""

    awaited_id: str
    kind: int
    state: int
    follows: bool = False


class Member(Protocol):
    """A job of a lineage."""

    @property
    def status(self) -> int:
        """Its status."""


MemberT = TypeVar("MemberT", bound=Member)


class Held(enum.IntEnum):
    """What keeps a QUEUED job out of the scheduler's queue."""

    NOTHING = 0
    JOBS = 1
    TIME = 2
    # Somebody has held it, whatever else it waits for.
    USER = 3
    # It is an array: its indices are in the queue, and not it.
    INDICES = 4


_WORDS = {
    Kind.AFTER: "to start",
    Kind.AFTER_OK: "to succeed",
    Kind.AFTER_NOT_OK: "to end without success",
    Kind.AFTER_ANY: "to end",
    Kind.SINGLETON: "of its name to end, as a singleton",
}


def state_of(kind: int, status: int, *, started: bool, follows: bool = False) -> State:
    """What becomes of a dependency on a job of this status."""
    if status not in FINAL:
        return State.MET if kind == Kind.AFTER and started else State.OPEN
    succeeded = status == Status.SUCCEEDED
    if kind == Kind.AFTER_OK:
        lost = State.STALLED if follows else State.NEVER
        return State.MET if succeeded else lost
    if kind == Kind.AFTER_NOT_OK:
        return State.NEVER if succeeded else State.MET
    return State.MET


def hope(members: Sequence[MemberT]) -> MemberT:
    """For which one to wait of a job and all its retries: one that succeeded, else one that has not ended.

    Args:
        members: the job and its retries, the oldest first; one at least.

    Returns:
        The newest of those; where none is either, the newest of all.
    """
    for wanted in (
        [one for one in members if one.status == Status.SUCCEEDED],
        [one for one in members if one.status not in FINAL],
    ):
        if wanted:
            return wanted[-1]
    return members[-1]


def waiting_text(unmet: Iterable[Edge]) -> str:
    """What a job waits for, as in `waits for job-a to succeed, and for 2 more jobs`.

    Args:
        unmet: for whom it waits; one at least.
    """
    first, *others = unmet
    more = f", and for {len(others)} more job{'s'[: len(others) > 1]}" if others else ""
    whom = f"a retry of {first.awaited_id}" if first.state == State.STALLED else first.awaited_id
    return f"waits for {whom} {_WORDS[Kind(first.kind)]}{more}"


def never_text(job_id: str, kind: int, status: int) -> str:
    """Why a job will never start."""
    return (
        f"{job_id} has ended as {Status(status).name}, and this waited for it {_WORDS[Kind(kind)]}"
    )


def served_by(own: int, highest_behind: int | None, most: int | None = None) -> int:
    """The priority that a job is served by: its own, or of the highest that waits for it, up to the cap.

    Args:
        own: its own.
        highest_behind: of those that wait for it; None: nobody does.
        most: the highest that its owner's jobs can be given; None: any.
    """
    if highest_behind is None:
        return own
    return max(own, min(highest_behind, MAX_PRIORITY if most is None else most))
