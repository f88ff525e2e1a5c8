"""Whom to stop so that jobs of higher priority find a place: pure, as the plan is.

Jobs that the plan found no place for are looked at in its order. One that may preempt gets the node
on which the fewest jobs have to go so that it fits, by the same filters as everywhere; of equal ones
that where they lose least work (`victims.py`). One of several nodes gets as many as it makes do with, by
the same (`several_victims.py`). It is all or nothing: where it would not fit even
without all who may be stopped, nobody is stopped. What is about to leave counts as gone, so that
nobody is stopped for room that comes by itself.

What another project is sure of by its quota is left alone. What it has borrowed beyond that goes also
for an equal of a project that takes back no more than it is sure of; for such a one also a job goes that was
borrowed in part, with all of its runs, and only as long as its project has more than it is sure of.

There are no loops. Who is stopped has a lower priority than who gets the place; or the same, and then
it was borrowed and the other is not. So with each preemption fewer jobs of the highest class wait that
it concerns. Who was borrowed in part asks for more than its project is sure of when it waits, so that it takes
nothing back by itself.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from windlass_server.scheduler.crowd import Crowd, Crowding
from windlass_server.scheduler.divisible import made_for, may_divide
from windlass_server.scheduler.feasibility import node_label
from windlass_server.scheduler.filters import fits
from windlass_server.scheduler.future import Future, Placed
from windlass_server.scheduler.gang import Gang
from windlass_server.scheduler.guarantees import Guarantees
from windlass_server.scheduler.ledger import Ledger
from windlass_server.scheduler.partition import Change
from windlass_server.scheduler.policies import PreemptionRules
from windlass_server.scheduler.preempting import MakingRoom
from windlass_server.scheduler.rooms import Mask
from windlass_server.scheduler.several_victims import Freed, RoomForSeveral
from windlass_server.scheduler.snapshot import Demand, Running, Snapshot
from windlass_server.scheduler.victims import Cost, Victim, cost, fewest_dividing, fewest_on

MOST_AT_ONCE = 16
"""Jobs for which one cycle stops others; the next goes on."""
_MOST_DIVIDED = 8
"""Nodes on which it is looked whom to stop so that cards can be divided for one job."""
MOST_LOOKED_AT = 32
"""Jobs of different shapes for which one cycle looks whom to stop."""


@dataclass(frozen=True, slots=True)
class Eviction:
    """A run that shall be stopped, and for whom.

    Attributes:
        run_id: the run.
        job_id: its job.
        for_job_id: the job that gets the place.
        node_id: where that place is; of several that on which this run is, if it is on one of them.
        places: the nodes of all places that it gets; none where that is one.
    """

    run_id: str
    job_id: str
    for_job_id: str
    node_id: str
    places: tuple[str, ...] = ()


@dataclass(slots=True)
class Preempted:
    """Whom to stop.

    Attributes:
        evictions: all runs of each job that has to go, in the order of those for whom they are stopped.
        promises: what those are told, by their ids.
    """

    evictions: list[Eviction] = field(default_factory=list)
    promises: dict[str, str] = field(default_factory=dict)


class Preemptor:
    """Finds whom to stop for one waiting job after the other.

    Args:
        snapshot: the world.
        future: the nodes, with what the plan has placed.
        guarantees: what projects are sure of; None: of nothing.
        result: where it is noted down whom to stop.
    """

    def __init__(
        self, snapshot: Snapshot, future: Future, guarantees: Guarantees | None, result: Preempted
    ) -> None:
        self._snapshot = snapshot
        self._future = future
        self._guarantees = guarantees
        self.result = result
        self._starts: list[tuple[int, int, int]] = []
        self.looked = 0
        self.made = 0
        self._places = future.places
        self._spent = dict(snapshot.preemptions.spent)
        self._making_room = {
            one.job_id for one in snapshot.preemptions.making_room if one.under_way
        }
        self._rules: dict[tuple[str, str], PreemptionRules] = {}
        self._has_cards_on = np.array([bool(node.cards) for node in future.nodes], np.bool_)
        self._has_cards = bool(self._has_cards_on.any())
        self._let_leave()
        self._crowd = Crowd(snapshot, self._places, future.pool_of_node)

    def promised(
        self,
        waiting: Iterable[tuple[Demand, Hashable]],
        starts: Mapping[str, tuple[Sequence[int], int]],
    ) -> None:
        """Take account of the starts that are promised: nobody of lower priority shall put them off."""
        for demand, _ in waiting:
            if (start := starts.get(demand.job_id)) is not None:
                self._starts += [(demand.priority, index, start[1]) for index in start[0]]

    def may(self, demand: Demand) -> bool:
        """Whether a job may have others stopped, somewhere, as far as the policies say."""
        return demand.job_id not in self._making_room and any(
            self._rule(demand.queue, pool).enabled for pool in self._future.pools
        )

    def make_room(self, demand: Demand) -> bool:
        """Have others stopped for a job, if that lets it start; whether it has a place then."""
        self.looked += 1
        coming = self._future.place_for(demand)
        if coming is not None:
            self._count(coming.demand)
            return self._take(coming)
        freed = self._freed(demand)
        if freed is None:
            return False
        gang, victims = freed.gang, freed.victims
        self._stop(demand, gang, victims)
        self.made += 1
        self._crowd.remove(victims)
        self._spent[demand.project] = self._spent.get(demand.project, 0) + len(victims)
        self._count(gang.demand)
        if self._guarantees is not None:
            self._guarantees.stopped([one.job_id for one in victims])
        names = [self._future.label(index) for index in gang.indexes]
        self.result.promises[demand.job_id] = stopped_text(len(victims), where_text(names))
        return self._take(gang)

    def _count(self, demand: Demand) -> None:
        """It is about to have a place, which its project can count on once."""
        if self._guarantees is not None:
            self._guarantees.placed(demand)

    def _freed(self, demand: Demand) -> Freed | None:
        """Whom to stop, and the places that it gets then.

        Of those who have borrowed the first to go do first. Where it has no place without them either, and takes back
        what it is sure of, it may be without others, as long as none of them goes without need.
        """
        crowd, able = self._crowd, self._able(demand)
        freed = self._search(demand, crowd.crowding(able))
        sure = self._guarantees
        if freed is not None or sure is None or not self._takes_back(demand):
            return freed
        more = self._able(demand, any_borrowed=True)
        if all(np.array_equal(able[pool], more[pool]) for pool in able):
            return None
        freed = self._search(demand, crowd.crowding(more))
        if freed is None:
            return None
        others = [one.job_id for one in freed.victims if one.runs[0].project != demand.project]
        return freed if sure.all_may_go(others) else None

    def _search(self, demand: Demand, crowding: Crowding) -> Freed | None:
        several = demand.nodes > 1
        best = self._best_of_several if several else self._best_of_one
        return best(demand, crowding)

    def _takes_back(self, demand: Demand) -> bool:
        """Whether its project stays within what it is sure of with as few nodes as it makes do with."""
        least = replace(demand, nodes=demand.min_nodes)
        return self._guarantees is not None and self._guarantees.within_guarantee(least)

    def _stop(self, demand: Demand, gang: Gang, victims: Iterable[Victim]) -> None:
        places = tuple(self._future.node(index).node_id for index in gang.indexes)
        for victim in victims:
            for run in victim.runs:
                node_id = run.node_id if run.node_id in places else places[0]
                several = places if len(places) > 1 else ()
                eviction = Eviction(run.run_id, run.job_id, demand.job_id, node_id, several)
                self.result.evictions.append(eviction)
                if run.node_id in self._places:
                    self._future.leave(self._places[run.node_id], (run,))

    def _take(self, gang: Gang) -> bool:
        if len(gang.indexes) == 1 and not self._future.holds(gang.indexes[0], gang.demand):
            # When they have left its cards are divided; until then nobody else has that node's cards.
            return self._future.take_cards(gang.indexes[0], gang.demand)
        return all(self._future.take(index, gang.demand) for index in gang.indexes)

    def _let_leave(self) -> None:
        """What leaves already is gone; what was made free of it is whose it was made for.

        A node that may well be back is waited for: nobody else is stopped because it is not there now.
        """
        leaving: dict[int, list[Running]] = {}
        for run in self._snapshot.running:
            if run.leaving and run.node_id in self._places:
                leaving.setdefault(self._places[run.node_id], []).append(run)
        for index, runs in sorted(leaving.items()):
            self._future.leave(index, runs)
        waiting = {demand.job_id: demand for demand in self._snapshot.queue}
        served = set[str]()
        making_room = self._snapshot.preemptions.making_room
        for one in sorted(making_room, key=lambda one: (one.awaited, one.job_id)):
            demand = waiting.get(one.job_id)
            if demand is None or not one.under_way or demand.job_id in served:
                continue
            if self._gets_its_place(demand, one):
                served.add(demand.job_id)
        # What was made free for the others does not help them any more.
        for job_id in self._making_room - served:
            self.result.promises.pop(job_id, None)
        self._making_room = served

    def _gets_its_place(self, demand: Demand, one: MakingRoom) -> bool:
        """Give a job what was made free for it, if that is all that it needs, or may well be."""
        places = [self._places[node] for node in one.node_ids if node in self._places]
        enough = len(places) >= demand.min_nodes
        if not one.awaited and not (
            enough and all(self._fits_on(index, demand) for index in places)
        ):
            return False
        for index in places:
            if not self._future.take(index, demand):
                self._future.take_cards(index, demand)
        self._count(replace(demand, nodes=demand.min_nodes))
        return True

    def _fits_on(self, index: int, demand: Demand) -> bool:
        """Whether a job has room on a node, or has it when cards are divided, which are not for several."""
        future = self._future
        alone = demand.nodes == 1
        return future.could_hold(index, demand) if alone else future.holds(index, demand)

    def _rule(self, queue: str, pool: str) -> PreemptionRules:
        rules = self._rules.get((queue, pool))
        if rules is None:
            rules = self._snapshot.policies.preemption(queue, pool)
            self._rules[queue, pool] = rules
        return rules

    def _best_of_several(self, demand: Demand, crowding: Crowding) -> Freed | None:
        closed = np.zeros(len(self._future.free.none), np.bool_)
        closed[self._promised_to_higher(demand)] = True
        freed = RoomForSeveral(demand, self._future, crowding, closed).best()
        if freed is None:
            return None
        pools = {self._future.pool_of_node[index] for index in freed.gang.indexes}
        left = min(self._left(demand, pool) for pool in pools)
        return freed if len(freed.victims) <= left else None

    def _left(self, demand: Demand, pool: str) -> int:
        """How many more may be stopped for its project, by the rules of a pool."""
        return self._rule(demand.queue, pool).budget - self._spent.get(demand.project, 0)

    def _best_of_one(self, demand: Demand, crowding: Crowding) -> Freed | None:
        """The best node as it is, or one that is better when its cards are divided behind those who go."""
        found = self._best(demand, crowding)
        if not self._has_cards or not made_for(demand):
            return found
        free = self._future.free
        nodes = self._has_cards_on & crowding.nodes(len(free.none))
        nodes &= may_divide(demand, crowding.gone(free))
        nodes[self._promised_to_higher(demand)] = False
        loss = crowding.least_loss(np.ones(len(nodes), np.int64))
        candidates = np.flatnonzero(nodes)
        best = None
        if found is not None:
            best = cost(found.victims, self._future.node(found.gang.indexes[0]).node_id)
        for each in candidates[np.lexsort((candidates, loss[candidates]))][:_MOST_DIVIDED]:
            index = int(each)
            if best is not None and (1, int(loss[index])) > best[:2]:
                break
            able = crowding.on(index)
            victims = fewest_dividing(self._future, index, demand, able, bound=best)
            left = self._left(demand, self._future.pool_of_node[index])
            if victims is not None and len(victims) <= left:
                best = cost(victims, self._future.node(index).node_id)
                found = Freed(Gang((index,), demand), victims)
        return found

    def _best(self, demand: Demand, crowding: Crowding) -> Freed | None:
        free = self._future.free
        nodes = fits(demand, crowding.gone(free)) & crowding.nodes(len(free.none))
        nodes[self._promised_to_higher(demand)] = False
        least = crowding.least(demand, free)
        loss = crowding.least_loss(least)
        candidates = np.flatnonzero(nodes)
        best: Cost | None = None
        found: Freed | None = None
        for each in candidates[np.lexsort((candidates, loss[candidates], least[candidates]))]:
            index = int(each)
            if best is not None and (int(least[index]), int(loss[index])) > best[:2]:
                break
            victims = self._fewest(demand, index, crowding, int(least[index]), best)
            if victims is not None:
                best = cost(victims, self._future.node(index).node_id)
                found = Freed(Gang((index,), demand), victims)
        return found

    def _fewest(
        self, demand: Demand, index: int, crowding: Crowding, least: int, best: Cost | None
    ) -> tuple[Victim, ...] | None:
        able = crowding.on(index)
        victims = fewest_on(self._future, index, demand, able, least=least, bound=best)
        left = self._left(demand, self._future.pool_of_node[index])
        return victims if victims is not None and len(victims) <= left else None

    def _promised_to_higher(self, demand: Demand) -> list[int]:
        """The nodes on which it would put off the promised start of a job of higher priority."""
        limit, now = demand.time_limit, self._snapshot.now
        return [
            index
            for priority, index, at in self._starts
            if priority > demand.priority and (limit is None or now + limit > at)
        ]

    def _able(self, demand: Demand, *, any_borrowed: bool = False) -> dict[str, Mask]:
        """By pool, which of the crowd may be stopped for a demand."""
        snapshot, crowd = self._snapshot, self._crowd
        gave_way = snapshot.preemptions.gave_way.get(demand.job_id)
        able = {}
        for pool in self._future.pools:
            rules = self._rule(demand.queue, pool)
            if rules.enabled:
                mask = crowd.lower(demand, rules, snapshot.now, gave_way)
                ripe = crowd.ripe(rules, snapshot.now, gave_way)
                able[pool] = self._as_guaranteed(demand, mask, ripe, any_borrowed=any_borrowed)
        return able

    def _as_guaranteed(
        self, demand: Demand, lower: Mask, ripe: Mask, *, any_borrowed: bool
    ) -> Mask:
        """Without what other projects are sure of; and with what they borrowed, up to an equal of one that is.

        What they borrowed only in part goes for one that is as well.
        """
        sure = self._guarantees
        if sure is None:
            return lower
        within = self._takes_back(demand)
        able = lower.copy()
        for number in np.flatnonzero(ripe):
            victim = self._crowd.victims[int(number)]
            if victim.runs[0].project == demand.project:
                continue
            may = lower[number] or (within and victim.priority <= demand.priority)
            able[number] = may and (
                sure.is_borrowed(victim.job_id, in_part=within)
                or (any_borrowed and sure.may_go(victim.job_id))
            )
        return able


def preempt(
    waiting: Iterable[tuple[Demand, Hashable]],
    ledger: Ledger,
    snapshot: Snapshot,
    placed: Iterable[Placed],
    starts: Mapping[str, tuple[Sequence[int], int]] | None = None,
    guarantees: Guarantees | None = None,
    changes: Iterable[Change] = (),
) -> Preempted:
    """Whom to stop for jobs that got no place.

    Args:
        waiting: in their order, each with its shape: those of one shape are alike in where they fit.
        ledger: what the plan has left.
        snapshot: the world.
        placed: what the plan has placed.
        starts: on which nodes and when (µs) a start is promised to which job.
        guarantees: what projects are sure of; None: of nothing.
        changes: cards that are divided otherwise for others.
    """
    under_way = [one for one in snapshot.preemptions.making_room if one.under_way]
    result = Preempted(promises={one.job_id: _under_way_text(one, ledger) for one in under_way})
    # Inside a reservation only those are whom it is for: nobody has to make room there.
    jobs = [each for each in waiting if not each[0].reservation]
    if jobs and snapshot.running and snapshot.policies.preempts:
        future = Future(ledger, snapshot.moments, placed)
        for change in changes:
            future.withhold(future.places[change.node_id], [change.card_uuid])
        preemptor = Preemptor(snapshot, future, guarantees, result)
        preemptor.promised(jobs, starts or {})
        _make_room(jobs, preemptor)
    return result


def _make_room(waiting: Iterable[tuple[Demand, Hashable]], preemptor: Preemptor) -> None:
    hopeless = set[Hashable]()
    for demand, shape in waiting:
        if preemptor.looked >= MOST_LOOKED_AT or preemptor.made >= MOST_AT_ONCE:
            break
        key = shape, demand.priority, demand.project, demand.queue
        if key not in hopeless and preemptor.may(demand) and not preemptor.make_room(demand):
            hopeless.add(key)


def _under_way_text(one: MakingRoom, ledger: Ledger) -> str:
    places = [ledger.start.places[node] for node in one.node_ids if node in ledger.start.places]
    names = [node_label(ledger.nodes[place]) for place in places]
    where = where_text(names) if names else "a node that is gone"
    if one.leaving:
        told = f"{stopped_text(one.stopped, where)}; {one.leaving} of them still there"
    else:
        jobs = "1 job was" if one.stopped == 1 else f"{one.stopped} jobs were"
        told = f"{jobs} stopped for it on {where}"
    return f"{told}; the node is not connected" if one.awaited else told


def where_text(names: Sequence[str]) -> str:
    """Where a job gets its place, or its places."""
    return names[0] if len(names) == 1 else f"{len(names)} nodes"


def stopped_text(count: int, where: str) -> str:
    """What a job is told for which others are stopped."""
    jobs = "1 job is" if count == 1 else f"{count} jobs are"
    return f"{jobs} being stopped for it on {where}"
