"""The one answer to "does it fit here?", for the planner, the submit check and explanations.

A filter measures one dimension: what there is of it, and how much the demand needs. It refuses
where there is less. Asked of what is free now a refusal means "not now"; asked of what a node has
when it is empty (`full_room`) it means "never on this node".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, Protocol

import numpy as np

from windlass_server.scheduler.rooms import (
    Column,
    Mask,
    Room,
    T,
    gpu_keys,
    larger,
    marked,
    most_of_a_card,
    passes,
    suitable,
    suited,
)
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, ANY_POOL, Demand
from windlass_server.scheduler.topology import needs_island

Dimension = Literal[
    "pool",
    "node_labels",
    "gpu_type",
    "mig_profile",
    "gpu_memory_bytes",
    "gpu_count",
    "gpu_millis",
    "memory_bytes",
    "cpu_millis",
    "min_isolation",
    "nodes",
    "topology",
    "exclusive_node",
    "quota",
    "spread",
]


_PATHS: Mapping[Dimension, str] = {
    "pool": "pool",
    "min_isolation": "min_isolation",
    "exclusive_node": "exclusive_node",
    "quota": "exclusive_node",
    "spread": "spread",
    "node_labels": "constraints.node_labels",
    "nodes": "nodes",
    "topology": "topology",
}


def path_of(dimension: Dimension) -> str:
    """Where a job says what it asks for in a dimension, as in `resources.gpu_count`."""
    return _PATHS.get(dimension, f"resources.{dimension}")


class Refusal(StrEnum):
    """Why a node does not take a job."""

    NODE_UNREACHABLE = "NODE_UNREACHABLE"
    NODE_CORDONED = "NODE_CORDONED"
    POOL_UNAVAILABLE = "POOL_UNAVAILABLE"
    NODE_LABELS_UNAVAILABLE = "NODE_LABELS_UNAVAILABLE"
    QUOTA = "QUOTA"
    SPREAD_UNAVAILABLE = "SPREAD_UNAVAILABLE"
    GPU_SHARING_UNAVAILABLE = "GPU_SHARING_UNAVAILABLE"
    GPU_TYPE_UNAVAILABLE = "GPU_TYPE_UNAVAILABLE"
    GPU_PROFILE_UNAVAILABLE = "GPU_PROFILE_UNAVAILABLE"
    GPU_MEMORY_UNAVAILABLE = "GPU_MEMORY_UNAVAILABLE"
    INSUFFICIENT_GPUS = "INSUFFICIENT_GPUS"
    INSUFFICIENT_GPU_SHARE = "INSUFFICIENT_GPU_SHARE"
    INSUFFICIENT_MEMORY = "INSUFFICIENT_MEMORY"
    INSUFFICIENT_CPU = "INSUFFICIENT_CPU"
    ISOLATION_UNAVAILABLE = "ISOLATION_UNAVAILABLE"
    NODE_NOT_EMPTY = "NODE_NOT_EMPTY"
    NODE_AVOIDED = "NODE_AVOIDED"
    # Its GPUs do not reach each other; or, of a job of several nodes, too few are near to each other.
    TOPOLOGY_UNAVAILABLE = "TOPOLOGY_UNAVAILABLE"
    # Of a job of several nodes: too few take their part of it.
    INSUFFICIENT_NODES = "INSUFFICIENT_NODES"


class Measure(Protocol):
    """What there is of a dimension, and how much of it the demand needs."""

    def __call__(self, demand: Demand, room: Room[T], /) -> tuple[T, int]: ...


@dataclass(frozen=True, slots=True)
class Filter:
    """One way in which a node can refuse.

    Attributes:
        refusal: what it means when there is less than needed.
        dimension: the field of the demand that asks for it; None when no field does.
        measure: what there is, and what is needed.
    """

    refusal: Refusal
    dimension: Dimension | None
    measure: Measure


@dataclass(frozen=True, slots=True)
class Refused:
    """A node's refusal with its numbers, in the dimension's own unit."""

    refusal: Refusal
    needed: int
    available: int


def reachable(_: Demand, room: Room[T]) -> tuple[T, int]:
    return room.ready, 1


def takes_work(_: Demand, room: Room[T]) -> tuple[T, int]:
    return room.takes_work, 1


def pool(demand: Demand, room: Room[T]) -> tuple[T, int]:
    if demand.pools is None:
        return room.none, 0
    there = room.pools.get(ANY_POOL, room.none)
    for name in demand.pools:
        there = there + room.pools.get(name, room.none)
    return there, 1


def node_labels(demand: Demand, room: Room[T]) -> tuple[T, int]:
    """How many of the rules that a node must pass it passes."""
    required = [rule for rule in demand.labels if not rule.preferred]
    passed = room.none
    for rule in required:
        passed = passed + passes(rule, room)
    return passed, len(required)


def within_quota(demand: Demand, room: Room[T]) -> tuple[T, int]:
    """Whether a node that it would hold whole is within its quotas."""
    if not demand.too_large:
        return room.none, 0
    return 1 - marked(room, demand.too_large), 1


def spread(demand: Demand, room: Room[T]) -> tuple[T, int]:
    """Whether few enough of those with whom it is spread are in a node's domain."""
    if demand.apart is None or not demand.apart.most:
        return room.none, 0
    return 1 - marked(
        room, [node for node, count in demand.beside if count >= demand.apart.most]
    ), 1


