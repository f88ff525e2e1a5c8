"""Nodes as they will be: without what leaves them, and with what gets the room."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np

from windlass_server.scheduler.divisible import divisible, without_cards
from windlass_server.scheduler.feasibility import node_label
from windlass_server.scheduler.filters import first_refusal, fits
from windlass_server.scheduler.gang import Gang
from windlass_server.scheduler.islands import connected, linked
from windlass_server.scheduler.ledger import Ledger
from windlass_server.scheduler.reserved import Reserved
from windlass_server.scheduler.rooms import (
    Column,
    Mask,
    Room,
    copied,
    free_room,
    gpu_key,
    in_columns,
)
from windlass_server.scheduler.scores import total
from windlass_server.scheduler.snapshot import (
    ANY_GPU_TYPE,
    Demand,
    Gpu,
    Kept,
    Moment,
    NodeState,
    Running,
)

Placed: TypeAlias = tuple[int, Demand, tuple[str, ...]]
"""On which node, which demand, and the UUIDs of its GPUs."""
Signature: TypeAlias = tuple[int, int, tuple[tuple[str, bool, bool, int, str], ...]]


def emptied_of(node: NodeState, runs: Iterable[Running]) -> NodeState:
    """The node when these of its runs have left it."""
    gone = list(runs)
    if not gone:
        return node
    left = {gpu.uuid: gpu for gpu in node.gpus}
    for run in gone:
        for uuid in run.gpu_uuids:
            if uuid in left:
                left[uuid] = _released(left[uuid], run.gpu_millis)
    return replace(
        node,
        cpu_free=node.cpu_free + sum(run.cpu_millis for run in gone),
        memory_free=node.memory_free + sum(run.memory_bytes for run in gone),
        gpus=tuple(left[gpu.uuid] for gpu in node.gpus),
    )


def filled_by(node: NodeState, demand: Demand, gpu_uuids: Sequence[str]) -> NodeState:
    """The node when a demand has got its place there."""
    taken = set(gpu_uuids)
    return replace(
        node,
        cpu_free=node.cpu_free - demand.cpu_millis,
        memory_free=node.memory_free - demand.memory_bytes,
        gpus=tuple(
            _given(gpu, demand.gpu_millis) if gpu.uuid in taken else gpu for gpu in node.gpus
        ),
    )


def signature(node: NodeState, runs: Iterable[Running], *, joined: bool = False) -> Signature:
    """What becomes of use when these runs of a node leave it, all that decides what then fits.

    Args:
        node: the node.
        runs: those that leave.
        joined: it matters which GPUs reach each other.
    """
    gone = list(runs)
    gpus = {gpu.uuid: gpu for gpu in node.gpus}
    apart = joined and linked(node.gpus) and not connected(node.gpus)
    return (
        sum(run.cpu_millis for run in gone),
        sum(run.memory_bytes for run in gone),
        tuple(
            sorted(
                (
                    gpu_key(gpus[uuid].gpu_type),
                    gpus[uuid].healthy and not gpus[uuid].going,
                    gpus[uuid].part,
                    gpus[uuid].memory_bytes,
                    # Of a share it matters which card it is on.
                    uuid if run.gpu_millis or apart else "",
                )
                for run in gone
                for uuid in run.gpu_uuids
                if uuid in gpus
            )
        ),
    )


def _released(gpu: Gpu, share: int) -> Gpu:
    if gpu.going:
        return gpu
    if not share:
        return replace(gpu, held=False)
    millis, sharers = max(gpu.shared_millis - share, 0), max(gpu.sharers - 1, 0)
    return replace(gpu, held=sharers > 0, shared_millis=millis if sharers else 0, sharers=sharers)


def _given(gpu: Gpu, share: int) -> Gpu:
    sharers = gpu.sharers + 1 if share else 0
    return replace(gpu, held=True, shared_millis=gpu.shared_millis + share, sharers=sharers)


class Future:
    """The nodes of a plan as they will be when what leaves has left and what is promised is kept.

    Args:
        ledger: what the plan has left of the nodes.
        moments: of the snapshot.
        placed: what the plan has placed.

    Attributes:
        nodes: as they are.
        free: what is free of them.
        full: what they have when nothing runs.
        gangs: finds nodes for jobs of several.
        places: index of each by its id.
        pool_of_node: the pool of each.
        pools: all of these, each once.
    """

    def __init__(
        self,
        ledger: Ledger,
        moments: Sequence[Moment],
        placed: Iterable[Placed],
    ) -> None:
        self._ledger = ledger
        self._nodes: dict[int, NodeState] = {}
        self._moments: dict[str, list[Moment]] = {}
        for moment in moments:
            self._moments.setdefault(moment.node_id, []).append(moment)
        self._placed: dict[int, list[tuple[Demand, tuple[str, ...]]]] = {}
        for index, demand, uuids in placed:
            self._placed.setdefault(index, []).append((demand, uuids))
        self.free: Room[Column] = copied(ledger.free)
        self.full = ledger.full
        self.gangs = ledger.gangs
        self.nodes = ledger.nodes
        self.places = ledger.start.places
        self.pool_of_node = [node.pool for node in ledger.nodes]
        self.pools = sorted(set(self.pool_of_node))

    def node(self, index: int) -> NodeState:
        """A node as it will be."""
        node = self._nodes.get(index)
        if node is None:
            node = self._ledger.nodes[index]
            for demand, uuids in self._placed.get(index, ()):
                node = filled_by(node, self._ledger.whole(index, demand), uuids)
            self._nodes[index] = node
        return node

    def label(self, index: int) -> str:
        """What people call a node."""
        return node_label(self._ledger.nodes[index])

    def place_for(self, demand: Demand) -> Gang | None:
        """Where a demand fits: on the first such node, or on several; None where it does not."""
        if demand.nodes > 1:
            scores = partial(total, free=self.free, full=self.full)
            return self.gangs.choose(demand, self.free, scores, self.able)
        for index in np.flatnonzero(fits(demand, self.free)).tolist():
            if self.holds(index, demand):
                return Gang((int(index),), demand)
        return None

    def able(self, demand: Demand) -> Mask:
        """Which nodes take a part of a job of several."""
        able = self.gangs.able(demand, self.free)
        for index in self.reserved:
            able[index] = able[index] and self.holds(index, demand)
        return able

    @property
    def reserved(self) -> list[int]:
        """The nodes of which a reservation keeps something, now or later."""
        return sorted(self.places[node_id] for node_id in self._moments if node_id in self.places)

    def leaves_to_reservation(self, index: int, runs: Iterable[Running]) -> bool:
        """Whether what runs of a job leave of a node is for a reservation that they had it of."""
        kept = self.kept(index)
        return any(one.admits(run.project, run.user) for one in kept for run in runs)

    def kept(self, index: int) -> Sequence[Kept]:
        """What reservations keep of a node, now or later."""
        moments = self._moments.get(self._ledger.nodes[index].node_id, ())
        return [kept for moment in moments for kept in moment.kept]

    def holds(self, index: int, demand: Demand, without: Sequence[Running] = ()) -> bool:
        """Whether a demand fits on a node when these runs have left it too."""
        node = emptied_of(self.node(index), without)
        moments = self._moments.get(node.node_id)
        if not moments:
            return first_refusal(demand, free_room(node)) is None
        reserved = self._reserved(index, moments_without(moments, node, without))
        view = reserved.view(demand, in_columns([free_room(node)]))
        return bool(fits(demand, view)[0])

    def take_cards(self, index: int, demand: Demand) -> bool:
        """Give a demand the cards of a node that are to be divided for it; False when that is not enough."""
        node = self.node(index)
        found = divisible(node, demand, self._ledger.now)
        if found is None:
            return False
        cards = [card.uuid for card in node.cards if card.uuid in found.devices]
        self.withhold(index, cards)
        node = self.node(index)
        rest = replace(demand, gpu_count=0, mig_profile="", gpu_memory_bytes=0)
        self._become(index, filled_by(node, rest, ()))
        return True

    def withhold(self, index: int, card_uuids: Sequence[str]) -> None:
        """Let cards of a node be for others."""
        self._become(index, without_cards(self.node(index), card_uuids))

    def could_hold(self, index: int, demand: Demand, without: Sequence[Running] = ()) -> bool:
        """As `holds`, also when cards have to be divided otherwise first; where nothing is reserved."""
        if self.holds(index, demand, without):
            return True
        node = emptied_of(self.node(index), without)
        if not node.cards or node.node_id in self._moments:
            return False
        return divisible(node, demand, self._ledger.now) is not None

    def leave(self, index: int, runs: Sequence[Running]) -> None:
        """Let runs leave a node."""
        node = self.node(index)
        moments = self._moments.get(node.node_id)
        if moments:
            self._moments[node.node_id] = moments_without(moments, node, runs)
        self._become(index, emptied_of(node, runs))

    def take(self, index: int, demand: Demand) -> bool:
        """Give a demand its place on a node; False when it does not fit there."""
        node = self.node(index)
        if not self.holds(index, demand):
            return False
        alone = Ledger([node])
        uuids = alone.take(0, demand) if alone.choose(demand) is not None else ()
        self._placed.setdefault(index, []).append((demand, uuids))
        self._become(index, filled_by(node, self._ledger.whole(index, demand), uuids))
        return True

    def _reserved(self, index: int, moments: Sequence[Moment]) -> Reserved:
        node = self._ledger.nodes[index]
        reserved = Reserved(moments, {node.node_id: 0}, self._ledger.now)
        types = {gpu.uuid: gpu_key(gpu.gpu_type) for gpu in node.gpus}
        for demand, uuids in self._placed.get(index, ()):
            reserved.take(0, demand, types[uuids[0]] if uuids else ANY_GPU_TYPE)
        return reserved

    def _become(self, index: int, node: NodeState) -> None:
        self._nodes[index] = node
        room = free_room(node)
        self.free.cpu_millis[index] = room.cpu_millis
        self.free.memory_bytes[index] = room.memory_bytes
        free = self.free
        changed = (free.gpus, room.gpus), (free.islands, room.islands), (free.shared, room.shared)
        for columns, amounts in changed:
            for key in {*columns, *amounts}:
                column = columns.setdefault(key, self.free.none.copy())
                column[index] = amounts.get(key, 0)


def moments_without(
    moments: Sequence[Moment], node: NodeState, runs: Sequence[Running]
) -> list[Moment]:
    """What a node has at each moment when these runs have left it, none of whom a reservation is for.

    A card that is shared counts as held still: others may have their shares of it.
    """
    healthy = {gpu.uuid: gpu.gpu_type for gpu in node.gpus if gpu.healthy and not gpu.going}
    first = min(moment.at for moment in moments)
    return [_without(moment, healthy, runs, first=first) for moment in moments]


def _without(
    moment: Moment, healthy: Mapping[str, str], runs: Sequence[Running], *, first: int
) -> Moment:
    there = [
        run
        for run in runs
        if moment.at <= first or run.limit_end is None or run.limit_end > moment.at
    ]
    gpus = dict(moment.gpus)
    for run in there:
        for uuid in () if run.gpu_millis else run.gpu_uuids:
            if uuid in healthy:
                gpus[healthy[uuid]] = gpus.get(healthy[uuid], 0) + 1
    return replace(
        moment,
        cpu_millis=moment.cpu_millis + sum(run.cpu_millis for run in there),
        memory_bytes=moment.memory_bytes + sum(run.memory_bytes for run in there),
        gpus=gpus,
    )
