"""What nodes will have when work that is expected to end has ended: a row for each node and each end.

Whole cards are counted: a card that several share is free when the last of them is over. What has no known
end is over `BEYOND` all others, in the order in which it began.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np

from windlass_server.scheduler.estimates import BEYOND
from windlass_server.scheduler.filters import fits
from windlass_server.scheduler.rooms import Column, Mask, Room, gpu_key, rows_of
from windlass_server.scheduler.run_columns import UNKNOWN, columns_of
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, Demand, Moment, NodeState, Running


class Use(NamedTuple):
    """What work holds of a node.

    Attributes:
        node: its index.
        end: when it is expected to be over (microseconds since 1970); None: not that one knows.
        cpu_millis: thousandths of a core.
        memory_bytes: bytes.
        gpu_uuids: its GPUs.
        gpu_type: their type; empty for none.
        shares: others may have parts of them too.
        project: whose it is.
        user: whose it is in that project.
    """

    node: int
    end: int | None
    cpu_millis: int
    memory_bytes: int
    gpu_uuids: tuple[str, ...]
    gpu_type: str
    shares: bool
    project: str
    user: str


@dataclass(frozen=True, slots=True)
class Amounts:
    """What a node has to give at some time: CPU, memory, and GPUs by the keys of their types."""

    cpu_millis: int
    memory_bytes: int
    gpus: Mapping[str, int]

    @classmethod
    def of(cls, moment: Moment) -> "Amounts":
        """As a snapshot says it."""
        gpus = {gpu_key(gpu_type): count for gpu_type, count in moment.gpus.items()}
        return cls(moment.cpu_millis, moment.memory_bytes, gpus)


_Row: TypeAlias = tuple[int, int, int, int, int, int]
"""What is free of which node from when on: CPU, memory, and how many GPUs of the type of which number."""


class Endings:
    """What becomes free when, of all that is held.

    Args:
        nodes: in the order by which a cycle counts them.
        now: in microseconds since 1970.

    Attributes:
        any: whether anything does.
        gpu_types: keys of types, by the numbers that endings have for them.
    """

    def __init__(self, nodes: Sequence[NodeState], now: int) -> None:
        self._nodes = nodes
        self._now = now
        self.gpu_types: dict[str, int] = {}
        # The same by types as they are spelled.
        self._numbers: dict[str, int] = {}
        self._good: dict[int, frozenset[str] | None] = {}
        # Cards that are shared, and when the last of those is over that share them.
        self._cards: dict[tuple[int, str, str], int] = {}
        # Of each node a first row without an end.
        self._rows = [np.array([(index, now, 0, 0, 0, 0) for index in range(len(nodes))], np.int64)]

    def add(self, uses: Iterable[Use]) -> None:
        """Take account of more, which begins now."""
        rows = list[_Row]()
        for use in uses:
            end = self._now + BEYOND if use.end is None else use.end
            if use.shares:
                self._share(use.node, end, use.gpu_uuids, use.gpu_type)
            count = 0 if use.shares else self._count(use.node, use.gpu_uuids)
            kind = self._number(use.gpu_type) if count else 0
            rows.append((use.node, end, use.cpu_millis, use.memory_bytes, count, kind))
        if rows:
            self._rows.append(np.array(rows, np.int64))

    def add_running(self, running: Sequence[Running], places: Mapping[str, int]) -> None:
        """Take account of what runs, by the index of each node; what should be over is over at once."""
        runs = columns_of(running)
        node = runs.on(places)
        later = np.maximum(runs.expected_end, self._now + 1)
        end = np.where(runs.expected_end == UNKNOWN, runs.started_at + BEYOND, later)
        count = np.where(runs.shares, 0, runs.gpus)
        there = node >= 0
        for each in np.flatnonzero(there & runs.shares):
            one = runs.runs[each]
            self._share(int(node[each]), int(end[each]), one.gpu_uuids, one.gpu_type)
        for each in np.flatnonzero(there & (count > 0) & _PARTLY_GOOD.of(self._nodes)[node]):
            count[each] = self._count(int(node[each]), runs.runs[each].gpu_uuids)
        kinds = [self._number(kind) if kind else 0 for kind in runs.kinds]
        kind = np.array(kinds, np.int64)[runs.kind] if kinds else runs.kind
        rows = np.stack([node, end, runs.cpu, runs.memory, count, np.where(count > 0, kind, 0)], 1)
        if there.any():
            self._rows.append(rows[there])

    @property
    def any(self) -> bool:
        """Whether anything is held that ends."""
        return len(self._rows) > 1 or bool(self._cards)

    def all(self) -> Column:
        """A row for each node and each ending, with the columns of `_Row`."""
        cards = [
            (node, end, 0, 0, self._count(node, (uuid,)), self._number(gpu_type))
            for (node, uuid, gpu_type), end in self._cards.items()
        ]
        if len(self._rows) > 1:
            self._rows = [np.concatenate(self._rows)]
        rows: Column = np.concatenate([*self._rows, np.array(cards, np.int64).reshape(-1, 6)])
        return rows

    def _share(self, node: int, end: int, uuids: Iterable[str], gpu_type: str) -> None:
        for uuid in uuids:
            card = node, uuid, gpu_type
            self._cards[card] = max(self._cards.get(card, 0), end)

    def _count(self, node: int, uuids: Sequence[str]) -> int:
        """How many of these GPUs can be given out when they are free."""
        if node not in self._good:
            gpus = self._nodes[node].gpus
            good = frozenset(gpu.uuid for gpu in gpus if gpu.healthy and not gpu.going)
            self._good[node] = good if len(good) < len(gpus) else None
        of = self._good[node]
        return len(uuids) if of is None else len(of.intersection(uuids))

    def _number(self, gpu_type: str) -> int:
        known = self._numbers.get(gpu_type)
        if known is None:
            key = gpu_key(gpu_type)
            known = self.gpu_types.setdefault(key, len(self.gpu_types))
            self._numbers[gpu_type] = known
        return known


class _PartlyGood:
    """Of which nodes some GPUs cannot be given out; remembered of the last nodes, of which most are the same."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[NodeState, bool]] = {}

    def of(self, nodes: Sequence[NodeState]) -> Mask:
        """In the order of the nodes."""
        last = self._last
        pairs = [last.get(id(node)) or (node, _is_partly_good(node)) for node in nodes]
        self._last = {id(node): pair for node, pair in zip(nodes, pairs, strict=True)}
        return np.array([partly for _, partly in pairs], np.bool_)


