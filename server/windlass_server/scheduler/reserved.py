"""What is left of the nodes to a job, while a plan is being made, beside what is kept for others.

Reservations keep parts of nodes, and so do promises to jobs that wait (`backfill.py`). What is kept rises
only when a reservation or a promised start begins, and what is held only falls. So a job finds room for
all of its time where it finds it now and at each beginning that it may live to see.

Whether it may live to see the beginning of a reservation its time limit says alone; of a promised start,
what is expected of it.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from windlass_server.scheduler.estimates import FOREVER, Span, cautious
from windlass_server.scheduler.rooms import Column, Room, copied, copy_row, gpu_key
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, Demand, Kept, Moment
from windlass_server.scheduler.timeline import Amounts, Use

Key: TypeAlias = tuple[frozenset[str], int, int, str]
"""What of a demand decides what is left to it: whose parts it may use, the last beginning of a reservation, and
of a promised start, that it may live to see, and inside which reservation it must be."""


@dataclass(slots=True)
class _Part:
    """What is still kept by a reservation or a promise."""

    kept: Kept
    cpu_millis: int
    memory_bytes: int
    gpus: int

    @classmethod
    def of(cls, kept: Kept) -> "_Part":
        return cls(kept, kept.cpu_millis, kept.memory_bytes, kept.gpu_count)

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
class Left:
    """What a node has to give, none of it below 0.

    Attributes:
        kept: the keys of the types of which cards are kept from the demand.
    """

    cpu_millis: int
    memory_bytes: int
    gpus: dict[str, int]
    kept: frozenset[str]


class _Time:
    """When something begins to be kept, with amounts that change as the plan goes on.

    Attributes:
        promised: what begins is a promised start, and no time of a reservation.
    """

    def __init__(
        self, index: int, at: int, amounts: Amounts, parts: list[_Part], *, promised: bool
    ) -> None:
        self.index = index
        self.at = at
        self.promised = promised
        self.parts = parts
        self._cpu_millis = amounts.cpu_millis
        self._memory_bytes = amounts.memory_bytes
        self._gpus = dict(amounts.gpus)

    def left(self, admitted: frozenset[str]) -> Left:
        """What is left for who may use these parts."""
        amounts = Amounts(self._cpu_millis, self._memory_bytes, self._gpus)
        return _left(amounts, self.parts, admitted)

    def take(self, demand: Demand, key: str) -> None:
        self._cpu_millis -= demand.cpu_millis
        self._memory_bytes -= demand.memory_bytes
        self._gpus[key] = self._gpus.get(key, 0) - demand.gpu_count
        self._use_parts(demand, key)

    def join(self, demand: Demand, key: str) -> None:
        """As `take`, of a share of a card that others share: it is not theirs alone any more."""
        self.take(replace(demand, gpu_count=0), key)
        self._gpus[key] = self._gpus.get(key, 0) - demand.gpu_count

    def promise(self, demand: Demand, key: str, kept: Kept) -> None:
        """Keep for a demand what it does not find in the parts that are for it."""
        self._use_parts(demand, key)
        self.parts.append(_Part.of(kept))

    def _use_parts(self, demand: Demand, key: str) -> None:
        rest = demand.cpu_millis, demand.memory_bytes, demand.gpu_count
        # What it names itself is used first.
        named = sorted(self.parts, key=lambda part: part.kept.reservation_id != demand.reservation)
        for part in named if demand.reservation else self.parts:
            if part.kept.admits(demand.project, demand.user):
                of_type = gpu_key(part.kept.gpu_type) == key
                cpu_millis, memory_bytes, gpus = part.give(rest[0], rest[1], rest[2] * of_type)
                rest = cpu_millis, memory_bytes, gpus if of_type else rest[2]


class Reserved:
    """What reservations and promises leave.

    Args:
        moments: of the snapshot.
        places: index of each node by its id; moments of other nodes are left out.
        now: the time of the snapshot.
        span: how long a demand is expected to run.
    """

    def __init__(
        self, moments: Sequence[Moment], places: Mapping[str, int], now: int, span: Span = cautious
    ) -> None:
        self.span = span
        self._now = now
        self._times = [
            _Time(
                places[moment.node_id],
                moment.at,
                Amounts.of(moment),
                [_Part.of(kept) for kept in moment.kept],
                promised=False,
            )
            for moment in sorted(moments, key=lambda moment: (moment.at, moment.node_id))
            if moment.node_id in places
        ]
        self._on: dict[int, list[_Time]] = {}
        for time in self._times:
            self._on.setdefault(time.index, []).append(time)
        self._kept = {
            part.kept.reservation_id: part.kept for time in self._times for part in time.parts
        }
        # What a reservation keeps by now is for those who may use it, whoever is promised it for later.
        self._reserved_now: dict[int, set[str]] = {}
        for time in self._times:
            if time.at <= now:
                ids = {part.kept.reservation_id for part in time.parts}
                self._reserved_now.setdefault(time.index, set()).update(ids)
        self._begins = [time.at for time in self._times]
        self._promised = list[int]()
        self._promised_to = set[str]()
        self._keys: dict[tuple[str, str, str, int, int, str], Key] = {}

    @property
    def keeps_any(self) -> bool:
        """Whether something is kept of some node."""
        return bool(self._times)

    def key(self, demand: Demand) -> Key | None:
        """The same for demands to which the same is left; None when nothing is kept at all."""
        if not self._times:
            return None
        mine = demand.job_id if demand.job_id in self._promised_to else ""
        firm, expected = self._lives(demand, self._now)
        asked = demand.project, demand.user, mine, firm, expected, demand.reservation
        known = self._keys.get(asked)
        if known is None:
            admitted = {mine} if mine else set[str]()
            admitted.update(
                kept.reservation_id
                for kept in self._kept.values()
                if kept.admits(demand.project, demand.user)
            )
            known = self._keys[asked] = (
                frozenset(admitted),
                _last_before(firm, self._begins),
                _last_before(expected, self._promised),
                demand.reservation,
            )
        return known

    def begins(self) -> list[int]:
        """When something begins to be kept after now, in microseconds since 1970, each once."""
        return sorted({time.at for time in self._times if time.at > self._now})

    def view(self, demand: Demand, room: Room[Column], *, promised: bool = True) -> Room[Column]:
        """The room without what is kept from the demand; the same room when nothing is.

        Args:
            demand: it.
            room: what there is.
            promised: take account of promises too.
        """
        key = self.key(demand)
        if key is None:
            return room
        view = copied(room)
        for time in self._seen(key):
            if (promised or not time.promised) and self._binds(time, key[0]):
                lower(view, time.index, time.left(key[0]))
        if key[3]:
            self._leave_only(view, key[3])
        return view

    def renew(self, view: Room[Column], key: Key, room: Room[Column], index: int) -> None:
        """Make one row of a view anew, which is of demands of a key."""
        copy_row(view, room, index)
        admitted, firm, promised, inside = key
        for time in self._on.get(index, ()):
            seen = time.at <= (promised if time.promised else firm)
            if seen and self._binds(time, admitted):
                lower(view, index, time.left(admitted))
        if inside:
            self._confine(view, index, inside)

    def _leave_only(self, view: Room[Column], reservation_id: str) -> None:
        """Leave of all nodes no more than a reservation keeps of them now."""
        others = np.ones(len(view.none), np.bool_)
        others[self.nodes] = False
        columns = (view.cpu_millis, view.memory_bytes)
        by_type = (view.gpus, view.islands, view.shared)
        for column in (*columns, *(each for those in by_type for each in those.values())):
            column[others] = 0
        for index in self.nodes:
            self._confine(view, index, reservation_id)

    def _confine(self, view: Room[Column], index: int, reservation_id: str) -> None:
        """Leave of a node no more than a reservation keeps of it now."""
        cpu_millis, memory_bytes, gpus = 0, 0, dict[str, int]()
        for time in self._on.get(index, ()):
            for part in time.parts if time.at <= self._now and not time.promised else ():
                if part.kept.reservation_id == reservation_id:
                    cpu_millis += part.cpu_millis
                    memory_bytes += part.memory_bytes
                    key = gpu_key(part.kept.gpu_type)
                    gpus[key] = gpus.get(key, 0) + part.gpus
        lower(view, index, Left(cpu_millis, memory_bytes, gpus, frozenset(view.shared)))

    def take(self, index: int, demand: Demand, gpu_type: str) -> None:
        """Note that a node was given to a demand, with GPUs of which type (its key)."""
        for time in self._lived_through(index, demand, self._now):
            time.take(demand, gpu_type)

    def join(self, index: int, demand: Demand, gpu_type: str) -> None:
        """As `take`, of a share of a card that others share already."""
        for time in self._lived_through(index, demand, self._now):
            time.join(demand, gpu_type)

    def in_the_way(
        self, demand: Demand, indexes: Iterable[int], *, promised: bool = False
    ) -> list[tuple[int, int, Kept]]:
        """What is kept from the demand on these nodes in its time: node, from when on, and what.

        Args:
            demand: it.
            indexes: the nodes.
            promised: what is by promises, instead of what is by reservations.
        """
        key = self.key(demand)
        if key is None:
            return []
        wanted = set(indexes)
        return [
            (time.index, time.at, part.kept)
            for time in self._seen(key)
            if time.index in wanted and time.promised == promised and self._binds(time, key[0])
            for part in time.parts
            if part.kept.reservation_id not in key[0]
            and (part.kept.reservation_id in self._promised_to) == promised
        ]

    def _binds(self, time: _Time, admitted: frozenset[str]) -> bool:
        """Whether what is kept from then on stands in the way of those who may use these reservations."""
        return not time.promised or not (
            admitted and admitted & self._reserved_now.get(time.index, set())
        )

    def _seen(self, key: Key) -> Iterator[_Time]:
        """The times that a demand of this key may live to see."""
        _, firm, promised, _ = key
        return (time for time in self._times if time.at <= (promised if time.promised else firm))

    def _lived_through(self, index: int, demand: Demand, begin: int) -> Iterator[_Time]:
        """The times of a node that a demand may live to see that begins then, now or later."""
        firm, expected = self._lives(demand, begin)
        for time in self._on.get(index, ()):
            if time.at < (expected if time.promised else firm):
                yield time

    def _lives(self, demand: Demand, begin: int) -> tuple[int, int]:
        """Until when it may run, and is expected to, if it begins then."""
        limit, span = demand.time_limit, self.span(demand)
        return (
            FOREVER if limit is None else begin + limit,
            FOREVER if span is None else begin + span,
        )

    @property
    def nodes(self) -> list[int]:
        """The nodes of which something is kept, now or later."""
        return sorted(self._on)

    def keeps_of(self, index: int) -> bool:
        """Whether something is kept of a node, now or later."""
        return index in self._on

    def changes(self, index: int) -> set[int]:
        """When less is kept of a node than before."""
        return {
            part.kept.until
            for time in self._on.get(index, ())
            for part in time.parts
            if part.kept.until < FOREVER
        }

    def beginnings(self, demand: Demand, index: int, begin: int) -> list[int]:
        """When more is kept of a node than before, as long as a demand may run that begins then."""
        return [time.at for time in self._lived_through(index, demand, begin) if time.at > begin]

    def left_at(
        self, demand: Demand, index: int, at: int, there: Amounts, uses: Iterable[Use]
    ) -> Left:
        """What a node will have for a demand at some time.

        Args:
            demand: it.
            index: the node.
            at: when.
            there: what the node will have then.
            uses: what holds parts of the node; what of that is over by then leaves to the reservations
                for it what it has used of them.
        """
        key = self.key(demand)
        before = [time for time in self._on.get(index, ()) if time.at <= at]
        if key is None or not before:
            return _left(there, (), frozenset())
        parts = _still(before[-1].parts, at)
        over = [use for use in uses if use.end is not None and before[-1].at < use.end <= at]
        for use in over:
            for part in parts:
                if part.kept.admits(use.project, use.user):
                    part.cpu_millis += use.cpu_millis
                    part.memory_bytes += use.memory_bytes
                    part.gpus += len(use.gpu_uuids) if part.kept.gpu_count else 0
                    break
        return _left(there, parts, key[0])

    def promise(self, demand: Demand, index: int, at: int, there: Amounts, gpu_type: str) -> None:
        """Keep for a demand what it needs, from a start on for as long as it is expected to run.

        Args:
            demand: it.
            index: the node.
            at: when it is to start.
            there: what the node will have then.
            gpu_type: of which type its GPUs will be (their key).
        """
        _, until = self._lives(demand, at)
        here = self._on.setdefault(index, [])
        before = [time for time in here if time.at <= at]
        parts = _still(before[-1].parts, at) if before else []
        time = _Time(index, at, there, parts, promised=True)
        insort(here, time, key=_begin)
        insort(self._times, time, key=_begin)
        insort(self._promised, at)
        kept = Kept(
            reservation_id=demand.job_id,
            project="",
            users=frozenset(),
            cpu_millis=demand.cpu_millis,
            memory_bytes=demand.memory_bytes,
            gpu_count=demand.gpu_count,
            gpu_type=gpu_type,
            until=until,
        )
        for each in here:
            if at <= each.at < until:
                each.promise(demand, gpu_type, kept)
        self._promised_to.add(demand.job_id)
        self._keys.clear()


def _begin(time: _Time) -> int:
    return time.at


def _last_before(end: int, begins: Sequence[int]) -> int:
    """The last of these that is before an end; what has no end may see any."""
    if end == FOREVER:
        return FOREVER
    count = bisect_left(begins, end)
    return begins[count - 1] if count else -1


def _still(parts: Iterable[_Part], at: int) -> list[_Part]:
    """What is still kept of these at some time, apart from them."""
    return [replace(part) for part in parts if part.kept.until > at]


def _left(there: Amounts, parts: Iterable[_Part], admitted: frozenset[str]) -> Left:
    cpu_millis, memory_bytes, gpus = there.cpu_millis, there.memory_bytes, dict(there.gpus)
    kept = set[str]()
    for part in parts:
        if part.kept.reservation_id not in admitted:
            cpu_millis -= part.cpu_millis
            memory_bytes -= part.memory_bytes
            key = gpu_key(part.kept.gpu_type)
            kept.add(key)
            gpus[key] = gpus.get(key, 0) - part.gpus
    return Left(
        max(cpu_millis, 0),
        max(memory_bytes, 0),
        {key: max(count, 0) for key, count in gpus.items()},
        frozenset(kept),
    )


def lower(room: Room[Column], index: int, left: Left) -> None:
    """Lower what a node has to give to this, where it is more."""
    room.cpu_millis[index] = min(room.cpu_millis[index], left.cpu_millis)
    room.memory_bytes[index] = min(room.memory_bytes[index], left.memory_bytes)
    most = 0
    for key, column in room.gpus.items():
        if key != ANY_GPU_TYPE:
            column[index] = min(column[index], left.gpus.get(key, 0))
            most = max(most, int(column[index]) if key not in room.parts else 0)
    room.gpus[ANY_GPU_TYPE][index] = most
    # It is not said which cards are kept: those of the largest island are kept last.
    for key, column in room.islands.items():
        column[index] = min(column[index], room.gpus[key][index] if key in room.gpus else 0)
    # Who joins those that share a card may be the last of them: it takes as much as a whole one.
    most = 0
    for key, column in room.shared.items():
        if key != ANY_GPU_TYPE:
            if key in left.kept and not left.gpus.get(key, 0):
                column[index] = 0
            most = max(most, int(column[index]))
    room.shared[ANY_GPU_TYPE][index] = most
