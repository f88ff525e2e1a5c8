"""How a waiting job is given its place: a run on each of its nodes, which holds what the job asked for."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from windlass.agents.v1 import agent_pb2
from windlass.jobs.v1 import job_pb2
from windlass_server import actors
from windlass_server.access import quota_use
from windlass_server.errors import Conflict
from windlass_server.jobs.moves import move
from windlass_server.jobs.places import require_labels
from windlass_server.jobs.states import Event, after
from windlass_server.resources.capacity import facts_of, gpu_types_of, require_there
from windlass_server.resources.gpu_sharing import share_on
from windlass_server.scheduler.plan import Place, Placement
from windlass_server.storage.rows import row
from windlass_server.storage.tables import JobRow, RunRow
from windlass_server.storage.transaction import Transaction

_Want = agent_pb2.RunDirective


# Where first ranks gather the others: below the ports that systems give out by themselves.
_MASTER_PORTS = range(29_500, 30_500)
# Nodes that an event names; of more it says how many.
_NODES_NAMED = 3


def place_job(
    tx: Transaction,
    job: JobRow,
    placement: Placement,
    *,
    run_ids: Sequence[str],
    attempt: int,
    at: int,
) -> None:
    """Add the runs of a job's next attempt, under these ids by their ranks, and move the job there.

    Raises:
        Conflict: what one of them was to hold is not there any more.
        QuotaExceeded: its project or user has too much by now.
    """
    places = placement.places
    # By their ids, as everybody takes several nodes: two never wait for each other.
    for rank in sorted(range(len(places)), key=lambda rank: places[rank].node_id):
        _add_run(tx, job, places[rank], run_id=run_ids[rank], attempt=attempt, rank=rank, at=at)
    ranks = _ranks(tx, job, placement, run_ids) if job.nodes > 1 else None
    move(
        tx,
        job,
        after(job.status, Event.PLACE, job.job_id),
        reason="PLACED",
        message=_where_text(placement),
        actor=actors.SCHEDULER,
        at=at,
        run_id=run_ids[0],
        node_id=placement.node_id,
        gpu_uuids=",".join(placement.gpu_uuids),
        ranks=ranks,
        verdict=None,
        cluster="",
        remote_job_id="",
        attempt=attempt,
        isolation=b"",
        started_at=None,
    )


def _where_text(placement: Placement) -> str:
    names = [place.node_id for place in placement.places]
    if len(names) == 1:
        return f"placed on node {names[0]}"
    more = f" and {len(names) - _NODES_NAMED} more" if len(names) > _NODES_NAMED else ""
    return f"placed on {len(names)} nodes: {', '.join(names[:_NODES_NAMED])}{more}"


def _ranks(tx: Transaction, job: JobRow, placement: Placement, run_ids: Sequence[str]) -> bytes:
    """Where the ranks of a job of several nodes are, for people, for each other and for their nodes."""
    shown = job_pb2.Job()
    for rank, (place, run_id) in enumerate(zip(placement.places, run_ids, strict=True)):
        node = tx.nodes.get(place.node_id)
        shown.placements.add(
            run_id=run_id,
            node_id=place.node_id,
            gpu_uuids=place.gpu_uuids,
            rank=rank,
            host=facts_of(node).address if node is not None else "",
        )
    port = _free_port(tx, job.job_id, placement.node_id)
    tx.runs.change(run_ids[0], master_port=port)
    shown.placements[0].master_port = port
    return shown.SerializeToString()


def _free_port(tx: Transaction, job_id: str, node_id: str) -> int:
    """A port of the node, which is locked, that no other job's first rank has.

    Each job looks from a place of its own on: what was just given up may still be in use.
    """
    taken = tx.runs.master_ports(node_id)
    first = zlib.crc32(job_id.encode()) % len(_MASTER_PORTS)
    for number in range(len(_MASTER_PORTS)):
        port = _MASTER_PORTS[(first + number) % len(_MASTER_PORTS)]
        if port not in taken:
            return port
    message = f"node {node_id} has no port left for a job of several nodes"
    raise Conflict(message, reason="NODE_FULL", node_id=node_id)


def _add_run(
    tx: Transaction, job: JobRow, place: Place, *, run_id: str, attempt: int, rank: int, at: int
) -> None:
    times = _Times.of(job_pb2.Job.FromString(job.spec))
    gpu_uuids = place.gpu_uuids
    node = tx.nodes.get(place.node_id) if gpu_uuids or job.exclusive else None
    cpu_millis, memory_bytes = job.cpu_millis, job.memory_bytes
    if job.exclusive and node is not None:
        cpu_millis, memory_bytes = node.cpu_millis, node.memory_bytes
    pool = tx.nodes.pool_of(place.node_id)
    run = {
        "run_id": run_id,
        "job_id": job.job_id,
        "attempt": attempt,
        "rank": rank,
        # Rises with every placement, which is all that fencing needs of it.
        "epoch": attempt,
        "node_id": place.node_id,
        "pool_id": pool,
        "want": _Want.RUNNING,
        "generation": 1,
        "state": 0,
        "active": True,
        "forgotten": False,
        "cpu_millis": cpu_millis,
        "memory_bytes": memory_bytes,
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
        place.node_id,
        run_id,
        cpu_millis=cpu_millis,
        memory_bytes=memory_bytes,
        gpu_uuids=gpu_uuids,
        share=share_on(tx, pool, job.gpu_millis),
        alone=job.exclusive,
    )
    if job.constraints:
        require_labels(job, tx.nodes.get(place.node_id))
    if gpu_uuids:
        require_there(tx.nodes.get(place.node_id), gpu_uuids)
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
