"""The runs of a job of several nodes as one: it starts when all have started, and ends by the first that fails.

What it will come to is written beside it as soon as that is known, and happens when its last run has ended:
until then it holds what those hold.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from windlass.agents.v1 import agent_pb2
from windlass.jobs.v1 import job_pb2
from windlass.types.v1 import types_pb2
from windlass_server import actors
from windlass_server.jobs import rules
from windlass_server.jobs.states import LEAVING, Event, Status
from windlass_server.storage.rows import changed
from windlass_server.storage.tables import JobRow, RunRow
from windlass_server.storage.transaction import Transaction

_State = agent_pb2.RunReport
# What a verdict says it comes to, unless somebody cancels it meanwhile.
_STATUSES = {
    Event.REQUEUE: Status.QUEUED,
    Event.STOP: Status.CANCELLED,
    Event.FAIL: Status.FAILED,
    Event.RUN_OUT_OF_TIME: Status.TIMED_OUT,
    Event.RUN_OUT_OF_MEMORY: Status.OUT_OF_MEMORY,
}
_EVENTS = {status: event for event, status in _STATUSES.items()}


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended, and what that means for its job.

    Attributes:
        ending: what happens to the job.
        exit_code: what the command returned, if it did.
        exit_signal: the signal that ended it, if one did.
        values: columns of the job that change when it is queued again.
    """

    ending: rules.Ending
    exit_code: int | None
    exit_signal: int | None
    values: Mapping[str, Any] = field(default_factory=dict)


def end_rank(
    tx: Transaction, job: JobRow, run: RunRow, end: End, now: int, tell: Callable[[str], None]
) -> tuple[JobRow, End, int | None] | None:
    """Take the end of one run of a job of several nodes; None while others are left.

    Args:
        tx: in which the job is locked and the end of the run is written.
        job: the job.
        run: the run.
        end: how it ended.
        now: in microseconds since 1970.
        tell: called with the id of each node that is to stop another run.

    Returns:
        The job as it is now, how it ended, and when the last of its commands started, if all have.
    """
    runs = tx.runs.of_attempt(job.job_id, run.attempt)
    if job.verdict is None and end.ending.event is not Event.SUCCEED:
        job = _decide(tx, job, run, end, now)
        for node_id in tx.runs.want_all_stopped(job.job_id, job.attempt, now):
            tx.after_commit(partial(tell, node_id))
    if any(one.active for one in runs):
        return None
    started = [one.started_at for one in runs]
    began = None if None in started else max(one for one in started if one is not None)
    return job, end if job.verdict is None else _verdict(job.verdict), began


def _decide(tx: Transaction, job: JobRow, run: RunRow, end: End, now: int) -> JobRow:
    """Write down what the job comes to by the end of this run, and tell why the others are stopped."""
    ending = end.ending
    message = f"rank {run.rank} on node {run.node_id}: {ending.message}"
    verdict = job_pb2.Job(
        status=_STATUSES[ending.event],  # type: ignore[arg-type]
        status_reason=ending.reason,
        status_message=message,
        exit_code=end.exit_code,
        exit_signal=end.exit_signal,
    )
    values: dict[str, Any] = {"verdict": verdict.SerializeToString(), **end.values}
    if job.status not in LEAVING:
        values |= {"status_reason": ending.reason, "status_message": f"{message}; all are stopped"}
    tx.jobs.change(job.job_id, job.version, **values)
    tx.events.record(
        project=job.project,
        object_id=job.job_id,
        at=now,
        actor=actors.node(run.node_id),
        status=job.status,
        reason=ending.reason,
        message=message,
        run_id=run.run_id,
    )
    return changed(job, **values, version=job.version + 1)


def reason_of(verdict: bytes) -> str:
    """Why a job of several nodes comes to what its verdict says, as an UPPER_SNAKE word."""
    return job_pb2.Job.FromString(verdict).status_reason


def _verdict(stored: bytes) -> End:
    known = job_pb2.Job.FromString(stored)
    ending = rules.Ending(_EVENTS[Status(known.status)], known.status_reason, known.status_message)
    return End(
        ending,
        known.exit_code if known.HasField("exit_code") else None,
        known.exit_signal if known.HasField("exit_signal") else None,
    )


def event_of(verdict: bytes) -> Event:
    """What happens to a job by a verdict that is written beside it."""
    return _EVENTS[Status(job_pb2.Job.FromString(verdict).status)]


def all_started(runs: Sequence[RunRow]) -> bool:
    """Whether every one of them runs, or has ended behind its start."""
    return all(run.started_at is not None for run in runs)


def weaker(known: bytes, reported: types_pb2.Isolation) -> bytes:
    """The weaker of what a job is known to run with, if anything is, and what another run of it has."""
    before = types_pb2.Isolation.FromString(known)
    if known and before.level <= reported.level:
        return known
    return reported.SerializeToString()
