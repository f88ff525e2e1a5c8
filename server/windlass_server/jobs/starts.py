"""How runs begin: what their nodes say of that, and what becomes of their jobs."""

from collections.abc import Callable, Sequence

from windlass_server import actors
from windlass_server.jobs.ends import News
from windlass_server.jobs.moves import Move, move_all
from windlass_server.jobs.ranks import all_started, weaker
from windlass_server.jobs.run_times import started_at
from windlass_server.jobs.states import LEAVING, Event, after
from windlass_server.storage.transaction import Transaction


def start_runs(tx: Transaction, news: Sequence[News], at: int, started: Callable[[], None]) -> None:
    """Note that the commands of runs have begun, and move their jobs along.

    A job of several nodes moves when the last of its commands has begun.

    Args:
        tx: the transaction.
        news: runs of different jobs; of earlier attempts of these nothing is noted.
        at: now, in microseconds since 1970.
        started: called for each job that has begun to run, when that is durable.
    """
    current = [one for one in news if one.job.attempt == one.run.attempt]
    began = {one.run.run_id: started_at(one.run, one.report, at) for one in current}
    tx.runs.change_all(
        [
            (run_id, {"state": one.report.state, "started_at": began[run_id]})
            for one in current
            for run_id in (one.run.run_id,)
        ]
    )
    moves = [
        made for one in current if (made := _move(tx, one, at, began[one.run.run_id])) is not None
    ]
    for _ in moves:
        tx.after_commit(started)
    move_all(tx, moves)


def _move(tx: Transaction, one: News, at: int, began: int | None) -> Move | None:
    """What becomes of a job; None while others of its commands have not begun."""
    job, node_id = one.job, one.run.node_id
    isolation = one.report.isolation.SerializeToString()
    what = f"the command runs on node {node_id}"
    if job.nodes > 1:
        runs = tx.runs.of_attempt(job.job_id, job.attempt)
        isolation = weaker(job.isolation, one.report.isolation)
        if not all_started(runs) or job.verdict is not None:
            if isolation != job.isolation:
                tx.jobs.change(job.job_id, job.version, isolation=isolation)
            return None
        what = f"the command runs on all {len(runs)} nodes"
        began = max(run.started_at or at for run in runs)
    status = after(job.status, Event.START, job.job_id)
    values = {"isolation": isolation, "started_at": began}
    reason = "STARTED"
    if job.status in LEAVING:
        reason, what = job.status_reason, job.status_message
    return Move(job, status, reason, what, actors.node(node_id), at, values)
