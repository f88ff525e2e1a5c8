"""What keeps a new job out of the scheduler's queue: other jobs that it waits for, and its time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from windlass.jobs.v1 import job_pb2
from windlass_server.access.policy import Caller, absent, require_object
from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.jobs.dependency_rules import (
    MAX_DEPENDENCIES,
    Edge,
    Held,
    State,
    hope,
    state_of,
    waiting_text,
)
from windlass_server.scheduler.explain import Reason
from windlass_server.scheduler.wording import time_text
from windlass_server.storage.transaction import Transaction
from windlass_server.timestamps import from_proto


@dataclass(frozen=True, slots=True)
class Hold:
    """What keeps a QUEUED job out of the queue, with a reason and a sentence; NOTHING has neither."""

    by: Held
    reason: str = ""
    message: str = ""


IN_THE_QUEUE = Hold(Held.NOTHING)
BY_INDICES = Hold(
    Held.INDICES,
    "ARRAY_INDICES_QUEUED",
    "its indices wait for their places, each as a job of its own",
)


def start_after_of(spec: job_pb2.Job) -> int:
    """Before when (µs) a job does not start; 0: at once. Raises InvalidInput for what is no time."""
    return max(0, from_proto(spec.start_after)) if spec.HasField("start_after") else 0


def end_by_of(spec: job_pb2.Job) -> int | None:
    """When (µs) a job is stopped so that it has ended at its deadline; None: it has none."""
    if not spec.HasField("deadline"):
        return None
    return max(0, from_proto(spec.deadline) - spec.grace_period.ToMicroseconds())


def require_time(spec: job_pb2.Job, now: int) -> None:
    """Refuse a deadline that leaves a job no time. Raises InvalidInput, DEADLINE_TOO_EARLY."""
    end_by = end_by_of(spec)
    if end_by is None or end_by > max(now, start_after_of(spec)):
        return
    message = "the deadline leaves no time: it must be later than now and `start_after`, by `grace_period`"
    violation = FieldViolation("job.deadline", message, "DEADLINE_TOO_EARLY")
    raise InvalidInput(message, reason="DEADLINE_TOO_EARLY", violations=(violation,))


def require_known(tx: Transaction, who: Caller, spec: job_pb2.Job) -> None:
    """Refuse dependencies that cannot be.

    A job is new when it names others, and they are there already: no chain leads back to it.

    Raises:
        InvalidInput: too many, or one job twice.
        NotFound: there is no such job, or the caller may not read it.
    """
    wanted = [one.job_id for one in spec.dependencies if one.job_id]
    if len(wanted) > MAX_DEPENDENCIES or len(set(wanted)) < len(wanted):
        message = f"a job waits for at most {MAX_DEPENDENCIES} others, each named once"
        violation = FieldViolation("job.dependencies", message, "BAD_DEPENDENCIES")
        raise InvalidInput(message, reason="INVALID_FIELDS", violations=(violation,))
    known = tx.dependencies.heads(wanted)
    for job_id in wanted:
        if job_id not in known:
            raise absent("job", job_id)
        project = known[job_id].project
        require_object(who, "jobs.get", project, kind="job", object_id=job_id)


def edges_of(tx: Transaction, spec: job_pb2.Job) -> Sequence[Edge]:
    """Whom a job waits for, and what has become of that already.

    What can never be met stays open until the job is there, so that it can end for it. Who follows retries
    waits for one that succeeded, or else for the newest that has not ended.
    """
    asked = [one for one in spec.dependencies if one.job_id]
    if not asked:
        return ()
    known = tx.dependencies.heads([one.job_id for one in asked])
    found = [_edge(tx, one, known[one.job_id]) for one in asked]
    if len({one.awaited_id for one in found}) < len(found):
        message = "a job waits for another and for a retry of it; name one of them"
        violation = FieldViolation("job.dependencies", message, "BAD_DEPENDENCIES")
        raise InvalidInput(message, reason="INVALID_FIELDS", violations=(violation,))
    return found


def _edge(tx: Transaction, asked: job_pb2.Dependency, awaited: Any) -> Edge:
    state = _state(asked, awaited)
    if state is State.STALLED:
        awaited = hope(tx.dependencies.retries([awaited.job_id]))
        state = _state(asked, awaited)
    if state is State.NEVER:
        state = State.OPEN
    return Edge(awaited.job_id, int(asked.type), state, asked.follow_retries)


def _state(asked: job_pb2.Dependency, awaited: Any) -> State:
    started = awaited.started_at is not None
    return state_of(asked.type, awaited.status, started=started, follows=asked.follow_retries)


def hold_of(edges: Sequence[Edge], start_after: int, now: int, *, array: bool = False) -> Hold:
    """What keeps a job out of the queue: first those that it waits for, then its time, then that it is an array.

    Args:
        edges: those that it waits for.
        start_after: before when it does not start (µs).
        now: the time (µs).
        array: whether it is one.
    """
    unmet = [one for one in edges if one.state != State.MET]
    if unmet:
        return Hold(Held.JOBS, Reason.DEPENDENCY, waiting_text(unmet))
    if start_after > now:
        message = f"starts at {time_text(start_after)} at the earliest"
        return Hold(Held.TIME, Reason.START_AFTER, message)
    return BY_INDICES if array else IN_THE_QUEUE
