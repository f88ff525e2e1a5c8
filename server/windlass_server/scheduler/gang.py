"""Places for jobs of several nodes: all of their nodes at once or none, as near to each other as can be.

A job gets each of its nodes in one domain of the narrowest level that has enough, from racks to clusters; it
never lies in two clusters. Of the domains that have enough the one with the fewest such nodes is taken, so
that larger ones stay whole. A job that takes fewer nodes than it would like gets them only where no domain
has all. Ranks follow the tree: nodes of one rack have consecutive ranks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property

import numpy as np

from windlass_server.scheduler.filters import fits
from windlass_server.scheduler.rooms import Column, Mask, Room, suited, wishes
from windlass_server.scheduler.scores import Scores
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, Demand, NodeState
from windlass_server.scheduler.spreading import beside, capped, evenly, numbered
from windlass_server.scheduler.topology import Level, wishes_island


class Reach(IntEnum):
    """How wide a domain is; the first two as `topology.Level`."""

    RACK = Level.RACK
    BLOCK = Level.BLOCK
    ZONE = 5
    CLUSTER = 6


@dataclass(frozen=True, slots=True)
class Gang:
    """The nodes that a job gets, by rank, and what it takes of each of them.

    Attributes:
        indexes: of the nodes.
        demand: the job's demand, of so many nodes and with the type of GPUs that was chosen for all.
    """

    indexes: tuple[int, ...]
    demand: Demand


@dataclass(frozen=True, slots=True)
class Most:
    """The domain in which most nodes can take their part of a job: how many, and its name for people."""

    count: int
    name: str


def widest(demand: Demand) -> Reach:
    """The level within one domain of which a job must lie."""
    required = demand.topology.required
    return Reach(required) if required >= Reach.RACK else Reach.CLUSTER


def _levels(demand: Demand) -> range:
    """The levels at which a place is looked for, the narrowest first."""
    return range(max(demand.topology.preferred, Reach.RACK), widest(demand) + 1)


class Gangs:
    """Finds places for jobs of several nodes among some nodes.

    Args:
        nodes: in the order of their ids; indexes are of these.
    """

    def __init__(self, nodes: Sequence[NodeState]) -> None:
        self._nodes = nodes
        self._spread_over: dict[str, Column] = {}

    def choose(
        self,
        demand: Demand,
        room: Room[Column],
        scores: Callable[[Demand], Scores],
        among: Callable[[Demand], Mask] | None = None,
    ) -> Gang | None:
        """The nodes for a job, from `demand.min_nodes` to `demand.nodes` of them; None: not so many fit.

        Args:
            demand: the job.
            room: what is left to it of each node.
            scores: how good each node is for a demand that fits there.
            among: which nodes it may have; None: all.
        """
        open_to = among or (lambda _: self._speak)
        found = [
            Gang(indexes, replace(one, nodes=len(indexes)))
            for takes in self._ables(demand)
            for one in kinds(demand, room)
            if (indexes := self.pick(one, room, takes(one, room) & open_to(one), scores))
            is not None
        ]
        # More nodes first; then GPUs that reach each other, where those are wished; then the type that it
        # wishes more, or the first by name.
        return max(found, key=lambda gang: len(gang.indexes), default=None)

    def most(self, demand: Demand, room: Room[Column]) -> Most:
        """The domain of the widest level allowed in which most nodes have room for their part."""
        codes, names = self._domains[widest(demand)]
        best = Most(0, "")
        for one in kinds(demand, room):
            able = self.able(one, room)
            counts = _counts(codes, self._capped(one, able, room, codes), len(names))
            if len(counts) and counts.max() > best.count:
                best = Most(int(counts.max()), names[int(counts.argmax())])
        return best

    def _ables(self, demand: Demand) -> Sequence[Callable[[Demand, Room[Column]], Mask]]:
        return (self._joined, self.able) if wishes_island(demand) else (self.able,)

    def able(self, demand: Demand, room: Room[Column]) -> Mask:
        """Which nodes take a part of a job."""
        return fits(demand, room) & self._speak

    def _joined(self, demand: Demand, room: Room[Column]) -> Mask:
        """Those of which the GPUs reach each other."""
        joined: Mask = suited(demand, room, room.islands) >= demand.gpu_count
        return self.able(demand, room) & joined

    def inside(self, reach: int, able: Mask, count: int) -> Iterator[Mask]:
        """The nodes that are able to of each domain of a level in which at least so many are."""
        codes, names = self._domains[reach]
        for number in np.flatnonzero(_counts(codes, able, len(names)) >= count):
            yield able & (codes == number)

    @cached_property
    def _speak(self) -> Mask:
        """Which nodes say how others reach them: agents of older releases run no such jobs."""
        return np.array([bool(node.address) for node in self._nodes], np.bool_)

    @cached_property
    def _domains(self) -> Mapping[int, tuple[Column, list[str]]]:
        """By level: of each node the number of its domain, and the name of each domain by number."""
        return _DOMAINS.of(self._nodes)

    def pick(
        self,
        demand: Demand,
        room: Room[Column],
        able: Mask,
        scores: Callable[[Demand], Scores],
    ) -> tuple[int, ...] | None:
        """As `choose`, of these nodes and for GPUs of one type; by rank."""
        if np.count_nonzero(able) < demand.min_nodes:
            return None
        good = scores(demand)
        faulty = self._faulty(demand)
        chosen = None
        if faulty is not None:
            chosen = self._search(demand, room, able & ~faulty, good)
        if chosen is None or len(chosen) < demand.nodes:
            # A node that has failed the job is better than none, and than a smaller job.
            again = self._search(demand, room, able, good)
            chosen = again if chosen is None or len(again or ()) > len(chosen) else chosen
        return None if chosen is None else self._by_rank(chosen)

    def _faulty(self, demand: Demand) -> Mask | None:
        if not demand.faults:
            return None
        failed = {fault.node_id for fault in demand.faults}
        return np.array([node.node_id in failed for node in self._nodes], np.bool_)

    def _search(
        self, demand: Demand, room: Room[Column], able: Mask, good: Scores
    ) -> list[int] | None:
        if demand.apart and not demand.apart.most:
            return self._spread(demand, able, beside(demand, room), good)
        among = able
        for level in _levels(demand):
            codes, names = self._domains[level]
            able = self._capped(demand, among, room, codes, good)
            counts = _counts(codes, able, len(names))
            if counts.max(initial=0) >= demand.nodes:
                domain = _best(counts, demand.nodes, _best_inside(codes, able, good, len(names)))
                return self._fill(level, able & (codes == domain), demand.nodes, good)
        # At the widest level no domain has all that it would like.
        most = int(counts.max(initial=0))
        if most < demand.min_nodes:
            return None
        return [int(index) for index in np.flatnonzero(able & (codes == int(counts.argmax())))]

    def _spread(self, demand: Demand, able: Mask, before: Column, good: Scores) -> list[int] | None:
        """The nodes that lie most evenly in what they are spread over, of the domains of the widest level that do."""
        assert demand.apart is not None
        codes, names = self._domains[widest(demand)]
        counts = _counts(codes, able, len(names))
        wanted = min(demand.nodes, int(counts.max(initial=0)))
        if wanted < demand.min_nodes:
            return None
        over = self._numbered(demand.apart.node_label)
        found = [
            evenly(np.flatnonzero(able & (codes == domain)), over, before, good, wanted)
            for domain in np.flatnonzero(counts >= wanted).tolist()
        ]
        best = min(found, key=lambda chosen: _most_at_once(over[chosen], before[chosen]))
        return [int(index) for index in best]

    def _capped(
        self,
        demand: Demand,
        able: Mask,
        room: Room[Column],
        codes: Column,
        good: Scores | None = None,
    ) -> Mask:
        """Of the nodes of each domain no more than may be had of each of those over which they are spread."""
        if demand.apart is None or not demand.apart.most:
            return able
        over = self._numbered(demand.apart.node_label)
        left = demand.apart.most - beside(demand, room)
        return capped(able, codes, over, left, np.zeros(len(able)) if good is None else good)

    def _numbered(self, label: str) -> Column:
        known = self._spread_over.get(label)
        if known is None:
            known = self._spread_over[label] = numbered(self._nodes, label)
        return known

    def _fill(self, level: int, inside: Mask, count: int, good: Scores) -> list[int]:
        """So many nodes of a domain, in as few of the narrower domains as can be."""
        if level == Reach.RACK:
            there = np.flatnonzero(inside)
            order = np.argsort(-good[there], kind="stable")[:count]
            return [int(index) for index in there[order]]
        codes, names = self._domains[level - 1]
        counts = _counts(codes, inside, len(names))
        best_inside = _best_inside(codes, inside, good, len(names))
        chosen = list[int]()
        while len(chosen) < count:
            left = count - len(chosen)
            domain = _best(counts, left, best_inside)
            some = min(left, int(counts[domain]))
            chosen += self._fill(level - 1, inside & (codes == domain), some, good)
            counts[domain] = 0
        return chosen

    def _by_rank(self, indexes: Sequence[int]) -> tuple[int, ...]:
        racks, _ = self._domains[Reach.RACK]
        return tuple(sorted(indexes, key=lambda index: (int(racks[index]), index)))


def _most_at_once(domains: Column, before: Column) -> int:
    """How many are in the fullest of the domains that are chosen."""
    return int((np.bincount(domains)[domains] + before).max())


def kinds(demand: Demand, room: Room[Column]) -> Iterator[Demand]:
    """The demand for each type of GPUs that will do: all GPUs of a job are of one type."""
    if not demand.gpu_count or demand.gpu_type or demand.gpu_types:
        yield from wishes(demand)
        return
    for key in sorted({*room.gpus, *room.shared}):
        if key != ANY_GPU_TYPE and key not in room.parts:
            yield replace(demand, gpu_type=key)


def domain(node: NodeState, reach: Reach) -> tuple[str, ...]:
    """What tells a node's domain of a level from others; one that lacks a label has one of its own."""
    own = f"\0{node.node_id}"
    cluster, zone, block, rack = node.place
    # A rack whose nodes name no block is one all the same.
    alone = f"\0rack {rack}" if rack else own
    return (cluster, zone, block or alone, rack or own)[: Reach.CLUSTER - reach + 1]


