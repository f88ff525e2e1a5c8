"""Why nobody is stopped for a job though others could be: which rule withholds that, whom it spares, and until when.

A rule is found by planning as if it was not there: who is stopped for the job then is whom it spares.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, TypeAlias

from windlass_server.scheduler import wording
from windlass_server.scheduler.plan import plan
from windlass_server.scheduler.policies import Policies, Policy, PreemptionRules
from windlass_server.scheduler.quota import Use
from windlass_server.scheduler.snapshot import Demand, Running, Snapshot

_HOUR = 3600 * 1_000_000
_NO_BUDGET = 1 << 40
# The bounds of `Job.priority`.
_HIGHEST = 1000


class Rule(IntEnum):
    """What withholds it; as `jobs.v1.ForecastWithheld.Rule`."""

    HOURLY_BUDGET = 1
    MIN_RUN_TIME = 2
    BACK_OFF = 3
    MAX_PRIORITY = 4
    GRACE_PERIOD = 5


@dataclass(frozen=True, slots=True)
class Withheld:
    """A rule without which others would be stopped for a job.

    Attributes:
        rule: it.
        spared: the runs that would be stopped, by their ids; of a grace period those that are leaving.
        until: when it spares them no more (µs); None: nobody knows, or never.
        message: the same in a sentence for people.
    """

    rule: Rule
    spared: tuple[Running, ...]
    until: int | None
    message: str


def withheld(snapshot: Snapshot, demand: Demand) -> tuple[Withheld, ...]:
    """The rules that keep others from being stopped for a job, in the order of `Rule`.

    Each that does so alone; where none does, all of which each does so beside the others.

    Args:
        snapshot: the world, with the queue up to this job.
        demand: the job, for which nobody is to be stopped by the rules as they are.
    """
    if not snapshot.policies.preempts:
        return ()
    leaving = _leaving(snapshot, demand)
    if leaving:
        return (Withheld(Rule.GRACE_PERIOD, leaving, *_of_grace(leaving)),)
    alone = [one for rule in _WAYS if (one := _spared(snapshot, demand, (rule,)))]
    return tuple(one for few in alone for one in few) or tuple(
        _spared(snapshot, demand, tuple(_WAYS))
    )


def _spared(snapshot: Snapshot, demand: Demand, rules: Sequence[Rule]) -> list[Withheld]:
    """What these rules spare together, as each of them says it; nothing where others would have to fall as well."""
    world = snapshot
    for rule in rules:
        world = _WAYS[rule].lifted(world, demand)
    evictions = plan(world, explained=False).evictions if world is not snapshot else ()
    gone = {one.run_id for one in evictions if one.for_job_id == demand.job_id}
    spared = tuple(
        sorted((run for run in snapshot.running if run.run_id in gone), key=lambda run: run.run_id)
    )
    if not spared:
        return []
    told = ((rule, _WAYS[rule].told(snapshot, demand, spared)) for rule in rules)
    return [Withheld(rule, spared, *said) for rule, said in told if said is not None]


_Told: TypeAlias = tuple[int | None, str] | None
"""Until when a rule spares some runs, and a sentence; None: it spares none of them."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How a rule is lifted for a job, and what is said of it."""

    lifted: Callable[[Snapshot, Demand], Snapshot]
    told: Callable[[Snapshot, Demand, Sequence[Running]], _Told]


def _with(**values: Any) -> Callable[[Snapshot, Demand], Snapshot]:
    """Lets all policies say this of preemption."""

    def lifted(snapshot: Snapshot, _: Demand) -> Snapshot:
        def other(policy: Policy) -> Policy:
            rules = policy.preemption
            return policy if rules is None else replace(policy, preemption=replace(rules, **values))

        policies = snapshot.policies
        changed = Policies(
            other(policies.cluster),
            {name: other(one) for name, one in policies.queues.items()},
            {name: other(one) for name, one in policies.pools.items()},
        )
        return snapshot if changed == policies else replace(snapshot, policies=changed)

    return lifted


