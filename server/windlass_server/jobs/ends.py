"""How runs end: what their nodes say of that, and what becomes of their jobs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from windlass.agents.v1 import agent_pb2
from windlass_server import actors
from windlass_server.access import quota_use
from windlass_server.jobs import rules
from windlass_server.jobs.damaged_checkpoints import set_aside
from windlass_server.jobs.moves import Move, move_all
from windlass_server.jobs.preemptions import stopped_by
from windlass_server.jobs.ranks import End, end_rank, reason_of
from windlass_server.jobs.retry_policy import by_policy, values_of
from windlass_server.jobs.run_times import between, node_time, started_at
from windlass_server.jobs.states import FINAL, Status, after, standing
from windlass_server.storage.tables import JobRow, RunRow
from windlass_server.storage.transaction import Transaction

_Want = agent_pb2.RunDirective


@dataclass(frozen=True, slots=True)
class News:
    """A report of a run that says more than is known of it.

    Attributes:
        job: its job, which is locked.
        run: the run, as it is known.
        report: what its node says.
    """

    job: JobRow
    run: RunRow
    report: agent_pb2.RunReport


def end_run(
    tx: Transaction,
    run: RunRow,
    report: agent_pb2.RunReport,
    at: int,
    tell: Callable[[str], None] = lambda _node_id: None,
) -> bool:
    """End a run as `end_runs` does; False when it had ended before."""
    job = tx.jobs.lock(run.job_id)
    assert job is not None
    # Looked at again under the lock: the same end may have been reported twice at once.
    if tx.runs.has_ended(run.run_id):
        return False
    end_runs(tx, [News(job, run, report)], at, tell)
    return True


def end_runs(
    tx: Transaction,
    news: Sequence[News],
    at: int,
    tell: Callable[[str], None] = lambda _node_id: None,
) -> None:
    """End runs as their nodes report, and move their jobs along.

    A job of several nodes moves when the last of its runs has ended, by the end of the first that did not
    succeed: with that the others are stopped.

    Args:
        tx: the transaction.
        news: runs of different jobs, which have not ended before.
        at: now, in microseconds since 1970.
        tell: called with the id of each other node that is to stop a run of one of the jobs.
    """
    ended = [_Ended.of(tx, one, at) for one in news]
    tx.runs.change_all([(one.run.run_id, one.columns()) for one in ended])
    tx.nodes.release_all([(one.run.node_id, one.run.run_id) for one in ended])
    for one in ended:
        quota_use.give_back(tx, quota_use.held_by(one.job.project, one.job.user, one.run))
    made = [_move(tx, one, tell) for one in ended]
    move_all(tx, [one for one in made if one is not None])


@dataclass(frozen=True, slots=True)
class _Ended:
    """A run that has ended.

    Attributes:
        job: its job as it was.
        run: the run as it was.
        report: what its node says.
        now: in microseconds since 1970.
        cause: why it ended.
        checkpoint: what changes in its job where a damaged checkpoint was set aside.
        began: when its command began, if it did (µs).
    """

    job: JobRow
    run: RunRow
    report: agent_pb2.RunReport
    now: int
    cause: rules.Cause
    checkpoint: Mapping[str, Any]
    began: int | None

    @classmethod
    def of(cls, tx: Transaction, one: News, at: int) -> "_Ended":
        # What the server's clock lost between was no time before the run began.
        now = max(at, one.run.started_at or one.run.created_at)
        cause, checkpoint = _cause(tx, one.job, one.run, one.report.exit, now)
        began = started_at(one.run, one.report, now)
        return cls(one.job, one.run, one.report, now, cause, checkpoint or {}, began)

    def columns(self) -> dict[str, Any]:
        """What changes in the run's row."""
        exited = self.report.exit
        first = self.began or self.run.created_at
        return {
            "state": self.report.state,
            "active": False,
            "log_end": exited.log_end,
            "end_cause": int(_true_cause(self.job, self.run, self.cause)),
            "started_at": self.began,
            "ended_at": between(first, node_time(exited.end_time, self.now), self.now),
            "end_noted_at": self.now,
        }


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