def domain_name(key: tuple[str, ...], reach: Reach) -> str:
    """As in `rack r7`; empty for a node that has no such label, or where there is only one."""
    last = key[-1]
    return "" if not last or last.startswith("\0") else f"{reach.name.lower()} {last}"


class _Domains:
    """Remembers the domains of the last nodes: where a node is hardly ever changes."""

    def __init__(self) -> None:
        self._last: tuple[Sequence[NodeState], Mapping[int, tuple[Column, list[str]]]] = ((), {})

    def of(self, nodes: Sequence[NodeState]) -> Mapping[int, tuple[Column, list[str]]]:
        """By level: of each node the number of its domain, and the name of each domain by number."""
        seen, made = self._last
        if len(seen) == len(nodes) and made and all(map(_is_where, seen, nodes)):
            return made
        made = {reach: _numbered(nodes, reach) for reach in Reach}
        self._last = nodes, made
        return made


def _is_where(one: NodeState, other: NodeState) -> bool:
    return one is other or (one.node_id == other.node_id and one.place == other.place)


_DOMAINS = _Domains()


def _numbered(nodes: Sequence[NodeState], reach: Reach) -> tuple[Column, list[str]]:
    keys = [domain(node, reach) for node in nodes]
    known = sorted(set(keys))
    numbers = {key: number for number, key in enumerate(known)}
    return (
        np.array([numbers[key] for key in keys], np.int64),
        [domain_name(key, reach) for key in known],
    )


def _counts(codes: Column, mask: Mask, domains: int) -> Column:
    return np.bincount(codes[mask], minlength=domains).astype(np.int64)


def _best_inside(codes: Column, mask: Mask, good: Scores, domains: int) -> Scores:
    """The best score in each domain."""
    best = np.full(domains, -np.inf)
    np.maximum.at(best, codes[mask], good[mask])
    return best


def _best(counts: Column, wanted: int, good: Scores) -> int:
    """The domain with the fewest nodes that are enough, else with the most; of equals the best, then the first."""
    enough = counts[counts >= wanted]
    size = enough.min() if len(enough) else counts.max()
    alike = np.flatnonzero(counts == size)
    return int(alike[good[alike].argmax()])
