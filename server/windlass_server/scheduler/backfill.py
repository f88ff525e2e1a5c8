"""When jobs that found no place will start, and what is kept for the first of them until then.

For each of them in turn the first node and time are found at which it has room, by the ends of what runs
and of what this plan places, less what reservations keep and what those before it were promised. From
then on the node keeps what it needs (`reserved.py`): a job behind it may still be placed there when it is
over before, or leaves that. So nothing idles that can be used, and no promise is broken by those
behind it.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from windlass_server.scheduler.filters import fits
from windlass_server.scheduler.ledger import Ledger
from windlass_server.scheduler.policies import Policies
from windlass_server.scheduler.reserved import lower
from windlass_server.scheduler.rooms import Column, Room, enough_memory, gpu_key, suitable
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, Demand, Running
from windlass_server.scheduler.timeline import Timeline, Use, amounts

# What is looked at before no start is said to be known: shapes of demands for which there was none, and
# times of nodes of which something is kept, for one demand.
_MOST_FAILURES = 64
# For how many jobs something is kept at most, in all queues.
_MOST_STARTS = 128
_MOST_TIMES = 512


@dataclass(frozen=True, slots=True)
class Start:
    """Where and when (microseconds since 1970) a waiting job has room, as far as is known."""

    node_id: str
    at: int


class Backfill:
    """What is foreseen while a plan is being made.

    Args:
        ledger: the nodes, whose room goes down as the plan goes on.
        running: what holds parts of them.
        policies: for how many of which queue something is kept.

    Attributes:
        starts: what was foreseen, by the jobs' ids.
    """

    def __init__(self, ledger: Ledger, running: Sequence[Running], policies: Policies) -> None:
        self._ledger = ledger
        self._policies = policies
        self._depths: dict[tuple[str, tuple[str, ...] | None], int] = {}
        self._protected: Counter[str] = Counter()
        self._uses = _uses(running, ledger)
        # Without an end to come nothing will be otherwise.
        self._any_end = bool(ledger.reserved.keeps_any) or any(
            use.end is not None for use in self._uses
        )
        self._line: Timeline | None = None
        self._on: dict[int, list[Use]] = {}
        self._failed: set[Hashable] = set()
        self.starts: dict[str, Start] = {}

    def placed(self, demand: Demand, index: int, gpu_uuids: tuple[str, ...]) -> None:
        """Take account of what the plan has placed."""
        span = self._ledger.reserved.span(demand)
        use = Use(
            index=index,
            end=None if span is None else self._ledger.now + span,
            cpu_millis=demand.cpu_millis,
            memory_bytes=demand.memory_bytes,
            gpu_uuids=gpu_uuids,
            project=demand.project,
            user=demand.user,
        )
        self._uses.append(use)
        self._any_end |= span is not None
        self._line = None

    def protect(self, demand: Demand, shape: Hashable) -> None:
        """Keep for one of the first demands without room what it needs from its first start on, if known.

        Args:
            demand: one that has no room now.
            shape: of one shape are those that have room at the same places and times.
        """
        if self._protected[demand.queue] < self._depth(demand) and self.foresee(demand, shape):
            self._protected[demand.queue] += 1

    def foresee(self, demand: Demand, shape: Hashable) -> bool:
        """As `protect`, whatever the policy says; False when no start is known."""
        done = len(self.starts) >= _MOST_STARTS or len(self._failed) >= _MOST_FAILURES
        if done or shape in self._failed or not self._any_end or demand.nodes > 1:
            return False
        line = self._timeline()
        found = self._first(demand, line)
        if found is None:
            self._failed.add(shape)
            return False
        at, index = found
        there = amounts(line.room_at(index, at))
        gpu_type = _type_of(demand, self._view(demand, line, index, at))
        self._ledger.promise(demand, index, at, there, gpu_type)
        self.starts[demand.job_id] = Start(self._ledger.nodes[index].node_id, at)
        return True

    def _depth(self, demand: Demand) -> int:
        kind = demand.queue, demand.pools
        known = self._depths.get(kind)
        if known is None:
            known = self._depths[kind] = self._policies.of_job(*kind).backfill.depth
        return known

    def _timeline(self) -> Timeline:
        if self._line is None:
            ledger = self._ledger
            self._line = Timeline(ledger.nodes, ledger.free, self._uses, ledger.now)
            self._on = {}
            for use in self._uses:
                if ledger.reserved.keeps_of(use.index):
                    self._on.setdefault(use.index, []).append(use)
        return self._line

    def _first(self, demand: Demand, line: Timeline) -> tuple[int, int] | None:
        """When it has room first, and on which node; of equals the first node."""
        best: tuple[int, int] | None = None
        left = _MOST_TIMES
        for at, index in line.earliest(demand):
            if best is not None and best <= (at, index):
                break
            if not self._ledger.reserved.keeps_of(index):
                return at, index
            times = self._times(line, index, at)[: max(left, 0)]
            left -= len(times)
            start = next(
                (each for each in times if self._has_room(demand, line, index, each)), None
            )
            if start is not None and (best is None or (start, index) < best):
                best = start, index
        return best

    def _times(self, line: Timeline, index: int, first: int) -> list[int]:
        """When a node may begin to have room for a demand that it has none for before `first`."""
        changes = {*line.times(index), *self._ledger.reserved.changes(index)}
        return sorted({first, *(at for at in changes if at > first)})

    def _has_room(self, demand: Demand, line: Timeline, index: int, at: int) -> bool:
        view = self._view(demand, line, index, at)
        return bool(fits(replace(demand, faults=()), view)[0])

    def _view(self, demand: Demand, line: Timeline, index: int, at: int) -> Room[Column]:
        """What of a node is left to a demand from a start on, for as long as it may run."""
        reserved = self._ledger.reserved
        view = line.room_at(index, at)
        for time in (at, *reserved.beginnings(demand, index, at)):
            there = amounts(line.room_at(index, time))
            lower(view, 0, reserved.left_at(demand, index, time, there, self._on.get(index, ())))
        return view


def _type_of(demand: Demand, room: Room[Column]) -> str:
    """Of which type a demand will be given GPUs of a node that has room for it, as a key."""
    if not demand.gpu_count:
        return ANY_GPU_TYPE
    if demand.takes_parts:
        keys = [
            key
            for key in suitable(demand, room, room.gpus)
            if not demand.gpu_memory_bytes or enough_memory(demand, room, key)[0]
        ]
    elif demand.gpu_type:
        keys = [gpu_key(demand.gpu_type)]
    else:
        keys = [key for key in room.gpus if key not in room.parts and key != ANY_GPU_TYPE]
    return min(
        (int(room.memory[key][0]) if demand.gpu_memory_bytes else 0, int(room.gpus[key][0]), key)
        for key in keys
        if room.gpus[key][0] >= demand.gpu_count
    )[2]


def _uses(running: Sequence[Running], ledger: Ledger) -> list[Use]:
    """What is held of the nodes; what should be over by now is over at once."""
    places, soon = ledger.free.places, ledger.now + 1
    return [
        Use(
            index=places[one.node_id],
            end=None if one.expected_end is None else max(one.expected_end, soon),
            cpu_millis=one.cpu_millis,
            memory_bytes=one.memory_bytes,
            gpu_uuids=one.gpu_uuids,
            project=one.project,
            user=one.user,
        )
        for one in running
        if one.node_id in places
    ]
