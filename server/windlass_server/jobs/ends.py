"""How a run ends: what its node says of that, and what becomes of its job."""

from collections.abc import Callable, Iterable
from typing import Any

from windlass.agents.v1 import agent_pb2
from windlass_server import actors
from windlass_server.access import quota_use
from windlass_server.jobs import rules
from windlass_server.jobs.damaged_checkpoints import set_aside
from windlass_server.jobs.moves import move
from windlass_server.jobs.preemptions import stopped_by
from windlass_server.jobs.ranks import End, end_rank, reason_of
from windlass_server.jobs.retry_policy import by_policy, values_of
from windlass_server.jobs.run_times import between, node_time, started_at
from windlass_server.jobs.states import FINAL, Status, after
from windlass_server.storage.tables import JobRow, RunRow
from windlass_server.storage.transaction import Transaction

_Want = agent_pb2.RunDirective


def end_run(
    tx: Transaction,
    node_id: str,
    run: RunRow,
    report: agent_pb2.RunReport,
    at: int,
    tell: Callable[[str], None] = lambda _node_id: None,
) -> bool:
    """End a run as its node reports, and move its job along; False when it had ended before.

    A job of several nodes moves when the last of its runs has ended, by the end of the first that did not
    succeed: with that the others are stopped.

    Args:
        tx: the transaction.
        node_id: the node.
        run: the run.
        report: what the node says.
        at: now, in microseconds since 1970.
        tell: called with the id of each other node that is to stop a run of the job.
    """
    job = tx.jobs.lock(run.job_id)
    assert job is not None
    # Looked at again under the lock: the same end may have been reported twice at once.
    if tx.runs.has_ended(run.run_id):
        return False
    # What the server's clock lost between was no time before the run began.
    now = max(at, run.started_at or run.created_at)
    cause, checkpoint = _cause(tx, job, run, report.exit, now)
    began = started_at(run, report, now)
    tx.runs.change(
        run.run_id,
        state=report.state,
        active=False,
        log_end=report.exit.log_end,
        end_cause=int(_true_cause(job, run, cause)),
        started_at=began,
        ended_at=between(began or run.created_at, node_time(report.exit.end_time, now), now),
        end_noted_at=now,
    )
    ending = _ending(tx, job, run, report.exit, cause)
    tx.nodes.release(node_id, run.run_id)
    quota_use.give_back(tx, quota_use.held_by(job.project, job.user, run))
    if job.attempt != run.attempt or Status(job.status) in FINAL:
        return True
    code, signal = _code(report.exit), _signal(report.exit)
    end = End(ending, code, signal, checkpoint or {})
    if (again := by_policy(job, run, ending, code, signal)) is not None:
        end = End(again.ending, code, signal, values_of(job, again, now))
    if report.exit.checkpoint_problem:
        _note_lost_checkpoint(tx, job, run, report.exit.checkpoint_problem, now)
    if job.nodes > 1:
        several = end_rank(tx, job, run, end, now, tell)
        if several is None:
            return True
        job, end, began = several
    _move_job(tx, job, run, report, end, now=now, began=began)
    return True


def _cause(
    tx: Transaction, job: JobRow, run: RunRow, exited: agent_pb2.RunExit, now: int
) -> tuple[rules.Cause, dict[str, Any] | None]:
    """Why it ended, and what changes in its job where a damaged checkpoint was set aside."""
    cause = rules.cause_of(exited.cause, asked=run.want == _Want.STOPPED)
    cause = rules.blaming_device(cause, _code(exited), failed=bool(run.device_fault))
    if cause is not rules.Cause.CHECKPOINT_DAMAGED:
        return cause, None
    checkpoint = set_aside(tx, job, run, now)
    # Where there was none, it is the node that is wrong.
    return cause if checkpoint is not None else rules.Cause.LAUNCH_FAILED, checkpoint


def _true_cause(job: JobRow, run: RunRow, cause: rules.Cause) -> rules.Cause:
    """What ended a run: of one that was stopped beside another rank, what ended that one."""
    if job.attempt != run.attempt or job.verdict is None:
        return cause
    return rules.beside(cause, reason_of(job.verdict))


def _ending(
    tx: Transaction, job: JobRow, run: RunRow, exited: agent_pb2.RunExit, cause: rules.Cause
) -> rules.Ending:
    failed_by = tx.runs.nodes_ended_by(job.job_id, rules.NODE_FAULTS)
    return rules.ending(
        cause,
        _code(exited),
        _signal(exited),
        run.device_fault if cause is rules.Cause.GPU_FAULT else exited.message,
        faults=len(attempts_failed(failed_by)),
        nodes=len({row.node_id for row in failed_by}),
        attempt=run.attempt,
        cancelling=job.status == Status.CANCELLING,
        preempted=stopped_by(tx, run),
    )


def attempts_failed(runs: Iterable[Any]) -> set[int]:
    """The attempts that these runs, which failed, are of: several of one count once."""
    return {row.attempt for row in runs}


def _move_job(
    tx: Transaction,
    job: JobRow,
    run: RunRow,
    report: agent_pb2.RunReport,
    end: End,
    *,
    now: int,
    began: int | None,
) -> None:
    ending = end.ending
    status = after(job.status, ending.event, job.job_id)
    values: dict[str, Any] = {"exit_code": end.exit_code, "exit_signal": end.exit_signal}
    if status is Status.CANCELLED:
        ending = rules.cancelled(ending, job.status_reason, job.status_message)
    if status is Status.QUEUED:
        values = {"started_at": None, **end.values}
    elif began is not None and job.started_at is None:
        # The end overtook the start.
        values |= {"started_at": began, "isolation": report.isolation.SerializeToString()}
    move(
        tx,
        job,
        status,
        reason=ending.reason,
        message=ending.message,
        actor=actors.node(run.node_id),
        at=now,
        **values,
    )


def _note_lost_checkpoint(
    tx: Transaction, job: JobRow, run: RunRow, problem: str, now: int
) -> None:
    tx.events.record(
        project=job.project,
        object_id=job.job_id,
        at=now,
        actor=actors.node(run.node_id),
        status=job.status,
        reason="CHECKPOINT_NOT_SAVED",
        message=rules.shown(problem),
        run_id=run.run_id,
    )


def _code(exited: agent_pb2.RunExit) -> int | None:
    return exited.exit_code if exited.HasField("exit_code") else None


def _signal(exited: agent_pb2.RunExit) -> int | None:
    return exited.exit_signal if exited.HasField("exit_signal") else None
