"""All that is known of jobs, for who asks for the FULL view: a fixed number of queries, however many jobs."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from windlass.agents.v1 import agent_pb2
from windlass.jobs.v1 import job_pb2, job_view_pb2
from windlass_server.jobs.condition_rules import COLLECTED, NOT_COLLECTED, conditions
from windlass_server.jobs.messages import to_proto
from windlass_server.jobs.rules import Cause
from windlass_server.resources.decimals import BILLIONTHS, decimal, gib
from windlass_server.resources.job_costs import SoFar, costs_of
from windlass_server.storage.tables import JobArrayRow, JobRow
from windlass_server.storage.transaction import Transaction
from windlass_server.timestamps import to_proto as time_of

_MOST_RELATED = 100
_Rank = job_view_pb2.JobRank


@dataclass(slots=True)
class Around:
    """What lies around a job."""

    runs: list[Any] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)
    dependents: list[str] = field(default_factory=list)
    retries: list[str] = field(default_factory=list)
    cost: SoFar | None = None
    array: JobArrayRow | None = None


def around(tx: Transaction, job_ids: Sequence[str], now: int) -> Mapping[str, Around]:
    """What lies around jobs, by their ids."""
    found: dict[str, Around] = defaultdict(Around)
    if not job_ids:
        return found
    for run in tx.job_views.runs(job_ids):
        found[run.job_id].runs.append(run)
    for event in tx.job_views.told(job_ids, (COLLECTED, NOT_COLLECTED)):
        found[event.object_id].told.append(event)
    for row in tx.job_views.dependents(job_ids, _MOST_RELATED):
        found[row.of_id].dependents.append(row.job_id)
    for row in tx.job_views.retries(job_ids, _MOST_RELATED):
        found[row.of_id].retries.append(row.job_id)
    for job_id, array in tx.arrays.of(job_ids).items():
        found[job_id].array = array
    for job_id, cost in costs_of(tx, job_ids, now).items():
        found[job_id].cost = cost
    return found


def full_message(row: JobRow, beside: Around) -> job_pb2.Job:
    """A job with all that is known of it."""
    job = to_proto(row, beside.array)
    degraded = job.isolation.degraded_reason
    for one in conditions(row, beside.runs, beside.told, degraded):
        condition = job.conditions.add(
            type=int(one.type),
            status=job_view_pb2.JobCondition.TRUE if one.holds else job_view_pb2.JobCondition.FALSE,
            reason=one.reason,
            message=one.message,
        )
        if one.since is not None:
            condition.time.CopyFrom(time_of(one.since))
    job.ranks.extend(_rank(run) for run in beside.runs if run.attempt == row.attempt)
    job.lineage.dependents.extend(beside.dependents)
    job.lineage.retries.extend(beside.retries)
    if beside.cost is not None:
        job.cost.CopyFrom(_cost(beside.cost))
    return job


def _rank(run: Any) -> job_view_pb2.JobRank:
    rank = _Rank(rank=run.rank, run_id=run.run_id, node_id=run.node_id, state=_state(run))
    if run.started_at is not None:
        rank.start_time.CopyFrom(time_of(run.started_at))
    if run.end_noted_at is not None:
        rank.end_time.CopyFrom(time_of(run.end_noted_at))
        rank.end_cause = Cause(run.end_cause).name if run.end_cause else ""
    return rank


def _state(run: Any) -> job_view_pb2.JobRank.State:
    if not run.active:
        return _Rank.ENDED
    if run.want == agent_pb2.RunDirective.STOPPED:
        return _Rank.STOPPING
    return _Rank.PLACED if run.started_at is None else _Rank.RUNNING


def _cost(found: SoFar) -> job_view_pb2.JobCost:
    held = found.held
    return job_view_pb2.JobCost(
        cost=decimal(held.cost, BILLIONTHS) if found.currency else "",
        currency=found.currency,
        incomplete=found.incomplete,
        gpu_seconds=decimal(held.gpu_millis, 9),
        cpu_core_seconds=decimal(held.cpu_millis, 9),
        memory_gib_seconds=gib(held.memory_bytes, 6),
        time=time_of(found.until),
    )
