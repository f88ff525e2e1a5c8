"""Plays a workload in virtual time: jobs come, start where `plan()` says, and end.

The time leaps from one event to the next. What happens at one moment happens together: first all that
ends, then all that comes, then the scheduler looks.
"""

import heapq
import time
from bisect import insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from windlass_server.scheduler.feasibility import could_ever_fit
from windlass_server.scheduler.plan import Placement, plan
from windlass_server.scheduler.snapshot import Demand, Snapshot
from windlass_server.simulation.fragments import Fragments
from windlass_server.simulation.turns import Moment, Rule, turn
from windlass_server.simulation.workload import TimedJob, Workload
from windlass_server.simulation.world import World


@dataclass(slots=True)
class Fate:
    """What became of a job.

    Attributes:
        job: it.
        started_at: when it got its place, in microseconds; None: never.
        ended_at: when it gave it back; None: never.
        node_id: where it ran.
        reason: why it never got a place, an UPPER_SNAKE word; empty when it did.
        message: the same in a sentence.
    """

    job: TimedJob
    started_at: int | None = None
    ended_at: int | None = None
    node_id: str = ""
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule made of a workload.

    Attributes:
        policy: the rule's name.
        workload: what was played.
        fates: of the workload's jobs, in their order.
        fragments: from when on which share of all GPUs was idle in pieces too small, as in `Fragments`.
        plans: how often the scheduler looked.
        seconds: processor time that it took.
    """

    policy: str
    workload: Workload
    fates: tuple[Fate, ...]
    fragments: tuple[tuple[int, float], ...]
    plans: int
    seconds: float


def play(
    workload: Workload,
    policy: str,
    rule: Rule,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Play a workload under a rule until everything has ended that ever can.

    Args:
        workload: what comes.
        policy: the rule's name, for the outcome.
        rule: who starts next; made for this run.
        progress: called with how many jobs are done with, now and then.
    """
    began = time.process_time()
    run = _Run(workload, rule)
    for number, _ in enumerate(run.moments()):
        if not number % 100:
            progress(run.done)
    run.give_up()
    progress(len(workload.jobs))
    seconds = time.process_time() - began
    return Outcome(policy, workload, tuple(run.fates), tuple(run.fragments), run.plans, seconds)


@dataclass(frozen=True, slots=True, order=True)
class _End:
    at: int
    number: int
    fate: Fate = field(compare=False)
    placement: Placement = field(compare=False)


class _Run:
    """The state of the world while a workload is played."""

    def __init__(self, workload: Workload, rule: Rule) -> None:
        self.fates = [Fate(job) for job in workload.jobs]
        self.fragments: list[tuple[int, float]] = []
        self.plans = self.done = 0
        self._workload = workload
        self._rule = rule
        self._world = World(workload.nodes)
        self._pieces = Fragments(workload)
        self._by_id = {fate.job.demand.job_id: fate for fate in self.fates}
        self._queue: list[Demand] = []
        self._ends: list[_End] = []
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
        for waiting in plan(Snapshot(tuple(self._queue), self._world.nodes)).waiting:
            fate = self._by_id[waiting.job_id]
            fate.reason, fate.message = waiting.reason, waiting.message

    def _next(self) -> int | None:
        times = [self._ends[0].at] if self._ends else []
        if self._come < len(self.fates):
            times.append(self.fates[self._come].job.submitted_at)
        return min(times, default=None)

    def _end(self, now: int) -> bool:
        freed = False
        while self._ends and self._ends[0].at <= now:
            end = heapq.heappop(self._ends)
            demand = end.fate.job.demand
            self._world.take_back(demand, end.placement)
            self._pieces.add(end.placement.node_id, demand, -1)
            end.fate.ended_at = now
            self.done += 1
            freed = True
        return freed

    def _arrive(self, now: int) -> list[Demand]:
        """Those that come now, without those that no node could ever hold."""
        new = []
        while self._come < len(self.fates) and self.fates[self._come].job.submitted_at <= now:
            fate = self.fates[self._come]
            self._come += 1
            fate.reason, fate.message = self._refusal(fate.job.demand)
            if fate.reason:
                self.done += 1
            else:
                insort(self._queue, fate.job.demand, key=turn)
                new.append(fate.job.demand)
        return new

    def _refusal(self, demand: Demand) -> tuple[str, str]:
        kind = replace(demand, job_id="", order="", project="", user="", time_limit=None)
        known = self._never.get(kind)
        if known is None:
            wrong = could_ever_fit(kind, self._workload.nodes, ())
            known = self._never[kind] = (wrong.refusal, wrong.message) if wrong else ("", "")
        return known

    def _look(self, now: int, new: list[Demand], freed: bool) -> None:
        again = True
        while again and self._queue:
            moment = Moment(now, tuple(self._queue), tuple(new), freed, self._world.nodes)
            decision = self._rule(moment)
            self.plans += 1
            for placement in decision.placements:
                self._start(now, placement)
            if decision.placements:
                placed = {placement.job_id for placement in decision.placements}
                self._queue = [one for one in self._queue if one.job_id not in placed]
            again, new, freed = decision.again, [], False

    def _start(self, now: int, placement: Placement) -> None:
        fate = self._by_id[placement.job_id]
        self._world.give(fate.job.demand, placement)
        self._pieces.add(placement.node_id, fate.job.demand, 1)
        fate.started_at, fate.node_id = now, placement.node_id
        self._starts += 1
        heapq.heappush(self._ends, _End(now + fate.job.takes, self._starts, fate, placement))
