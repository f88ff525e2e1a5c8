"""What is measured of a workload that was played: waits, completion times, allocation, fairness."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from windlass_server.scheduler.snapshot import NodeState
from windlass_server.simulation.outcome import Fate, Outcome
from windlass_server.simulation.workload import SECOND

Floats: TypeAlias = NDArray[np.float64]

SLICES = 50
"""Into so many equal parts the time is cut in which jobs come, to show use over time."""

TENTHS = 10
"""The same for fairness: that is looked at over longer times than most jobs take."""

BOUND = 10.0
"""Seconds: slowdowns of shorter jobs are measured as if they took so long (bounded slowdown)."""

_NOTHING = 1e-3


@dataclass(frozen=True, slots=True)
class Spread:
    """Of many values the mean, three percentiles and the most; all 0 of none."""

    mean: float
    p50: float
    p90: float
    p99: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Percentiles between two values are interpolated."""
        array = np.array([*values], np.float64)
        if not len(array):
            return cls(0, 0, 0, 0, 0)
        p50, p90, p99 = np.percentile(array, (50, 90, 99))
        return cls(float(array.mean()), float(p50), float(p90), float(p99), float(array.max()))


@dataclass(frozen=True, slots=True)
class Party:
    """A project, or a user of one.

    Attributes:
        name: `project`, or `project/user`.
        jobs: how many it submitted.
        wanted: GPU-hours that it wanted, in all (core-hours where no node has a GPU).
        got: of those, what it had been given when the last job came.
        wait: seconds that its jobs waited.
    """

    name: str
    jobs: int
    wanted: float
    got: float
    wait: Spread


@dataclass(frozen=True, slots=True)
class Left:
    """A job that never got a place, and why."""

    job: str
    name: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Measures:
    """What came of a workload under one policy. Times are in seconds.

    Attributes:
        policy: its name.
        unit: `GPU`, or `CPU` where no node has a GPU: what allocation, fairness and hours count.
        jobs: how many came.
        finished: how many ran to their end.
        timed_out: how many were ended by their time limit.
        stopped: how often one was stopped for another.
        lost: GPU-hours of work that was lost by that (core-hours where no node has a GPU).
        left: those that never got a place.
        wait: from when a job waited for nothing but its place to the first start.
        first: of those that were ever the first of all that found no place: from then to start.
        completion: from submission to end (job completion time).
        slowdown: the same over the time it ran, or `BOUND` if that is more; at least 1.
        allocation: given out while jobs came, per cent of all.
        fragmentation: idle then in pieces too small, per cent of all GPUs, as `Fragments` has it;
            None where nobody knows who was where.
        makespan: from the first submission to the last end.
        jain_projects: Jain's index of what projects got of what was theirs by the policy's weights; see
            `fairness`.
        jain_users: the same of users, who all weigh the same.
        projects: one each, by name.
        times: when each slice begins, from the first submission on.
        used: given out in each slice, per cent of all.
        waiting: jobs that waited in each slice, on average.
        plans: how often the scheduler looked.
        seconds: processor time that the simulation took.
    """

    policy: str
    unit: str
    jobs: int
    finished: int
    timed_out: int
    stopped: int
    lost: float
    left: tuple[Left, ...]
    wait: Spread
    first: Spread
    completion: Spread
    slowdown: Spread
    allocation: float
    fragmentation: float | None
    makespan: float
    jain_projects: float
    jain_users: float
    projects: tuple[Party, ...]
    times: tuple[float, ...]
    used: tuple[float, ...]
    waiting: tuple[float, ...]
    plans: int
    seconds: float

    @property
    def never(self) -> int:
        """How many never got a place."""
        return len(self.left)


