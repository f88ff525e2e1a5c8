"""How a waiting job is given its place: a run on a node, which holds what the job asked for."""

from dataclasses import dataclass

from windlass.agents.v1 import agent_pb2
from windlass.jobs.v1 import job_pb2
from windlass_server import actors
from windlass_server.access import quota_use
from windlass_server.jobs.moves import move
from windlass_server.jobs.states import Event, after
from windlass_server.resources.capacity import gpu_types_of, require_there
from windlass_server.resources.gpu_sharing import share_on
from windlass_server.scheduler.plan import Placement
from windlass_server.storage.rows import row
from windlass_server.storage.tables import JobRow, RunRow
from windlass_server.storage.transaction import Transaction

_Want = agent_pb2.RunDirective


def place_run(
    tx: Transaction, job: JobRow, placement: Placement, *, run_id: str, attempt: int, at: int
) -> None:
    """Add the job's next run, under `run_id`, and move the job there.

    Raises:
        Conflict: what it was to hold is not there any more.
        QuotaExceeded: its project or user has too much by now.
    """
    _add_run(tx, job, placement, run_id=run_id, attempt=attempt, at=at)
    move(
        tx,
        job,
        after(job.status, Event.PLACE, job.job_id),
        reason="PLACED",
        message=f"placed on node {placement.node_id}",
        actor=actors.SCHEDULER,
        at=at,
        run_id=run_id,
        node_id=placement.node_id,
        gpu_uuids=",".join(placement.gpu_uuids),
        cluster="",
        remote_job_id="",
        attempt=attempt,
        isolation=b"",
        started_at=None,
    )


def _add_run(
    tx: Transaction, job: JobRow, placement: Placement, *, run_id: str, attempt: int, at: int
) -> None:
    times = _Times.of(job_pb2.Job.FromString(job.spec))
    gpu_uuids = placement.gpu_uuids
    node = tx.nodes.get(placement.node_id) if gpu_uuids else None
    pool = tx.nodes.pool_of(placement.node_id)
    run = {
        "run_id": run_id,
        "job_id": job.job_id,
        "attempt": attempt,
        # Rises with every placement, which is all that fencing needs of it.
        "epoch": attempt,
        "node_id": placement.node_id,
        "pool_id": pool,
        "want": _Want.RUNNING,
        "generation": 1,
        "state": 0,
        "active": True,
        "forgotten": False,
        "cpu_millis": job.cpu_millis,
        "memory_bytes": job.memory_bytes,
        "gpu_uuids": ",".join(gpu_uuids),
        "gpu_types": ",".join(gpu_types_of(node, gpu_uuids)),
        "gpu_millis": job.gpu_millis,
        "time_limit": times.time_limit,
        "grace": times.grace,
        "stopping_since": None,
        "log_end": None,
        "log_lost": "",
        "device_fault": "",
        "end_cause": 0,
        "created_at": at,
        "ended_at": None,
        "end_noted_at": None,
    }
    tx.runs.add(run)
    tx.nodes.hold(
        placement.node_id,
        run_id,
        cpu_millis=job.cpu_millis,
        memory_bytes=job.memory_bytes,
        gpu_uuids=gpu_uuids,
        share=share_on(tx, pool, job.gpu_millis),
    )
    if gpu_uuids:
        require_there(tx.nodes.get(placement.node_id), gpu_uuids)
    quota_use.take(tx, quota_use.held_by(job.project, job.user, row(RunRow, run)))


@dataclass(frozen=True, slots=True)
class _Times:
    """What bounds a run's time, in microseconds; a limit of None: nothing does."""

    time_limit: int | None
    grace: int

    @classmethod
    def of(cls, spec: job_pb2.Job) -> "_Times":
        limit = spec.time_limit.ToMicroseconds() if spec.HasField("time_limit") else None
        return cls(limit, spec.grace_period.ToMicroseconds())
