"""Which GPUs of a node lie near to each other: those that all reach each other over NVLink.

On a machine with a switch an island is all the cards on it; where cards are joined pair by pair it is
any set of which each reaches each other, and such sets can overlap. A link counts when both its ends
tell of it.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypeAlias

from windlass_server.scheduler.snapshot import Gpu

_Links: TypeAlias = dict[str, frozenset[str]]

# Real machines have a handful of islands; one that tells of a tangle is not searched for ever.
_MOST_ISLANDS = 1_000


def linked(gpus: Sequence[Gpu]) -> bool:
    """Whether any of these tells of a link."""
    return any(gpu.nvlink_peers for gpu in gpus)


def largest(gpus: Sequence[Gpu]) -> int:
    """How many of these all reach each other, at most; one alone does."""
    count = len(gpus)
    if count < 2 or not linked(gpus):
        return min(count, 1)
    uuids = {gpu.uuid for gpu in gpus}
    if all(len(uuids & gpu.nvlink_peers - {gpu.uuid}) == count - 1 for gpu in gpus):
        return count  # all are on one switch: so it is mostly
    return max(map(len, islands(gpus)))


def connected(gpus: Sequence[Gpu]) -> bool:
    """Whether all of these reach each other over NVLink; one alone does."""
    reach = links(gpus)
    return all(len(reach[gpu.uuid]) == len(gpus) - 1 for gpu in gpus)


def nearest(gpus: Sequence[Gpu], count: int) -> tuple[str, ...]:
    """UUIDs of `count` of these, which are of one type, as near to each other as can be; sorted.

    All of one island, the smallest that has enough, so that larger ones stay whole for those who need
    them; where none has, as few islands as can be had by taking the largest first.
    """
    if not linked(gpus):
        return tuple(sorted(gpu.uuid for gpu in gpus)[:count])
    left, taken = list(gpus), list[str]()
    while len(taken) < count:
        taken += best(islands(left), count - len(taken))[: count - len(taken)]
        left = [gpu for gpu in left if gpu.uuid not in taken]
    return tuple(sorted(taken))


def best(islands: Sequence[tuple[str, ...]], count: int) -> tuple[str, ...]:
    """The smallest with so many GPUs, else the largest; of equals the first."""
    enough = [island for island in islands if len(island) >= count]
    return min(enough, key=len) if enough else max(islands, key=len)


def links(gpus: Sequence[Gpu]) -> _Links:
    """Whom of the others each reaches, by their UUIDs."""
    told = {gpu.uuid: gpu.nvlink_peers for gpu in gpus}
    return {
        uuid: frozenset(peer for peer in peers if peer != uuid and uuid in told.get(peer, ()))
        for uuid, peers in told.items()
    }


def islands(gpus: Sequence[Gpu]) -> list[tuple[str, ...]]:
    """The sets that cannot be made larger, each sorted, in the order of their first UUIDs."""
    reach = links(gpus)
    groups: dict[frozenset[str], list[str]] = {}
    for uuid, reached in reach.items():
        groups.setdefault(reached | {uuid}, []).append(uuid)
    if all(len(group) == len(members) for group, members in groups.items()):
        # All who reach one of a group are that group: so it is with switches, and without any link.
        return sorted(tuple(sorted(group)) for group in groups)
    found = _cliques(reach, frozenset(), frozenset(reach), frozenset())
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
