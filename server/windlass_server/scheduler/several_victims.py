"""Whom to stop so that a job of several nodes has room: for as many as it makes do with, all at once, or nobody.

A set of victims is as good as `victims.cost` says, wherever the nodes are that it makes free; only where the job
says how near to each other these are to be at best (`preferred`), nearer ones come first. All nodes are of one
domain of the level within which it must lie, and their GPUs are of one type.

Who runs on one node alone is a matter of that node. So nodes are looked at by what each costs, the cheapest first,
and as many are taken as the job lacks: what is compared adds up node by node, and no other choice is better. A job
of several nodes goes as a whole and may make many nodes free: sets of those are tried one after the other, the
smallest and the cheapest first, each with the nodes that still lack behind it.
"""

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb

import numpy as np

from windlass_server.scheduler.crowd import Crowding
from windlass_server.scheduler.filters import fits
from windlass_server.scheduler.future import Future
from windlass_server.scheduler.gang import Gang, Reach, kinds, widest
from windlass_server.scheduler.rooms import Column, Mask
from windlass_server.scheduler.scores import total
from windlass_server.scheduler.snapshot import Demand, Running
from windlass_server.scheduler.victims import Cost, Victim, cost, fewest_on

MOST_SETS = 200
"""Sets of jobs of several nodes that are tried for one job; where there are more, one is taken of which nobody
can be spared."""
MOST_NODES = 256
"""Nodes that are looked at closely beyond as many as are enough."""
_MOST_SPARED = 64
"""How often it is tried whether one of very many can be spared."""