def _is_partly_good(node: NodeState) -> bool:
    return any(not gpu.healthy or gpu.going for gpu in node.gpus)


_PARTLY_GOOD = _PartlyGood()


class Timeline:
    """Rows of nodes and times, by node and then by time; the first of each node is now.

    Args:
        free: what the nodes have now.
        endings: what they have more later.
        full: what they have when they are empty. Of the GPUs that reach each other no more is known here than
            that, and how many there are at all (`islands_ahead.py`).
    """

    def __init__(self, free: Room[Column], endings: Endings, full: Room[Column]) -> None:
        table = endings.all()
        table = table[np.lexsort((table[:, 1], table[:, 0]))]
        self._index, self._at, cpu_millis, memory_bytes, count, types = table.T
        self._first: list[int] = np.searchsorted(
            self._index, np.arange(len(free.none) + 1)
        ).tolist()
        self._amounts: dict[int, Amounts] = {}
        starts = np.array(self._first)[self._index]

        def risen(column: Column, added: Column) -> Column:
            """The column in each row, with what was added up to there."""
            sums = added.cumsum()
            rows: Column = column[self._index] + sums - sums[starts]
            return rows

        numbers = endings.gpu_types
        gpus = {
            key: risen(free.gpus.get(key, free.none), count * (types == numbers.get(key, -1)))
            for key in {*free.gpus, *numbers} - {ANY_GPU_TYPE}
        }
        room = rows_of(free, self._index)
        whole = [column for key, column in gpus.items() if key not in free.parts]
        gpus[ANY_GPU_TYPE] = np.max(whole, axis=0) if whole else room.none
        self._room = replace(
            room,
            cpu_millis=risen(free.cpu_millis, cpu_millis),
            memory_bytes=risen(free.memory_bytes, memory_bytes),
            gpus=gpus,
            islands={
                key: np.minimum(full.islands.get(key, full.none)[self._index], column)
                for key, column in gpus.items()
            },
            shared=dict.fromkeys(room.shared, room.none),
        )

    def earliest(self, demand: Demand) -> list[tuple[int, int]]:
        """When each node that will hold a demand has room for it, and which it is: the first first."""
        able = np.flatnonzero(fits(without_faults(demand), self._room))
        if not len(able):
            return []
        index = self._index[able]
        first = able[np.append(True, index[1:] != index[:-1])]
        index, at = self._index[first], self._at[first]
        for fault in demand.faults:
            if fault.paused_until is not None and fault.node_id in self._room.places:
                there = index == self._room.places[fault.node_id]
                at[there] = np.maximum(at[there], fault.paused_until)
        order = np.lexsort((index, at))
        return list(zip(at[order].tolist(), index[order].tolist(), strict=True))

    def times(self, index: int) -> list[int]:
        """When a node has more than before, now included."""
        return [int(at) for at in self._at[self._first[index] : self._first[index + 1]]]

    def amounts(self, index: int, at: int) -> Amounts:
        """What a node has at a time that is not over."""
        row = self._row(index, at)
        known = self._amounts.get(row)
        if known is None:
            room = self._room
            known = self._amounts[row] = Amounts(
                int(room.cpu_millis[row]),
                int(room.memory_bytes[row]),
                {key: int(count[row]) for key, count in room.gpus.items() if key != ANY_GPU_TYPE},
            )
        return known

    def room_at(self, index: int, at: int) -> Room[Column]:
        """The same, as one row that may be changed."""
        return rows_of(self._room, np.array([self._row(index, at)]))

    def all_at(self, at: int) -> Room[Column]:
        """What every node has at a time that is not over, which may be changed."""
        first = np.array(self._first[:-1])
        counts = np.add.reduceat(self._at <= at, first, dtype=np.int64)
        return rows_of(self._room, first + counts - 1)

    def _row(self, index: int, at: int) -> int:
        first, behind = self._first[index], self._first[index + 1]
        return bisect_right(self._at, at, first, behind) - 1


def without_faults(demand: Demand) -> Demand:
    """A demand as it is where it is not asked which nodes failed it."""
    return replace(demand, faults=()) if demand.faults else demand
