"""Jobs that are spread over nodes, or over what their labels say, by themselves and with others.

Whom they are spread with is counted as the plan goes on (`Spreading`). A limit is a filter as any other, and what
a job of several nodes takes of one domain is bounded as well (`capped`). Where there is none, the nodes of
domains with the fewest come first (`evenly`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from windlass_server.scheduler.rooms import Column, Mask, Room
from windlass_server.scheduler.scores import Scores
from windlass_server.scheduler.snapshot import Demand, NodeState, Snapshot


class Spreading:
    """Counts those who are spread together, while a plan is being made.

    Args:
        snapshot: the world.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._nodes = snapshot.nodes
        self._on = {group: Counter(counts) for group, counts in snapshot.groups.items()}
        self._domains: dict[str, Mapping[str, str]] = {}

    def narrowed(self, demand: Demand) -> Demand:
        """The job with how many of those with whom it is spread are where."""
        if demand.apart is None or not (on := self._on.get(demand.apart.group)):
            return demand
        domains = self._domains_of(demand.apart.node_label)
        counts = Counter[str]()
        for node_id, count in on.items():
            if node_id in domains:
                counts[domains[node_id]] += count
        beside = ((node, counts[there]) for node, there in domains.items() if counts[there])
        return replace(demand, beside=tuple(sorted(beside)))

    def placed(self, demand: Demand, node_ids: Sequence[str]) -> None:
        """It has got these nodes."""
        if demand.apart is not None and demand.apart.group:
            self._on.setdefault(demand.apart.group, Counter()).update(node_ids)

    def _domains_of(self, label: str) -> Mapping[str, str]:
        known = self._domains.get(label)
        if known is None:
            known = {node.node_id: domain_of(node, label) for node in self._nodes}
            self._domains[label] = known
        return known


def domain_of(node: NodeState, label: str) -> str:
    """The domain of a node; one without the label, or without one that is asked for, is one alone."""
    values = dict(node.labels or ()) if label else {}
    return values.get(label, f"\0{node.node_id}")


def beside(demand: Demand, room: Room[Column]) -> Column:
    """How many of those with whom a job is spread are in the domain of each node; 0 where no node is known."""
    counts = room.none.copy()
    for node_id, count in demand.beside:
        if node_id in room.places:
            counts[room.index == room.places[node_id]] = count
    return counts


def numbered(nodes: Sequence[NodeState], label: str) -> Column:
    """Of each node the number of its domain."""
    found = [domain_of(node, label) for node in nodes]
    numbers = {domain: number for number, domain in enumerate(sorted(set(found)))}
    return np.array([numbers[domain] for domain in found], np.int64)


def capped(able: Mask, within: Column, domains: Column, left: Column, good: Scores) -> Mask:
    """Of the nodes that are able so many of each domain as may be had, the best.

    Args:
        able: those that are.
        within: what each is in of which a job gets all of its nodes, as numbers.
        domains: what each is in over which they are spread.
        left: how many more may be had of the domain of each.
        good: how good each is.
    """
    there = np.flatnonzero(able)
    rank = _rank(there, within[there], domains[there], good)
    kept = np.zeros(len(able), np.bool_)
    kept[there[rank < left[there]]] = True
    return kept


def evenly(there: Column, domains: Column, before: Column, good: Scores, count: int) -> Column:
    """So many of these nodes as are spread most evenly, counting those who are there before."""
    rank = _rank(there, np.zeros(len(there), np.int64), domains[there], good)
    order = np.lexsort((there, -good[there], before[there] + rank))
    return there[order[:count]]


def _rank(there: Column, within: Column, domains: Column, good: Scores) -> Column:
    """The how manieth of its domain each node is, the best first."""
    order = np.lexsort((there, -good[there], domains, within))
    first = np.ones(len(there), np.bool_)
    first[1:] = (np.diff(domains[order]) != 0) | (np.diff(within[order]) != 0)
    begins = np.maximum.accumulate(np.where(first, np.arange(len(there)), 0))
    rank = np.empty(len(there), np.int64)
    rank[order] = np.arange(len(there)) - begins
    return rank