def sharing(demand: Demand, room: Room[T]) -> tuple[T, int]:
    return (room.sharing, 1) if demand.gpu_millis else (room.none, 0)


def gpu_type(demand: Demand, room: Room[T]) -> tuple[T, int]:
    if not demand.takes_parts:
        # Only whole cards are shared.
        keys = [key for key in gpu_keys(demand) if not (demand.gpu_millis and key in room.parts)]
        there = {key: room.installed[key] for key in keys if key in room.installed}
        return _most(room, there), min(demand.gpu_count, 1)
    if gpu_keys(demand) == (ANY_GPU_TYPE,):
        return room.none, 0
    of_type = replace(demand, mig_profile="")
    return _most(room, {key: room.installed[key] for key in _kinds(of_type, room)}), 1


def mig_profile(demand: Demand, room: Room[T]) -> tuple[T, int]:
    if not demand.mig_profile:
        return room.none, 0
    return _most(room, {key: room.installed[key] for key in _kinds(demand, room)}), 1


def gpu_memory(demand: Demand, room: Room[T]) -> tuple[T, int]:
    if not demand.gpu_memory_bytes:
        return room.none, 0
    return _most(room, {key: room.memory[key] for key in _kinds(demand, room)}), (
        demand.gpu_memory_bytes
    )


def _kinds(demand: Demand, room: Room[T]) -> Iterator[str]:
    """The keys of what a demand takes, that also takes instances, of all that there is or could be."""
    return suitable(demand, room, room.memory)


def _most(room: Room[T], amounts: Mapping[str, T]) -> T:
    most = room.none
    for amount in amounts.values():
        most = larger(most, amount)
    return most


def gpu_count(demand: Demand, room: Room[T]) -> tuple[T, int]:
    if demand.gpu_millis:
        return room.none, 0
    return suited(demand, room, room.gpus), demand.gpu_count


def nvlink(demand: Demand, room: Room[T]) -> tuple[T, int]:
    """How many GPUs there are that all reach each other, of one type that will do."""
    if not needs_island(demand):
        return room.none, 0
    return suited(demand, room, room.islands), demand.gpu_count


def gpu_share(demand: Demand, room: Room[T]) -> tuple[T, int]:
    if not demand.gpu_millis:
        return room.none, 0
    most = room.none
    for key in gpu_keys(demand):
        most = larger(most, most_of_a_card(key, room))
    return most, demand.gpu_millis


def memory(demand: Demand, room: Room[T]) -> tuple[T, int]:
    return room.memory_bytes, demand.memory_bytes


def cpu(demand: Demand, room: Room[T]) -> tuple[T, int]:
    return room.cpu_millis, demand.cpu_millis


def isolation(demand: Demand, room: Room[T]) -> tuple[T, int]:
    return room.isolation, demand.min_isolation


