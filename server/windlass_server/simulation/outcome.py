"""What became of the jobs of a workload."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from windlass_server.jobs.dependency_rules import Kind
from windlass_server.simulation.turns import RECORDED, Turns
from windlass_server.simulation.workload import TimedJob, Workload


@dataclass(slots=True)
class Fate:
    """What became of a job.

    Attributes:
        job: it.
        let_in_at: from when on it waited for nothing but its place; None: from its submission on, or never.
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
    let_in_at: int | None = None
    first_at: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    cut_short: list[tuple[int, int]] = field(default_factory=list)
    resumed_at: int | None = None
    node_ids: tuple[str, ...] = ()
    reason: str = ""
    message: str = ""

    @property
    def queued_at(self) -> int:
        """From when on it waited for its place."""
        return self.job.submitted_at if self.let_in_at is None else self.let_in_at

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
    by_id = {fate.job.demand.job_id: fate for fate in fates}
    for fate in fates:
        fate.let_in_at = _let_in(fate, by_id)
    return Outcome(RECORDED, workload, tuple(fates), (), 0, 0.0)


def _let_in(fate: Fate, by_id: Mapping[str, Fate]) -> int:
    """When a job that was recorded waited for nothing any more, by its start at the latest."""
    times = [fate.job.submitted_at, fate.job.start_after]
    for kind, awaited in fate.job.after:
        other = by_id[awaited]
        times.append((other.started_at if kind == Kind.AFTER else other.ended_at) or 0)
    return min(max(times), fate.started_at or max(times))