def measured(outcome: Outcome) -> Measures:
    """Measure what was played."""
    fates, spans = outcome.fates, _Spans(outcome)
    ran = [fate for fate in fates if fate.started_at is not None and fate.ended_at is not None]
    waits, completions = [_wait(fate) for fate in ran], [_completion(fate) for fate in ran]
    everybody, one = range(len(fates)), np.ones(len(fates))
    used = spans.held(everybody)
    waiting = spans.over_time(spans.queued, spans.ended, one) - spans.held(everybody, each=one)
    projects = _named(fates, lambda fate: fate.job.demand.project)
    users = _named(fates, lambda fate: f"{fate.job.demand.project}/{fate.job.demand.user}")
    timed_out = sum(fate.job.times_out for fate in ran)
    percent = 100 / max(spans.capacity, 1)
    return Measures(
        policy=outcome.turns.name,
        unit=spans.unit,
        jobs=len(fates),
        finished=len(ran) - timed_out,
        timed_out=timed_out,
        stopped=sum(len(fate.cut_short) for fate in fates),
        lost=sum(
            float(size) * (end - begin) / (3600 * SECOND * 1000)
            for fate, size in zip(fates, spans.size, strict=True)
            for begin, end in fate.cut_short
        ),
        left=tuple(
            Left(fate.job.demand.job_id, fate.job.name, fate.reason, fate.message)
            for fate in fates
            if fate.started_at is None
        ),
        wait=Spread.of(waits),
        first=Spread.of(
            ((fate.started_at or 0) - fate.first_at) / SECOND
            for fate in ran
            if fate.first_at is not None
        ),
        completion=Spread.of(completions),
        slowdown=Spread.of(
            max(1.0, ((fate.ended_at or 0) - fate.queued_at) / SECOND / _bounded(fate))
            for fate in ran
        ),
        allocation=float(used.mean()) * percent,
        fragmentation=_fragmentation(outcome, spans.first, spans.last),
        makespan=(max((fate.ended_at or 0 for fate in ran), default=spans.first) - spans.first)
        / SECOND,
        jain_projects=fairness(
            *spans.of_parties(projects), spans.capacity, outcome.turns.weights(projects)
        ),
        jain_users=fairness(*spans.of_parties(users), spans.capacity),
        projects=_parties(outcome, spans, projects),
        times=tuple(float(at - spans.first) / SECOND for at in spans.edges(SLICES)[:-1]),
        used=tuple((used * percent).tolist()),
        waiting=tuple(np.where(waiting < _NOTHING, 0.0, waiting).tolist()),
        plans=outcome.plans,
        seconds=outcome.seconds,
    )


def fairness(got: Floats, wanted: Floats, capacity: float, weights: Sequence[float] = ()) -> float:
    """Jain's index of what parties got of what was theirs, the mean of the slices in which it matters.

    In a slice in which more is wanted than there is, each who wants something has a right to a part by
    his weight, and what some do not want goes to the others in the same way (max-min). Jain's index of
    got over right is 1 when all got the same part of their right, and 1/n when one of n got all.

    Args:
        got: what each party held on average in each slice, parties x slices.
        wanted: the same of what it held or waited for.
        capacity: what there is.
        weights: of the parties; none: all are equal.

    Returns:
        From 0 to 1; 1 when there was enough for all at all times.
    """
    indexes = []
    parts_of_all = np.array(weights or np.ones(len(got)), np.float64)
    for held, asked in zip(got.T, wanted.T, strict=True):
        wants = asked > 0
        if asked.sum() <= capacity or not wants.any():
            continue
        parts = held[wants] / _rights(asked[wants], capacity, parts_of_all[wants])
        squares = len(parts) * float((parts**2).sum())
        indexes.append(float(parts.sum()) ** 2 / squares if squares else 1.0)
    return float(np.mean(indexes)) if indexes else 1.0


def _rights(wanted: Floats, capacity: float, weights: Floats) -> Floats:
    """Parts by weight, of which nobody gets more than is wanted: max-min fairness."""
    rights = np.zeros(len(wanted))
    left, weight_left = capacity, float(weights.sum())
    # Who wants least for his weight is content first.
    for index in np.argsort(wanted / weights, kind="stable"):
        rights[index] = min(float(wanted[index]), left * float(weights[index]) / weight_left)
        left -= rights[index]
        weight_left -= float(weights[index])
    return rights


