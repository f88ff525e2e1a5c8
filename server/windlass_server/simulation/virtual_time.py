"""Plays a workload in virtual time: jobs come, start where `plan()` says, and end.

The time leaps from one event to the next. What happens at one moment happens together: first all that
ends, then all that comes, then the scheduler looks.
"""

import heapq
import time
from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from windlass_server.scheduler.explain import Reason
from windlass_server.scheduler.feasibility import could_ever_fit
from windlass_server.scheduler.plan import Placement, Plan, plan
from windlass_server.scheduler.preemption import Eviction
from windlass_server.scheduler.snapshot import Demand, Snapshot
from windlass_server.simulation.fragments import Fragments
from windlass_server.simulation.holding import Holding
from windlass_server.simulation.learned import Learned, key_of
from windlass_server.simulation.stopped import Stopped
from windlass_server.simulation.turns import RECORDED, Turns, in_line
from windlass_server.simulation.workload import TimedJob, Workload
from windlass_server.simulation.world import World

# Times of traces may begin at 0, which the scheduler would take for no time at all.
_EPOCH = 10**15
# Of those in line, so many are asked for in one plan at most, where nobody overtakes.
_MOST_AT_ONCE = 256
# So often jobs are stopped for others at one moment at most.
_MOST_STOPS = 100


