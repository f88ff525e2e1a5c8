"""The rooms of all nodes as columns, of which only those are made anew whose nodes are new.

From one cycle to the next hardly any node changes, and one that does not is the same object: to look at
every GPU of five thousand again would take longer than to plan. What is remembered here decides nothing:
columns are equal however they came to be, but that one may be all zeros where it could be left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from windlass_server.scheduler.rooms import Column, Room, free_room, full_room, in_columns
from windlass_server.scheduler.snapshot import NodeState

# What is of no node in particular, or the same whatever becomes of one.
_UNCHANGED = ("none", "places", "index", "parts")


@dataclass(frozen=True, slots=True)
class _Made:
    """What was made last, and of what; never changed, so that several may plan at once."""

    nodes: tuple[NodeState, ...]
    rooms: tuple[Room[int], ...]
    columns: Room[Column]


_FIELDS = tuple(each.name for each in fields(Room))


class _Columns:
    """Remembers the columns of the last nodes that were asked for.

    Args:
        room: makes the room of one.
    """

    def __init__(self, room: Callable[[NodeState], Room[int]]) -> None:
        self._room = room
        self._last = _Made((), (), _fixed(in_columns(())))

    def of(self, nodes: tuple[NodeState, ...]) -> Room[Column]:
        """The columns of these nodes, which nobody may write into."""
        last = self._last
        if len(nodes) == 1 < len(last.nodes):
            # Asked for between those of all, which shall be remembered.
            return _fixed(in_columns([self._room(nodes[0])]))
        if len(nodes) == len(last.nodes):
            pairs = zip(last.nodes, nodes, strict=True)
            changed = [index for index, (before, now) in enumerate(pairs) if before is not now]
            if not changed:
                return last.columns
            rooms = list(last.rooms)
            for index in changed:
                rooms[index] = self._room(nodes[index])
            # What a node has when nothing runs there is the same for most of its changes.
            other = [index for index in changed if rooms[index] != last.rooms[index]]
            if not other:
                self._last = _Made(nodes, tuple(rooms), last.columns)
                return last.columns
            alike = all(_can_replace(rooms[index], last, index) for index in other)
            columns = _with(last.columns, rooms, other) if alike else in_columns(rooms)
        else:
            known = {id(node): room for node, room in zip(last.nodes, last.rooms, strict=True)}
            rooms = [known.get(id(node)) or self._room(node) for node in nodes]
            columns = in_columns(rooms)
        self._last = _Made(nodes, tuple(rooms), _fixed(columns))
        return columns


def _can_replace(room: Room[int], last: _Made, index: int) -> bool:
    """Whether there is a column for all that a room has, and it is of the same node."""
    before, columns = last.rooms[index], last.columns
    if room.places != before.places or room.parts != before.parts:
        return False
    return all(
        getattr(room, name).keys() <= getattr(columns, name).keys()
        for name in _names(columns, Mapping)
    )


def _with(columns: Room[Column], rooms: Sequence[Room[int]], changed: list[int]) -> Room[Column]:
    """The same columns, with those of some rooms in their rows."""
    some = [rooms[index] for index in changed]

    def column(before: Column, values: list[int]) -> Column:
        after = before.copy()
        after[changed] = values
        return after

    made: dict[str, Any] = {name: getattr(columns, name) for name in _UNCHANGED}
    for name in _names(columns, np.ndarray):
        made[name] = column(getattr(columns, name), [getattr(room, name) for room in some])
    for name in _names(columns, Mapping):
        amounts = [getattr(room, name) for room in some]
        made[name] = {
            key: column(before, [amount.get(key, 0) for amount in amounts])
            for key, before in getattr(columns, name).items()
        }
    return Room(**made)


def _names(columns: Room[Column], kind: type) -> list[str]:
    """The fields that hold a column, or columns by name."""
    return [
        name
        for name in _FIELDS
        if name not in _UNCHANGED and isinstance(getattr(columns, name), kind)
    ]


def _fixed(columns: Room[Column]) -> Room[Column]:
    """The same, into which nobody can write."""
    columns.none.flags.writeable = columns.index.flags.writeable = False
    for name in _names(columns, np.ndarray):
        getattr(columns, name).flags.writeable = False
    for name in _names(columns, Mapping):
        for column in getattr(columns, name).values():
            column.flags.writeable = False
    return columns


_FREE, _FULL = _Columns(free_room), _Columns(full_room)


def free_columns(nodes: Sequence[NodeState]) -> Room[Column]:
    """What nodes can give now, in their order; copy it before you take of it."""
    return _FREE.of(tuple(nodes))


def full_columns(nodes: Sequence[NodeState]) -> Room[Column]:
    """What nodes can give when nothing runs, in their order; nobody may write into it."""
    return _FULL.of(tuple(nodes))
