"""Who holds what in virtual time, as `plan()` wants to know it: what runs, and what everybody had lately."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from windlass_server.scheduler.estimates import ends
from windlass_server.scheduler.fair_share import GPU, Shares, Tally, charge, part_of_card
from windlass_server.scheduler.plan import Place, Placement
from windlass_server.scheduler.quota import Ask, Dimension, Quota
from windlass_server.scheduler.snapshot import WHOLE, Demand, Running, RunTime
from windlass_server.simulation.counted import Counted
from windlass_server.simulation.learned import Key, Learned, key_of
from windlass_server.simulation.workload import TimedJob


@dataclass(slots=True)
class _Held:
    """What a job holds, and as what `plan()` saw it last."""

    job: TimedJob
    placement: Placement
    amounts: Sequence[tuple[int, int]]
    gpu_type: str
    since: int
    seen: tuple[Running, ...]


class Holding:
    """Kept up with each job that starts or ends.

    Args:
        half_lives: by which what was had lately is forgotten.
        learned: how long jobs are expected to run.
        quotas: as they are when nobody has anything.
    """

    def __init__(
        self, half_lives: Iterable[int], learned: Learned, quotas: Iterable[Quota] = ()
    ) -> None:
        self._tallies = [Tally(half_life) for half_life in sorted(half_lives)]
        self._learned = learned
        self._counted = Counted(quotas)
        self._held: dict[str, _Held] = {}
        # Whose ends are foreseen anew, and when that is due; and the jobs of each program.
        self._stale: set[str] = set()
        self._next: list[tuple[int, str]] = []
        self._of: dict[Key, set[str]] = {}

    def start(
        self,
        job: TimedJob,
        placement: Placement,
        amounts: Sequence[tuple[int, int]],
        gpu_type: str,
        now: int,
    ) -> None:
        """Note that a job has got its place, with so much CPU and memory of each of its nodes."""
        demand = job.demand
        held = self._held[demand.job_id] = _Held(job, placement, amounts, gpu_type, now, ())
        self._stale.add(demand.job_id)
        self._of.setdefault(key_of(job), set()).add(demand.job_id)
        for tally in self._tallies:
            tally.opened((demand.project, demand.user), _rate(held), now)
        self._counted.take(_ask(held))

    def end(self, demand: Demand, now: int) -> None:
        """Note that it has given it back."""
        held = self._held.pop(demand.job_id)
        self._of[key_of(held.job)].discard(demand.job_id)
        for tally in self._tallies:
            tally.closed((demand.project, demand.user), _rate(held), now)
        self._counted.give_back(_ask(held))

    @property
    def quotas(self) -> tuple[Quota, ...]:
        """Quotas with what their owners have."""
        return self._counted.quotas

    def running(self, now: int) -> tuple[Running, ...]:
        """All that run. Each is made anew when it has outlived what was expected, or else is expected."""
        while self._next and self._next[0][0] <= now:
            self._stale.add(heapq.heappop(self._next)[1])
        for job_id in self._stale & self._held.keys():
            held = self._held[job_id]
            held.seen = tuple(_seen(held, self._learned.of(held.job), now))
            if (until := _first_end(held.seen[0], now)) is not None:
                heapq.heappush(self._next, (until, job_id))
        self._stale.clear()
        return tuple(each for held in self._held.values() for each in held.seen)

    def expect_otherwise(self, key: Key) -> None:
        """Note that something else is expected now of the runs of a program."""
        self._stale.update(self._of.get(key, ()))

    def shares(self, now: int) -> Shares:
        """What everybody had lately, and has."""
        if not self._tallies:
            return Shares()
        lately = {tally.half_life: tally.lately(now) for tally in self._tallies}
        return Shares(lately, self._tallies[0].now())


def _first_end(running: Running, now: int) -> int | None:
    """When it is foreseen anew: at the first of the ends that are expected of it."""
    ends = [running.likely_end, running.expected_end]
    return min((end for end in ends if end is not None and end > now), default=None)


def _seen(held: _Held, known: RunTime | None, now: int) -> Iterable[Running]:
    over = ends(held.since, now, limit=held.job.demand.time_limit, learned=known)
    for rank, place in enumerate(held.placement.places):
        yield _running(held, rank, place, over.likely, over.expected, over.limit)


def _running(
    held: _Held,
    rank: int,
    place: Place,
    likely: int | None,
    expected: int | None,
    limit: int | None,
) -> Running:
    demand = held.job.demand
    return Running(
        job_id=demand.job_id,
        run_id=f"run-{demand.job_id}-{rank}",
        project=demand.project,
        user=demand.user,
        queue=demand.queue,
        priority=demand.priority,
        node_id=place.node_id,
        cpu_millis=held.amounts[rank][0],
        memory_bytes=held.amounts[rank][1],
        gpu_uuids=place.gpu_uuids,
        gpu_type=held.gpu_type,
        gpu_millis=demand.gpu_millis,
        started_at=held.since,
        likely_end=likely,
        expected_end=expected,
        limit_end=limit,
        saved_at=held.since,
        preemptible=held.job.preemptible,
        leaving=False,
    )


def _rate(held: _Held) -> int:
    """What all of it counts as for the fair share."""
    demand = held.job.demand
    each = demand.gpu_millis * (GPU // WHOLE) if demand.gpu_millis else part_of_card(held.gpu_type)
    return sum(
        charge(len(place.gpu_uuids) * each, *amounts)
        for place, amounts in zip(held.placement.places, held.amounts, strict=True)
    )


def _ask(held: _Held) -> Ask:
    """What of it quotas count."""
    demand = held.job.demand
    share = demand.gpu_millis or WHOLE
    gpus = share * sum(len(place.gpu_uuids) for place in held.placement.places)
    return Ask(
        demand.project,
        demand.user,
        {
            Dimension.GPU: gpus,
            Dimension.CPU: sum(cpu for cpu, _ in held.amounts),
            Dimension.MEMORY: sum(memory for _, memory in held.amounts),
            Dimension.RUNNING: 1,
        },
        {held.gpu_type.casefold(): gpus} if gpus else {},
    )
