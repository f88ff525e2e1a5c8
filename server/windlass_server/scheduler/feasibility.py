"""Whether a demand could ever be met; asked when a job is submitted, and by explanations."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from windlass_server.scheduler import wording
from windlass_server.scheduler.columns import full_columns
from windlass_server.scheduler.filters import Blocked, Dimension, Refusal, blocked, first_refusal
from windlass_server.scheduler.gang import Reach, domain, widest
from windlass_server.scheduler.rooms import Column, Room, full_room, gpu_key, gpu_keys, wishes
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, ANY_POOL, Demand, NodeState, Pool
from windlass_server.scheduler.spreading import domain_of


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """The field of the demand that nothing can meet, and a sentence with the best there is.

    `refusal` is the same as a reason, as a waiting job carries it.
    """

    dimension: Dimension
    message: str
    refusal: Refusal


def could_ever_fit(
    demand: Demand, nodes: Sequence[NodeState], pools: Sequence[Pool]
) -> Unsatisfiable | None:
    """None when some registered node or declared pool holds the demand when it is empty.

    None also when there is no node and no pool: nothing is known yet, so the job may wait.
    Unreachable nodes count, and so do unhealthy GPUs: both come back.
    """
    offers = [pool.template for pool in pools if pool.count > 0]
    if not offers and not nodes:
        return None
    if any(first_refusal(demand, full_room(node)) is None for node in (*nodes, *offers)):
        return None if demand.nodes == 1 else _too_few(demand, nodes, pools)
    capacity = Capacity.of(nodes, pools)
    stuck = blocked(demand, capacity.full, np.ones(len(capacity.labels), np.bool_))
    assert stuck is not None
    return unsatisfiable(demand, stuck, capacity)


def _too_few(
    demand: Demand, nodes: Sequence[NodeState], pools: Sequence[Pool]
) -> Unsatisfiable | None:
    """What a job of several nodes lacks of which some could hold a part: nodes, or their nearness.

    The sum of what there is says nothing: each part needs a node of its own. What a declared pool will
    have may come to be near to anything.
    """
    reach, best, anywhere = widest(demand), 0, 0
    for kind in _kinds(demand, nodes, pools):
        awaited = sum(
            pool.count for pool in pools if first_refusal(kind, full_room(pool.template)) is None
        )
        near, clusters = _Lying(kind, reach), _Lying(kind, Reach.CLUSTER)
        for node in nodes:
            if node.address and first_refusal(kind, full_room(node)) is None:
                near.add(node)
                clusters.add(node)
                if near.most + awaited >= demand.min_nodes:
                    return None
        best = max(best, near.most + awaited)
        anywhere = max(anywhere, clusters.most + awaited)
        if best >= demand.min_nodes:
            return None
    silent = sum(not node.address for node in nodes)
    old = f"; the agents of {silent} are too old for jobs of several nodes" if silent else ""
    within = wording.within_text(demand)
    message = f"needs {wording.several_text(demand)}; at most {best}{within} could hold that{old}"
    if anywhere >= demand.min_nodes:
        return Unsatisfiable("topology", message, Refusal.TOPOLOGY_UNAVAILABLE)
    return Unsatisfiable("nodes", message, Refusal.INSUFFICIENT_NODES)


class _Lying:
    """Counts nodes by the domains of a level, of each no more than may lie in one over which they are spread."""

    def __init__(self, demand: Demand, reach: Reach) -> None:
        self._apart = demand.apart
        self._reach = reach
        self._counts = Counter[tuple[str, ...]]()
        self._taken = Counter[tuple[tuple[str, ...], str]]()
        self.most = 0

    def add(self, node: NodeState) -> None:
        """Count one."""
        there = domain(node, self._reach)
        if self._apart is not None and self._apart.most:
            part = there, domain_of(node, self._apart.node_label)
            if self._taken[part] >= self._apart.most:
                return
            self._taken[part] += 1
        self._counts[there] += 1
        self.most = max(self.most, self._counts[there])


def _kinds(demand: Demand, nodes: Sequence[NodeState], pools: Sequence[Pool]) -> Iterator[Demand]:
    """The demand for each type of GPUs that will do: all that a job has are of one type."""
    if not demand.gpu_count or demand.gpu_type or demand.gpu_types:
        yield from wishes(demand)
        return
    there = [*nodes, *(pool.template for pool in pools)]
    types = {gpu_key(gpu.gpu_type) for node in there for gpu in node.gpus if not gpu.part}
    types.update(gpu_key(card.gpu_type) for node in there for card in node.cards)
    for gpu_type in sorted(types):
        yield replace(demand, gpu_type=gpu_type)


class Capacity:
    """What there is when nothing runs, with names for sentences.

    Args:
        nodes: registered nodes.
        pools: declared ones, whose templates count as nodes behind those.
    """

    def __init__(self, nodes: Sequence[NodeState], pools: Sequence[Pool]) -> None:
        self.nodes = (*nodes, *(pool.template for pool in pools))
        self._registered, self._pools = nodes, pools

    @classmethod
    def of(cls, nodes: Sequence[NodeState], pools: Sequence[Pool]) -> "Capacity":
        """Nodes in the order of their ids, then pools in the order of their names."""
        by_id = sorted(nodes, key=lambda node: node.node_id)
        by_name = sorted((pool for pool in pools if pool.count > 0), key=lambda pool: pool.name)
        return cls(by_id, by_name)

    @cached_property
    def labels(self) -> Sequence[str]:
        """How a sentence calls each of them."""
        names = [node_label(node) for node in self._registered]
        return [*names, *(f"pool {pool.name}" for pool in self._pools)]

    @cached_property
    def full(self) -> Room[Column]:
        """What each has when it is empty."""
        return full_columns(self.nodes)

    def gpu_types(self, demand: Demand) -> str:
        """The types that there are in the pools of a demand, as in `A100, L4`."""
        pools = demand.pools
        among = [
            node
            for node in self.nodes
            if pools is None or node.pool == ANY_POOL or node.pool in pools
        ]
        types = {gpu.gpu_type for node in among for gpu in node.gpus}
        types.update(card.gpu_type for node in among for card in node.cards)
        return ", ".join(sorted(types)) or "none"

    def mig_profiles(self, demand: Demand) -> str:
        """The profiles of instances that there are or could be, of cards of the demand's type."""
        wanted = {*gpu_keys(demand)}
        parts = self.full.parts.items()
        known = {part.profile for key, part in parts if wanted & {ANY_GPU_TYPE, part.card, key}}
        return ", ".join(sorted(known)) or "none"