class _Spans:
    """When each job waited and ran, as arrays, and the time in which jobs came, in slices."""

    def __init__(self, outcome: Outcome) -> None:
        workload, fates = outcome.workload, outcome.fates
        gpus = workload.gpus
        nodes = {node.node_id: node for node in workload.nodes}
        self.unit = "GPU" if gpus else "CPU"
        self.capacity = float(gpus * 1000 if gpus else workload.cpu_millis)
        jobs = [fate.job for fate in fates]
        self.size = np.array([_size(fate, nodes, of_gpus=bool(gpus)) for fate in fates], np.float64)
        self.submitted = np.array([job.submitted_at for job in jobs], np.float64)
        # From when on it wanted its place.
        self.queued = np.array([fate.queued_at for fate in fates], np.float64)
        # Who never got a place is in nobody's way and waits for nothing.
        starts = [_or(fate.started_at, fate.queued_at) for fate in fates]
        self.started = np.array(starts, np.float64)
        ends = [_or(fate.ended_at, fate.queued_at) for fate in fates]
        self.ended = np.array(ends, np.float64)
        # Who was stopped for another has several spans.
        spans = [(index, *span) for index, fate in enumerate(fates) for span in fate.spans]
        self.whose = np.array([index for index, _, _ in spans], np.int64)
        self.begins = np.array([begin for _, begin, _ in spans], np.float64)
        self.stops = np.array([end for _, _, end in spans], np.float64)
        self.first = int(self.submitted.min(initial=float("inf"))) if jobs else 0
        self.last = max(int(self.submitted.max(initial=0)), self.first + 1)

    def edges(self, slices: int) -> Floats:
        """Where the slices begin, and where the last one ends."""
        return np.linspace(self.first, self.last, slices + 1)

    def over_time(
        self, begins: Floats, ends: Floats, sizes: Floats, slices: int = SLICES
    ) -> Floats:
        """The sizes of those between begin and end, on average in each slice."""
        edges = self.edges(slices)
        # What has gone by of each job up to each edge is a sum over all of them, piecewise linear.
        gone = _gone(begins, sizes, edges) - _gone(ends, sizes, edges)
        means: Floats = np.diff(gone) / np.diff(edges)
        # Sums of large numbers leave a little where there is nothing.
        return np.where(means < _NOTHING, 0.0, means)

    def held(
        self, members: Sequence[int], slices: int = SLICES, each: Floats | None = None
    ) -> Floats:
        """What members held on average in each slice; with `each`, that of each instead of its size."""
        mine = np.isin(self.whose, members)
        sizes = (self.size if each is None else each)[self.whose[mine]]
        return self.over_time(self.begins[mine], self.stops[mine], sizes, slices)

    def of_parties(self, parties: dict[str, list[int]]) -> tuple[Floats, Floats]:
        """What each party held, and what it held or waited for, on average in each tenth."""
        got, wanted = [], []
        for members in parties.values():
            sizes, ended = self.size[members], self.ended[members]
            got.append(self.held(members, TENTHS))
            wanted.append(self.over_time(self.queued[members], ended, sizes, TENTHS))
        return np.array(got), np.array(wanted)


def _size(fate: Fate, nodes: Mapping[str, NodeState], *, of_gpus: bool) -> int:
    """Thousandths of GPUs, or of cores, that a job held, or would have: of its last nodes, where these are known."""
    job = fate.job
    if job.demand.exclusive and fate.node_ids:
        alone = [nodes[node_id] for node_id in fate.node_ids]
        return sum(len(node.gpus) * 1000 if of_gpus else node.cpu_millis for node in alone)
    each = job.gpu_millis if of_gpus else job.demand.cpu_millis
    return each * (len(fate.node_ids) or job.demand.nodes)


def _gone(begins: Floats, sizes: Floats, edges: Floats) -> Floats:
    """For each edge: the sum of size x time since begin, of those that have begun."""
    order = np.argsort(begins, kind="stable")
    at, size = begins[order], sizes[order]
    count = np.searchsorted(at, edges, side="right")
    sums = np.concatenate([[0.0], np.cumsum(size)])[count]
    moments = np.concatenate([[0.0], np.cumsum(size * (at - edges[0]))])[count]
    gone: Floats = sums * (edges - edges[0]) - moments
    return gone


def _fragmentation(outcome: Outcome, first: int, last: int) -> float | None:
    """The mean over the time in which jobs came; None where nobody knows who was where."""
    if not outcome.fragments:
        return None
    total = 0.0
    steps = outcome.fragments
    for (at, share), (until, _) in pairwise([*steps, (last, 0.0)]):
        total += share * max(min(until, last) - at, 0)
    return 100 * total / (last - first)


def _parties(outcome: Outcome, spans: _Spans, parties: dict[str, list[int]]) -> tuple[Party, ...]:
    hour = 3600 * SECOND * 1000
    found = []
    for name, members in parties.items():
        fates = [outcome.fates[index] for index in members]
        takes = np.array([fate.job.takes for fate in fates], np.float64)
        mine = np.isin(spans.whose, members)
        until = np.minimum(spans.stops[mine], spans.last)
        held = np.maximum(until - spans.begins[mine], 0) * spans.size[spans.whose[mine]]
        found.append(
            Party(
                name,
                len(fates),
                float((spans.size[members] * takes).sum()) / hour,
                float(held.sum()) / hour,
                Spread.of(_wait(fate) for fate in fates if fate.started_at is not None),
            )
        )
    return tuple(found)


def _named(fates: Sequence[Fate], name: Callable[[Fate], str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, fate in enumerate(fates):
        found.setdefault(name(fate), []).append(index)
    return dict(sorted(found.items()))


def _or(value: int | None, other: int) -> int:
    return other if value is None else value


def _wait(fate: Fate) -> float:
    assert fate.started_at is not None
    return (fate.started_at - fate.queued_at) / SECOND


def _bounded(fate: Fate) -> float:
    """How long it ran at its last start, and `BOUND` at least."""
    return max(fate.job.takes / SECOND, BOUND)


def _completion(fate: Fate) -> float:
    assert fate.ended_at is not None
    return (fate.ended_at - fate.job.submitted_at) / SECOND
