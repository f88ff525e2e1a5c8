"""Jobs that follow the retries of another one: which of them lets a job go, and which would never.

A dependency is on one job of the lineage at a time, the one that it waits for or is stalled at. Which job was
named in it says the follower's spec: that one or any retry of it, and any retry's retry, lets the follower go.
"""

from collections.abc import Sequence
from typing import Any

from windlass.jobs.v1 import job_pb2
from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.jobs.dependency_rules import Edge, Held, Kind, State, hope
from windlass_server.jobs.states import FINAL, Status
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction


def awaited_in(tx: Transaction, first_ids: Sequence[str], *, succeeded: bool) -> Sequence[str]:
    """The jobs that others who follow retries wait for, of these jobs and all their retries.

    Args:
        tx: a transaction.
        first_ids: jobs; of those that have no retries nothing is answered.
        succeeded: only where the job or a retry has succeeded.
    """
    lineages: dict[str, list[int]] = {}
    members = tx.dependencies.retries(first_ids)
    for one in members:
        lineages.setdefault(one.first_id, []).append(one.status)
    wanted = {
        first
        for first, statuses in lineages.items()
        if len(statuses) > 1 and (not succeeded or Status.SUCCEEDED in statuses)
    }
    ids = dict.fromkeys(one.job_id for one in members if one.first_id in wanted)
    return tx.dependencies.following([*ids])


def go_on(tx: Transaction, awaited_id: str, behind: str, size: int) -> tuple[str, Sequence[JobRow]]:
    """Let those that wait for a job, or for a retry of it, go on as far as its lineage has come.

    Args:
        tx: a transaction that writes.
        awaited_id: the job.
        behind: the last follower that was looked at; empty: begin with the first.
        size: as many followers are looked at.

    Returns:
        The last follower that was looked at, empty when there are no more, and those for which something has
        changed.
    """
    edges = tx.dependencies.followers_of_retries(awaited_id, behind, size)
    # Held first, as who settles what they wait for does.
    rows = {row.job_id: row for row in tx.jobs.lock_all([edge.job_id for edge in edges])}
    line = tx.dependencies.line(awaited_id)
    hopes: dict[str, Any] = {}
    changed: list[JobRow] = []
    for edge in edges:
        row = rows[edge.job_id]
        named = _named(job_pb2.Job.FromString(row.spec), line)
        if row.status != Status.QUEUED or named is None:
            continue
        if named not in hopes:
            hopes[named] = hope(tx.dependencies.retries([named]))
        best = hopes[named]
        if best.status == Status.SUCCEEDED:
            tx.dependencies.settle([(row.job_id, awaited_id, Kind.AFTER_OK, State.MET)])
        elif edge.state == State.STALLED and best.status not in FINAL and best.job_id != row.job_id:
            tx.dependencies.move(row.job_id, awaited_id, best.job_id)
        else:
            continue
        changed.append(row)
    last = edges[-1].job_id if len(edges) == size else ""
    # What somebody holds is told when it is released.
    return last, [row for row in changed if row.held == Held.JOBS]


def require_no_cycle(
    tx: Transaction, source: JobRow, spec: job_pb2.Job, edges: Sequence[Edge]
) -> None:
    """Refuse that a retry waits for itself, or for a job that waits for it, also over others.

    Args:
        tx: a transaction.
        source: the job that is retried.
        spec: what the retry asks for.
        edges: whom it waits for.

    Raises:
        InvalidInput: it would.
    """
    waits = [one for one in edges if one.state != State.MET]
    if not waits:
        return
    line = tx.dependencies.line(source.job_id)
    members = {one.job_id for one in tx.dependencies.retries([line[-1]])}
    own = [one.awaited_id for one in waits if one.follows and one.awaited_id in members]
    if any(_named(spec, tx.dependencies.line(one)) in line for one in own):
        raise _cycle(f"the retry would wait for a retry of {source.job_id}, which is what it is")
    reached = tx.dependencies.reached([one.awaited_id for one in waits])
    back = [one for one in reached if one.awaited_id in members]
    specs = {row.job_id: row.spec for row in tx.jobs.of_ids([one.job_id for one in back])}
    for one in back:
        follower = job_pb2.Job.FromString(specs[one.job_id])
        if _named(follower, tx.dependencies.line(one.awaited_id)) in line:
            message = f"the retry would wait for {one.job_id}, and that waits for this retry"
            raise _cycle(message)


def _cycle(message: str) -> InvalidInput:
    violation = FieldViolation("overrides.dependencies", message, "BAD_DEPENDENCIES")
    return InvalidInput(message, reason="INVALID_FIELDS", violations=(violation,))


def _named(spec: job_pb2.Job, line: Sequence[str]) -> str | None:
    """Which job a follower named whose dependency is on the first of a line: that one or the nearest behind."""
    followed = {one.job_id for one in spec.dependencies if one.follow_retries}
    return next((one for one in line if one in followed), None)
