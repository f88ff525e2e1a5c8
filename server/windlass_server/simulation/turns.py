"""By which rule waiting jobs get their turn in virtual time: each is a way to ask the real `plan()`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from windlass_server.scheduler.plan import Placement, plan
from windlass_server.scheduler.snapshot import Demand, NodeState, Snapshot

# Of those that wait in line, so many are asked for at once, at first and at most.
_FIRST, _MOST = 1, 256


@dataclass(frozen=True, slots=True)
class Moment:
    """What a rule sees when something has happened.

    Attributes:
        now: the time, in microseconds.
        queue: all that wait, by `turn`.
        new: those of them that came since the last look.
        freed: something has become free since then.
        nodes: as they are.
    """

    now: int
    queue: tuple[Demand, ...]
    new: tuple[Demand, ...]
    freed: bool
    nodes: tuple[NodeState, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What starts now; `again`: there may be more, ask again when it has."""

    placements: tuple[Placement, ...]
    again: bool = False


Rule: TypeAlias = Callable[[Moment], Decision]


def turn(demand: Demand) -> tuple[int, str, str]:
    """By priority, then by submission."""
    return -demand.priority, demand.order, demand.job_id


class Fifo:
    """One after the other: nobody starts before those that came before, whatever idles."""

    def __init__(self) -> None:
        self._asked = _FIRST

    def __call__(self, moment: Moment) -> Decision:
        """Start the first ones, up to the first that finds no place."""
        head = moment.queue[: self._asked]
        if not head:
            return Decision(())
        found = plan(Snapshot(head, moment.nodes, now=moment.now))
        stuck = {waiting.job_id for waiting in found.waiting}
        if not stuck:
            self._asked = min(2 * self._asked, _MOST)
            return Decision(found.placements, again=len(head) < len(moment.queue))
        self._asked = _FIRST
        order = [demand.job_id for demand in head]
        before = set(order[: next(at for at, job_id in enumerate(order) if job_id in stuck)])
        return Decision(tuple(one for one in found.placements if one.job_id in before))


def greedy(moment: Moment) -> Decision:
    """Whoever fits, in turn; who does not is skipped, and nothing is kept for it.

    Where nothing was freed, those that did not fit before do not now: as the server does it, only
    the new ones are looked at.
    """
    asked = moment.queue if moment.freed else moment.new
    if not asked:
        return Decision(())
    return Decision(plan(Snapshot(asked, moment.nodes, now=moment.now)).placements)


RULES: Mapping[str, Callable[[], Rule]] = {
    "fifo": Fifo,
    "greedy": lambda: greedy,
}
"""Rules by their names; each is made anew for a run."""

DEFAULT = "greedy"
