"""Who was stopped for whom in virtual time, as `plan()` wants to remember it."""

from collections import Counter, deque
from collections.abc import Sequence
from types import MappingProxyType

from windlass_server.scheduler.preempting import GaveWay, MakingRoom, Preemptions
from windlass_server.scheduler.preemption import Eviction
from windlass_server.scheduler.snapshot import Demand

_HOUR = 3_600_000_000


class Stopped:
    """Kept up with each job that is stopped for another. Who is stopped is gone at once."""

    def __init__(self) -> None:
        self._room: dict[str, MakingRoom] = {}
        self._spent: deque[tuple[int, str]] = deque()
        self._gave_way: dict[str, GaveWay] = {}

    def record(self, demand: Demand, evictions: Sequence[Eviction], now: int) -> None:
        """Note that all runs of some jobs were stopped for one that waits."""
        jobs = {one.job_id for one in evictions}
        nodes = evictions[0].places or (evictions[0].node_id,)
        self._room[demand.job_id] = MakingRoom(demand.job_id, nodes, 0, len(jobs))
        for job_id in sorted(jobs):
            self._spent.append((now, demand.project))
            self._gave_way[job_id] = GaveWay(now, demand.priority)

    def started(self, job_id: str) -> None:
        """Note that a job has got its place: no room is made for it any more."""
        self._room.pop(job_id, None)

    def seen(self, now: int) -> Preemptions:
        """What is remembered; who gave way longer ago than a policy minds is not looked at by it."""
        while self._spent and self._spent[0][0] <= now - _HOUR:
            self._spent.popleft()
        spent = Counter(project for _, project in self._spent)
        room = tuple(self._room[job_id] for job_id in sorted(self._room))
        return Preemptions(room, MappingProxyType(spent), gave_way=MappingProxyType(self._gave_way))