def _of_budget(snapshot: Snapshot, demand: Demand, spared: Sequence[Running]) -> _Told:
    count = len({run.job_id for run in spared})
    budget = min(rules.budget for rules in _rules(snapshot, demand, spared))
    times = sorted(snapshot.preemptions.spent_at.get(demand.project, ()))
    over = len(times) + count - budget
    if over <= 0:
        return None
    jobs = wording.count_text(count, "job")
    limit = f"hourly_budget lets {budget} be stopped for project {demand.project} within an hour"
    if over > len(times):
        return None, f"{jobs} would be stopped for it, but {limit}"
    until = times[over - 1] + _HOUR
    message = (
        f"{jobs} would be stopped for it, but {limit}, and {len(times)} were; "
        f"it is enough again from {wording.time_text(until)} on"
    )
    return until, message


def _of_min_run(snapshot: Snapshot, demand: Demand, spared: Sequence[Running]) -> _Told:
    until = max(
        run.started_at + rules.min_run
        for run, rules in zip(spared, _rules(snapshot, demand, spared), strict=True)
    )
    if until <= snapshot.now:
        return None
    young = {run.job_id for run in spared}
    message = (
        f"{wording.count_text(len(young), 'job')} would be stopped for it, but not before "
        f"min_run_time is over, at {wording.time_text(until)}"
    )
    return until, message


def _of_back_off(snapshot: Snapshot, demand: Demand, spared: Sequence[Running]) -> _Told:
    gave_way = snapshot.preemptions.gave_way
    ends = [
        gave_way[job_id].at + rules.back_off
        for run, rules in zip(spared, _rules(snapshot, demand, spared), strict=True)
        for job_id in (run.job_id, demand.job_id)
        if job_id in gave_way
    ]
    until = max(ends, default=0)
    if until <= snapshot.now:
        return None
    message = (
        f"{wording.count_text(len({run.job_id for run in spared}), 'job')} would be stopped for it, but it or "
        f"they gave way to others not long ago: not before back_off is over, at {wording.time_text(until)}"
    )
    return until, message


def _raised(snapshot: Snapshot, demand: Demand) -> Snapshot:
    """The world where a job has the highest priority, if its project's quotas do not let it."""
    most = Use(snapshot.quotas).max_priority(demand.project, demand.user)
    if most is None or demand.priority < most:
        return snapshot
    others = (one for one in snapshot.queue if one.job_id != demand.job_id)
    return replace(snapshot, queue=(*others, replace(demand, priority=_HIGHEST)))


def _of_priority(snapshot: Snapshot, demand: Demand, spared: Sequence[Running]) -> _Told:
    most = Use(snapshot.quotas).max_priority(demand.project, demand.user)
    if most is None or demand.priority < most:
        return None
    message = (
        f"{wording.count_text(len({run.job_id for run in spared}), 'job')} would be stopped for it if it had a "
        f"higher priority, but max_priority of a quota of project {demand.project} is {most}"
    )
    return None, message


_WAYS: Mapping[Rule, _Way] = {
    Rule.HOURLY_BUDGET: _Way(_with(budget=_NO_BUDGET), _of_budget),
    Rule.MIN_RUN_TIME: _Way(_with(min_run=0), _of_min_run),
    Rule.BACK_OFF: _Way(_with(back_off=0), _of_back_off),
    Rule.MAX_PRIORITY: _Way(_raised, _of_priority),
}


def _leaving(snapshot: Snapshot, demand: Demand) -> tuple[Running, ...]:
    """What is being stopped already where room is made for a job."""
    rooms = [one for one in snapshot.preemptions.making_room if one.job_id == demand.job_id]
    nodes = {node_id for one in rooms if one.under_way for node_id in one.node_ids}
    there = (run for run in snapshot.running if run.leaving and run.node_id in nodes)
    return tuple(sorted(there, key=lambda run: run.run_id))


def _of_grace(leaving: Sequence[Running]) -> tuple[int | None, str]:
    ends = [run.limit_end for run in leaving if run.limit_end is not None]
    until = max(ends) if len(ends) == len(leaving) else None
    jobs = wording.count_text(len({run.job_id for run in leaving}), "job")
    verb = "leaves" if jobs.startswith("1 ") else "leave"
    when = f", which is over at {wording.time_text(until)}" if until is not None else ""
    return until, f"{jobs} {verb} within the grace period{when}"


def _rules(
    snapshot: Snapshot, demand: Demand, runs: Sequence[Running]
) -> Iterator[PreemptionRules]:
    """What holds where each of these runs is."""
    pools = {node.node_id: node.pool for node in snapshot.nodes}
    return (snapshot.policies.preemption(demand.queue, pools.get(run.node_id, "")) for run in runs)
