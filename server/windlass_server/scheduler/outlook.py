"""What the next cycle would do with one job, and what would let it start at once.

It runs the planner itself on the jobs up to this one, so that it cannot say anything else than what will be
done.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

from windlass_server.scheduler.changes import Change, smallest_changes
from windlass_server.scheduler.constraints import Constraint, constraints
from windlass_server.scheduler.eta import Eta, eta
from windlass_server.scheduler.explain import Reason
from windlass_server.scheduler.feasibility import could_ever_fit
from windlass_server.scheduler.order import in_turn
from windlass_server.scheduler.plan import Placement, plan, planned
from windlass_server.scheduler.preemption import Eviction
from windlass_server.scheduler.quota_gate import QuotaGate, guaranteed_first
from windlass_server.scheduler.snapshot import Demand, Snapshot
from windlass_server.scheduler.withheld import Withheld, withheld
from windlass_server.scheduler.wording import count_text

# The bounds of `Job.priority`.
_HIGHEST = 1000


class Verdict(IntEnum):
    """Whether a waiting job starts; as `jobs.v1.Forecast.Verdict`."""

    STARTS_NOW = 1
    WAITS = 2
    NEVER = 3


@dataclass(frozen=True, slots=True)
class Outlook:
    """What becomes of a job.

    Attributes:
        verdict: whether it starts.
        reason: why it waits: one dominant UPPER_SNAKE reason; empty when it starts.
        message: the same in a sentence.
        placement: where it would start; None when it waits.
        jobs_ahead: waiting jobs that are considered before it.
        nodes: how many nodes were looked at.
        constraints: what refuses it, those that refuse on no node left out.
        changes: what would let it start at once, each by itself; the smallest first.
        eta: when it will start; None when it starts now, never, or is held.
        evictions: the runs that would be stopped for it.
        withheld: the rules by which nobody is.
    """

    verdict: Verdict
    reason: str
    message: str
    placement: Placement | None
    jobs_ahead: int
    nodes: int
    constraints: tuple[Constraint, ...]
    changes: tuple[Change, ...]
    eta: Eta | None = None
    evictions: tuple[Eviction, ...] = ()
    withheld: tuple[Withheld, ...] = ()


def outlook(
    snapshot: Snapshot, job_id: str, *, any_pools: tuple[str, ...] | None = None
) -> Outlook:
    """What becomes of a job of the snapshot's queue.

    Args:
        snapshot: the world; a job that is only asked about stands in its queue too.
        job_id: the job.
        any_pools: the pools that its project may use; None for all.

    Raises:
        KeyError: it is not in the queue.
    """
    queue = guaranteed_first(in_turn(snapshot), snapshot.quotas)
    turn = next((index for index, each in enumerate(queue) if each.job_id == job_id), None)
    if turn is None:
        raise KeyError(job_id)
    demand, until = queue[turn], replace(snapshot, queue=tuple(queue[: turn + 1]))
    all_of_it = planned(until)
    made, rest = all_of_it.plan, all_of_it.rest
    placement = next((each for each in made.placements if each.job_id == job_id), None)
    # Where those are with whom it is spread, and what its quotas let it have whole.
    tried = all_of_it.tried.get(job_id, demand)
    tried = replace(demand, beside=tried.beside, too_large=tried.too_large)
    in_the_way = tuple(constraints(tried, rest, all_of_it.backfill.unsure))
    if placement is not None:
        return Outlook(Verdict.STARTS_NOW, "", "", placement, turn, len(rest.nodes), in_the_way, ())
    waiting = next(each for each in made.waiting if each.job_id == job_id)
    never = could_ever_fit(demand, snapshot.nodes, snapshot.pools) is not None or QuotaGate(
        snapshot.quotas, snapshot.nodes
    ).never(demand)
    never |= waiting.reason == Reason.RESERVATION_ENDED
    # Nothing that it asks for is in the way of a job that is held.
    held = job_id in all_of_it.held
    changes = () if held else smallest_changes(tried, rest, any_pools)
    if not never and not held and (higher := _priority(demand, until)) is not None:
        changes = (*changes, higher)
    evictions = tuple(each for each in made.evictions if each.for_job_id == job_id)
    foreseen = None if never or held else eta(until, all_of_it, job_id)
    return Outlook(
        verdict=Verdict.NEVER if never else Verdict.WAITS,
        reason=waiting.reason,
        message=_would_be_stopped(evictions) if evictions else waiting.message,
        placement=None,
        jobs_ahead=turn,
        nodes=len(rest.nodes),
        constraints=in_the_way,
        changes=changes,
        eta=foreseen,
        evictions=evictions,
        withheld=() if never or held or evictions else withheld(until, demand),
    )


def _would_be_stopped(evictions: tuple[Eviction, ...]) -> str:
    """Nobody is stopped by asking."""
    stopped = count_text(len({each.job_id for each in evictions}), "job")
    return f"{stopped} would be stopped to make room for it"


def _priority(demand: Demand, snapshot: Snapshot) -> Change | None:
    """The lowest priority with which a job would start, when only others of the queue are before it."""
    above = sorted({each.priority for each in snapshot.queue if each.priority >= demand.priority})
    tried = [priority + 1 for priority in above if priority < _HIGHEST]
    if not tried or not _starts(replace(demand, priority=tried[-1]), snapshot):
        return None
    low, high = 0, len(tried) - 1
    while low < high:
        middle = (low + high) // 2
        if _starts(replace(demand, priority=tried[middle]), snapshot):
            high = middle
        else:
            low = middle + 1
    enough = replace(demand, priority=tried[high])
    return Change("priority", str(demand.priority), str(enough.priority), enough)


def _starts(changed: Demand, snapshot: Snapshot) -> bool:
    ahead = [each for each in snapshot.queue if each.job_id != changed.job_id]
    made = plan(replace(snapshot, queue=(*ahead, changed)))
    return any(each.job_id == changed.job_id for each in made.placements)
