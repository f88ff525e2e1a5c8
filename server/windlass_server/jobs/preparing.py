"""What nodes say they do for runs before their commands start."""

from windlass.agents.v1 import agent_pb2
from windlass_server import actors
from windlass_server.jobs.moves import move
from windlass_server.jobs.rules import shown
from windlass_server.jobs.states import LEAVING, Status
from windlass_server.storage.transaction import Transaction

_REASON = "PREPARING"


def note_preparing(tx: Transaction, node_id: str, report: agent_pb2.RunReport, at: int) -> None:
    """Let a run's job say what its node does for it; harmless when repeated.

    Reports of runs that are not the node's, of an older epoch, or that come after the command has started change
    nothing.
    """
    run = tx.runs.get(report.run_id)
    job = None if run is None else tx.jobs.lock(run.job_id)
    # Read again under the lock: its command may have started meanwhile.
    run = tx.runs.get(report.run_id)
    if job is None or run is None or (run.node_id, run.epoch) != (node_id, report.epoch):
        return
    if not run.active or run.started_at is not None or job.attempt != run.attempt:
        return
    rank = f"rank {run.rank} is " if job.nodes > 1 else ""
    message = f"preparing: {rank}{shown(report.doing)}"
    if job.status in LEAVING or job.status_message == message:
        return
    status = Status(job.status)
    move(tx, job, status, reason=_REASON, message=message, actor=actors.node(node_id), at=at)
