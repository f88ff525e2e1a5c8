"""What nodes will have when work that is expected to end has ended: a row for each node and each end.

Whole cards are counted: a card that several share is free when the last of them is over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from windlass_server.scheduler.filters import fits
from windlass_server.scheduler.rooms import Column, Room, gpu_key, rows_of
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, Demand, Moment, NodeState


@dataclass(frozen=True, slots=True)
class Use:
    """What work holds of a node.

    Attributes:
        index: of the node.
        end: when it is expected to be over (microseconds since 1970); None: not that one knows.
        cpu_millis: thousandths of a core.
        memory_bytes: bytes.
        gpu_uuids: its GPUs, which it may share.
        project: whose it is.
        user: whose it is in that project.
    """

    index: int
    end: int | None
    cpu_millis: int
    memory_bytes: int
    gpu_uuids: tuple[str, ...]
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


class Timeline:
    """Rows of nodes and times, by node and then by time; the first of each node is now.

    Args:
        nodes: in the order by which a cycle counts them.
        free: what they have now.
        uses: what is held of them.
        now: in microseconds since 1970.

    Attributes:
        room: what there is in each row.
        index: of which node it is.
        at: from when on.
    """

    def __init__(
        self, nodes: Sequence[NodeState], free: Room[Column], uses: Sequence[Use], now: int
    ) -> None:
        count = len(nodes)
        ending = [use for use in uses if use.end is not None]
        cards = _cards(nodes, uses)
        index = np.array(
            [*range(count), *(use.index for use in ending), *(card[0] for card in cards)], np.int64
        )
        at = np.array(
            [*(now,) * count, *(use.end for use in ending), *(card[1] for card in cards)], np.int64
        )
        order = np.lexsort((at, index))
        self.index, self.at = index[order], at[order]
        self._first = np.searchsorted(self.index, np.arange(count + 1))

        def risen(column: Column, amounts: Sequence[int], before: int) -> Column:
            """The column in each row, with amounts of the rows from `before` on added in turn."""
            added = np.zeros(len(index), np.int64)
            added[before : before + len(amounts)] = amounts
            sums = added[order].cumsum()
            rows: Column = column[self.index] + sums - sums[self._first[self.index]]
            return rows

        room = rows_of(free, self.index)
        gpus = {
            key: risen(
                free.gpus.get(key, free.none),
                [int(card[2] == key) for card in cards],
                count + len(ending),
            )
            for key in {*free.gpus, *(card[2] for card in cards)} - {ANY_GPU_TYPE}
        }
        whole = [column for key, column in gpus.items() if key not in free.parts]
        gpus[ANY_GPU_TYPE] = np.max(whole, axis=0) if whole else room.none
        self.room = replace(
            room,
            cpu_millis=risen(free.cpu_millis, [use.cpu_millis for use in ending], count),
            memory_bytes=risen(free.memory_bytes, [use.memory_bytes for use in ending], count),
            gpus=gpus,
            shared=dict.fromkeys(room.shared, room.none),
        )

    def earliest(self, demand: Demand) -> list[tuple[int, int]]:
        """When each node that will hold a demand has room for it, and which it is: the first first."""
        able = np.flatnonzero(fits(replace(demand, faults=()), self.room))
        if not len(able):
            return []
        index = self.index[able]
        first = able[np.append(True, index[1:] != index[:-1])]
        index, at = self.index[first], self.at[first]
        for fault in demand.faults:
            if fault.paused_until is not None and fault.node_id in self.room.places:
                there = index == self.room.places[fault.node_id]
                at[there] = np.maximum(at[there], fault.paused_until)
        order = np.lexsort((index, at))
        return list(zip(at[order].tolist(), index[order].tolist(), strict=True))

    def times(self, index: int) -> list[int]:
        """When a node has more than before, now included."""
        return [int(at) for at in self.at[self._first[index] : self._first[index + 1]]]

    def room_at(self, index: int, at: int) -> Room[Column]:
        """What a node has at a time that is not over, as one row that may be changed."""
        first, behind = self._first[index], self._first[index + 1]
        row = first + np.searchsorted(self.at[first:behind], at, side="right") - 1
        return rows_of(self.room, np.array([row]))


def amounts(room: Room[Column]) -> Amounts:
    """What the first node of a room has."""
    gpus = {key: int(column[0]) for key, column in room.gpus.items() if key != ANY_GPU_TYPE}
    return Amounts(int(room.cpu_millis[0]), int(room.memory_bytes[0]), gpus)


def _cards(nodes: Sequence[NodeState], uses: Sequence[Use]) -> list[tuple[int, int, str]]:
    """The cards that are expected to become free: node, when, and the key of their type."""
    ends: dict[tuple[int, str], int | None] = {}
    for use in uses:
        for uuid in use.gpu_uuids:
            card = use.index, uuid
            known = ends.get(card, 0)
            ends[card] = None if known is None or use.end is None else max(known, use.end)
    types: dict[int, dict[str, str]] = {}
    cards = list[tuple[int, int, str]]()
    for (index, uuid), end in ends.items():
        if end is None:
            continue
        there = types.get(index)
        if there is None:
            there = types[index] = {
                gpu.uuid: gpu_key(gpu.gpu_type)
                for gpu in nodes[index].gpus
                if gpu.healthy and not gpu.going
            }
        if uuid in there:
            cards.append((index, end, there[uuid]))
    return cards
