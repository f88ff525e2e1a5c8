"""How waiting jobs are given their places: a run on each of their nodes, which holds what the job asked for."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from windlass.agents.v1 import agent_pb2
from windlass.jobs.v1 import job_pb2
from windlass_server import actors
from windlass_server.access import quota_use
from windlass_server.errors import Conflict
from windlass_server.jobs import queue_use
from windlass_server.jobs.apart import require_apart
from windlass_server.jobs.moves import Move, move_all
from windlass_server.jobs.places import require_labels
from windlass_server.jobs.states import Event, after
from windlass_server.resources.capacity import facts_of, gpu_types_of, require_there
from windlass_server.resources.gpu_sharing import share_on
from windlass_server.scheduler.plan import Place, Placement
from windlass_server.storage.holdings import Hold
from windlass_server.storage.rows import row
from windlass_server.storage.tables import JobRow, NodeRow, RunRow
from windlass_server.storage.transaction import Transaction

_Want = agent_pb2.RunDirective


# Where first ranks gather the others: below the ports that systems give out by themselves.
_MASTER_PORTS = range(29_500, 30_500)
# Nodes that an event names; of more it says how many.
_NODES_NAMED = 3


@dataclass(frozen=True, slots=True)
class Planned:
    """A place that was planned for a job.

    Attributes:
        placement: the place.
        attempt: the number of the runs there.
        version: of the job, as the plan saw it.
    """

    placement: Placement
    attempt: int
    version: int

    @property
    def job_id(self) -> str:
        """The job."""
        return self.placement.job_id

    def is_of(self, job: JobRow) -> bool:
        """Whether the job is as the plan saw it, and waits for nothing else."""
        return job.version == self.version and not job.held


@dataclass(frozen=True, slots=True)
class Placing:
    """A job that gets its place.

    Attributes:
        job: the job, which is locked.
        placement: its place.
        run_ids: of its runs, by their ranks.
        attempt: the number of these runs.
    """

    job: JobRow
    placement: Placement
    run_ids: Sequence[str]
    attempt: int

    @property
    def node_ids(self) -> list[str]:
        """The nodes of its ranks."""
        return [place.node_id for place in self.placement.places]


def place_jobs(tx: Transaction, placings: Sequence[Placing], at: int) -> None:
    """Add the runs of the jobs' next attempts, and move the jobs there: all of them, or none.

    Raises:
        Conflict: what one of them was to hold is not there any more, or its queue lets it not start now.
        QuotaExceeded: somebody's project or user has too much by now.
    """
    queue_use.take_places(tx, [one.job for one in placings])
    places = [(one, rank) for one in placings for rank in range(len(one.run_ids))]
    # Locked, in the order of their ids, so that nothing of them changes between this and the end.
    node_ids = sorted({one.placement.places[rank].node_id for one, rank in places})
    nodes = {node.node_id: node for node in tx.nodes.lock_all(node_ids)}
    runs = [_run(one, rank, nodes, at) for one, rank in places]
    require_apart(tx, [(one.job, one.node_ids) for one in placings], nodes)
    tx.runs.add_all(runs)
    tx.nodes.hold_all([_hold(tx, one, run) for (one, _), run in zip(places, runs, strict=True)])
    for (one, rank), run in zip(places, runs, strict=True):
        place = one.placement.places[rank]
        node = nodes[place.node_id]
        require_labels(one.job, node)
        if place.gpu_uuids:
            require_there(node, place.gpu_uuids)
        quota_use.take(tx, quota_use.held_by(one.job.project, one.job.user, row(RunRow, run)))
    move_all(tx, [_move(tx, one, nodes, at) for one in placings])


def _move(tx: Transaction, one: Placing, nodes: Mapping[str, NodeRow], at: int) -> Move:
    placement, several = one.placement, one.job.nodes > 1
    values = {
        "run_id": one.run_ids[0],
        "node_id": placement.node_id,
        "gpu_uuids": ",".join(placement.gpu_uuids),
        "ranks": _ranks(tx, one, nodes) if several else None,
        "verdict": None,
        "cluster": "",
        "remote_job_id": "",
        "attempt": one.attempt,
        "isolation": b"",
        "started_at": None,
    }
    return Move(
        one.job,
        after(one.job.status, Event.PLACE, one.job.job_id),
        "PLACED",
        _where_text(placement),
        actors.SCHEDULER,
        at,
        values,
    )


def _where_text(placement: Placement) -> str:
    names = [place.node_id for place in placement.places]
    if len(names) == 1:
        return f"placed on node {names[0]}"
    more = f" and {len(names) - _NODES_NAMED} more" if len(names) > _NODES_NAMED else ""
    return f"placed on {len(names)} nodes: {', '.join(names[:_NODES_NAMED])}{more}"


def _ranks(tx: Transaction, one: Placing, nodes: Mapping[str, NodeRow]) -> bytes:
    """Where the ranks of a job of several nodes are, for people, for each other and for their nodes."""
    shown = job_pb2.Job()
    for rank, (place, run_id) in enumerate(zip(one.placement.places, one.run_ids, strict=True)):
        shown.placements.add(
            run_id=run_id,
            node_id=place.node_id,
            gpu_uuids=place.gpu_uuids,
            rank=rank,
            host=facts_of(nodes[place.node_id]).address,
        )
    port = _free_port(tx, one.job.job_id, one.placement.node_id)
    tx.runs.change(one.run_ids[0], master_port=port)
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


def _run(one: Placing, rank: int, nodes: Mapping[str, NodeRow], at: int) -> dict[str, Any]:
    """The columns of a run."""
    job, place = one.job, one.placement.places[rank]
    node = _there(nodes, place)
    times = _Times.of(job_pb2.Job.FromString(job.spec))
    of_whom = node if job.exclusive else job
    return {
        "run_id": one.run_ids[rank],
        "job_id": job.job_id,
        "attempt": one.attempt,
        "rank": rank,
        # Rises with every placement, which is all that fencing needs of it.
        "epoch": one.attempt,
        "node_id": place.node_id,
        "pool_id": node.pool,
        "want": _Want.RUNNING,
        "generation": 1,
        "state": 0,
        "active": True,
        "forgotten": False,
        "cpu_millis": of_whom.cpu_millis,
        "memory_bytes": of_whom.memory_bytes,
        "gpu_uuids": ",".join(place.gpu_uuids),
        "gpu_types": ",".join(gpu_types_of(node, place.gpu_uuids)),
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


def _there(nodes: Mapping[str, NodeRow], place: Place) -> NodeRow:
    node = nodes.get(place.node_id)
    if node is None:
        message = f"node {place.node_id} is not there any more"
        raise Conflict(message, reason="NODE_NOT_READY", node_id=place.node_id)
    return node


def _hold(tx: Transaction, one: Placing, run: Mapping[str, Any]) -> Hold:
    return Hold(
        run["node_id"],
        run["run_id"],
        cpu_millis=run["cpu_millis"],
        memory_bytes=run["memory_bytes"],
        gpu_uuids=run["gpu_uuids"].split(",") if run["gpu_uuids"] else (),
        share=share_on(tx, run["pool_id"], one.job.gpu_millis),
        alone=one.job.exclusive,
    )


@dataclass(frozen=True, slots=True)
class _Times:
    """What bounds a run's time, in microseconds; a limit of None: nothing does."""

    time_limit: int | None
    grace: int

    @classmethod
    def of(cls, spec: job_pb2.Job) -> "_Times":
        limit = spec.time_limit.ToMicroseconds() if spec.HasField("time_limit") else None
        return cls(limit, spec.grace_period.ToMicroseconds())
