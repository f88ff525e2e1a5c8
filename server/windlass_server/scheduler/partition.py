"""How cards should be divided for the jobs that a plan leaves waiting: pure, as the plan is.

Jobs are looked at in the order of the queue, those that ask for whole cards among them. Each is promised
devices of one node: such as there are and free, such as are being made, and then such as could be made,
at the least cost: on cards that are divided already, before idle whole cards are broken into, on the node
that has the fewest of those. What is not free is never touched, nor what an earlier job was promised, nor
a card that was changed a moment ago: so a queue to which nothing is added comes to rest.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from windlass_server.scheduler.dividing import Draft, NodeDraft
from windlass_server.scheduler.divisible import card_drafts, keys_made
from windlass_server.scheduler.feasibility import node_label
from windlass_server.scheduler.filters import fits
from windlass_server.scheduler.keeping import KeptCards
from windlass_server.scheduler.ledger import Ledger
from windlass_server.scheduler.rooms import (
    Column,
    Room,
    copied,
    enough_memory,
    gpu_key,
    gpu_keys,
)
from windlass_server.scheduler.scores import total
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, Demand, Instance, NodeState
from windlass_server.scheduler.topology import needs_island

# What one cycle changes at most; the next goes on. It bounds what a cycle takes.
MOST_CHANGES = 64
# The nodes of which the best is chosen.
_MOST_CANDIDATES = 64
_NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Change:
    """A card that shall be divided otherwise.

    Attributes:
        node_id: its node.
        card_uuid: the card as a whole.
        seen: UUIDs of the instances that it has, and nothing when it is whole.
        instances: what it shall be divided into, sorted by place, with the UUIDs of those that are there;
            nothing: it shall be whole.
    """

    node_id: str
    card_uuid: str
    seen: frozenset[str]
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class Division:
    """What to change for jobs that wait.

    Attributes:
        changes: the cards.
        promises: what jobs are told for which something is made, by their ids.
        with_what_could_be_made: the room that would be left for a demand if cards were divided for it.
    """

    changes: tuple[Change, ...]
    promises: Mapping[str, str]
    with_what_could_be_made: Callable[[Demand], Room[Column]]


Choice: TypeAlias = tuple[tuple[int, ...], int, str, Draft]
"""What it costs, on which node, devices of which type, and how they are made."""


def divide(
    waiting: Iterable[tuple[Demand, Hashable]],
    ledger: Ledger,
    taken: Iterable[str],
    kept: Iterable[KeptCards] = (),
) -> Division:
    """How cards should be divided for jobs that got no place.

    Args:
        waiting: in the order of the queue, each with its shape: those of one shape are alike in where
            they fit.
        ledger: what the plan has left.
        taken: UUIDs that the plan has given away.
        kept: what was kept from others so that cards are divided for some of these.
    """
    if not any(node.cards for node in ledger.nodes):
        return Division((), {}, lambda _: ledger.free)
    divider = _Divider(ledger, frozenset(taken))
    divider.give_back(kept)
    hopeless = set[Hashable]()
    for demand, shape in waiting:
        if divider.changed >= MOST_CHANGES:
            break
        # One that has its node alone takes cards as they are, and so does one inside a reservation.
        made_for_it = demand.gpu_count and not demand.exclusive and not demand.reservation
        if made_for_it and shape not in hopeless and not divider.promise(demand):
            hopeless.add(shape)
    return divider.division()


def undivided(node: NodeState) -> NodeState:
    """The node as it is for somebody who cannot wait until a card is divided."""
    if not node.cards:
        return node
    cards = (replace(card, failed=True, rests_until=_NEVER) for card in node.cards)
    return replace(node, cards=tuple(cards))


class _Divider:
    def __init__(self, ledger: Ledger, taken: frozenset[str]) -> None:
        self._ledger = ledger
        self._free = copied(ledger.free)
        self._nodes = {
            index: NodeDraft(card_drafts(node.cards, node, taken, ledger.now))
            for index, node in enumerate(ledger.nodes)
            if node.cards and node.ready and node.takes_work
        }
        self._extra: dict[str, Column] = {}
        self._promises: dict[str, str] = {}
        self.changed = 0

    def give_back(self, kept: Iterable[KeptCards]) -> None:
        """Let what was kept be had: those for whom it was are the first that ask."""
        for one in kept:
            self._free.cpu_millis[one.index] += one.cpu_millis
            self._free.memory_bytes[one.index] += one.memory_bytes
            for key, count in one.gpus.items():
                self._free.gpus[key][one.index] += count

    def promise(self, demand: Demand) -> bool:
        """Promise a job devices that have to be made first; False when they cannot be."""
        if demand.nodes > 1:
            return self._promise_several(demand)
        keys = [*self._keys(demand)]
        view = self._ledger.reserved.view(demand, self._free)
        able = fits(demand, self._with_extra(demand, view, keys))
        indexes = [index for index in np.flatnonzero(able).tolist() if index in self._nodes]
        indexes.sort(key=lambda index: (self._nodes[index].untouched, index))
        choices = [
            choice
            for index in indexes[:_MOST_CANDIDATES]
            for choice in self._choices(demand, view, index, keys)
        ]
        if not choices:
            return False
        _, index, key, draft = min(choices, key=lambda choice: choice[:3])
        self._commit(demand, index, key, draft)
        self._tell(demand, index, draft)
        return True

    def _promise_several(self, demand: Demand) -> bool:
        """The same for a job of several nodes: on all that it needs, or on none."""
        view = self._ledger.reserved.view(demand, self._free)
        room = self._with_extra(demand, view, [*self._keys(demand)])
        gang = self._ledger.gangs.choose(
            demand, room, lambda one: total(one, self._free, self._ledger.full)
        )
        if gang is None:
            return False
        key, drafts = gpu_key(gang.demand.gpu_type), list[Draft]()
        for index in gang.indexes:
            breakable = {name: int(column[index]) for name, column in view.gpus.items()}
            there, node = Draft(key, existing=demand.gpu_count), self._nodes.get(index)
            draft = there if node is None else node.draft(key, demand.gpu_count, breakable)
            if draft is None:
                return False
            drafts.append(draft)
        made = [each for each in zip(gang.indexes, drafts, strict=True) if each[1].makes]
        if not made:
            return False
        for index, draft in zip(gang.indexes, drafts, strict=True):
            # What is there already is kept for it, so that nothing else breaks into it.
            self._commit(gang.demand, index, key, draft)
        self._tell(demand, *made[0])
        return True

    def division(self) -> Division:
        """All that was promised."""
        changes = [
            Change(self._ledger.nodes[index].node_id, card.uuid, card.seen, card.target())
            for index, node in self._nodes.items()
            for card in node.cards
            if card.changed
        ]
        return Division(tuple(changes), self._promises, self._potential)

    def _potential(self, demand: Demand) -> Room[Column]:
        return self._with_extra(demand, self._free, [*self._keys(demand)])

    def _keys(self, demand: Demand) -> Iterator[str]:
        """The types of devices that a demand takes, and that could be made."""
        yield from keys_made(demand, self._free)

    def _with_extra(self, demand: Demand, view: Room[Column], keys: Sequence[str]) -> Room[Column]:
        """The room as it would be if cards were divided for this demand alone."""
        room = replace(view, gpus=dict(view.gpus))
        for key in keys:
            room.gpus[key] = room.gpus.get(key, room.none) + self._could_be_made(key)
        if not demand.takes_parts and gpu_keys(demand) == (ANY_GPU_TYPE,):
            columns = [room.gpus[key] for key in keys]
            room.gpus[ANY_GPU_TYPE] = np.max(columns, axis=0) if columns else room.none
        if not needs_island(demand):
            return room
        # Which cards are made whole is not chosen by their links.
        full = self._ledger.full.islands
        islands = {
            key: np.minimum(column, full.get(key, room.none)) for key, column in room.gpus.items()
        }
        return replace(room, islands=islands)

    def _could_be_made(self, key: str) -> Column:
        known = self._extra.get(key)
        if known is None:
            known = self._extra[key] = self._free.none.copy()
            for index, node in self._nodes.items():
                known[index] = node.could_be_made(key)
        return known

    def _choices(
        self, demand: Demand, view: Room[Column], index: int, keys: Sequence[str]
    ) -> Iterator[Choice]:
        node, count = self._nodes[index], demand.gpu_count
        breakable = {key: int(column[index]) for key, column in view.gpus.items()}
        for key in keys:
            if demand.gpu_memory_bytes and not enough_memory(demand, view, key)[index]:
                continue
            draft = node.draft(key, count, breakable)
            if draft is not None and draft.makes:
                size = int(view.memory[key][index]) if demand.gpu_memory_bytes else 0
                yield (size, draft.broken, draft.dropped, node.idle_whole), index, key, draft

    def _commit(self, demand: Demand, index: int, key: str, draft: Draft) -> None:
        node = self._nodes.get(index)
        if node is not None:
            self.changed += node.commit(draft)
            for known, column in self._extra.items():
                column[index] = node.could_be_made(known)
        self._free.cpu_millis[index] -= demand.cpu_millis
        self._free.memory_bytes[index] -= demand.memory_bytes
        if key in self._free.gpus:
            self._free.gpus[key][index] -= draft.existing
        for lost, count in draft.lost_by_type:
            self._free.gpus[lost][index] -= count
            broken = replace(demand, cpu_millis=0, memory_bytes=0, gpu_count=count)
            self._ledger.reserved.take(index, broken, lost)
        if not draft.broken:
            self._ledger.reserved.take(index, demand, key)

    def _tell(self, demand: Demand, index: int, draft: Draft) -> None:
        label = node_label(self._ledger.nodes[index])
        how = "made whole" if draft.merged else "divided"
        self._promises[demand.job_id] = f"a card of {label} is being {how} for it"
