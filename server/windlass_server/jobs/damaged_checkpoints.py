"""Checkpoints that are not whole any more: set aside, so that the next attempt begins with an older one."""

from windlass.jobs.v1 import job_pb2
from windlass_server import actors
from windlass_server.storage.checkpoints import State
from windlass_server.storage.tables import CheckpointRow, JobRow, RunRow
from windlass_server.storage.transaction import Transaction


def shown(row: CheckpointRow, at: int) -> bytes:
    """A checkpoint as its job shows it, saved at a time in microseconds; serialized."""
    return checkpoint_message(row, at).SerializeToString()


def checkpoint_message(row: CheckpointRow, saved_at: int | None) -> job_pb2.Checkpoint:
    """A checkpoint, saved at a time in microseconds or not yet."""
    message = job_pb2.Checkpoint(
        checkpoint_id=row.checkpoint_id,
        run_id=row.run_id,
        attempt=row.attempt,
        size_bytes=row.size_bytes,
        entry_count=row.entry_count,
        state=job_pb2.Checkpoint.SAVING if saved_at is None else job_pb2.Checkpoint.SAVED,
    )
    if saved_at is not None:
        message.create_time.FromMicroseconds(saved_at)
    return message


def set_aside(tx: Transaction, job: JobRow, run: RunRow, at: int) -> dict[str, bytes | None] | None:
    """Set the checkpoint aside that a run was to begin with.

    Args:
        tx: in which the job is locked.
        job: the job.
        run: the run that could not begin.
        at: now, in microseconds.

    Returns:
        What of the job changes by that; None when the run was to begin with none.
    """
    if job.checkpoint is None or job.attempt != run.attempt or job.verdict is not None:
        return None
    damaged = job_pb2.Checkpoint.FromString(job.checkpoint)
    if damaged.attempt >= run.attempt:
        return None
    tx.checkpoints.change(damaged.checkpoint_id, status=State.UNNEEDED)
    left = tx.checkpoints.saved(job.job_id)
    if not left and job.checkpoint_of:
        left = tx.checkpoints.saved(job.checkpoint_of)
    # What its run did since its checkpoint before is lost after all.
    own = next((one for one in left if one.run_id == damaged.run_id), None)
    tx.runs.note_saved(job.job_id, damaged.attempt, None if own is None else own.created_at)
    instead = f"with that of attempt {left[0].attempt}" if left else "anew: there is no other"
    tx.events.record(
        project=job.project,
        object_id=job.job_id,
        at=at,
        actor=actors.node(run.node_id),
        status=job.status,
        reason="CHECKPOINT_SET_ASIDE",
        message=(
            f"checkpoint {damaged.checkpoint_id} of attempt {damaged.attempt} is damaged; "
            f"the next attempt begins {instead}"
        ),
        run_id=run.run_id,
    )
    return {"checkpoint": shown(left[0], left[0].saved_at or at) if left else None}
