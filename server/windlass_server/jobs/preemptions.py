"""Stops runs so that other jobs get their places: as drains do, with a checkpoint, and nothing is lost."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from windlass.agents.v1 import agent_pb2
from windlass_server import actors
from windlass_server.jobs.moves import move
from windlass_server.jobs.states import Status
from windlass_server.resources.absence import awaited
from windlass_server.scheduler.policies import Policies
from windlass_server.scheduler.preempting import GaveWay, MakingRoom, Preemptions
from windlass_server.scheduler.preemption import Eviction
from windlass_server.storage.tables import JobRow, RunRow
from windlass_server.storage.transaction import Transaction

_HOUR = 3600 * 1_000_000
KEPT_FOR = 40 * 24 * _HOUR
"""How long it is remembered that a run was stopped (µs): longer than any policy minds, which is 30 days at most."""
FORGOTTEN_AT_ONCE = 1_000
_Want = agent_pb2.RunDirective


def preemptions_of(
    tx: Transaction, now: int, policies: Policies, *, listening_since: int, searching: bool
) -> Preemptions:
    """What has become of earlier preemptions.

    Args:
        tx: the transaction in which the world is read.
        now: in microseconds since 1970.
        policies: how long what happened is of interest.
        listening_since: since when this server runs: nodes are not missed before then.
        searching: it may have to be found out whom to stop next.
    """
    making_room = _making_room(tx, now, listening_since)
    if not searching or not policies.preempts:
        return Preemptions(making_room)
    gave_way = {
        row.job_id: GaveWay(row.at, row.for_priority)
        for row in tx.preemptions.since(now - policies.longest_back_off)
    }
    times = tx.preemptions.spent_at(now - _HOUR)
    spent = {project: len(those) for project, those in times.items()}
    return Preemptions(making_room, spent, times, gave_way)


def _making_room(tx: Transaction, now: int, listening_since: int) -> tuple[MakingRoom, ...]:
    leaving = Counter[tuple[str, tuple[str, ...]]]()
    stopped = dict[tuple[str, tuple[str, ...]], set[str]]()
    rows = tx.preemptions.kept()
    of_several = tx.preemptions.places() if rows else {}
    for row in rows:
        places = row.for_job_id, of_several.get(row.for_job_id, (row.node_id,))
        leaving[places] += bool(row.active)
        stopped.setdefault(places, set()).add(row.job_id)
    ids = {node_id for _, places in stopped for node_id in places}
    nodes = tx.nodes.some(sorted(ids)) if ids else ()
    missing = {node.node_id for node in nodes if awaited(node, now, listening_since)}
    return tuple(
        MakingRoom(
            job_id, places, leaving[job_id, places], len(jobs), not missing.isdisjoint(places)
        )
        for (job_id, places), jobs in sorted(stopped.items())
    )


def stop_for(
    tx: Transaction,
    evictions: Sequence[Eviction],
    *,
    version: int,
    now: int,
    runs_changed: Callable[[str], None],
) -> bool:
    """Ask all runs to stop that are to make room for one job; False, and none is, when one may not be any more.

    Args:
        tx: the transaction.
        evictions: of which all are for the same job.
        version: of that job, as it was seen.
        now: in microseconds since 1970.
        runs_changed: called with the id of each node whose directives have changed.
    """
    job_id = evictions[0].for_job_id
    # In the order of their ids, so that nobody who does the same waits for us while we wait for him.
    ids = sorted({job_id, *(one.job_id for one in evictions)})
    jobs = {one: tx.jobs.lock(one) for one in ids}
    high = jobs[job_id]
    if high is None or high.version != version or high.status != Status.QUEUED:
        return False
    found = [_stoppable(tx, one, jobs[one.job_id], high) for one in evictions]
    stopping = [each for each in found if each is not None]
    if len(stopping) < len(found):
        return False
    tx.preemptions.add([_row(one, high, now) for one in evictions])
    if evictions[0].places:
        tx.preemptions.keep_places(job_id, evictions[0].places)
    told = set[str]()
    for job, run in stopping:
        tx.runs.want_stopped(run.run_id, now)
        tx.after_commit(partial(runs_changed, run.node_id))
        if job.job_id not in told:
            told.add(job.job_id)
            status = Status(job.status)
            why = f"it is being stopped for {for_text(high.job_id, high.priority, job.priority)}"
            move(tx, job, status, reason="PREEMPTING", message=why, actor=actors.SCHEDULER, at=now)
    _tell(tx, high, sorted(told), now)
    return True


def for_text(job_id: str, priority: int, own: int) -> str:
    """For whom a run was stopped, and why: its job's own priority was lower, or it had borrowed."""
    if own >= priority:
        return f"{job_id}, which gets back what its project can count on"
    return f"{job_id}, which has priority {priority}"


def stopped_by(tx: Transaction, run: RunRow) -> str:
    """For whom a run was stopped, in words; empty when it was not."""
    if run.want != _Want.STOPPED:
        return ""
    return "".join(map(stopped_text, tx.preemptions.of_runs([run.run_id])))


def stopped_text(row: Any) -> str:
    """What a job that waits is told that was stopped for another, beside why it waits; a row of `of_runs`."""
    return f"it was stopped for {for_text(row.for_job_id, row.for_priority, row.priority)}"


def forget_old(tx: Transaction, now: int) -> bool:
    """Forget preemptions of which nothing follows any more, some at a time; whether there may be more."""
    return tx.preemptions.forget(now - KEPT_FOR, FORGOTTEN_AT_ONCE) == FORGOTTEN_AT_ONCE


def _stoppable(
    tx: Transaction, one: Eviction, job: JobRow | None, high: JobRow
) -> tuple[JobRow, RunRow] | None:
    """The job and the run of an eviction; None when it has ended, is leaving, or may not be stopped."""
    run = tx.runs.get(one.run_id)
    if job is None or run is None or not run.active or run.want != _Want.RUNNING:
        return None
    # One that is frozen does nothing with its place.
    running = job.frozen or job.status in (Status.SCHEDULED, Status.RUNNING)
    lower = job.preemptible and job.priority <= high.priority
    return (job, run) if running and lower and job.attempt == run.attempt else None


def _row(one: Eviction, high: JobRow, now: int) -> dict[str, object]:
    return {
        "run_id": one.run_id,
        "job_id": one.job_id,
        "for_job_id": high.job_id,
        "for_project": high.project,
        "for_priority": high.priority,
        "node_id": one.node_id,
        "kept": True,
        "at": now,
    }


def _tell(tx: Transaction, high: JobRow, stopped: Sequence[str], now: int) -> None:
    """Note with the job for whom others are stopped who they are."""
    some, more = ", ".join(stopped[:8]), len(stopped) - 8
    tx.events.record(
        project=high.project,
        object_id=high.job_id,
        at=now,
        actor=actors.SCHEDULER,
        status=high.status,
        reason="MAKING_ROOM",
        message=f"stopped for it: {some}{f' and {more} more' if more > 0 else ''}",
        run_id="",
    )
