"""What reservations leave of the nodes to a job, while a plan is being made.

What is kept rises only when a reservation begins, and what is held only falls. So a job finds room for
all of its time where it finds it now and at each beginning that it may live to see.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from windlass_server.scheduler.rooms import Column, Room, copied, gpu_key
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, Demand, Kept, Moment

Key: TypeAlias = tuple[frozenset[str], int | None]
"""What of a demand decides what is left to it: the reservations that admit it, and how many moments,
in the order of their times, it may live to see."""


@dataclass(slots=True)
class _Part:
    """What is still kept by a reservation."""

    kept: Kept
    cpu_millis: int
    memory_bytes: int
    gpus: int

    def give(self, cpu_millis: int, memory_bytes: int, gpus: int) -> tuple[int, int, int]:
        """Let work use it that it is for; what that needs beyond it."""
        used = (
            min(cpu_millis, self.cpu_millis),
            min(memory_bytes, self.memory_bytes),
            min(gpus, self.gpus),
        )
        self.cpu_millis -= used[0]
        self.memory_bytes -= used[1]
        self.gpus -= used[2]
        return cpu_millis - used[0], memory_bytes - used[1], gpus - used[2]


@dataclass(frozen=True, slots=True)
class _Left:
    """What a node has to give, none of it below 0.

    Attributes:
        kept: the keys of the types of which cards are kept from the demand.
    """

    cpu_millis: int
    memory_bytes: int
    gpus: dict[str, int]
    kept: frozenset[str]


class _Time:
    """A moment whose amounts change as the plan goes on."""

    def __init__(self, moment: Moment, index: int) -> None:
        self.index = index
        self.at = moment.at
        self._cpu_millis = moment.cpu_millis
        self._memory_bytes = moment.memory_bytes
        self._gpus = {gpu_key(gpu_type): count for gpu_type, count in moment.gpus.items()}
        self.parts = [
            _Part(kept, kept.cpu_millis, kept.memory_bytes, kept.gpu_count) for kept in moment.kept
        ]

    def left(self, admitted: frozenset[str]) -> "_Left":
        """What is left for who is admitted to these reservations."""
        cpu_millis, memory_bytes, gpus = self._cpu_millis, self._memory_bytes, dict(self._gpus)
        kept = set[str]()
        for part in self.parts:
            if part.kept.reservation_id not in admitted:
                cpu_millis -= part.cpu_millis
                memory_bytes -= part.memory_bytes
                key = gpu_key(part.kept.gpu_type)
                kept.add(key)
                gpus[key] = gpus.get(key, 0) - part.gpus
        return _Left(
            max(cpu_millis, 0),
            max(memory_bytes, 0),
            {key: max(count, 0) for key, count in gpus.items()},
            frozenset(kept),
        )

    def take(self, demand: Demand, key: str) -> None:
        self._cpu_millis -= demand.cpu_millis
        self._memory_bytes -= demand.memory_bytes
        self._gpus[key] = self._gpus.get(key, 0) - demand.gpu_count
        rest = demand.cpu_millis, demand.memory_bytes, demand.gpu_count
        for part in self.parts:
            if part.kept.admits(demand.project, demand.user):
                of_type = gpu_key(part.kept.gpu_type) == key
                cpu_millis, memory_bytes, gpus = part.give(rest[0], rest[1], rest[2] * of_type)
                rest = cpu_millis, memory_bytes, gpus if of_type else rest[2]

    def join(self, demand: Demand, key: str) -> None:
        """As `take`, of a share of a card that others share: it is not theirs alone any more."""
        self.take(replace(demand, gpu_count=0), key)
        self._gpus[key] = self._gpus.get(key, 0) - demand.gpu_count


class Reserved:
    """What reservations leave.

    Args:
        moments: of the snapshot.
        places: index of each node by its id; moments of other nodes are left out.
        now: the time of the snapshot.
    """

    def __init__(self, moments: Sequence[Moment], places: dict[str, int], now: int) -> None:
        there = [moment for moment in moments if moment.node_id in places]
        self._now = now
        self._times = [
            _Time(moment, places[moment.node_id])
            for moment in sorted(there, key=lambda moment: (moment.at, moment.node_id))
        ]
        self._at = [time.at for time in self._times]
        self._kept = {
            part.kept.reservation_id: part.kept for time in self._times for part in time.parts
        }
        self._keys: dict[tuple[str, str, int | None], Key] = {}

    def key(self, demand: Demand) -> Key | None:
        """The same for demands to which the same is left; None when nothing is reserved at all."""
        if not self._times:
            return None
        asked = demand.project, demand.user, demand.time_limit
        known = self._keys.get(asked)
        if known is None:
            admitted = frozenset(
                kept.reservation_id
                for kept in self._kept.values()
                if kept.admits(demand.project, demand.user)
            )
            known = self._keys[asked] = admitted, self._reach(demand)
        return known

    def begins(self) -> list[int]:
        """When something begins to be kept after now, in microseconds since 1970, each once."""
        return sorted({at for at in self._at if at > self._now})

    def view(self, demand: Demand, room: Room[Column]) -> Room[Column]:
        """The room without what is kept from the demand; the same room when nothing is."""
        key = self.key(demand)
        if key is None:
            return room
        admitted, reach = key
        view = copied(room)
        for time in self._times[:reach]:
            _lower(view, time.index, time.left(admitted))
        return view

    def take(self, index: int, demand: Demand, gpu_type: str) -> None:
        """Note that a node was given to a demand, with GPUs of which type (its key)."""
        for time in self._times[: self._reach(demand)]:
            if time.index == index:
                time.take(demand, gpu_type)

    def join(self, index: int, demand: Demand, gpu_type: str) -> None:
        """As `take`, of a share of a card that others share already."""
        for time in self._times[: self._reach(demand)]:
            if time.index == index:
                time.join(demand, gpu_type)

    def in_the_way(self, demand: Demand, indexes: Iterable[int]) -> list[tuple[int, int, Kept]]:
        """What is kept from the demand on these nodes in its time: node, from when on, and what."""
        key = self.key(demand)
        if key is None:
            return []
        admitted, reach = key
        wanted = set(indexes)
        return [
            (time.index, time.at, part.kept)
            for time in self._times[:reach]
            if time.index in wanted
            for part in time.parts
            if part.kept.reservation_id not in admitted
        ]

    def _reach(self, demand: Demand) -> int | None:
        """How many moments the demand may live to see if it begins now; None: all."""
        if demand.time_limit is None:
            return None
        return int(np.searchsorted(self._at, self._now + demand.time_limit, side="left"))


def _lower(room: Room[Column], index: int, left: _Left) -> None:
    """Lower what a node has to give to this, where it is more."""
    room.cpu_millis[index] = min(room.cpu_millis[index], left.cpu_millis)
    room.memory_bytes[index] = min(room.memory_bytes[index], left.memory_bytes)
    most = 0
    for key, column in room.gpus.items():
        if key != ANY_GPU_TYPE:
            column[index] = min(column[index], left.gpus.get(key, 0))
            most = max(most, int(column[index]) if key not in room.parts else 0)
    room.gpus[ANY_GPU_TYPE][index] = most
    # Who joins those that share a card may be the last of them: it takes as much as a whole one.
    most = 0
    for key, column in room.shared.items():
        if key != ANY_GPU_TYPE:
            if key in left.kept and not left.gpus.get(key, 0):
                column[index] = 0
            most = max(most, int(column[index]))
    room.shared[ANY_GPU_TYPE][index] = most
