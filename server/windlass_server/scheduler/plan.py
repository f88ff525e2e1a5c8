"""Decides which waiting jobs run where: a pure function of a snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from windlass_server.scheduler.explain import Explainer, Explanation, Reason, Taken
from windlass_server.scheduler.ledger import Ledger
from windlass_server.scheduler.order import in_turn
from windlass_server.scheduler.partition import Change, divide
from windlass_server.scheduler.reserved import Key
from windlass_server.scheduler.snapshot import Demand, Fault, Snapshot

_Shape: TypeAlias = tuple[
    int, int, int, str, str, int, int, int, tuple[Fault, ...], tuple[str, ...] | None, Key | None
]
_Skipped: TypeAlias = tuple[Demand, _Shape, int]
"""A demand, its shape, and how many jobs were placed before that shape found no room."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A job and the place that it gets; `gpu_uuids` are sorted, and empty for none."""

    job_id: str
    node_id: str
    gpu_uuids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that gets no place now: an UPPER_SNAKE `reason` and a sentence for people."""

    job_id: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Every job of the snapshot's queue once: placed, or waiting with a reason.

    Both tuples are in the order in which the jobs were considered. `changes` are cards that shall be
    divided otherwise for some of those that wait.
    """

    placements: tuple[Placement, ...]
    waiting: tuple[Waiting, ...]
    changes: tuple[Change, ...] = ()


def plan(snapshot: Snapshot) -> Plan:
    """Places what fits now and explains the rest; the same snapshot gives the same plan.

    Jobs are taken by priority, then in turns of projects and users (`order.py`). A job that does not fit is skipped and
    later ones may still start (backfill without reservations): nothing idles, but a stream of
    small jobs can keep a big one waiting.
    """
    queue = in_turn(snapshot)  # 1. order
    ledger = Ledger(snapshot.nodes, snapshot.moments, snapshot.now)
    placements, taken, skipped = _place(queue, ledger)  # 2.-4. filter, score, take
    given = (uuid for one in placements for uuid in one.gpu_uuids)
    division = divide((each[:2] for each in skipped), ledger, given)  # 5. divide cards
    could_be = division.with_what_could_be_made
    explainer = Explainer(ledger, snapshot.pools, taken, could_be)
    waiting = _explain(skipped, explainer, division.promises)  # 6. explain the rest
    return Plan(placements, waiting, division.changes)


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
        reserved,
    )


def _place(
    queue: Sequence[Demand], ledger: Ledger
) -> tuple[tuple[Placement, ...], list[Taken], list[_Skipped]]:
    """Places one job after the other.

    Room only shrinks while a plan is made. So once a shape has found no place, every later demand
    of that shape is skipped unseen.
    """
    placements, taken, skipped = list[Placement](), list[Taken](), list[_Skipped]()
    full_since: dict[_Shape, int] = {}
    for demand in queue:
        shape = _shape(demand, ledger.reserved.key(demand))
        ahead = full_since.get(shape)
        index = ledger.choose(demand) if ahead is None else None
        if index is None:
            ahead = full_since.setdefault(shape, len(placements))
            skipped.append((demand, shape, ahead))
            continue
        node_id = ledger.nodes[index].node_id
        placements.append(Placement(demand.job_id, node_id, ledger.take(index, demand)))
        taken.append(Taken(demand.priority, index))
    return tuple(placements), taken, skipped


def _explain(
    skipped: Sequence[_Skipped], explainer: Explainer, promises: Mapping[str, str]
) -> tuple[Waiting, ...]:
    """Explains each job; jobs of one shape and priority share one explanation.

    A job for which a card is being divided is told that instead.
    """
    known: dict[tuple[_Shape, int], Explanation] = {}
    waiting = list[Waiting]()
    for demand, shape, ahead in skipped:
        promise = promises.get(demand.job_id)
        if promise is not None:
            waiting.append(Waiting(demand.job_id, Reason.GPU_LAYOUT_CHANGING, promise))
            continue
        key = shape, demand.priority
        why = known.get(key)
        if why is None:
            why = known[key] = explainer.explain(demand, ahead)
        waiting.append(Waiting(demand.job_id, why.reason, why.message))
    return tuple(waiting)
