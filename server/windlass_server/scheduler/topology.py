"""Which GPUs of a node lie near to each other: those that all reach each other over NVLink.

On a machine with a switch an island is all the cards on it; where cards are joined pair by pair it is
any set of which each reaches each other, and such sets can overlap. A link counts when both its ends
tell of it.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from enum import IntEnum
from itertools import islice
from typing import TypeAlias

from windlass_server.scheduler.rooms import gpu_key
from windlass_server.scheduler.snapshot import Gpu, NodeState

_Links: TypeAlias = dict[str, frozenset[str]]

# Real machines have a handful of islands; one that tells of a tangle is not searched for ever.
_MOST_ISLANDS = 1_000


class Level(IntEnum):
    """As `types.v1.Topology.Level`: the narrowest first."""

    NVLINK = 1
    NODE = 2
    RACK = 3
    BLOCK = 4


def connected(gpus: Sequence[Gpu]) -> bool:
    """Whether all of these reach each other over NVLink; one alone does."""
    links = _links(gpus)
    return all(len(links[gpu.uuid]) == len(gpus) - 1 for gpu in gpus)


def nearest(gpus: Sequence[Gpu], count: int) -> tuple[str, ...]:
    """UUIDs of `count` of these, which are of one type, as near to each other as can be; sorted.

    All of one island, the smallest that has enough, so that larger ones stay whole for those who need
    them; where none has, as few islands as can be had by taking the largest first.
    """
    left, taken = list(gpus), list[str]()
    while len(taken) < count:
        taken += _best(_islands(left), count - len(taken))[: count - len(taken)]
        left = [gpu for gpu in left if gpu.uuid not in taken]
    return tuple(sorted(taken))


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
        left.update(_best(_islands(gpus), count))
    return _offering(node, left)


def beside(node: NodeState, others: frozenset[str]) -> NodeState:
    """The node as if only such GPUs were free as reach all of these others, which reach each other."""
    links = _links(node.gpus)
    if not connected([gpu for gpu in node.gpus if gpu.uuid in others]):
        return _offering(node, ())
    return _offering(node, {uuid for uuid, reached in links.items() if others <= reached})


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


def _best(islands: Sequence[tuple[str, ...]], count: int) -> tuple[str, ...]:
    """The smallest with so many GPUs, else the largest; of equals the first."""
    enough = [island for island in islands if len(island) >= count]
    return min(enough, key=len) if enough else max(islands, key=len)


def _links(gpus: Sequence[Gpu]) -> _Links:
    """Whom of the others each reaches, by their UUIDs."""
    told = {gpu.uuid: gpu.nvlink_peers for gpu in gpus}
    return {
        uuid: frozenset(peer for peer in peers if peer != uuid and uuid in told.get(peer, ()))
        for uuid, peers in told.items()
    }


def _islands(gpus: Sequence[Gpu]) -> list[tuple[str, ...]]:
    """The sets that cannot be made larger, each sorted, in the order of their first UUIDs."""
    links = _links(gpus)
    groups: dict[frozenset[str], list[str]] = {}
    for uuid, reached in links.items():
        groups.setdefault(reached | {uuid}, []).append(uuid)
    if all(len(group) == len(members) for group, members in groups.items()):
        # All who reach one of a group are that group: so it is with switches, and without any link.
        return sorted(tuple(sorted(group)) for group in groups)
    found = _cliques(links, frozenset(), frozenset(links), frozenset())
    return sorted(tuple(sorted(one)) for one in islice(found, _MOST_ISLANDS))


def _cliques(
    links: _Links, chosen: frozenset[str], able: frozenset[str], done: frozenset[str]
) -> Iterator[frozenset[str]]:
    """The maximal cliques: Bron and Kerbosch 1973 with Tomita's pivot."""
    if not able and not done:
        yield chosen
    if not able:
        return
    pivot = max(sorted(able | done), key=lambda uuid: len(links[uuid] & able))
    for uuid in sorted(able - links[pivot]):
        yield from _cliques(links, chosen | {uuid}, able & links[uuid], done & links[uuid])
        able, done = able - {uuid}, done | {uuid}