@dataclass(frozen=True, slots=True)
class Freed:
    """Where a job gets its places when some have gone, and who these are."""

    gang: Gang
    victims: tuple[Victim, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """Victims, what they cost, and the nodes that have room for their part of the job then: enough, or more."""

    price: Cost
    victims: tuple[Victim, ...]
    nodes: tuple[int, ...]
    kind: Demand


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What each node costs at least when some jobs of several nodes have gone.

    Attributes:
        roomy: where nobody else has to go.
        able: where it may be enough that others go who run there alone.
        least: how many of those have to go at least.
        loss: what they lose at least.
    """

    roomy: Mask
    able: Mask
    least: Column
    loss: Column


class RoomForSeveral:
    """Finds whom to stop for one job of several nodes.

    Args:
        demand: the job.
        future: the nodes as they will be.
        crowding: who may be stopped for it.
        closed: nodes that it may not have.
    """

    def __init__(self, demand: Demand, future: Future, crowding: Crowding, closed: Mask) -> None:
        self._demand = demand
        self._future = future
        self._gangs = future.gangs
        self._crowding = crowding
        self._open = ~closed
        self._alone = crowding.alone()
        self._left = MOST_SETS
        self._bare: dict[str, _Bounds] = {}
        self._holds: dict[tuple[str, int, tuple[str, ...]], bool] = {}
        self._fewest: dict[tuple[str, int, tuple[str, ...]], tuple[Victim, ...] | None] = {}

    def best(self) -> Freed | None:
        """The best set of victims, and the nodes; None: without all of them it has not enough room either."""
        apart = self._demand.apart
        if apart is not None and apart.most and apart.node_label:
            return None  # which nodes could be had together is not searched for
        last, preferred = widest(self._demand), self._demand.topology.preferred
        for reach in range(preferred if preferred >= Reach.RACK else last, last + 1):
            found: _Found | None = None
            for kind, inside in self._domains(reach):
                found = (
                    self._in_domain(kind, inside, None if found is None else found.price) or found
                )
            if found is not None:
                return self._freed(found)
        return None

    def _domains(self, reach: int) -> list[tuple[Demand, Mask]]:
        """Where it may have enough room, and with which GPUs: what costs least at least comes first."""
        gone = self._crowding.gone(self._future.free)
        ordered = list[tuple[tuple[bool, int, int], int, Demand, Mask]]()
        for kind in kinds(self._demand, gone):
            bare = self._bounds_without(kind)
            least = np.where(bare.roomy, 0, bare.least)
            loss = np.where(bare.roomy, 0, bare.loss)
            able = self._gangs.able(kind, gone) & self._open
            for inside in self._gangs.inside(reach, able, kind.min_nodes):
                some = np.flatnonzero(inside & (bare.roomy | bare.able))
                first = some[np.lexsort((loss[some], least[some]))[: kind.min_nodes]]
                floor = len(first) < kind.min_nodes, int(least[first].sum()), int(loss[first].sum())
                ordered.append((floor, len(ordered), kind, inside))
        ordered.sort(key=lambda each: each[:2])
        return [(kind, inside) for _, _, kind, inside in ordered]

    def _freed(self, found: _Found) -> Freed:
        """The nodes that lie nearest to each other, of those that have room then."""
        kind = replace(found.kind, nodes=found.kind.min_nodes)
        free, full = self._future.free, self._future.full
        mask = np.zeros(len(free.none), np.bool_)
        mask[list(found.nodes)] = True
        indexes = self._gangs.pick(kind, free, mask, lambda one: total(one, free, full))
        assert indexes is not None
        return Freed(Gang(indexes, kind), self._needed(kind, indexes, found.victims))

    def _needed(
        self, kind: Demand, indexes: Sequence[int], victims: Sequence[Victim]
    ) -> tuple[Victim, ...]:
        """Without those of several nodes who can be spared: there may be some where not all sets were tried."""
        left = list(victims)
        for one in sorted(self._crowding.wide(victims), key=_rank, reverse=True):
            without = [each for each in left if each is not one]
            touched = set(self._crowding.nodes_of(one))
            if all(self._has_room(kind, index, without) for index in indexes if index in touched):
                left = without
        return tuple(left)

    def _in_domain(self, kind: Demand, inside: Mask, bound: Cost | None) -> _Found | None:
        """The best that there is in a domain; None: nothing better than the bound."""
        best = self._filled(kind, inside, (), bound)
        lacking = inside & ~self._bounds_without(kind).roomy
        wide = sorted(self._crowding.wide_on(lacking), key=_rank)
        for size in range(1, len(wide) + 1):
            known = bound if best is None else best.price
            if known is not None and size > known[0]:
                break
            count = comb(len(wide), size)
            if count > self._left:
                return self._covering(kind, inside, wide, known) or best
            self._left -= count
            for chosen in _cheapest_first(combinations(wide, size)):
                known = bound if best is None else best.price
                if known is not None and cost(chosen, "") >= known:
                    break
                best = self._filled(kind, inside, chosen, known) or best
        return best

    def _covering(
        self, kind: Demand, inside: Mask, wide: Sequence[Victim], bound: Cost | None
    ) -> _Found | None:
        """Where too many sets could be tried: of those who hold most nodes as many as will do, less some of these."""
        held = {one.job_id: self._held(one, inside) for one in wide}
        many = sorted(wide, key=lambda one: (-held[one.job_id], *one.rank))
        count, covered = 0, 0
        while count < len(many) and covered < kind.min_nodes:
            covered += held[many[count].job_id]
            count += 1
        found = self._filled(kind, inside, tuple(many[:count]), None)
        while found is None and count < len(many):
            count *= 2
            found = self._filled(kind, inside, tuple(many[:count]), None)
        chosen = many[:count]
        for one in sorted(chosen, key=_rank, reverse=True)[:_MOST_SPARED]:
            if found is None:
                break
            without = [each for each in chosen if each is not one]
            better = self._filled(kind, inside, tuple(without), found.price)
            if better is not None:
                chosen, found = without, better
        return found if found is not None and (bound is None or found.price < bound) else None

    def _filled(
        self, kind: Demand, inside: Mask, wide: tuple[Victim, ...], bound: Cost | None
    ) -> _Found | None:
        """The best in a domain when these of several nodes have gone; None: nothing better than the bound."""
        if not self._may_do(kind, inside, wide, bound):
            return None
        bounds = self._bounds(kind, inside, wide)
        nodes = np.flatnonzero(inside & bounds.roomy).tolist()
        victims, lacking = wide, kind.min_nodes - len(nodes)
        if lacking > 0:
            rest = np.flatnonzero(inside & bounds.able & ~bounds.roomy)
            order = rest[np.lexsort((rest, bounds.loss[rest], bounds.least[rest]))]
            if len(order) < lacking or _is_over(bound, wide, bounds, order[:lacking]):
                return None
            more = self._cheapest(kind, wide, bounds, order, lacking)
            if more is None:
                return None
            nodes += [index for index, _ in more]
            victims = (*wide, *(one for _, those in more for one in those))
        price = cost(victims, "")
        if not victims or (bound is not None and price >= bound):
            return None
        return _Found(price, victims, tuple(nodes), kind)

    def _may_do(
        self, kind: Demand, inside: Mask, wide: Sequence[Victim], bound: Cost | None
    ) -> bool:
        """Whether these may be enough, and better than the bound, as far as can be said without a closer look."""
        if not wide:
            return True
        bare = self._bounds_without(kind)
        held = sum(self._held(one, inside & ~bare.roomy) for one in wide)
        left = kind.min_nodes - int(np.count_nonzero(inside & bare.roomy)) - held
        if bound is not None and len(wide) + max(left, 0) > bound[0]:
            return False
        return left <= int(np.count_nonzero(inside & bare.able & ~bare.roomy))

    def _cheapest(
        self, kind: Demand, wide: Sequence[Victim], bounds: _Bounds, order: Column, count: int
    ) -> list[tuple[int, tuple[Victim, ...]]] | None:
        """Of nodes in the order of their bounds so many whose own victims cost least, with these."""
        exact = list[tuple[Cost, int, tuple[Victim, ...]]]()
        for looked, each in enumerate(order):
            index = int(each)
            least = int(bounds.least[index])
            if len(exact) >= count:
                over = (least, int(bounds.loss[index])) > exact[count - 1][0][:2]
                if over or looked >= count + MOST_NODES:
                    break
            victims = self._fewest_on(kind, index, wide, least)
            if victims is not None:
                insort(exact, (cost(victims, self._future.node(index).node_id), index, victims))
        if len(exact) < count:
            return None
        return [(index, victims) for _, index, victims in exact[:count]]

    def _bounds_without(self, kind: Demand) -> _Bounds:
        """The bounds when nobody of several nodes goes."""
        known = self._bare.get(kind.gpu_type)
        if known is None:
            roomy = self._future.able(kind) & self._open
            known = self._bare[kind.gpu_type] = _Bounds(roomy, *self._of_alone(kind, ()))
        return known

    def _bounds(self, kind: Demand, inside: Mask, wide: Sequence[Victim]) -> _Bounds:
        bare = self._bounds_without(kind)
        if not wide:
            return bare
        roomy = bare.roomy.copy()
        for index in {index for one in wide for index in self._crowding.nodes_of(one)}:
            if inside[index] and not roomy[index]:
                roomy[index] = self._has_room(kind, index, wide)
        return _Bounds(roomy, *self._of_alone(kind, wide))

    def _of_alone(self, kind: Demand, wide: Sequence[Victim]) -> tuple[Mask, Column, Column]:
        """What may be had by those who run on one node alone, when these have gone: where, how many, what they lose."""
        free, alone = self._future.free, self._alone
        room = self._crowding.of(wide).gone(free) if wide else free
        able = fits(kind, alone.gone(room)) & alone.nodes(len(free.none))
        least = alone.least(kind, room)
        return able, least, alone.least_loss(least)

    def _held(self, victim: Victim, mask: Mask) -> int:
        """On how many of some nodes a job is."""
        return int(np.count_nonzero(mask[self._crowding.nodes_of(victim)]))

    def _has_room(self, kind: Demand, index: int, victims: Iterable[Victim]) -> bool:
        """Whether a node has room for its part when these have gone."""
        runs = self._gone_from(index, victims)
        key = kind.gpu_type, index, tuple(run.run_id for run in runs)
        known = self._holds.get(key)
        if known is None:
            known = self._holds[key] = self._future.holds(index, kind, runs)
        return known

    def _fewest_on(
        self, kind: Demand, index: int, wide: Sequence[Victim], least: int
    ) -> tuple[Victim, ...] | None:
        gone = self._gone_from(index, wide)
        key = kind.gpu_type, index, tuple(run.run_id for run in gone)
        if key not in self._fewest:
            able = self._alone.on(index)
            self._fewest[key] = fewest_on(
                self._future, index, kind, able, gone=gone, least=least, bound=None
            )
        return self._fewest[key]

    def _gone_from(self, index: int, victims: Iterable[Victim]) -> list[Running]:
        """What these leave of a node to the job."""
        able = {one.job_id for one in self._crowding.on(index)}
        node_id = self._future.node(index).node_id
        return [
            run
            for one in victims
            if one.job_id in able and not self._future.leaves_to_reservation(index, one.runs)
            for run in one.on(node_id)
        ]


def _is_over(bound: Cost | None, wide: Sequence[Victim], bounds: _Bounds, first: Column) -> bool:
    """Whether these nodes cost more than the bound even if none costs more than it must."""
    if bound is None:
        return False
    count = len(wide) + int(bounds.least[first].sum())
    loss = sum(one.loss for one in wide) + int(bounds.loss[first].sum())
    return (count, loss) > bound[:2]


def _cheapest_first(sets: Iterator[tuple[Victim, ...]]) -> list[tuple[Victim, ...]]:
    return sorted(sets, key=lambda chosen: cost(chosen, ""))


def _rank(victim: Victim) -> tuple[int, int, int, str]:
    return victim.rank
