"""What is free while a plan is being made: the only thing in a cycle that changes."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from windlass_server.scheduler.columns import free_columns
from windlass_server.scheduler.estimates import Span, cautious
from windlass_server.scheduler.feasibility import Capacity
from windlass_server.scheduler.filters import fits
from windlass_server.scheduler.gang import Gang, Gangs
from windlass_server.scheduler.islands import largest, nearest
from windlass_server.scheduler.packed import Packed, Packings, least
from windlass_server.scheduler.reserved import Key, Reserved
from windlass_server.scheduler.rooms import (
    ANY_DEVICE,
    Column,
    Mask,
    Room,
    copied,
    enough_memory,
    gpu_key,
    gpu_keys,
    marked,
    suitable,
    suited,
    wishes,
)
from windlass_server.scheduler.scores import total, wished_labels
from windlass_server.scheduler.sharing import SharedCards, only
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, WHOLE, Demand, Gpu, Moment, NodeState
from windlass_server.scheduler.spreading import beside
from windlass_server.scheduler.timeline import Amounts
from windlass_server.scheduler.topology import needs_island, wishes_island

# Of so many views a row is made anew when something is taken of a node; more are made anew when needed.
_MOST_VIEWS = 16


class Ledger:
    """The nodes of a snapshot, by id, with what the plan has taken of them so far.

    Attributes:
        nodes: in the order of their ids; indexes everywhere in a cycle are of this tuple.
        capacity: what they have when nothing runs, and their names.
        start: what was free at the start of the cycle.
        free: what is left.
        now: the time of the snapshot, in microseconds since 1970.
        gangs: finds nodes for jobs of several.
        reserved: what of it is kept from some, by reservations and by promises.
        reserved_at_start: the same at the start of the cycle.
    """

    def __init__(
        self,
        nodes: Sequence[NodeState],
        moments: Sequence[Moment] = (),
        now: int = 0,
        span: Span = cautious,
        packings: Packings | None = None,
    ) -> None:
        self.capacity = Capacity.of(nodes, ())
        self.nodes = self.capacity.nodes
        self.start = free_columns(self.nodes)
        self.free = copied(self.start)
        self.now = now
        self.gangs = Gangs(self.nodes)
        self.reserved = Reserved(moments, self.start.places, now, span)
        self.reserved_at_start = Reserved(moments, self.start.places, now, span)
        # What is left, by what is kept from whom.
        self._views: dict[Key, Room[Column]] = {}
        self._uuids: dict[int, dict[str, list[str]]] = {}
        self._cards = SharedCards(self.nodes)
        self._packings = packings

    @property
    def full(self) -> Room[Column]:
        """What the nodes have when they are empty."""
        return self.capacity.full

    def choose(self, demand: Demand, avoid: Sequence[int] = ()) -> int | None:
        """Index of the node that takes the demand; None when none can.

        Equals are decided by the node's id, because the nodes stand in that order. GPUs of a type that it
        wishes more come before anything else, and nodes to avoid behind all others.
        """
        found = (self._choose(one, avoid) for one in wishes(demand))
        return next((index for index in found if index is not None), None)

    def _choose(self, demand: Demand, avoid: Sequence[int]) -> int | None:
        view = self._view(demand)
        able = _without(fits(demand, view), avoid)
        able = self._with_best_labels(demand, self._joined(demand, able, view))
        able = self._least_crowded(demand, able)
        if demand.gpu_millis:
            return self._choose_for_share(demand, able, view)
        candidates = able.nonzero()[0]
        if len(candidates) <= 1:
            return int(candidates[0]) if len(candidates) else None
        if (packed := self._choose_packed(demand, able)) is not None:
            return packed
        return int(np.where(able, total(demand, self.free, self.full), -1.0).argmax())

    def _joined(self, demand: Demand, able: Mask, view: Room[Column]) -> Mask:
        """Of the nodes those whose GPUs reach each other, where it would rather have such, and any is trusted."""
        if not wishes_island(demand) or not able.any():
            return able
        best: Mask = able & (suited(demand, view, view.islands) >= demand.gpu_count)
        trusted = best & (marked(self.free, [fault.node_id for fault in demand.faults]) == 0)
        return best if trusted.any() else able

    def _with_best_labels(self, demand: Demand, able: Mask) -> Mask:
        """Of the nodes those whose labels are as it would rather have them; whatever else is said of them."""
        if not any(rule.preferred for rule in demand.labels) or not able.any():
            return able
        trusted = able & (marked(self.free, [fault.node_id for fault in demand.faults]) == 0)
        among = trusted if trusted.any() else able
        wished = wished_labels(demand, self.free, self.full)
        best: Mask = among & (wished == wished[among].max())
        return best

    def _least_crowded(self, demand: Demand, able: Mask) -> Mask:
        """Of the nodes those with the fewest of whom it is spread with, where no limit is said."""
        if not demand.beside or (demand.apart and demand.apart.most) or not able.any():
            return able
        trusted = able & (marked(self.free, [fault.node_id for fault in demand.faults]) == 0)
        among = trusted if trusted.any() else able
        counts = beside(demand, self.free)
        best: Mask = among & (counts == counts[among].min())
        return best

    def _choose_packed(self, demand: Demand, able: Mask) -> int | None:
        """The node that the packing policy likes best; of equals the scores'. None: it knows none of them."""
        policy = self._packings.of(demand) if self._packings else None
        if policy is None:
            return None
        trusted = able
        if demand.faults:
            trusted = able & (marked(self.free, [fault.node_id for fault in demand.faults]) == 0)
        if not demand.gpu_count and (trusted & (self.full.installed[ANY_DEVICE] == 0)).any():
            return None  # it need not keep GPUs from anybody
        for among in (trusted, able):
            best = least(policy.costs(demand, among)).nonzero()[0]
            if len(best):
                scores = total(demand, self.free, self.full)[best] if len(best) > 1 else best
                return int(best[scores.argmax()])
        return None

    def choose_gang(self, demand: Demand, avoid: Sequence[int] = ()) -> Gang | None:
        """The nodes that take a job of several, each its part; None when not enough can.

        Nodes to avoid are taken only where it has not enough without them.
        """
        view, scores = self._view(demand), partial(total, free=self.free, full=self.full)
        gang = None
        if avoid:
            others = np.ones(len(self.nodes), np.bool_)
            others[list(avoid)] = False
            gang = self.gangs.choose(demand, view, scores, lambda _: others)
        return gang or self.gangs.choose(demand, view, scores)

    def promise(self, demand: Demand, index: int, at: int, there: Amounts, gpu_type: str) -> None:
        """Keep a part of a node for a demand; as `Reserved.promise`."""
        self.reserved.promise(demand, index, at, there, gpu_type)
        self._views.clear()

    def _view(self, demand: Demand) -> Room[Column]:
        """What is left to a demand."""
        key = self.reserved.key(demand)
        if key is None:
            return self.free
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = self.reserved.view(demand, self.free)
        return view

    def _choose_for_share(self, demand: Demand, able: Mask, view: Room[Column]) -> int | None:
        """The node of the card with least left beyond the share; else one with a card to break into.

        A node that has failed the job is the last choice, as everywhere.
        """
        if (packed := self._choose_packed(demand, able)) is not None:
            return packed
        key = gpu_key(demand.gpu_type)
        roomy = view.shared.get(key, view.none) >= demand.gpu_millis
        idle = view.gpus.get(key, view.none) > 0
        faulty = marked(self.free, [fault.node_id for fault in demand.faults])
        for among in (able & (faulty == 0), able):
            card = self._cards.tightest(demand.gpu_millis, among & roomy, _named(key))
            if card is not None:
                return self._cards.node_of(card)
            broken = among & idle
            if broken.any():
                return int(np.where(broken, total(demand, self.free, self.full), -1.0).argmax())
        return None

    def keep(self, index: int, demand: Demand) -> None:
        """Keep what is free of a node for a demand that does not fit there yet, up to what it asks for."""
        demand = self.whole(index, demand)
        self._keep_amounts(index, demand)
        if demand.gpu_count and not demand.gpu_millis:
            self._keep_gpus(index, demand)
        self._has_less(index)

    def keep_devices(self, index: int, demand: Demand, gpus: Iterable[Gpu]) -> tuple[int, int]:
        """The same, with these devices of the node, which are free; how much CPU and memory was kept."""
        kept = self._keep_amounts(index, demand)
        by_type = self._free_uuids(index)
        for gpu in gpus:
            key = gpu_key(gpu.gpu_type)
            # The one that it is, and none that is as good.
            others = [uuid for uuid in by_type[key] if uuid != gpu.uuid]
            by_type[key] = [gpu.uuid]
            self._give(index, key, 1)
            by_type[key] = others
            self.free.islands[key][index] = largest(self._those(index, others))
        self._has_less(index)
        return kept

    def _keep_amounts(self, index: int, demand: Demand) -> tuple[int, int]:
        cpu, memory = self.free.cpu_millis, self.free.memory_bytes
        cpu_millis = min(max(int(cpu[index]), 0), demand.cpu_millis)
        memory_bytes = min(max(int(memory[index]), 0), demand.memory_bytes)
        cpu[index] -= cpu_millis
        memory[index] -= memory_bytes
        return cpu_millis, memory_bytes

    def _keep_gpus(self, index: int, demand: Demand) -> None:
        by_type = self._free_uuids(index)
        if demand.takes_parts:
            keys = [*suitable(demand, self.free, by_type)]
        else:
            keys = [key for key in gpu_keys(demand) if key != ANY_GPU_TYPE] or [
                key for key in by_type if key not in self.free.parts
            ]
        most = max(keys, key=lambda key: (len(by_type.get(key, ())), key), default=None)
        if most is not None and most in by_type:
            self._give(index, most, min(len(by_type[most]), demand.gpu_count))

    def gpu_type_of(self, index: int, uuids: Sequence[str]) -> str:
        """The type of GPUs of a node, which are all of one; empty without any."""
        if not uuids:
            return ""
        return next(gpu.gpu_type for gpu in self.nodes[index].gpus if gpu.uuid == uuids[0])

    def take(self, index: int, demand: Demand) -> tuple[str, ...]:
        """Takes the demand from a node that fits it; the UUIDs of its GPUs, sorted."""
        demand = self._granted(index, demand)
        uuids = self._take_all(index, demand) if demand.exclusive else self._take(index, demand)
        self._has_less(index)
        return uuids

    def _has_less(self, index: int) -> None:
        """What a node has left has changed."""
        if self._packings:
            self._packings.put(index, int(self.free.cpu_millis[index]), self._idle_cards(index))
        if len(self._views) > _MOST_VIEWS:
            self._views.clear()
        for key, view in self._views.items():
            self.reserved.renew(view, key, self.free, index)

    def _take(self, index: int, demand: Demand) -> tuple[str, ...]:
        self.free.cpu_millis[index] -= demand.cpu_millis
        self.free.memory_bytes[index] -= demand.memory_bytes
        uuids: tuple[str, ...] = ()
        if not demand.gpu_count:
            self.reserved.take(index, demand, ANY_GPU_TYPE)
        elif demand.gpu_millis:
            uuids = (self._take_share(index, demand),)
        else:
            uuids = self._take_gpus(index, demand)
        return uuids

    def _idle_cards(self, index: int) -> list[int]:
        """Thousandths of each card of a node that is left, as `packed.idle_cards` has it."""
        by_type = self._free_uuids(index)
        whole = sum(len(uuids) for key, uuids in by_type.items() if key not in self.free.parts)
        return [WHOLE] * whole + self._cards.left_on(index)

    def whole(self, index: int, demand: Demand) -> Demand:
        """A demand with all of the CPU and memory that it holds of a node, when it has that alone."""
        if not demand.exclusive:
            return demand
        node = self.nodes[index]
        return replace(demand, cpu_millis=node.cpu_millis, memory_bytes=node.memory_bytes)

    def _granted(self, index: int, demand: Demand) -> Demand:
        """The demand for the type of GPUs that it wishes most of those that a node has for it."""
        if not demand.gpu_types:
            return demand
        return next(one for one in wishes(demand) if fits(one, self._view(one))[index])

    def _take_all(self, index: int, demand: Demand) -> tuple[str, ...]:
        whole = self.whole(index, demand)
        self.free.cpu_millis[index] -= whole.cpu_millis
        self.free.memory_bytes[index] -= whole.memory_bytes
        self.reserved.take(index, replace(whole, gpu_count=0), ANY_GPU_TYPE)
        none = replace(demand, cpu_millis=0, memory_bytes=0)
        taken = list[str]()
        for key, uuids in sorted(self._free_uuids(index).items()):
            count = len(uuids)
            taken += self._give(index, key, count)
            self.reserved.take(index, replace(none, gpu_count=count), key)
        if self._packings:
            self._packings.put(index, int(self.free.cpu_millis[index]), self._idle_cards(index))
        return tuple(sorted(taken))

    def _take_share(self, index: int, demand: Demand) -> str:
        view = self.reserved.view(demand, self.free)
        types = _named(gpu_key(demand.gpu_type)) or list(view.shared)
        open_to_it = [key for key in types if _left(view.shared, key, index) >= demand.gpu_millis]
        card = None
        if open_to_it:
            here = only(index, self.free.none)
            card = self._cards.tightest(demand.gpu_millis, here, open_to_it)
            if self._packings and (policy := self._packings.of(demand)) is not None:
                card = self._card_of(index, demand, card, policy, view)
        if card is None:
            (uuid,) = self._take_gpus(index, demand)
            gpu = next(gpu for gpu in self.nodes[index].gpus if gpu.uuid == uuid)
            key = gpu_key(gpu.gpu_type)
            card = self._cards.add(index, uuid, key, self.nodes[index].max_sharers)
        else:
            key = self._cards.type_of(card)
            self.reserved.join(index, demand, key)
        self._cards.join(card, demand.gpu_millis)
        self._show_shared(index, key)
        return self._cards.uuid_of(card)

    def _card_of(
        self,
        index: int,
        demand: Demand,
        tightest: int | None,
        policy: Packed,
        view: Room[Column],
    ) -> int | None:
        """The shared card of a node that the packing policy chooses; None: one that nobody holds."""
        idle = policy.idle_of_card(demand, index)
        if idle == WHOLE and _left(view.gpus, gpu_key(demand.gpu_type), index):
            return None
        chosen = self._cards.with_left(idle, index)
        return tightest if chosen is None else chosen

    def _show_shared(self, index: int, key: str) -> None:
        shared = self.free.shared
        shared.setdefault(key, self.free.none.copy())[index] = self._cards.most_left(index, key)
        shared[ANY_GPU_TYPE][index] = max(
            column[index] for name, column in shared.items() if name != ANY_GPU_TYPE
        )

    def _take_gpus(self, index: int, demand: Demand) -> tuple[str, ...]:
        key = self._key(index, demand, self._free_uuids(index))
        taken = self._give(index, key, demand.gpu_count)
        self.reserved.take(index, demand, key)
        return taken

    def _free_uuids(self, index: int) -> dict[str, list[str]]:
        by_type = self._uuids.get(index)
        if by_type is None:
            by_type = self._uuids[index] = _free_uuids(self.nodes[index])
        return by_type

    def _give(self, index: int, key: str, count: int) -> tuple[str, ...]:
        """GPUs of a type that are free on a node, which they are no more."""
        by_type, island = self._free_uuids(index), self.free.islands[key]
        uuids = by_type[key]
        if island[index] in (1, len(uuids)):  # none of them reach each other, or all do
            taken, by_type[key] = tuple(uuids[:count]), uuids[count:]
            island[index] = min(int(island[index]), len(by_type[key]))
        else:
            taken = self._nearest(index, uuids, count)
            by_type[key] = [uuid for uuid in uuids if uuid not in taken]
            island[index] = largest(self._those(index, by_type[key]))
        self.free.gpus[key][index] -= count
        if key not in self.free.parts:
            whole = [key for key in by_type if key not in self.free.parts]
            for columns in (self.free.gpus, self.free.islands):
                columns[ANY_GPU_TYPE][index] = max(columns[key][index] for key in whole)
        return taken

    def free_gpus(self, index: int) -> list[Gpu]:
        """The GPUs of a node that the plan has not given away, whole or in shares."""
        uuids = self._free_uuids(index).values()
        return self._those(index, [uuid for those in uuids for uuid in those])

    def _nearest(self, index: int, uuids: list[str], count: int) -> tuple[str, ...]:
        """So many of these, as near to each other as can be; the first where they are alike."""
        if count == len(uuids):
            return tuple(uuids)
        return nearest(self._those(index, uuids), count)

    def _those(self, index: int, uuids: Collection[str]) -> list[Gpu]:
        wanted = set(uuids)
        return [gpu for gpu in self.nodes[index].gpus if gpu.uuid in wanted]

    def _key(self, index: int, demand: Demand, by_type: dict[str, list[str]]) -> str:
        """Of which type a demand is given GPUs of a node that fits it."""
        if not demand.takes_parts:
            if demand.gpu_type:
                return gpu_key(demand.gpu_type)
            whole = {key: uuids for key, uuids in by_type.items() if key not in self.free.parts}
            left = self._joining(index, demand, self._not_kept(index, demand, whole))
            return _tightest_type(left, demand.gpu_count)
        able = {
            key: by_type[key]
            for key in suitable(demand, self.free, by_type)
            if not demand.gpu_memory_bytes or enough_memory(demand, self.free, key)[index]
        }
        left = self._joining(index, demand, self._not_kept(index, demand, able))
        return min(
            (int(self.free.memory[key][index]), len(uuids), key)
            for key, uuids in left.items()
            if len(uuids) >= demand.gpu_count
        )[2]

    def _joining(
        self, index: int, demand: Demand, by_type: dict[str, list[str]]
    ) -> dict[str, list[str]]:
        """Of the types those of which enough GPUs reach each other, where it asks for that and there are such."""
        if not (needs_island(demand) or wishes_island(demand)):
            return by_type
        count, islands = demand.gpu_count, self.free.islands
        joined = {
            key: uuids
            for key, uuids in by_type.items()
            if len(uuids) >= count and islands[key][index] >= count
        }
        return joined or by_type

    def _not_kept(
        self, index: int, demand: Demand, by_type: dict[str, list[str]]
    ) -> dict[str, list[str]]:
        """Of a node's free GPUs as many of each type as are not kept from the demand."""
        if self.reserved.key(demand) is None:
            return by_type
        left = self.reserved.view(demand, self.free).gpus
        return {key: uuids[: int(left[key][index])] for key, uuids in by_type.items()}


def _without(able: Mask, avoid: Sequence[int]) -> Mask:
    """The nodes without those to avoid, where there are others."""
    if not avoid:
        return able
    others = able.copy()
    others[list(avoid)] = False
    return others if others.any() else able


def _named(key: str) -> tuple[str, ...]:
    """The types that a demand names by its key; none for any."""
    return () if key == ANY_GPU_TYPE else (key,)


def _left(columns: dict[str, Column], key: str, index: int) -> int:
    return int(columns[key][index]) if key in columns else 0


def _free_uuids(node: NodeState) -> dict[str, list[str]]:
    uuids: dict[str, list[str]] = {}
    for gpu in sorted(node.gpus, key=lambda gpu: gpu.uuid):
        if gpu.healthy and not gpu.held:
            uuids.setdefault(gpu_key(gpu.gpu_type), []).append(gpu.uuid)
    return uuids


def _tightest_type(by_type: dict[str, list[str]], count: int) -> str:
    """Of the types with enough GPUs the one with the fewest, then the first by name."""
    return min((len(uuids), key) for key, uuids in by_type.items() if len(uuids) >= count)[1]
