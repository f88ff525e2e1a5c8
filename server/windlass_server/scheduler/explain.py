"""Why a job waits: one dominant reason and a sentence with the numbers behind it.

The reasons in their order of precedence; the first that is true is given:

   What a gate says that holds it, before anything looks for a place: `JOB_HELD`, `DEPENDENCY`, `START_AFTER`,
   `RESERVATION_PENDING`, `QUEUE_PAUSED`, `QUEUE_LIMIT`, then `QUOTA` (see `gates`).
0. `MAKING_ROOM`: jobs are being stopped for it (see `preemption`).
   `GPU_LAYOUT_CHANGING`: a card is being divided for it, or made whole (see `partition`).
1. `NO_NODES`: no node has joined.
2. A refusal of the filters, in their order: no registered node could hold the job, even empty.
   It waits for a node that has not joined yet.
3. `NODES_UNREACHABLE`: nodes could hold it, but none of those is reachable.
   `NODES_CORDONED`: some are, but all of these are cordoned or being drained.
4. `RESERVED`: it would start now, if reservations did not keep the room for others, now or before it
   would have to be over.
5. `WOULD_DELAY_EARLIER_JOB`: it would start now, but it may still run when a job that waits before it
   is to start there.
6. `BEHIND_HIGHER_PRIORITY`, `WAITING_BEHIND_EARLIER_JOBS`: it would start now, if the jobs that
   this plan places first did not take the room.
7. A refusal of the filters, in their order: what is free on the nodes that could hold it does not
   do now. The last of them, `NODE_AVOIDED`, means that it would do, but only on nodes that have
   failed the job not long ago.

A job of several nodes waits for the same, and at 2 and 6 also for enough nodes that would each do for
it: `INSUFFICIENT_NODES`, or `TOPOLOGY_UNAVAILABLE` where there are enough, but not near enough to each
other.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from windlass_server.scheduler import wording
from windlass_server.scheduler.feasibility import could_ever_fit, node_label, unsatisfiable
from windlass_server.scheduler.filters import Blocked, Dimension, blocked, fits
from windlass_server.scheduler.ledger import Ledger
from windlass_server.scheduler.rooms import Column, Mask, Room, gpu_key, gpu_keys
from windlass_server.scheduler.snapshot import ANY_GPU_TYPE, Demand, Gpu, NodeState, Pool
from windlass_server.scheduler.why_several import WhySeveral, only


class Reason(StrEnum):
    """Why a job waits; the words of `Job.status_reason`."""

    JOB_HELD = "JOB_HELD"
    DEPENDENCY = "DEPENDENCY"
    START_AFTER = "START_AFTER"
    QUEUE_PAUSED = "QUEUE_PAUSED"
    QUEUE_LIMIT = "QUEUE_LIMIT"
    QUOTA = "QUOTA"
    NO_NODES = "NO_NODES"
    NODES_UNREACHABLE = "NODES_UNREACHABLE"
    NODES_CORDONED = "NODES_CORDONED"
    WOULD_DELAY_EARLIER_JOB = "WOULD_DELAY_EARLIER_JOB"
    BEHIND_HIGHER_PRIORITY = "BEHIND_HIGHER_PRIORITY"
    WAITING_BEHIND_EARLIER_JOBS = "WAITING_BEHIND_EARLIER_JOBS"
    POOL_UNAVAILABLE = "POOL_UNAVAILABLE"
    NODE_LABELS_UNAVAILABLE = "NODE_LABELS_UNAVAILABLE"
    GPU_SHARING_UNAVAILABLE = "GPU_SHARING_UNAVAILABLE"
    GPU_TYPE_UNAVAILABLE = "GPU_TYPE_UNAVAILABLE"
    GPU_PROFILE_UNAVAILABLE = "GPU_PROFILE_UNAVAILABLE"
    GPU_MEMORY_UNAVAILABLE = "GPU_MEMORY_UNAVAILABLE"
    INSUFFICIENT_GPUS = "INSUFFICIENT_GPUS"
    INSUFFICIENT_GPU_SHARE = "INSUFFICIENT_GPU_SHARE"
    INSUFFICIENT_MEMORY = "INSUFFICIENT_MEMORY"
    INSUFFICIENT_CPU = "INSUFFICIENT_CPU"
    ISOLATION_UNAVAILABLE = "ISOLATION_UNAVAILABLE"
    NODE_NOT_EMPTY = "NODE_NOT_EMPTY"
    NODE_AVOIDED = "NODE_AVOIDED"
    INSUFFICIENT_NODES = "INSUFFICIENT_NODES"
    TOPOLOGY_UNAVAILABLE = "TOPOLOGY_UNAVAILABLE"
    SPREAD_UNAVAILABLE = "SPREAD_UNAVAILABLE"
    RESERVED = "RESERVED"
    RESERVATION_PENDING = "RESERVATION_PENDING"
    RESERVATION_IN_USE = "RESERVATION_IN_USE"
    RESERVATION_ENDED = "RESERVATION_ENDED"
    GPU_LAYOUT_CHANGING = "GPU_LAYOUT_CHANGING"
    MAKING_ROOM = "MAKING_ROOM"


@dataclass(frozen=True, slots=True)
class Taken:
    """A place that this plan gave away: to a job of which priority, on which node; the how manieth job."""

    priority: int
    index: int
    job: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """One dominant reason, and the same in a sentence for people."""

    reason: Reason
    message: str


class Explainer:
    """Explains the jobs of one cycle, after the plan has placed what fits.

    Args:
        ledger: the nodes, with the plan's placements taken.
        pools: what operators declared.
        taken: the places that the plan gave away, in order.
        could_be: what would be left for a demand if cards were divided for it.
        unsure: jobs that keep what they wait for though nobody knows when they will start.
        in_turns: several owners share, so that not only who submitted first comes first.
    """

    def __init__(
        self,
        ledger: Ledger,
        pools: Sequence[Pool],
        taken: Sequence[Taken],
        could_be: Callable[[Demand], Room[Column]],
        *,
        unsure: Collection[str] = (),
        in_turns: bool = False,
    ) -> None:
        self._ledger = ledger
        self._unsure = unsure
        self._before = " whose turn came first" if in_turns else " submitted earlier"
        self._pools = pools
        self._could_be = could_be
        self._taken_priority = np.array([each.priority for each in taken], np.int64)
        self._taken_index = np.array([each.index for each in taken], np.int64)
        self._taken_job = np.array([each.job for each in taken], np.int64)

    def explain(self, demand: Demand, ahead: int) -> Explanation:
        """Why a demand waits that the plan found no place for.

        Args:
            demand: it; equal demands of equal priority get the same answer.
            ahead: how many places the plan had given away when it came to the demand.
        """
        if not self._ledger.nodes:
            message = f"no node has joined yet{self._pools_text(demand)}"
            return Explanation(Reason.NO_NODES, message)
        able = fits(demand, self._ledger.full)
        if not able.any():
            return self._never(demand)
        if demand.reservation:
            return self._inside(demand, ahead)
        if demand.nodes > 1:
            return self._of_several(demand, able, ahead)
        reachable = able & (self._ledger.free.ready > 0)
        if not reachable.any():
            return Explanation(Reason.NODES_UNREACHABLE, _all_text(_count(able), "unreachable"))
        candidates = reachable & (self._ledger.free.takes_work > 0)
        if not candidates.any():
            return Explanation(Reason.NODES_CORDONED, self._cordoned_text(able, reachable))
        at_start = fits(demand, self._ledger.start)
        if at_start.any():
            return self._though_free(demand, at_start, ahead)
        return self._not_now(demand, able, reachable, candidates)

    def _inside(self, demand: Demand, ahead: int) -> Explanation:
        """Why it waits that may only be inside a reservation whose time it is."""
        at_start = self._ledger.reserved_at_start.view(demand, self._ledger.start)
        able = fits(demand, at_start)
        if np.count_nonzero(able) >= demand.min_nodes and len(self._taken_job[:ahead]):
            return self._behind(demand, able, ahead)
        view = self._ledger.reserved.view(demand, self._ledger.free)
        stuck = blocked(demand, view, np.ones(len(self._ledger.nodes), np.bool_))
        where = f"reservation {demand.reservation}"
        if stuck is None or stuck.filter.dimension is None:
            needs = wording.several_text(demand)
            message = f"needs {needs}; {where} has no room for that now on nodes that take work"
            return Explanation(Reason.RESERVATION_IN_USE, message)
        there, _ = stuck.filter.measure(demand, view)
        most = wording.amount_text(max(0, int(there[stuck.nearest])), stuck.filter.dimension)
        message = (
            f"needs {wording.need_text(demand, stuck.filter.dimension)}; the most that {where} has left "
            f"on one node{wording.earlier_needs_text(demand, stuck)} is {most}"
        )
        return Explanation(Reason.RESERVATION_IN_USE, message)

    def _of_several(self, demand: Demand, able: Mask, ahead: int) -> Explanation:
        """Why a job of several nodes waits, each of which could be had somewhere."""
        ledger, several = self._ledger, WhySeveral(demand, self._ledger)
        if not several.fits(ledger.full):
            message = f"{several.never()}{self._pools_text(demand)}"
            return Explanation(Reason(several.refusal(ledger.full)), message)
        reachable = able & (ledger.free.ready > 0)
        if not several.fits(only(ledger.full, reachable)):
            message = several.left(only(ledger.full, reachable), "reachable")
            return Explanation(Reason.NODES_UNREACHABLE, message)
        candidates = reachable & (ledger.free.takes_work > 0)
        if not several.fits(only(ledger.full, candidates)):
            message = several.left(only(ledger.full, candidates), "open to new work")
            return Explanation(Reason.NODES_CORDONED, message)
        left = ledger.reserved_at_start.view(demand, ledger.start)
        if several.fits(left):
            view = ledger.reserved.view(demand, ledger.free, promised=False)
            if several.fits(view):
                return self._delaying(demand, fits(demand, view))
            return self._behind(demand, fits(demand, left), ahead)
        if several.fits(ledger.start):
            return Explanation(Reason.RESERVED, several.reserved(left))
        if not fits(demand, ledger.free).any() and not fits(demand, ledger.start).any():
            return self._not_now(demand, able, reachable, candidates)
        return Explanation(Reason(several.refusal(ledger.free)), several.not_now())

    def _never(self, demand: Demand) -> Explanation:
        capacity = self._ledger.capacity
        stuck = blocked(demand, capacity.full, np.ones(len(capacity.nodes), np.bool_))
        assert stuck is not None
        lack = unsatisfiable(demand, stuck, capacity)
        message = f"{lack.message}; no registered node could hold it{self._pools_text(demand)}"
        return Explanation(Reason(lack.refusal), message)

    def _though_free(self, demand: Demand, at_start: Mask, ahead: int) -> Explanation:
        """Why it waits though there was room for it at the start of the cycle."""
        reserved = self._ledger.reserved_at_start
        left = fits(demand, reserved.view(demand, self._ledger.start))
        if left.any():
            free = self._ledger.free
            roomy = fits(demand, self._ledger.reserved.view(demand, free, promised=False))
            if roomy.any():
                return self._delaying(demand, roomy)
            return self._behind(demand, left, ahead)
        # What it would find if it were over at once: only what is kept already is in its way then.
        short = replace(demand, time_limit=1)
        soon = at_start & fits(short, reserved.view(short, self._ledger.start))
        message = (
            self._could_run_into(demand, soon) if soon.any() else self._kept_now(short, at_start)
        )
        return Explanation(Reason.RESERVED, message)

    def _kept_now(self, short: Demand, roomy: Mask) -> str:
        kept = self._ledger.reserved_at_start.in_the_way(short, np.flatnonzero(roomy).tolist())
        index, _, first = min(kept, key=lambda each: (each[2].until, each[0]))
        return (
            f"has room on {_where_text(self._ledger.nodes[index], _count(roomy))}, but reservation "
            f"{first.reservation_id} keeps it until {wording.time_text(first.until)}"
        )

    def _could_run_into(self, demand: Demand, roomy: Mask) -> str:
        ahead: dict[int, tuple[int, str]] = {}
        places = np.flatnonzero(roomy).tolist()
        for index, begins, kept in self._ledger.reserved_at_start.in_the_way(demand, places):
            if begins > self._ledger.now:
                ahead.setdefault(index, (begins, kept.reservation_id))
        index, (begins, reservation_id) = max(
            ahead.items(), key=lambda each: (each[1][0], -each[0])
        )
        return (
            f"has room on {node_label(self._ledger.nodes[index])}, but could run into reservation "
            f"{reservation_id}, which begins at {wording.time_text(begins)}; "
            f"{_advice(demand, begins - self._ledger.now)}"
        )

    def _delaying(self, demand: Demand, roomy: Mask) -> Explanation:
        """Where it could run for longest before a job that waits before it is to start."""
        first: dict[int, tuple[int, str]] = {}
        places = np.flatnonzero(roomy).tolist()
        for index, begins, kept in self._ledger.reserved.in_the_way(demand, places, promised=True):
            first.setdefault(index, (begins, kept.reservation_id))
        index, (begins, job_id) = max(first.items(), key=lambda each: (each[1][0], -each[0]))
        when = (
            ", nobody knows when" if job_id in self._unsure else f" at {wording.time_text(begins)}"
        )
        node = node_label(self._ledger.nodes[index])
        room, there = f"has room on {node}", "there"
        if demand.nodes > 1:
            room, there = f"has room for {demand.min_nodes} nodes", f"on {node}"
        message = (
            f"{room}, but could still run when {job_id}, which waits before it, is to start "
            f"{there}{when}; {_advice(demand, begins - self._ledger.now)}"
        )
        return Explanation(Reason.WOULD_DELAY_EARLIER_JOB, message)

    def _behind(self, demand: Demand, at_start: Mask, ahead: int) -> Explanation:
        there = at_start[self._taken_index[:ahead]]
        # A job of several nodes is one job.
        _, first = np.unique(self._taken_job[:ahead][there], return_index=True)
        blocking = self._taken_priority[:ahead][there][first]
        higher = int((blocking > demand.priority).sum())
        parts = [
            wording.count_text(count, "job") + text
            for count, text in (
                (higher, " of higher priority"),
                (len(blocking) - higher, self._before),
            )
            if count
        ]
        message = f"would fit, but {' and '.join(parts)} took the room in this round"
        reason = Reason.BEHIND_HIGHER_PRIORITY if higher else Reason.WAITING_BEHIND_EARLIER_JOBS
        return Explanation(reason, message)

    def _cordoned_text(self, able: Mask, reachable: Mask) -> str:
        text = _all_text(_count(reachable), "cordoned or being drained")
        away = _count(able) - _count(reachable)
        return f"{text}{f'; {away} more, unreachable' if away else ''}"

    def _not_now(
        self, demand: Demand, able: Mask, reachable: Mask, candidates: Mask
    ) -> Explanation:
        room = self._could_be(demand) if demand.gpu_count else self._ledger.free
        stuck = blocked(demand, room, candidates)
        if stuck is None:  # it could be made, and will be when others have had their turn
            room = self._ledger.free
            stuck = blocked(demand, room, candidates)
        assert stuck is not None
        if stuck.filter.dimension is None:
            return self._avoided(demand, room)
        away = _count(able) - _count(reachable)
        closed = _count(reachable) - _count(candidates)
        message = (
            f"needs {wording.need_text(demand, stuck.filter.dimension)}; "
            f"{self._most_free_text(demand, stuck, stuck.filter.dimension, room)}; "
            f"{_when_empty_text(_count(able))}"
            f"{f', {away} of them unreachable' if away else ''}"
            f"{f', {closed} of them cordoned or being drained' if closed else ''}"
        )
        return Explanation(Reason(stuck.filter.refusal), message)

    def _avoided(self, demand: Demand, room: Room[Column]) -> Explanation:
        """The nodes with room for it, which may have to be made, have all failed it, not long ago."""
        roomy = fits(replace(demand, faults=()), room)
        places = self._ledger.free.places
        avoided = [
            (fault.paused_until, places[fault.node_id])
            for fault in demand.faults
            if fault.paused_until is not None
            and fault.node_id in places
            and roomy[places[fault.node_id]]
        ]
        until, index = min(avoided)
        where = _where_text(self._ledger.nodes[index], len(avoided))
        what = "has room" if demand.nodes == 1 else "has room for one of its nodes"
        message = (
            f"{what} on {where}, which failed its earlier run or was shutting down; it is tried "
            f"there again from {wording.time_text(until)} on, and elsewhere as soon as there is room"
        )
        return Explanation(Reason.NODE_AVOIDED, message)

    def _most_free_text(
        self, demand: Demand, stuck: Blocked, dimension: Dimension, room: Room[Column]
    ) -> str:
        if dimension == "exclusive_node":
            return "something holds a part of each node that has enough"
        if dimension == "quota":
            return "each node that is open to it is larger"
        if dimension == "spread":
            return "each node that is open to it is in one with as many"
        free, _ = stuck.filter.measure(demand, room)
        full, _ = stuck.filter.measure(demand, self._ledger.full)
        node = self._ledger.nodes[stuck.nearest]
        broken = _unhealthy(demand, node) if dimension in ("gpu_count", "gpu_millis") else 0
        return (
            f"most free on one node{wording.earlier_needs_text(demand, stuck)} is "
            f"{wording.amount_text(max(0, int(free[stuck.nearest])), dimension)} of "
            f"{wording.amount_text(int(full[stuck.nearest]), dimension)} "
            f"({node_label(node)}{f', {broken} unhealthy' if broken else ''})"
        )

    def _pools_text(self, demand: Demand) -> str:
        """Which declared pools could hold it; their nodes have not joined."""
        names = sorted(
            pool.name
            for pool in self._pools
            if pool.count > 0 and could_ever_fit(demand, (), (pool,)) is None
        )
        if not names:
            return ""
        return f"; declared and awaited: {', '.join(f'pool {name}' for name in names)}"


def _advice(demand: Demand, left: int) -> str:
    """What lets it start now, when so many microseconds are left for it."""
    may = "without a time_limit it may run for ever, " if demand.time_limit is None else ""
    most = f"with a time_limit of at most {wording.span_text(left)}, its grace period included,"
    return f"{may}{most} it would start now"


def _unhealthy(demand: Demand, node: NodeState) -> int:
    return sum(not gpu.healthy and _is_such(demand, gpu) for gpu in node.gpus)


def _is_such(demand: Demand, gpu: Gpu) -> bool:
    """Whether a device is one that a demand would take."""
    if demand.mig_profile:
        return gpu.profile == demand.mig_profile
    keys = gpu_keys(demand)
    kind = gpu_key(gpu.gpu_type) in keys or (keys == (ANY_GPU_TYPE,) and not gpu.part)
    return kind and gpu.memory_bytes >= demand.gpu_memory_bytes


def _where_text(node: NodeState, count: int) -> str:
    return node_label(node) if count == 1 else f"{count} nodes, such as {node_label(node)}"


def _count(mask: Mask) -> int:
    return int(np.count_nonzero(mask))


def _all_text(count: int, what: str) -> str:
    if count == 1:
        return f"the node that could hold it is {what}"
    return f"all {count} nodes that could hold it are {what}"


def _when_empty_text(count: int) -> str:
    return "1 node fits it when empty" if count == 1 else f"{count} nodes fit it when empty"