@dataclass(slots=True)
class Fate:
    """What became of a job.

    Attributes:
        job: it.
        first_at: when it was the first time the first of all that found no place; None: never.
        started_at: when it got its place the first time, in microseconds; None: never.
        ended_at: when it gave it back in the end; None: never.
        cut_short: from when to when it ran before it was stopped for another, each time.
        resumed_at: when it got its last place, if it was ever stopped.
        node_ids: where it ran.
        reason: why it never got a place, an UPPER_SNAKE word; empty when it did.
        message: the same in a sentence.
    """

    job: TimedJob
    first_at: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    cut_short: list[tuple[int, int]] = field(default_factory=list)
    resumed_at: int | None = None
    node_ids: tuple[str, ...] = ()
    reason: str = ""
    message: str = ""

    @property
    def spans(self) -> list[tuple[int, int]]:
        """From when to when it held a place, each time."""
        if self.started_at is None or self.ended_at is None:
            return [*self.cut_short]
        last = self.started_at if self.resumed_at is None else self.resumed_at
        return [*self.cut_short, (last, self.ended_at)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy made of a workload.

    Attributes:
        turns: the policy.
        workload: what was played.
        fates: of the workload's jobs, in their order.
        fragments: from when on which share of all GPUs was idle in pieces too small, as in `Fragments`.
        plans: how often the scheduler looked.
        seconds: processor time that it took.
    """

    turns: Turns
    workload: Workload
    fates: tuple[Fate, ...]
    fragments: tuple[tuple[int, float], ...]
    plans: int
    seconds: float


def recorded(workload: Workload) -> Outcome:
    """As the trace says that it was.

    Raises:
        ValueError: it does not say of each job when it started.
    """
    fates = [Fate(job, started_at=job.was_started_at) for job in workload.jobs]
    for fate in fates:
        if fate.started_at is None:
            identity = fate.job.demand.job_id
            raise ValueError(f"the trace does not say when {identity} started, nor how it all was")
        fate.ended_at = fate.started_at + fate.job.takes
    return Outcome(RECORDED, workload, tuple(fates), (), 0, 0.0)


def play(
    workload: Workload,
    turns: Turns,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Play a workload under a policy until everything has ended that ever can.

    Args:
        workload: what comes.
        turns: the policy.
        progress: called with how many jobs are done with, now and then.
    """
    began = time.process_time()
    run = _Run(workload, turns)
    for number, _ in enumerate(run.moments()):
        if not number % 100:
            progress(run.done)
    run.give_up()
    progress(len(workload.jobs))
    seconds = time.process_time() - began
    return Outcome(turns, workload, tuple(run.fates), tuple(run.fragments), run.plans, seconds)


@dataclass(frozen=True, slots=True, order=True)
class _End:
    at: int
    number: int
    fate: Fate = field(compare=False)
    placement: Placement = field(compare=False)


class _Run:
    """The state of the world while a workload is played."""

    def __init__(self, workload: Workload, turns: Turns) -> None:
        self.fates = [Fate(job) for job in workload.jobs]
        self.fragments: list[tuple[int, float]] = []
        self.plans = self.done = 0
        self._workload = workload
        self._turns = turns
        self._learned = Learned()
        self._holding = Holding(turns.half_lives, self._learned)
        self._world = World(workload.nodes)
        self._pieces = Fragments(workload)
        self._by_id = {fate.job.demand.job_id: fate for fate in self.fates}
        self._queue: list[Demand] = []
        self._at_once = 1
        self._ends: list[_End] = []
        self._running: dict[str, _End] = {}
        self._stopped = Stopped()
        self._come = self._starts = 0
        self._never: dict[Demand, tuple[str, str]] = {}

    def moments(self) -> Iterator[int]:
        """Go on to the next moment at which something happens, again and again."""
        while (now := self._next()) is not None:
            freed = self._end(now)
            new = self._arrive(now)
            self._look(now, new, freed)
            self.fragments.append((now, self._pieces.share))
            yield now

    def give_up(self) -> None:
        """Say of those that still wait, when nothing runs and nothing comes, why."""
        if not self._queue:
            return
        for demand in self._queue:
            fate = self._by_id[demand.job_id]
            fate.reason = Reason.WAITING_BEHIND_EARLIER_JOBS
            fate.message = "a job ahead of it never got a place"
        for waiting in plan(self._snapshot(self._queue, 0)).waiting:
            fate = self._by_id[waiting.job_id]
            fate.reason, fate.message = waiting.reason, waiting.message

    def _next(self) -> int | None:
        while self._ends and not self._goes_on(self._ends[0]):
            heapq.heappop(self._ends)
        times = [self._ends[0].at] if self._ends else []
        if self._come < len(self.fates):
            times.append(self.fates[self._come].job.submitted_at)
        return min(times, default=None)

    def _end(self, now: int) -> bool:
        freed = False
        while self._ends and self._ends[0].at <= now:
            end = heapq.heappop(self._ends)
            if not self._goes_on(end):
                continue
            self._free(end, now)
            end.fate.ended_at = now
            self._learn(end.fate.job)
            self.done += 1
            freed = True
        return freed

    def _goes_on(self, end: _End) -> bool:
        """Whether the job has not been stopped before its end."""
        return self._running.get(end.fate.job.demand.job_id) is end

    def _free(self, end: _End, now: int) -> None:
        demand = end.fate.job.demand
        del self._running[demand.job_id]
        self._world.take_back(demand, end.placement)
        self._holding.end(demand, _EPOCH + now)
        for place in end.placement.places:
            self._pieces.add(place.node_id, demand, -1)

    def _learn(self, job: TimedJob) -> None:
        """Learn from a job that has ended; what waits and is like it is seen otherwise from now on."""
        if self._learned.ended(job) and self._turns.protects:
            key, expected = key_of(job), self._learned.of(job)
            self._queue = [
                replace(demand, expected_run=expected)
                if key_of(self._by_id[demand.job_id].job) == key
                else demand
                for demand in self._queue
            ]

    def _arrive(self, now: int) -> list[Demand]:
        """Those that come now, without those that no node could ever hold."""
        new = []
        while self._come < len(self.fates) and self.fates[self._come].job.submitted_at <= now:
            fate = self.fates[self._come]
            self._come += 1
            fate.reason, fate.message = self._refusal(fate.job.demand)
            if fate.reason:
                self.done += 1
                continue
            new.append(self._wait(fate.job))
        return new

    def _wait(self, job: TimedJob) -> Demand:
        """Put a job in line."""
        demand = replace(
            job.demand,
            submitted_at=_EPOCH + job.submitted_at,
            expected_run=self._learned.of(job),
        )
        insort(self._queue, demand, key=in_line)
        return demand

    def _refusal(self, demand: Demand) -> tuple[str, str]:
        kind = replace(demand, job_id="", order="", project="", user="", time_limit=None)
        known = self._never.get(kind)
        if known is None:
            wrong = could_ever_fit(kind, self._workload.nodes, ())
            known = self._never[kind] = (wrong.refusal, wrong.message) if wrong else ("", "")
        return known

    def _look(self, now: int, new: list[Demand], freed: bool) -> None:
        if self._turns.strict:
            while self._look_at_first(now):
                pass
        elif freed or self._turns.minds_running:
            found = self._plan(self._queue, now)
            self._carry_out(found.placements, now)
            for _ in range(_MOST_STOPS):
                if not found.evictions:
                    break
                self._stop(found.evictions, now)
                found = self._plan(self._queue, now)
                self._carry_out(found.placements, now)
            self._note_first(found, now)
        else:
            # Nothing was freed: who did not fit before does not now. The server does the same.
            self._carry_out(self._plan(new, now).placements, now)

    def _stop(self, evictions: Sequence[Eviction], now: int) -> None:
        """Stop jobs for others, at once. They wait again, and their work is lost."""
        waiting = {demand.job_id: demand for demand in self._queue}
        for job_id in dict.fromkeys(one.for_job_id for one in evictions):
            for_it = [one for one in evictions if one.for_job_id == job_id]
            self._stopped.record(waiting[job_id], for_it, _EPOCH + now)
        for job_id in dict.fromkeys(one.job_id for one in evictions):
            end = self._running[job_id]
            self._free(end, now)
            began = end.at - end.fate.job.takes
            end.fate.cut_short.append((began, now))
            self._wait(end.fate.job)

    def _look_at_first(self, now: int) -> bool:
        """Start the first of the line, up to the first who finds no place; whether there may be more."""
        first = self._queue[: self._at_once]
        found = self._plan(first, now)
        stuck = {waiting.job_id for waiting in found.waiting}
        if not stuck:
            self._at_once = min(2 * self._at_once, _MOST_AT_ONCE)
            self._carry_out(found.placements, now)
            return bool(self._queue)
        self._at_once = 1
        before = {each.job_id for each in takewhile(lambda each: each.job_id not in stuck, first)}
        self._carry_out([one for one in found.placements if one.job_id in before], now)
        self._note_first(found, now)
        return False

    def _note_first(self, found: Plan, now: int) -> None:
        """Note who is the first that found no place in a plan for all."""
        if found.waiting:
            fate = self._by_id[found.waiting[0].job_id]
            fate.first_at = now if fate.first_at is None else fate.first_at

    def _plan(self, queue: Sequence[Demand], now: int) -> Plan:
        if not queue:
            return Plan((), ())
        self.plans += 1
        return plan(self._snapshot(queue, now))

    def _snapshot(self, queue: Sequence[Demand], now: int) -> Snapshot:
        return Snapshot(
            tuple(queue),
            self._world.nodes,
            now=_EPOCH + now,
            policies=self._turns.policies,
            shares=self._holding.shares(_EPOCH + now),
            running=self._holding.running(_EPOCH + now) if self._turns.minds_running else (),
            preemptions=self._stopped.seen(_EPOCH + now),
        )

    def _carry_out(self, placements: Sequence[Placement], now: int) -> None:
        for placement in placements:
            self._start(now, placement)
        if placements:
            placed = {placement.job_id for placement in placements}
            self._queue = [one for one in self._queue if one.job_id not in placed]

    def _start(self, now: int, placement: Placement) -> None:
        fate = self._by_id[placement.job_id]
        self._world.give(fate.job.demand, placement)
        gpu_type = self._world.gpu_type(placement)
        self._holding.start(fate.job, placement, gpu_type, _EPOCH + now)
        for place in placement.places:
            self._pieces.add(place.node_id, fate.job.demand, 1)
        if fate.started_at is None:
            fate.started_at = now
        else:
            fate.resumed_at = now
        self._stopped.started(placement.job_id)
        fate.node_ids = tuple(place.node_id for place in placement.places)
        self._starts += 1
        end = _End(now + fate.job.takes, self._starts, fate, placement)
        self._running[placement.job_id] = end
        heapq.heappush(self._ends, end)