def node_label(node: NodeState) -> str:
    return f"node {node.name or node.node_id}"


def unsatisfiable(demand: Demand, stuck: Blocked, capacity: Capacity) -> Unsatisfiable:
    """Says what `blocked` found when it was asked of `capacity.full`."""
    dimension = stuck.filter.dimension
    assert dimension is not None, "an empty node is reachable"
    need = wording.need_text(demand, dimension)
    if dimension == "pool":
        best = "no node is in it" if len(demand.pools or ()) == 1 else "no node is in one"
    elif dimension == "node_labels":
        best = f"no node{wording.earlier_needs_text(demand, stuck)} has such labels"
    elif stuck.filter.refusal is Refusal.GPU_SHARING_UNAVAILABLE:
        where = wording.earlier_needs_text(demand, stuck)
        best = f"no node{where} is in a pool that lets jobs share GPUs"
    elif dimension == "gpu_type":
        where = wording.earlier_needs_text(demand, stuck)
        types = capacity.gpu_types(demand)
        best = f"no node{where} has such GPUs (types there are: {types})"
    elif dimension == "mig_profile":
        where = wording.earlier_needs_text(demand, stuck)
        profiles = capacity.mig_profiles(demand)
        best = f"no card{where} is divided so, or may be (profiles there are: {profiles})"
    else:
        available, _ = stuck.filter.measure(demand, capacity.full)
        most = wording.amount_text(int(available[stuck.nearest]), dimension)
        having = wording.earlier_needs_text(demand, stuck)
        best = f"the most on one node{having} is {most} ({capacity.labels[stuck.nearest]})"
    return Unsatisfiable(dimension, f"needs {need}; {best}", stuck.filter.refusal)
