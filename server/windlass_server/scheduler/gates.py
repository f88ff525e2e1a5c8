"""What keeps a job out of the queue though there may be room for it: each gate says None or why.

The gates are asked in their order, in the job's turn, before anything looks for a place. The first that holds
the job is its reason. A job that is held takes nothing, stands in nobody's way, and no card is divided for it.

A gate that counts what a plan gives away is told of each placement, so that it can hold what comes behind.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from windlass_server.scheduler.explain import Reason
from windlass_server.scheduler.queue_limits import QueueUse
from windlass_server.scheduler.queue_words import excess_text, paused_text
from windlass_server.scheduler.quota_gate import QuotaGate
from windlass_server.scheduler.quota_words import refusal_text
from windlass_server.scheduler.snapshot import Demand, Snapshot
from windlass_server.scheduler.spreading import Spreading
from windlass_server.scheduler.wording import time_text


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a job may not be placed now: a reason and a sentence for people."""

    reason: Reason
    message: str


class Gate(Protocol):
    """One question about a job, with what it remembers of a plan."""

    def hold(self, demand: Demand, /) -> Hold | None:
        """None when the job may have a place, else why it may not."""
        ...

    def narrowed(self, demand: Demand, /) -> Demand:
        """The job as it may have a place: as it is, or asking for less; only when it is not held."""
        ...

    def placed(self, demand: Demand, gpu_type: str, node_ids: Sequence[str], /) -> None:
        """Note that the plan has given the job these nodes, with GPUs of this type; empty without any."""
        ...


class Dependencies:
    """A job is not placed while it waits for others, or while somebody holds it."""

    def __init__(self, _: Snapshot) -> None:
        pass

    def hold(self, demand: Demand) -> Hold | None:
        reason = Reason.JOB_HELD if demand.on_hold else Reason.DEPENDENCY
        return Hold(reason, demand.awaits) if demand.awaits else None

    def narrowed(self, demand: Demand) -> Demand:
        """As it asks."""
        return demand

    def placed(self, demand: Demand, gpu_type: str, node_ids: Sequence[str]) -> None:
        """Nobody has come further by that yet."""


class StartAfter:
    """A job is not placed before its time."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._now = snapshot.now

    def hold(self, demand: Demand) -> Hold | None:
        if demand.start_after <= self._now:
            return None
        return Hold(
            Reason.START_AFTER, f"starts at {time_text(demand.start_after)} at the earliest"
        )

    def narrowed(self, demand: Demand) -> Demand:
        """Wherever it likes."""
        return demand

    def placed(self, demand: Demand, gpu_type: str, node_ids: Sequence[str]) -> None:
        """Time does not pass within a plan."""


class InReservation:
    """A job that is to run inside a reservation is not placed before or behind its time."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._begins: dict[str, int] = {}
        if any(demand.reservation for demand in snapshot.queue):
            for moment in snapshot.moments:
                for kept in moment.kept:
                    known = self._begins.get(kept.reservation_id, moment.at)
                    self._begins[kept.reservation_id] = min(known, moment.at)
        self._now = snapshot.now

    def hold(self, demand: Demand) -> Hold | None:
        """None when it is its time."""
        if not demand.reservation:
            return None
        begins = self._begins.get(demand.reservation)
        if begins is None:
            return Hold(
                Reason.RESERVATION_ENDED,
                f"reservation {demand.reservation} is over, was cancelled or keeps nothing",
            )
        if begins <= self._now:
            return None
        return Hold(
            Reason.RESERVATION_PENDING,
            f"reservation {demand.reservation} begins at {time_text(begins)}",
        )

    def narrowed(self, demand: Demand) -> Demand:
        """What is left of the reservation decides."""
        return demand

    def placed(self, demand: Demand, gpu_type: str, node_ids: Sequence[str]) -> None:
        """What it uses of the reservation is counted there."""


class InQueue:
    """A job is not placed while its queue is paused, or while as many of it have a place as may."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._use = QueueUse(snapshot.queues)

    def hold(self, demand: Demand) -> Hold | None:
        if self._use.is_paused(demand.queue):
            return Hold(Reason.QUEUE_PAUSED, paused_text(demand.queue))
        excess = self._use.excess(demand.queue, demand.user)
        return None if excess is None else Hold(Reason.QUEUE_LIMIT, excess_text(excess))

    def narrowed(self, demand: Demand) -> Demand:
        """As it asks."""
        return demand

    def placed(self, demand: Demand, gpu_type: str, node_ids: Sequence[str]) -> None:
        """It is one more that has a place."""
        self._use.take(demand.queue, demand.user)


class WithinQuota:
    """A job is not placed while its project or user would have more than they may."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._quotas = QuotaGate(snapshot.quotas, snapshot.nodes)

    def hold(self, demand: Demand) -> Hold | None:
        refusal = self._quotas.refusal(demand)
        return None if refusal is None else Hold(Reason.QUOTA, refusal_text(refusal))

    def narrowed(self, demand: Demand) -> Demand:
        """With GPUs of a type that its quotas allow."""
        return self._quotas.narrowed(demand)

    def placed(self, demand: Demand, gpu_type: str, node_ids: Sequence[str]) -> None:
        """It counts for those behind it."""
        self._quotas.placed(demand, gpu_type)


class Apart:
    """A job is told where those are with whom it is spread; whether that lets it start a filter says."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._spreading = Spreading(snapshot)

    def hold(self, demand: Demand) -> Hold | None:
        """Nobody is held by that everywhere."""
        return None

    def narrowed(self, demand: Demand) -> Demand:
        """Less where there are many."""
        return self._spreading.narrowed(demand)

    def placed(self, demand: Demand, gpu_type: str, node_ids: Sequence[str]) -> None:
        """It is one more there."""
        self._spreading.placed(demand, node_ids)


GATES: Sequence[Callable[[Snapshot], Gate]] = (
    Dependencies,
    StartAfter,
    InReservation,
    InQueue,
    WithinQuota,
    Apart,
)
"""In the order of precedence; each is made anew for a plan."""


class Gates:
    """All gates of one plan."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._gates = [make(snapshot) for make in GATES]

    def hold(self, demand: Demand) -> Hold | None:
        """None when every gate lets the job pass, else what the first says that does not."""
        for gate in self._gates:
            if (held := gate.hold(demand)) is not None:
                return held
        return None

    def narrowed(self, demand: Demand) -> Demand:
        """A job that no gate holds, as all of them let it have a place."""
        for gate in self._gates:
            demand = gate.narrowed(demand)
        return demand

    def placed(self, demand: Demand, gpu_type: str, node_ids: Sequence[str]) -> None:
        """Tell each gate of a placement."""
        for gate in self._gates:
            gate.placed(demand, gpu_type, node_ids)
