"""How near to each other things lie: the levels of the tree, and nodes as one NVLink island of them."""

from collections.abc import Collection
from dataclasses import replace
from enum import IntEnum

from windlass_server.scheduler.islands import best, connected, islands, links
from windlass_server.scheduler.rooms import gpu_key
from windlass_server.scheduler.snapshot import Demand, Gpu, NodeState


class Level(IntEnum):
    """As `types.v1.Topology.Level`: the narrowest first."""

    NVLINK = 1
    NODE = 2
    RACK = 3
    BLOCK = 4


def needs_island(demand: Demand) -> bool:
    """Whether the GPUs of each of its nodes must reach each other."""
    return demand.topology.required == Level.NVLINK and demand.gpu_count > 1


def wishes_island(demand: Demand) -> bool:
    """Whether they shall where that can be had."""
    return demand.topology.preferred == Level.NVLINK and demand.gpu_count > 1


def in_one_island(node: NodeState, count: int) -> NodeState:
    """The node as if, of each type, only the free GPUs of one island were free.

    It is the smallest that has `count` of them, else the largest that there is.
    """
    left: set[str] = set()
    by_type: dict[str, list[Gpu]] = {}
    for gpu in node.gpus:
        if gpu.healthy and not gpu.held:
            by_type.setdefault(gpu_key(gpu.gpu_type), []).append(gpu)
    for gpus in by_type.values():
        left.update(best(islands(gpus), count))
    return _offering(node, left)


def beside(node: NodeState, others: frozenset[str]) -> NodeState:
    """The node as if only such GPUs were free as reach all of these others, which reach each other."""
    if not connected([gpu for gpu in node.gpus if gpu.uuid in others]):
        return _offering(node, ())
    reach = links(node.gpus).items()
    return _offering(node, {uuid for uuid, reached in reach if others <= reached})


def emptied(node: NodeState) -> NodeState:
    """The node as if nothing held its GPUs and all of them were well."""
    gpus = tuple(
        replace(gpu, healthy=True, held=False, shared_millis=0, sharers=0) for gpu in node.gpus
    )
    return replace(node, gpus=gpus)


def of_free_gpus(node: NodeState) -> NodeState:
    """The node as if it had no other GPUs than those that are free."""
    return replace(node, gpus=tuple(gpu for gpu in node.gpus if not gpu.held))


def _offering(node: NodeState, uuids: Collection[str]) -> NodeState:
    gpus = [
        gpu if gpu.uuid in uuids else replace(gpu, held=True, shared_millis=0, sharers=0)
        for gpu in node.gpus
    ]
    return replace(node, gpus=tuple(gpus))
