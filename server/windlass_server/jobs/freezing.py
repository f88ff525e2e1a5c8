"""What follows when nodes say that the processes of runs stand still, or go on."""

from windlass_server import actors
from windlass_server.jobs.moves import move
from windlass_server.jobs.states import Event, Status, after
from windlass_server.storage.transaction import Transaction


def note_frozen(tx: Transaction, run_id: str, *, frozen: bool, at: int) -> None:
    """Note that a run is frozen, or is not any more; its job is SUSPENDED when all of its runs are.

    Args:
        tx: the transaction, in which the job is locked.
        run_id: the run; one that has ended, or is of an earlier attempt, is left alone.
        frozen: what its node says.
        at: now, in microseconds since 1970.
    """
    run = tx.runs.get(run_id)
    if run is None or not run.active:
        return
    tx.runs.change(run_id, frozen=frozen)
    job = tx.jobs.lock(run.job_id)
    if job is None or job.attempt != run.attempt or not (job.frozen and frozen):
        return
    runs = [one for one in tx.runs.of_attempt(job.job_id, job.attempt) if one.active]
    if job.status == Status.SUSPENDING and all(one.frozen for one in runs):
        move(
            tx,
            job,
            after(job.status, Event.FROZEN, job.job_id),
            reason="FROZEN",
            message=job.status_message,
            actor=actors.node(run.node_id),
            at=at,
        )
