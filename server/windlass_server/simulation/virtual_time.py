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

from windlass_server.jobs.states import Status
from windlass_server.scheduler.explain import Reason
from windlass_server.scheduler.feasibility import could_ever_fit
from windlass_server.scheduler.plan import Placement, Plan, plan
from windlass_server.scheduler.preemption import Eviction
from windlass_server.scheduler.quota import Use
from windlass_server.scheduler.quota_gate import least_of
from windlass_server.scheduler.quota_words import refusal_text
from windlass_server.scheduler.snapshot import Demand, Snapshot
from windlass_server.simulation.fragments import Fragments
from windlass_server.simulation.holding import Holding
from windlass_server.simulation.learned import Learned, key_of
from windlass_server.simulation.outcome import Fate, Outcome
from windlass_server.simulation.stopped import Stopped
from windlass_server.simulation.turns import Turns, in_line
from windlass_server.simulation.waits import Waits
from windlass_server.simulation.workload import TimedJob, Workload
from windlass_server.simulation.world import World

# Times of traces may begin at 0, which the scheduler would take for no time at all.
_EPOCH = 10**15
# Of those in line, so many are asked for in one plan at most, where nobody overtakes.
_MOST_AT_ONCE = 256
# As the event of a server has it.
_NEVER_MET = "DEPENDENCY_NEVER_MET"
# So often jobs are stopped for others at one moment at most.
_MOST_STOPS = 100


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
        self._holding = Holding(turns.half_lives, self._learned, turns.quotas)
        self._allowed = Use(turns.quotas)
        self._waits = Waits(workload.jobs)
        self._world = World(workload.nodes)
        self._pieces = Fragments(workload)
        self._by_id = {fate.job.demand.job_id: fate for fate in self.fates}
        self._queue: list[Demand] = []
        self._at_once = 1
        # Those that keep what they wait for.
        self._waiting_first: set[str] = set()
        self._ends: list[_End] = []
        self._running: dict[str, _End] = {}
        self._stopped = Stopped()
        self._come = self._starts = 0
        self._never: dict[Demand, tuple[str, str]] = {}

    def moments(self) -> Iterator[int]:
        """Go on to the next moment at which something happens, again and again."""
        while (now := self._next()) is not None:
            freed = self._end(now)
            self._arrive(now)
            self._look(now, self._let_in(now), freed)
            while new := self._let_in(now):  # those that waited for others to start
                self._look(now, new, freed=False)
            self.fragments.append((now, self._pieces.share))
            yield now

    def give_up(self) -> None:
        """Say of those that still wait, when nothing runs and nothing comes, why."""
        for job_id, message in self._waits.still_held():
            fate = self._by_id[job_id]
            fate.reason, fate.message = Reason.DEPENDENCY, message
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
        if self._waits.next_time is not None:
            times.append(self._waits.next_time)
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
            self._waits.ended(end.fate.job.demand.job_id, _ended_as(end.fate.job), now)
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
        if _ended_as(job) is Status.FAILED or not self._learned.ended(job):
            return
        key, expected = key_of(job), self._learned.of(job)
        self._holding.expect_otherwise(key)
        if self._turns.protects:
            self._queue = [
                replace(demand, expected_run=expected)
                if key_of(self._by_id[demand.job_id].job) == key
                else demand
                for demand in self._queue
            ]

    def _arrive(self, now: int) -> None:
        """Take those that come now, without those that no node could ever hold."""
        while self._come < len(self.fates) and self.fates[self._come].job.submitted_at <= now:
            fate = self.fates[self._come]
            self._come += 1
            fate.reason, fate.message = self._refusal(fate.job.demand)
            if fate.reason:
                self._drop(fate, now)
            else:
                self._waits.comes(fate.job.demand.job_id, now)
        self._waits.pass_time(now)

    def _drop(self, fate: Fate, now: int) -> None:
        """One of which it is known why it will never start."""
        self.done += 1
        self._waits.ended(fate.job.demand.job_id, Status.CANCELLED, now, started=False)

    def _let_in(self, now: int) -> set[str]:
        """Put those in line that wait for nothing else any more; who is new there or has another priority."""
        waits, new = self._waits, set[str]()
        while waits.let_in or waits.never:
            never, waits.never = waits.never, []
            for job_id, message in never:
                fate = self._by_id[job_id]
                fate.reason, fate.message = _NEVER_MET, message
                self._drop(fate, now)
            let_in, waits.let_in = waits.let_in, []
            for job_id in let_in:
                self._by_id[job_id].let_in_at = now
                self._wait(self._by_id[job_id].job)
                new.add(job_id)
        return new | self._serve_otherwise()

    def _serve_otherwise(self) -> set[str]:
        """Give those another priority that others wait for, or do not any more."""
        otherwise, self._waits.served_otherwise = self._waits.served_otherwise, set()
        there = {one.job_id for one in self._queue if one.job_id in otherwise}
        if there:
            self._queue = sorted(
                (
                    replace(one, priority=self._waits.priority(one.job_id))
                    if one.job_id in there
                    else one
                    for one in self._queue
                ),
                key=in_line,
            )
        return there

    def _wait(self, job: TimedJob) -> None:
        """Put a job in line."""
        demand = replace(
            job.demand,
            priority=self._waits.priority(job.demand.job_id),
            submitted_at=_EPOCH + self._by_id[job.demand.job_id].queued_at,
            expected_run=self._learned.of(job),
        )
        insort(self._queue, demand, key=in_line)

    def _refusal(self, demand: Demand) -> tuple[str, str]:
        """Why it could never start, and the same in a sentence; empty when it could."""
        if over := self._allowed.never(least_of(demand)):
            return Reason.QUOTA, refusal_text(over[0])
        kind = replace(demand, job_id="", order="", project="", user="", time_limit=None)
        known = self._never.get(kind)
        if known is None:
            wrong = could_ever_fit(kind, self._workload.nodes, ())
            known = self._never[kind] = (wrong.refusal, wrong.message) if wrong else ("", "")
        return known

    def _look(self, now: int, new: set[str], freed: bool) -> None:
        if self._turns.strict:
            while self._look_at_first(now):
                pass
            return
        # Where nothing was freed, who did not fit before does not now, and the server looks only at these too.
        these = None if freed else new | self._waiting_first
        found = self._planned(these, now)
        for _ in range(_MOST_STOPS):
            if not found.evictions:
                break
            self._stop(found.evictions, now)
            these = None
            found = self._planned(these, now)
        self._waiting_first = {
            one.job_id for one in found.waiting if one.kept or one.reason == Reason.MAKING_ROOM
        }
        if these is None:
            self._note_first(found, now)

    def _planned(self, these: set[str] | None, now: int) -> Plan:
        """Plan for some of those in line, or for all, and carry out what is to start."""
        queue = self._queue
        if these is not None:
            queue = [one for one in queue if one.job_id in these]
        found = self._plan(queue, now)
        self._carry_out(found.placements, now)
        return found

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
        return plan(self._snapshot(queue, now), explained=False)

    def _snapshot(self, queue: Sequence[Demand], now: int) -> Snapshot:
        return Snapshot(
            tuple(queue),
            self._world.nodes,
            now=_EPOCH + now,
            policies=self._turns.policies,
            shares=self._holding.shares(_EPOCH + now),
            running=self._holding.running(_EPOCH + now) if self._turns.minds_running else (),
            preemptions=self._stopped.seen(_EPOCH + now),
            quotas=self._holding.quotas,
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
        amounts = [
            self._world.amounts(fate.job.demand, place.node_id) for place in placement.places
        ]
        self._holding.start(fate.job, placement, amounts, gpu_type, _EPOCH + now)
        self._waits.started(placement.job_id, now)
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


def _ended_as(job: TimedJob) -> Status:
    """What becomes of a job that runs to its end, or to that of its time."""
    if job.times_out:
        return Status.TIMED_OUT
    return Status.FAILED if job.fails else Status.SUCCEEDED
