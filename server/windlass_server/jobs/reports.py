"""What nodes report of their runs, many reports in one transaction: commands that began, runs that ended."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from windlass.agents.v1 import agent_pb2
from windlass_server.jobs.ends import News, end_runs
from windlass_server.jobs.freezing import note_frozen
from windlass_server.jobs.starts import start_runs
from windlass_server.storage.tables import RunRow
from windlass_server.storage.transaction import Transaction

_State = agent_pb2.RunReport


@dataclass(frozen=True, slots=True)
class Reported:
    """What a node says of a run."""

    node_id: str
    report: agent_pb2.RunReport


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told what, when it is durable.

    Attributes:
        started: the command of a job has begun to run.
        freed: resources have become free.
        runs_changed: a node, by its id, is to stop a run.
    """

    started: Callable[[], None]
    freed: Callable[[], None]
    runs_changed: Callable[[str], None]


def take_reports(
    tx: Transaction, reports: Sequence[Reported], at: int, listeners: Listeners
) -> list[RunRow | None]:
    """Take reports; answers for each of the end of a run what was known of that run, else None.

    Reports of runs that are not the node's, of an older epoch, or older than what is known change
    nothing.
    """
    answers: list[RunRow | None] = [None] * len(reports)
    left = list(range(len(reports)))
    while left:
        left = _take_some(tx, reports, left, answers, at, listeners)
    return answers


def _take_some(
    tx: Transaction,
    reports: Sequence[Reported],
    numbers: Sequence[int],
    answers: list[RunRow | None],
    at: int,
    listeners: Listeners,
) -> list[int]:
    """Take the first of these reports of each job; returns those that are left.

    What one means for its job depends on those before.
    """
    run_ids = [reports[number].report.run_id for number in numbers]
    # The jobs are locked before their runs are read: from then on nobody else changes either.
    jobs = {job.job_id: job for job in tx.jobs.lock_of_runs(run_ids)}
    runs = {run.run_id: run for run in tx.runs.of_ids(run_ids)}
    news: list[News] = []
    left: list[int] = []
    for number in numbers:
        one = reports[number]
        run = runs.get(one.report.run_id)
        if run is None or (run.node_id, run.epoch) != (one.node_id, one.report.epoch):
            continue
        job = jobs.pop(run.job_id, None)
        if job is None:
            left.append(number)
            continue
        if one.report.state == _State.EXITED:
            answers[number] = run
        if run.state < one.report.state:
            news.append(News(job, run, one.report))
    start_runs(
        tx, [one for one in news if one.report.state == _State.RUNNING], at, listeners.started
    )
    froze = [
        one
        for number in numbers
        if number not in left
        and (one := reports[number]).report.state == _State.RUNNING
        and (run := runs.get(one.report.run_id)) is not None
        and (run.node_id, run.epoch) == (one.node_id, one.report.epoch)
        and run.frozen != one.report.frozen
    ]
    for one in froze:
        note_frozen(tx, one.report.run_id, frozen=one.report.frozen, at=at)
    ended = [one for one in news if one.report.state == _State.EXITED]
    if ended:
        end_runs(tx, ended, at, listeners.runs_changed)
        tx.after_commit(listeners.freed)
    return left
