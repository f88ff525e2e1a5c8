"""Decides which waiting jobs run where: a pure function of a snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from windlass_server.scheduler.backfill import Backfill, Start
from windlass_server.scheduler.estimates import Span, cautious
from windlass_server.scheduler.explain import Explainer, Explanation, Reason, Taken
from windlass_server.scheduler.future import Placed
from windlass_server.scheduler.gang import Gang
from windlass_server.scheduler.gates import Gates
from windlass_server.scheduler.guarantees import guarantees_in
from windlass_server.scheduler.keeping import Keeping, KeptCards
from windlass_server.scheduler.ledger import Ledger
from windlass_server.scheduler.order import in_turn
from windlass_server.scheduler.packed import Packings
from windlass_server.scheduler.partition import Change, divide
from windlass_server.scheduler.preempting import made_room_first, places_of_others
from windlass_server.scheduler.preemption import Eviction, preempt
from windlass_server.scheduler.quota_gate import guaranteed_first
from windlass_server.scheduler.reserved import Key
from windlass_server.scheduler.scores import as_policies_pack
from windlass_server.scheduler.snapshot import Demand, Fault, LabelRule, Snapshot, Spread, Topology

_Shape: TypeAlias = tuple[
    *tuple[int, int, int, str, str, int, int, int, tuple[Fault, ...], tuple[str, ...] | None],
    *tuple[int, int, Topology, tuple[str, ...], tuple[LabelRule, ...], bool, frozenset[str]],
    *tuple[bool, Spread | None, tuple[tuple[str, int], ...], str, Key | None],
]
_Skipped: TypeAlias = tuple[Demand, _Shape, int]
"""A demand, its shape, and how many places were taken before that shape found no room."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a job gets of one node; `gpu_uuids` are sorted, and empty for none."""

    node_id: str
    gpu_uuids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Placement:
    """A job and the place that it gets: all of it, or nothing.

    Attributes:
        job_id: the job.
        node_id: the node of its rank 0.
        gpu_uuids: the GPUs of that, sorted; empty for none.
        others: what its other ranks get, in their order.
    """

    job_id: str
    node_id: str
    gpu_uuids: tuple[str, ...]
    others: tuple[Place, ...] = ()

    @property
    def places(self) -> tuple[Place, ...]:
        """What each of its ranks gets, in their order."""
        return Place(self.node_id, self.gpu_uuids), *self.others


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that gets no place now: an UPPER_SNAKE `reason` and a sentence for people.

    `kept` is whether something is kept for it, as one of the first; `start` is that where its start is known.
    """

    job_id: str
    reason: str
    message: str
    start: Start | None = None
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Every job of the snapshot's queue once: placed, or waiting with a reason.

    Both tuples are in the order in which the jobs were considered. `changes` are cards that shall be
    divided otherwise for some of those that wait, `evictions` runs that shall be stopped for them.
    """

    placements: tuple[Placement, ...]
    waiting: tuple[Waiting, ...]
    changes: tuple[Change, ...] = ()
    evictions: tuple[Eviction, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what it leaves.

    Attributes:
        plan: it.
        rest: what it leaves of the nodes.
        held: the jobs that it held though there may be room.
        skipped: those for which there is none, in turn, with their shapes.
        tried: by their ids, as what those were tried that no gate held.
        backfill: what it foresees of those.
    """

    plan: Plan
    rest: Ledger
    held: frozenset[str]
    skipped: tuple[tuple[Demand, _Shape], ...]
    tried: Mapping[str, Demand]
    backfill: Backfill


def plan(snapshot: Snapshot, *, explained: bool = True) -> Plan:
    """Places what fits now and explains the rest; the same snapshot gives the same plan.

    Jobs are taken by priority, then in turns of projects and users (`order.py`). Behind one that does not
    fit others may still start, but not where they would delay the first of those that wait (`backfill.py`).

    Args:
        snapshot: the world.
        explained: say why each job waits. Else only those have a reason for which something is done, and those
            that a gate holds.
    """
    return planned(snapshot, explained=explained).plan


def planned(snapshot: Snapshot, span: Span = cautious, *, explained: bool = True) -> Planned:
    """The plan, and what it leaves of the nodes.

    Args:
        snapshot: the world.
        span: how long jobs are expected to run.
        explained: as in `plan`.
    """
    ordered = guaranteed_first(in_turn(snapshot), snapshot.quotas)
    in_order = made_room_first(ordered, snapshot.preemptions)  # 1. order
    queue = as_policies_pack(in_order, snapshot.policies)
    ledger = Ledger(snapshot.nodes, snapshot.moments, snapshot.now, span, Packings(snapshot))
    backfill = Backfill(ledger, snapshot.running, snapshot.policies)
    given = _place(queue, snapshot, ledger, backfill)  # 2.-5. hold, filter, score, take
    skipped = [each[:2] for each in given.skipped]
    starts = {
        job_id: (backfill.nodes[job_id], start.at) for job_id, start in backfill.starts.items()
    }
    guarantees = guarantees_in(snapshot, given.jobs)
    places = (place for one in given.placements for place in one.places)
    uuids = (uuid for place in places for uuid in place.gpu_uuids)
    coming = {one.job_id for one in snapshot.preemptions.making_room if one.under_way}
    left = (each for each in skipped if each[0].job_id not in coming)
    division = divide(left, ledger, uuids, given.kept_cards)  # 6. divide cards
    left = (each for each in skipped if each[0].job_id not in division.promises)
    preempted = preempt(
        left, ledger, snapshot, given.placed, starts, guarantees, division.changes
    )  # 7. stop others
    could_be = division.with_what_could_be_made
    in_turns = len({(each.project, each.user) for each in queue}) > 1
    explainer = Explainer(
        ledger,
        snapshot.pools,
        given.taken,
        could_be,
        unsure=backfill.unsure,
        in_turns=in_turns,
    )
    promises = {job: (Reason.GPU_LAYOUT_CHANGING, told) for job, told in division.promises.items()}
    promises |= {job: (Reason.MAKING_ROOM, told) for job, told in preempted.promises.items()}
    # 8. explain the rest
    waiting = _explain(given.skipped, explainer if explained else None, promises)
    for job_id, start in backfill.starts.items():
        waiting[job_id] = replace(waiting[job_id], start=start, kept=True)
    for job_id in backfill.unsure:
        waiting[job_id] = replace(waiting[job_id], kept=True)
    waiting |= given.held
    told = (waiting[each.job_id] for each in queue if each.job_id in waiting)
    evictions = tuple(preempted.evictions)
    made = Plan(tuple(given.placements), tuple(told), division.changes, evictions)
    return Planned(made, ledger, frozenset(given.held), tuple(skipped), given.tried, backfill)


def _shape(demand: Demand, reserved: Key | None) -> _Shape:
    """What decides where a demand fits; demands of one shape need only be tried once."""
    return (
        demand.cpu_millis,
        demand.memory_bytes,
        demand.gpu_count,
        demand.gpu_type,
        demand.mig_profile,
        demand.gpu_memory_bytes,
        demand.gpu_millis,
        demand.min_isolation,
        demand.faults,
        demand.pools,
        demand.nodes,
        demand.min_nodes,
        demand.topology,
        demand.gpu_types,
        demand.labels,
        demand.exclusive,
        demand.too_large,
        demand.whole_cards,
        demand.apart,
        demand.beside,
        demand.reservation,
        reserved,
    )


@dataclass(frozen=True, slots=True)
class _Given:
    """What became of the queue.

    Attributes:
        placements: who got a place.
        taken: the places, in the same order.
        placed: the same as nodes that become fuller.
        jobs: who got a place, as they were placed.
        skipped: those for whom there is none.
        tried: as what those were tried that no gate held.
        held: by their ids, those whom a gate did not let pass.
        kept_cards: what is kept until cards are divided for those for whom others were stopped.
    """

    placements: list[Placement] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    jobs: list[Demand] = field(default_factory=list)
    skipped: list[_Skipped] = field(default_factory=list)
    tried: dict[str, Demand] = field(default_factory=dict)
    held: dict[str, Waiting] = field(default_factory=dict)
    kept_cards: list[KeptCards] = field(default_factory=list)


def _place(
    queue: Sequence[Demand], snapshot: Snapshot, ledger: Ledger, backfill: Backfill
) -> _Given:
    """Places one job after the other, but for those that a gate holds.

    Room only shrinks while a plan is made. So once a shape has found no place, every later demand
    of that shape is skipped unseen. The first that are skipped keep what they wait for, and those for
    whom others are stopped keep what has been made free so far.
    """
    given, gates = _Given(), Gates(snapshot)
    keeping = Keeping(snapshot, ledger)
    of_others = places_of_others(snapshot.preemptions, ledger.start.places)
    promised = _Promises(backfill, snapshot, queue)
    full_since: dict[_Shape, int] = {}
    for demand in queue:
        promised.next_turn()
        held = gates.hold(demand)
        if held is not None:
            given.held[demand.job_id] = Waiting(demand.job_id, held.reason, held.message)
            continue
        demand = gates.narrowed(demand)  # noqa: PLW2901 - what it is tried as
        given.tried[demand.job_id] = demand
        shape = _shape(demand, ledger.reserved.key(demand))
        ahead = full_since.get(shape)
        avoid = of_others.get(demand.job_id, ())
        gang = _choose(demand, ledger, avoid) if ahead is None else None
        if gang is None:
            ahead = full_since.setdefault(shape, len(given.taken))
            given.skipped.append((demand, shape, ahead))
            keeping.keep(demand)
            promised.protect(demand, shape)
            continue
        number = len(given.placements)
        given.placements.append(_take(gang, ledger))
        places = zip(gang.indexes, given.placements[-1].places, strict=True)
        given.jobs.append(gang.demand)
        given.placed.extend(
            (index, ledger.whole(index, gang.demand), place.gpu_uuids) for index, place in places
        )
        given.taken.extend(Taken(demand.priority, index, number) for index in gang.indexes)
        for index, place in zip(gang.indexes, given.placements[-1].places, strict=True):
            backfill.placed(ledger.whole(index, gang.demand), index, place.gpu_uuids)
        first = given.placements[-1].gpu_uuids
        nodes = [place.node_id for place in given.placements[-1].places]
        gates.placed(gang.demand, ledger.gpu_type_of(gang.indexes[0], first), nodes)
    promised.next_turn()
    given.kept_cards.extend(keeping.cards.values())
    return given


class _Promises:
    """Lets the first that wait keep what they wait for, but not before those have their places for whom room is made.

    Else what was made free for one could be promised to another of higher priority, who has no use of
    it yet.
    """

    def __init__(self, backfill: Backfill, snapshot: Snapshot, queue: Sequence[Demand]) -> None:
        self._backfill = backfill
        making_room = {one.job_id for one in snapshot.preemptions.making_room}
        last = max(
            (turn for turn, demand in enumerate(queue) if demand.job_id in making_room), default=-1
        )
        self._behind = last + 1
        self._turn = 0
        self._deferred: list[tuple[Demand, _Shape]] = []

    def next_turn(self) -> None:
        """The next one of the queue is looked at, or its end is reached."""
        self._turn += 1
        if self._turn > self._behind:
            for each in self._deferred:
                self._backfill.protect(*each)
            self._deferred.clear()

    def protect(self, demand: Demand, shape: _Shape) -> None:
        """It has found no place."""
        if self._turn <= self._behind:
            self._deferred.append((demand, shape))
        else:
            self._backfill.protect(demand, shape)


def _choose(demand: Demand, ledger: Ledger, avoid: Sequence[int]) -> Gang | None:
    if demand.nodes > 1:
        return ledger.choose_gang(demand, avoid)
    index = ledger.choose(demand, avoid)
    return None if index is None else Gang((index,), demand)


def _take(gang: Gang, ledger: Ledger) -> Placement:
    first, *others = [
        Place(ledger.nodes[index].node_id, ledger.take(index, gang.demand))
        for index in gang.indexes
    ]
    return Placement(gang.demand.job_id, first.node_id, first.gpu_uuids, tuple(others))


def _explain(
    skipped: Sequence[_Skipped],
    explainer: Explainer | None,
    promises: Mapping[str, tuple[Reason, str]],
) -> dict[str, Waiting]:
    """Explains each job; jobs of one shape and priority share one explanation.

    A job for which something is being done is told that instead. Without an explainer nobody else is told anything.
    """
    known: dict[tuple[_Shape, int], Explanation] = {}
    waiting = dict[str, Waiting]()
    for demand, shape, ahead in skipped:
        promise = promises.get(demand.job_id)
        if promise is not None:
            waiting[demand.job_id] = Waiting(demand.job_id, *promise)
            continue
        if explainer is None:
            waiting[demand.job_id] = Waiting(demand.job_id, "", "")
            continue
        key = shape, demand.priority
        why = known.get(key)
        if why is None:
            why = known[key] = explainer.explain(demand, ahead)
        waiting[demand.job_id] = Waiting(demand.job_id, why.reason, why.message)
    return waiting
