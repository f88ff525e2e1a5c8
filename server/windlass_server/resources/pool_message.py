"""A pool as the API shows it: what was said of it, its nodes, and their newest values."""

from collections import Counter
from collections.abc import Iterable, Sequence

from windlass.agents.v1.agent_pb2 import Series
from windlass.jobs.v1 import job_pb2
from windlass.resources.v1 import node_pb2, pool_pb2
from windlass.types.v1 import types_pb2
from windlass_server.access.policy import Caller, role_in
from windlass_server.resources.capacity import facts_of
from windlass_server.resources.maintenance import shown
from windlass_server.resources.pools import PoolView
from windlass_server.resources.rules import free
from windlass_server.scheduler.fragmentation import Report
from windlass_server.scheduler.snapshot import WHOLE, NodeState
from windlass_server.storage.tables import NodeRow
from windlass_server.telemetry.latest import LatestTelemetry
from windlass_server.timestamps import to_proto


def pool_message(view: PoolView, latest: LatestTelemetry, who: Caller) -> pool_pb2.Pool:
    """The message, as a caller may see it."""
    nodes = [node for node, _ in view.nodes]
    states = [state for _, state in view.nodes]
    message = pool_pb2.Pool(
        pool_id=view.row.pool_id,
        restricted=bool(view.spec.allowed_projects),
        capacity=_capacity(nodes),
        allocatable=_allocatable(nodes),
        allocated=_allocated(nodes, states),
        available=_available(states),
        fragmentation=_fragmentation(view.fragmentation),
        queue_depth=view.waiting,
        job_counts=_job_counts(view),
        node_counts=Counter(_status(node) for node in nodes),
        gpu_counts=Counter(gpu.gpu_type for state in states for gpu in state.gpus),
        create_time=to_proto(view.row.created_at),
        update_time=to_proto(view.row.updated_at),
        etag=str(view.row.version),
    )
    message.MergeFrom(view.spec)
    seen = [project for project in view.spec.allowed_projects if role_in(who, project) is not None]
    message.allowed_projects[:] = seen
    message.utilization.CopyFrom(_utilization(message, nodes, states, latest))
    return message


def _capacity(nodes: Sequence[NodeRow]) -> node_pb2.Capacity:
    facts = [facts_of(node) for node in nodes]
    return node_pb2.Capacity(
        cpu_millis=sum(one.cpu_millis for one in facts),
        memory_bytes=sum(one.memory_bytes for one in facts),
        gpu_count=sum(len(one.gpus) for one in facts),
    )


def _allocatable(nodes: Sequence[NodeRow]) -> node_pb2.Capacity:
    return node_pb2.Capacity(
        cpu_millis=sum(node.cpu_millis for node in nodes),
        memory_bytes=sum(node.memory_bytes for node in nodes),
        gpu_count=sum(len(facts_of(node).gpus) for node in nodes),
    )


def _allocated(nodes: Sequence[NodeRow], states: Sequence[NodeState]) -> node_pb2.Capacity:
    return node_pb2.Capacity(
        cpu_millis=sum(node.cpu_held for node in nodes),
        memory_bytes=sum(node.memory_held for node in nodes),
        gpu_count=sum(gpu.held and not gpu.going for state in states for gpu in state.gpus),
    )


def _available(states: Sequence[NodeState]) -> node_pb2.Capacity:
    open_ = [state for state in states if state.ready and state.takes_work]
    return node_pb2.Capacity(
        cpu_millis=sum(free(state.cpu_free, 0) for state in open_),
        memory_bytes=sum(free(state.memory_free, 0) for state in open_),
        gpu_count=sum(gpu.healthy and not gpu.held for state in open_ for gpu in state.gpus),
    )


def _fragmentation(report: Report) -> pool_pb2.Fragmentation:
    return pool_pb2.Fragmentation(
        idle_gpus=report.idle // WHOLE,
        index=report.index,
        classes=[
            pool_pb2.Fragmentation.DemandClass(
                resources=types_pb2.ResourceRequest(
                    gpu_count=one.task.gpu_count,
                    gpu_type=one.task.gpu_type,
                    gpu_millis=one.task.gpu_millis % WHOLE,
                    cpu_millis=one.task.cpu_millis,
                    memory_bytes=one.task.memory_bytes,
                ),
                waiting_jobs=one.waiting,
                popularity=one.popularity,
                useless_gpus=one.useless / WHOLE,
                useless_share=one.share,
            )
            for one in report.classes
        ],
        summary=report.summary,
    )


def _job_counts(view: PoolView) -> dict[str, int]:
    counts = {job_pb2.Job.Status.Name(status): jobs for status, jobs in view.placed.items()}
    return {"QUEUED": view.waiting} | counts if view.waiting else counts


def _status(node: NodeRow) -> str:
    return node_pb2.Node.Status.Name(shown(node.status, node.maintenance))


def _utilization(
    message: pool_pb2.Pool,
    nodes: Sequence[NodeRow],
    states: Sequence[NodeState],
    latest: LatestTelemetry,
) -> pool_pb2.Utilization:
    has, held = message.capacity, message.allocated
    hosts = [found for node in nodes if (found := latest.host(node.node_id)) is not None]
    gpus = [
        found
        for state in states
        for gpu in state.gpus
        if (found := latest.gpu(state.node_id, gpu.uuid)) is not None
        and found.has(Series.GPU_UTILIZATION_PERCENT)
    ]
    measured = [node for node in nodes if latest.host(node.node_id) is not None]
    cpu = sum(facts_of(node).cpu_millis for node in measured)
    return pool_pb2.Utilization(
        cpu_allocated=_share(held.cpu_millis, has.cpu_millis) or 0.0,
        memory_allocated=_share(held.memory_bytes, has.memory_bytes) or 0.0,
        gpu_allocated=_share(held.gpu_count, has.gpu_count) or 0.0,
        cpu_used=_share(sum(host.number(Series.CPU_USED_MILLIS) for host in hosts), cpu),
        memory_used=_share(
            sum(host.number(Series.MEMORY_USED_BYTES) for host in hosts),
            sum(host.number(Series.MEMORY_TOTAL_BYTES) for host in hosts),
        ),
        gpu_used=_mean(gpu.number(Series.GPU_UTILIZATION_PERCENT) / 100 for gpu in gpus),
    )


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _mean(values: Iterable[float]) -> float | None:
    taken = [*values]
    return sum(taken) / len(taken) if taken else None
