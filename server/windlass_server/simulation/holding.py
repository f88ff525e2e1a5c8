"""Who holds what in virtual time, as `plan()` wants to know it: what runs, and what everybody had lately."""

from collections.abc import Iterable
from dataclasses import dataclass

from windlass_server.scheduler.estimates import ends
from windlass_server.scheduler.fair_share import GPU, Shares, Tally, charge
from windlass_server.scheduler.plan import Place, Placement
from windlass_server.scheduler.snapshot import WHOLE, Demand, Running, RunTime
from windlass_server.simulation.learned import Learned
from windlass_server.simulation.workload import TimedJob


@dataclass(slots=True)
class _Held:
    """What a job holds, and as what `plan()` saw it last."""

    job: TimedJob
    placement: Placement
    gpu_type: str
    since: int
    known: RunTime | None
    seen: tuple[Running, ...]


class Holding:
    """Kept up with each job that starts or ends.

    Args:
        half_lives: by which what was had lately is forgotten.
        learned: how long jobs are expected to run.
    """

    def __init__(self, half_lives: Iterable[int], learned: Learned) -> None:
        self._tallies = [Tally(half_life) for half_life in sorted(half_lives)]
        self._learned = learned
        self._held: dict[str, _Held] = {}

    def start(self, job: TimedJob, placement: Placement, gpu_type: str, now: int) -> None:
        """Note that a job has got its place."""
        demand = job.demand
        self._held[demand.job_id] = _Held(job, placement, gpu_type, now, None, ())
        for tally in self._tallies:
            tally.opened((demand.project, demand.user), _rate(demand), now)

    def end(self, demand: Demand, now: int) -> None:
        """Note that it has given it back."""
        del self._held[demand.job_id]
        for tally in self._tallies:
            tally.closed((demand.project, demand.user), _rate(demand), now)

    def running(self, now: int) -> tuple[Running, ...]:
        """All that run. Each is made anew when it has outlived what was expected, or else is expected."""
        for held in self._held.values():
            known = self._learned.of(held.job)
            if not held.seen or known != held.known or _is_over(held.seen[0], now):
                held.known, held.seen = known, tuple(_seen(held, known, now))
        return tuple(each for held in self._held.values() for each in held.seen)

    def shares(self, now: int) -> Shares:
        """What everybody had lately, and has."""
        if not self._tallies:
            return Shares()
        lately = {tally.half_life: tally.lately(now) for tally in self._tallies}
        return Shares(lately, self._tallies[0].now())


def _is_over(running: Running, now: int) -> bool:
    return any(end is not None and end <= now for end in (running.likely_end, running.expected_end))


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
        cpu_millis=demand.cpu_millis,
        memory_bytes=demand.memory_bytes,
        gpu_uuids=place.gpu_uuids,
        gpu_type=held.gpu_type,
        gpu_millis=demand.gpu_millis,
        started_at=held.since,
        likely_end=likely,
        expected_end=expected,
        limit_end=limit,
        saved_at=held.since,
        preemptible=True,
        leaving=False,
    )


def _rate(demand: Demand) -> int:
    each = demand.gpu_millis * (GPU // WHOLE) if demand.gpu_millis else GPU
    of_a_node = charge(demand.gpu_count * each, demand.cpu_millis, demand.memory_bytes)
    return demand.nodes * of_a_node