def _ending(tx: Transaction, one: _Ended) -> rules.Ending:
    run, exited, cause = one.run, one.report.exit, one.cause
    # Nothing else depends on those before.
    at_fault = cause in rules.NODE_FAULTS
    failed_by = tx.runs.nodes_ended_by(run.job_id, rules.NODE_FAULTS) if at_fault else ()
    return rules.ending(
        cause,
        _code(exited),
        _signal(exited),
        run.device_fault if cause is rules.Cause.GPU_FAULT else exited.message,
        faults=len(attempts_failed(failed_by)),
        nodes=len({row.node_id for row in failed_by}),
        attempt=run.attempt,
        cancelling=one.job.status == Status.CANCELLING,
        preempted=stopped_by(tx, run),
    )


def attempts_failed(runs: Iterable[Any]) -> set[int]:
    """The attempts that these runs, which failed, are of: several of one count once."""
    return {row.attempt for row in runs}


def _move(tx: Transaction, one: _Ended, tell: Callable[[str], None]) -> Move | None:
    """What becomes of the job of a run; None where that is nothing, or others of its runs are left."""
    job, run, exited, began = one.job, one.run, one.report.exit, one.began
    if job.attempt != run.attempt or Status(job.status) in FINAL:
        return None
    end = _end_of(tx, one)
    for reason, message in _left(exited):
        _note_left(tx, job, run, reason, message, one.now)
    if job.nodes > 1:
        several = end_rank(tx, job, run, end, one.now, tell)
        if several is None:
            return None
        job, end, began = several
    status = after(standing(job.status, frozen=job.frozen), end.ending.event, job.job_id)
    ending = _told(job, end.ending, status)
    values: dict[str, Any] = {"exit_code": end.exit_code, "exit_signal": end.exit_signal}
    if status in (Status.QUEUED, Status.SUSPENDED):
        values = {"started_at": None, "frozen": False, **end.values}
    elif began is not None and job.started_at is None:
        # The end overtook the start.
        values |= {"started_at": began, "isolation": one.report.isolation.SerializeToString()}
    actor = actors.node(run.node_id)
    return Move(job, status, ending.reason, ending.message, actor, one.now, values)


def _told(job: JobRow, ending: rules.Ending, status: Status) -> rules.Ending:
    """The end in the words of whoever has asked for it, if somebody has."""
    if status is Status.CANCELLED:
        return rules.cancelled(ending, job.status_reason, job.status_message)
    if status is Status.SUSPENDED:
        return rules.Ending(ending.event, "SUSPENDED", job.status_message)
    return ending


def _end_of(tx: Transaction, one: _Ended) -> End:
    """How the run ended, and what that means for its job, by the job's own policy where that says more."""
    code, signal = _code(one.report.exit), _signal(one.report.exit)
    ending = _ending(tx, one)
    again = by_policy(one.job, one.run, ending, code, signal)
    if again is None:
        return End(ending, code, signal, one.checkpoint)
    return End(again.ending, code, signal, values_of(one.job, again, one.now))


def _left(exited: agent_pb2.RunExit) -> Iterator[tuple[str, str]]:
    """The reasons and messages of what became of what a run has left."""
    if exited.checkpoint_problem:
        yield "CHECKPOINT_NOT_SAVED", rules.shown(exited.checkpoint_problem)
    if exited.artifact_count:
        text = f"{exited.artifact_bytes} bytes in {exited.artifact_count} files"
        yield "ARTIFACTS_COLLECTED", text
    if exited.artifact_problem:
        yield "ARTIFACTS_NOT_COLLECTED", rules.shown(exited.artifact_problem)


def _note_left(
    tx: Transaction, job: JobRow, run: RunRow, reason: str, message: str, now: int
) -> None:
    tx.events.record(
        project=job.project,
        object_id=job.job_id,
        at=now,
        actor=actors.node(run.node_id),
        status=job.status,
        reason=reason,
        message=message,
        run_id=run.run_id,
    )


def _code(exited: agent_pb2.RunExit) -> int | None:
    return exited.exit_code if exited.HasField("exit_code") else None


def _signal(exited: agent_pb2.RunExit) -> int | None:
    return exited.exit_signal if exited.HasField("exit_signal") else None