def alone(demand: Demand, room: Room[T]) -> tuple[T, int]:
    """Whether nothing else holds a part of a node, or keeps one; whatever holds GPUs holds CPU too."""
    if not demand.exclusive:
        return room.none, 0
    cpu, memory = room.cpu_millis, room.memory_bytes
    if isinstance(cpu, int):
        return int(cpu >= room.whole_cpu and memory >= room.whole_memory), 1
    return ((cpu >= room.whole_cpu) & (memory >= room.whole_memory)).astype(np.int64), 1


def trust(demand: Demand, room: Room[T]) -> tuple[T, int]:
    paused = [fault.node_id for fault in demand.faults if fault.paused_until is not None]
    if not paused:
        return room.none, 0
    return 1 - marked(room, paused), 1


FILTERS: tuple[Filter, ...] = (
    Filter(Refusal.NODE_UNREACHABLE, None, reachable),
    Filter(Refusal.NODE_CORDONED, None, takes_work),
    Filter(Refusal.POOL_UNAVAILABLE, "pool", pool),
    Filter(Refusal.NODE_LABELS_UNAVAILABLE, "node_labels", node_labels),
    Filter(Refusal.QUOTA, "quota", within_quota),
    Filter(Refusal.SPREAD_UNAVAILABLE, "spread", spread),
    Filter(Refusal.GPU_SHARING_UNAVAILABLE, "gpu_millis", sharing),
    Filter(Refusal.GPU_TYPE_UNAVAILABLE, "gpu_type", gpu_type),
    Filter(Refusal.GPU_PROFILE_UNAVAILABLE, "mig_profile", mig_profile),
    Filter(Refusal.GPU_MEMORY_UNAVAILABLE, "gpu_memory_bytes", gpu_memory),
    Filter(Refusal.INSUFFICIENT_GPUS, "gpu_count", gpu_count),
    Filter(Refusal.TOPOLOGY_UNAVAILABLE, "topology", nvlink),
    Filter(Refusal.INSUFFICIENT_GPU_SHARE, "gpu_millis", gpu_share),
    Filter(Refusal.INSUFFICIENT_MEMORY, "memory_bytes", memory),
    Filter(Refusal.INSUFFICIENT_CPU, "cpu_millis", cpu),
    Filter(Refusal.ISOLATION_UNAVAILABLE, "min_isolation", isolation),
    Filter(Refusal.NODE_NOT_EMPTY, "exclusive_node", alone),
    Filter(Refusal.NODE_AVOIDED, None, trust),
)
"""In the order of precedence: scarce things first, because they are what people wait for.

Last comes what is no lack of anything: it is named when a node has all that the job needs.
"""


def first_refusal(demand: Demand, room: Room[int]) -> Refused | None:
    """None when one node's room holds the demand, else the first filter that says no."""
    for each in FILTERS:
        available, needed = each.measure(demand, room)
        if available < needed:
            return Refused(each.refusal, needed, available)
    return None


def fits(demand: Demand, room: Room[Column]) -> Mask:
    """Which nodes' rooms hold the demand."""
    mask = room.none >= 0
    for each in FILTERS:
        available, needed = each.measure(demand, room)
        if available is not room.none or needed > 0:
            mask &= available >= needed
    return mask


@dataclass(frozen=True, slots=True)
class Blocked:
    """The filter that refuses on the nodes that come nearest to holding a demand.

    Attributes:
        filter: it.
        needed: how much the demand asks for.
        nearest: index of the node that has most, among those that every earlier filter lets pass.
        passed: the earlier filters that refused on some node.
    """

    filter: Filter
    needed: int
    nearest: int
    passed: tuple[Filter, ...]


def blocked(demand: Demand, room: Room[Column], among: Mask) -> Blocked | None:
    """None when a node of `among` holds the demand, else where the last of them drop out.

    The nodes go through the filters in order; the one that leaves none is the answer. So a lack of
    GPUs is named only when no node has enough of them, and a lack of CPU only when the nodes that
    have the GPUs lack it. `among` names at least one node.
    """
    left, passed = among, list[Filter]()
    for each in FILTERS:
        available, needed = each.measure(demand, room)
        still = left & (available >= needed)
        if not still.any():
            nearest = int(np.where(left, available, np.iinfo(np.int64).min).argmax())
            return Blocked(each, needed, nearest, tuple(passed))
        if np.count_nonzero(still) < np.count_nonzero(left):
            passed.append(each)
        left = still
    return None
