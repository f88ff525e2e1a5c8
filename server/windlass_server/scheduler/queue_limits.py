"""How many jobs of each queue there may be, in all and of each user. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

RUNNING = "running job"
WAITING = "waiting job"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many jobs of a queue there may be at once: of everybody, and of each user; None: any number."""

    in_all: int | None = None
    per_user: int | None = None

    def __bool__(self) -> bool:
        return self.in_all is not None or self.per_user is not None


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue that keeps jobs from something.

    Attributes:
        queue: its name.
        paused: none of its jobs starts.
        bounds: how many there may be.
        jobs: how many there are, by their users; not read without bounds.
        what: of what they are jobs, in words: `RUNNING` or `WAITING`.
    """

    queue: str
    paused: bool = False
    bounds: Bounds = Bounds()
    jobs: Mapping[str, int] = field(default_factory=dict)
    what: str = RUNNING


@dataclass(frozen=True, slots=True)
class Excess:
    """A bound of a queue that lets no further job in.

    Attributes:
        queue: the queue.
        user: whose jobs are bounded; empty: those of all users together.
        what: as that of `QueueState`.
        jobs: how many there are.
        most: how many there may be.
    """

    queue: str
    user: str
    what: str
    jobs: int
    most: int


class QueueUse:
    """What there is in queues, as it changes; asked before each job whether there is room for it."""

    def __init__(self, queues: Iterable[QueueState]) -> None:
        self._states = {one.queue: one for one in queues}
        self._jobs = {one.queue: Counter(one.jobs) for one in self._states.values()}
        self._totals = {queue: jobs.total() for queue, jobs in self._jobs.items()}

    def is_paused(self, queue: str) -> bool:
        """Whether nothing of a queue starts."""
        return queue in self._states and self._states[queue].paused

    def excess(self, queue: str, user: str) -> Excess | None:
        """What does not let one more job of a user in; None: it is let in."""
        state = self._states.get(queue)
        if state is None or not state.bounds:
            return None
        in_all, per_user = state.bounds.in_all, state.bounds.per_user
        if in_all is not None and self._totals[queue] >= in_all:
            return Excess(queue, "", state.what, self._totals[queue], in_all)
        own = self._jobs[queue][user]
        if per_user is not None and own >= per_user:
            return Excess(queue, user, state.what, own, per_user)
        return None

    def take(self, queue: str, user: str) -> None:
        """Count one that was let in."""
        if queue in self._states:
            self._jobs[queue][user] += 1
            self._totals[queue] += 1
