"""What is so of a job and what is not, from what is known of it. Pure."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from windlass_server.jobs.states import FINAL, Status

COLLECTED, NOT_COLLECTED = "ARTIFACTS_COLLECTED", "ARTIFACTS_NOT_COLLECTED"
"""Reasons of the events that tell of the artifacts of a run."""


class Type(enum.IntEnum):
    """As `jobs.v1.JobCondition.Type`."""

    SCHEDULED = 1
    STARTED = 2
    PREEMPTING = 3
    DEGRADED = 4
    LOGS_COMPLETE = 5
    ARTIFACTS_COLLECTED = 6


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is so, or is not, since when (µs); None: that is not known."""

    type: Type
    holds: bool
    reason: str
    message: str = ""
    since: int | None = None


def conditions(
    job: Any, runs: Sequence[Any], told: Sequence[Any], degraded: str
) -> list[Condition]:
    """All that is known.

    Args:
        job: its row.
        runs: all its runs here, as of `JobViewStore.runs`.
        told: its events of the reasons above, the oldest first.
        degraded: why its isolation is weaker than it could be; empty: it is not.
    """
    found = [_scheduled(job, runs), _started(job), _preempting(job, runs)]
    found += [_degraded(job, runs, degraded), _logs(runs), _artifacts(told)]
    return [one for one in found if one is not None]


def _scheduled(job: Any, runs: Sequence[Any]) -> Condition:
    if _waits(job) or not job.run_id:
        since = None if job.attempt or job.status in FINAL else job.created_at
        return Condition(Type.SCHEDULED, False, job.status_reason, job.status_message, since)
    if job.cluster:
        return Condition(Type.SCHEDULED, True, "AT_CLUSTER", f"at cluster {job.cluster}")
    last = _last(job, runs)
    nodes = ", ".join(sorted({run.node_id for run in last[:_NAMED]}))
    more = f" and {len(last) - _NAMED} more" if len(last) > _NAMED else ""
    since = min((run.created_at for run in last), default=None)
    return Condition(Type.SCHEDULED, True, "PLACED", f"on {nodes}{more}" if nodes else "", since)


_NAMED = 8


def _waits(job: Any) -> bool:
    """Whether it has no place, and has not ended."""
    return job.status == Status.QUEUED or (job.status == Status.SUSPENDED and not job.frozen)


def _started(job: Any) -> Condition | None:
    if job.started_at is not None:
        return Condition(Type.STARTED, True, "STARTED", since=job.started_at)
    if _waits(job) or not job.run_id:
        return None
    return Condition(Type.STARTED, False, job.status_reason, job.status_message)


def _preempting(job: Any, runs: Sequence[Any]) -> Condition | None:
    stopping = [run.stopping_since for run in _last(job, runs) if run.active and run.stopping_since]
    if job.status_reason != "PREEMPTING" or job.status in FINAL or not stopping:
        return None
    return Condition(
        Type.PREEMPTING, True, job.status_reason, job.status_message, since=min(stopping)
    )


def _degraded(job: Any, runs: Sequence[Any], degraded: str) -> Condition | None:
    if job.started_at is None:
        return None
    if degraded:
        return Condition(Type.DEGRADED, True, "WEAKER_ISOLATION", degraded, job.started_at)
    ranks = len(_last(job, runs))
    if 0 < ranks < job.nodes:
        message = f"with {ranks} of {job.nodes} nodes"
        return Condition(Type.DEGRADED, True, "FEWER_NODES", message, job.started_at)
    return Condition(Type.DEGRADED, False, "AS_ASKED", since=job.started_at)


def _logs(runs: Sequence[Any]) -> Condition | None:
    if not runs:
        return None
    lost = [run for run in runs if run.log_lost]
    if lost:
        message = f"of run {lost[0].run_id}: {lost[0].log_lost}"
        return Condition(Type.LOGS_COMPLETE, False, "LOG_LOST", message)
    if any(run.active for run in runs):
        return Condition(Type.LOGS_COMPLETE, False, "RUNNING")
    if not all(run.forgotten for run in runs):
        return Condition(Type.LOGS_COMPLETE, False, "ON_ITS_WAY")
    return Condition(Type.LOGS_COMPLETE, True, "COMPLETE")


def _artifacts(told: Sequence[Any]) -> Condition | None:
    if not told:
        return None
    last = told[-1]
    return Condition(
        Type.ARTIFACTS_COLLECTED, last.reason == COLLECTED, last.reason, last.message, last.at
    )


def _last(job: Any, runs: Sequence[Any]) -> list[Any]:
    """The runs of the present or last attempt."""
    newest = max((run.attempt for run in runs), default=0)
    return [run for run in runs if run.attempt == newest == job.attempt]
