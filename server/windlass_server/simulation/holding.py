"""Who holds what in virtual time, as `plan()` wants to know it: what runs, and what everybody had lately."""

from collections.abc import Iterable

from windlass_server.scheduler.estimates import ends
from windlass_server.scheduler.fair_share import GPU, Shares, Tally, charge
from windlass_server.scheduler.plan import Placement
from windlass_server.scheduler.snapshot import WHOLE, Demand, Running


class Holding:
    """Kept up with each job that starts or ends.

    Args:
        half_lives: by which what was had lately is forgotten.
    """

    def __init__(self, half_lives: Iterable[int]) -> None:
        self._tallies = [Tally(half_life) for half_life in sorted(half_lives)]
        self._running: dict[str, tuple[Running, ...]] = {}

    def start(self, demand: Demand, placement: Placement, gpu_type: str, now: int) -> None:
        """Note that a job has got its place."""
        over = ends(now, now, limit=demand.time_limit, learned=demand.expected_run)
        self._running[demand.job_id] = tuple(
            Running(
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
                gpu_type=gpu_type,
                gpu_millis=demand.gpu_millis,
                started_at=now,
                likely_end=over.likely,
                expected_end=over.expected,
                limit_end=over.limit,
                saved_at=now,
                preemptible=True,
                leaving=False,
            )
            for rank, place in enumerate(placement.places)
        )
        for tally in self._tallies:
            tally.opened((demand.project, demand.user), _rate(demand), now)

    def end(self, demand: Demand, now: int) -> None:
        """Note that it has given it back."""
        del self._running[demand.job_id]
        for tally in self._tallies:
            tally.closed((demand.project, demand.user), _rate(demand), now)

    def running(self) -> tuple[Running, ...]:
        """All that run."""
        return tuple(each for runs in self._running.values() for each in runs)

    def shares(self, now: int) -> Shares:
        """What everybody had lately, and has."""
        if not self._tallies:
            return Shares()
        lately = {tally.half_life: tally.lately(now) for tally in self._tallies}
        return Shares(lately, self._tallies[0].now())


def _rate(demand: Demand) -> int:
    each = demand.gpu_millis * (GPU // WHOLE) if demand.gpu_millis else GPU
    of_a_node = charge(demand.gpu_count * each, demand.cpu_millis, demand.memory_bytes)
    return demand.nodes * of_a_node
