"""What projects can count on by their quotas, and what is borrowed: for whom others may be stopped, and who. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from windlass_server.scheduler.quota import AMOUNTS, NOTHING_LACKS, Ask, Quota, Use
from windlass_server.scheduler.quota_gate import ask_of, each_of, held_by
from windlass_server.scheduler.snapshot import Demand, Running, Snapshot


class Guarantees:
    """What projects can count on of what runs and of what waits: for whom others may be stopped, and who.

    Args:
        quotas: all that there are, with what their owners have before the plan.
        running: what holds parts of the nodes.
        placed: what the plan has placed.
    """

    def __init__(
        self, quotas: Sequence[Quota], running: Iterable[Running], placed: Iterable[Demand]
    ) -> None:
        self._use = Use(quotas)
        self._held = whole(running)
        # What stays: what leaves counts as gone, and so does who is stopped as the plan goes on.
        self._staying = Use(quotas)
        self._go(job_id for job_id, one in [*self._held.items()] if one.leaving)
        self._borrowed = borrowed(self._held.values(), self._staying)
        for demand in placed:
            self.placed(demand)

    def within_guarantee(self, demand: Demand) -> bool:
        """Whether its project can count on having it beside what it has."""
        return self._use.within_guarantee(ask_of(demand))

    def is_borrowed(self, job_id: str, *, in_part: bool) -> bool:
        """Whether a job is of the first to go until its project has no more than it can count on.

        Args:
            job_id: the job.
            in_part: also where its project could count on some of what the job holds.
        """
        return job_id in self._borrowed and (in_part or self._borrowed[job_id])

    def may_go(self, job_id: str) -> bool:
        """Whether its project has more than it can count on of what a job holds, whoever should go first."""
        held = self._held.get(job_id)
        return held is not None and self._staying.borrows(held.ask)

    def all_may_go(self, job_ids: Iterable[str]) -> bool:
        """Whether each of these has to go until their projects have no more than they can count on."""
        use = self._staying.copy()
        for ask in sorted((self._held[job_id].ask for job_id in job_ids), key=_size):
            if not use.borrows(ask):
                return False
            use.give_back(ask)
        return True

    def placed(self, demand: Demand) -> None:
        """Count a job that has got a place, or is about to."""
        self._use.take(ask_of(demand))

    def stopped(self, job_ids: Sequence[str]) -> None:
        """Count jobs as gone, so that others can stay for those of them that were not borrowed as a whole."""
        self._go(job_ids)
        if not all(self._borrowed.get(job_id) for job_id in job_ids):
            self._borrowed = borrowed(self._held.values(), self._staying)

    def _go(self, job_ids: Iterable[str]) -> None:
        for job_id in job_ids:
            if (held := self._held.pop(job_id, None)) is not None:
                self._staying.give_back(held.ask)


def guarantees_in(snapshot: Snapshot, placed: Iterable[Demand]) -> Guarantees | None:
    """What projects can count on when the plan has placed these; None where nobody is guaranteed anything."""
    if not any(one.guaranteed for one in snapshot.quotas):
        return None
    return Guarantees(snapshot.quotas, snapshot.running, placed)


@dataclass(frozen=True, slots=True)
class Held:
    """What a job holds with all of its runs, which go together; or an allocation.

    Attributes:
        job_id: the job; of an allocation its own id.
        started_at: when the first of its runs began (µs).
        leaving: all of it is being stopped already.
        ask: what it holds.
    """

    job_id: str
    started_at: int
    leaving: bool
    ask: Ask


def whole(running: Iterable[Running]) -> dict[str, Held]:
    """What is held, by the ids of the jobs and the allocations."""
    runs: dict[str, list[Running]] = {}
    for one in running:
        runs.setdefault(one.job_id or one.run_id, []).append(one)
    return {
        job_id: Held(
            job_id,
            min(run.started_at for run in those),
            all(run.leaving for run in those),
            each_of(list(map(held_by, those)), sum),
        )
        for job_id, those in runs.items()
    }


def borrowed(held: Iterable[Held], use: Use) -> dict[str, bool]:
    """What is held beyond guarantees: as much as has to end until every project has no more than it can count on.

    First that which is borrowed as a whole, what began last before the rest. Where that is not enough, what is
    borrowed in part: that first which leaves its project least below what it can count on. Where nobody is
    guaranteed anything, nothing is borrowed.

    Args:
        held: all that may end.
        use: what everybody has.

    Returns:
        The ids of what is to end, in that order, each with whether it is borrowed as a whole.
    """
    use, found = use.copy(), dict[str, bool]()
    last_first = sorted(held, key=lambda one: (-one.started_at, one.job_id))
    for one in last_first:
        if use.lacking_without(one.ask) == NOTHING_LACKS:
            use.give_back(one.ask)
            found[one.job_id] = True
    in_part = [(lacking, one) for one in last_first if (lacking := use.lacking_without(one.ask))]
    for _, one in sorted(in_part, key=itemgetter(0)):
        if one.job_id not in found and use.borrows(one.ask):
            use.give_back(one.ask)
            found[one.job_id] = False
    return found


def _size(ask: Ask) -> tuple[int, ...]:
    return tuple(ask.amounts.get(dimension, 0) for dimension in AMOUNTS)
