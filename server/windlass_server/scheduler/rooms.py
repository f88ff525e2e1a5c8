"""What nodes have to give, as one number for a node or as one array for all of them.

Filters and scores are written once, over `Room[T]`: with `T = int` they answer for one node (the
submit check, the guard of a commit), with `T = Column` for every node in one numpy step (the
planner, explanations). So the answers cannot differ.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, Gpu, NodeState

Column: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]

T = TypeVar("T", int, Column)

ANY_DEVICE = "*"
"""As a key: no type is called that."""


@dataclass(frozen=True, slots=True)
class Room(Generic[T]):
    """An amount of each dimension: what is free now, or what there is when nothing runs.

    Attributes:
        ready: 1 where an agent is connected, else 0.
        takes_work: 1 where new work may be placed, 0 on nodes that are cordoned or being drained.
        isolation: the strongest isolation level.
        cpu_millis: thousandths of a core.
        memory_bytes: bytes.
        gpus: devices that can be given out, by `gpu_key` of their type. `ANY_GPU_TYPE` holds the
            most that there are of one type of whole GPUs, because one job's GPUs are of one type.
        installed: devices that are there, healthy or not, held or not, by the same keys; and by
            `ANY_DEVICE` all of them, instances of divided cards too.
        none: zero in the form of the others.
        places: index of each node by its id; empty where it does not matter which node it is.
        pools: 1 where a node is in a pool, else 0, by the pool's name.
        parts: the keys of types that are instances of divided cards.
    """

    ready: T
    takes_work: T
    isolation: T
    cpu_millis: T
    memory_bytes: T
    gpus: dict[str, T]
    installed: dict[str, T]
    none: T
    places: dict[str, int]
    pools: dict[str, T]
    parts: frozenset[str] = frozenset()


def gpu_key(gpu_type: str) -> str:
    """The spelling under which types are compared: case matters not."""
    return gpu_type.casefold()


def free_room(node: NodeState) -> Room[int]:
    """What a node can give now."""
    given = [gpu for gpu in node.gpus if gpu.healthy and not gpu.held]
    return Room(
        ready=int(node.ready),
        takes_work=int(node.takes_work),
        isolation=node.isolation_level,
        cpu_millis=node.cpu_free,
        memory_bytes=node.memory_free,
        gpus=_by_type(given),
        installed=_installed(node),
        none=0,
        places={node.node_id: 0},
        pools={node.pool: 1},
        parts=_parts(node),
    )


def full_room(node: NodeState) -> Room[int]:
    """What a node can give once it is open and reachable, empty, and its GPUs are repaired.

    Unhealthy GPUs count: health comes back, and a job is not refused for a fault of today. For the
    same reason it does not matter whether the node has failed the job.
    """
    installed = _installed(node)
    return Room(
        ready=1,
        takes_work=1,
        isolation=node.isolation_level,
        cpu_millis=node.cpu_millis,
        memory_bytes=node.memory_bytes,
        gpus=installed,
        installed=installed,
        none=0,
        places={},
        pools={node.pool: 1},
        parts=_parts(node),
    )


def in_columns(rooms: Sequence[Room[int]]) -> Room[Column]:
    """The same rooms as arrays, in the same order."""
    return Room(
        ready=_column([room.ready for room in rooms]),
        takes_work=_column([room.takes_work for room in rooms]),
        isolation=_column([room.isolation for room in rooms]),
        cpu_millis=_column([room.cpu_millis for room in rooms]),
        memory_bytes=_column([room.memory_bytes for room in rooms]),
        gpus=_columns_by_type([room.gpus for room in rooms]),
        installed=_columns_by_type([room.installed for room in rooms]),
        none=np.zeros(len(rooms), np.int64),
        places={node_id: index for index, room in enumerate(rooms) for node_id in room.places},
        pools=_columns_by_name([room.pools for room in rooms]),
        parts=frozenset().union(*(room.parts for room in rooms)),
    )


def copied(room: Room[Column]) -> Room[Column]:
    """A room whose free amounts can be changed; what a plan cannot change is shared."""
    return replace(
        room,
        cpu_millis=room.cpu_millis.copy(),
        memory_bytes=room.memory_bytes.copy(),
        gpus={key: column.copy() for key, column in room.gpus.items()},
    )


def marked(room: Room[T], node_ids: Iterable[str]) -> T:
    """1 for each of these nodes that the room tells apart, 0 for the others."""
    found = [room.places[node_id] for node_id in node_ids if node_id in room.places]
    if isinstance(room.none, int):
        return int(bool(found))
    marks = room.none.copy()
    marks[found] = 1
    return marks


def _parts(node: NodeState) -> frozenset[str]:
    return frozenset(gpu.gpu_type.casefold() for gpu in node.gpus if gpu.part)


def _installed(node: NodeState) -> dict[str, int]:
    return _by_type(node.gpus) | {ANY_DEVICE: len(node.gpus)}


def _by_type(gpus: Sequence[Gpu]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for gpu in gpus:
        key = gpu.gpu_type.casefold()
        counts[key] = counts.get(key, 0) + 1
    whole = {gpu.gpu_type.casefold() for gpu in gpus if not gpu.part}
    counts[ANY_GPU_TYPE] = max((counts[key] for key in whole), default=0)
    return counts


def _columns_by_type(counts: Sequence[dict[str, int]]) -> dict[str, Column]:
    return _columns_by_name([*counts], ANY_GPU_TYPE)


def _columns_by_name(counts: Sequence[dict[str, int]], *names: str) -> dict[str, Column]:
    keys = set(names).union(*counts)
    return {key: _column([count.get(key, 0) for count in counts]) for key in sorted(keys)}


def _column(values: list[int]) -> Column:
    return np.array(values, np.int64)
