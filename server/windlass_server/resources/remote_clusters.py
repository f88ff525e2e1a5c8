"""The remote clusters as they were last heard, for deciding about jobs at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from windlass.resources.v1 import (
    cluster_pb2,
    node_pb2,
    remote_cluster_pb2,
    resources_service_pb2,
)
from windlass_server.resources.remote_policy import (
    DEFAULT_MAX_JOBS,
    DEFAULT_WEIGHT,
    Affinity,
    Offer,
    Policy,
    Wish,
    could_hold,
    preferred,
)
from windlass_server.scheduler.snapshot import Gpu, NodeState
from windlass_server.storage.transaction import Transaction
from windlass_server.timestamps import duration_from_proto

CONNECTED = remote_cluster_pb2.RemoteStatus.CONNECTED
UNREACHABLE = remote_cluster_pb2.RemoteStatus.UNREACHABLE
REFUSED = remote_cluster_pb2.RemoteStatus.REFUSED


@dataclass(frozen=True, slots=True)
class RemoteCluster:
    """One of them.

    Attributes:
        cluster_id: its name.
        version: rises with every change of its settings.
        settings: how it is reached, and which jobs it takes; without its key.
        sealed_key: its key, encrypted.
        policy: which jobs it takes, as deciding needs it.
        state: as `RemoteStatus.State`.
        nodes: what it has, as it last said.
        jobs: how many of our jobs it has.
    """

    cluster_id: str
    version: int
    settings: remote_cluster_pb2.RemoteSettings = field(repr=False)
    sealed_key: bytes = field(repr=False)
    policy: Policy
    state: int
    nodes: tuple[NodeState, ...] = field(repr=False)
    jobs: int


class RemoteClusters:
    """All remote clusters, kept in memory between looks."""

    def __init__(self) -> None:
        self.all: tuple[RemoteCluster, ...] = ()

    def load(self, tx: Transaction) -> tuple[RemoteCluster, ...]:
        """Look at them within a transaction, and remember them."""
        jobs = tx.remote_runs.count_active()
        self.all = tuple(
            RemoteCluster(
                cluster_id=row.cluster_id,
                version=row.version,
                settings=(settings := cluster_pb2.Cluster.FromString(row.spec).remote),
                sealed_key=row.sealed_key,
                policy=policy_of(settings),
                state=row.state,
                nodes=node_states(row.nodes),
                jobs=jobs.get(row.cluster_id, 0),
            )
            for row in tx.remote_clusters.all()
        )
        return self.all

    def preferred(self, wish: Wish) -> str:
        """The cluster that a new job goes to at once; empty when it is to wait here."""
        offers = [
            Offer(one.cluster_id, one.policy, one.jobs)
            for one in self.all
            if one.state == CONNECTED
        ]
        return preferred(offers, wish)

    def became(self, cluster_id: str, state: int) -> None:
        """Take in, before the next look, whether a cluster can be worked with."""
        self.all = tuple(
            replace(one, state=state) if one.cluster_id == cluster_id else one for one in self.all
        )

    def placed(self, cluster_id: str) -> None:
        """Count a job that has just gone there, until the next look."""
        self.all = tuple(
            replace(one, jobs=one.jobs + 1) if one.cluster_id == cluster_id else one
            for one in self.all
        )

    def could_hold(self, wish: Wish) -> bool:
        """Whether one of them could ever run the job, and would take it."""
        return any(could_hold(one.policy, one.nodes, wish) for one in self.all)


def key_purpose(cluster_id: str) -> str:
    """What a remote cluster's key is sealed for."""
    return f"remote cluster {cluster_id}"


def policy_of(settings: remote_cluster_pb2.RemoteSettings) -> Policy:
    """The policy of a cluster's settings, with what they leave out."""
    affinity = None
    if settings.HasField("affinity"):
        labels = tuple(sorted(settings.affinity.labels.items()))
        affinity = Affinity(labels, tuple(settings.affinity.gpu_types))
    spill_after = None
    if settings.HasField("spill_over_after"):
        spill_after = duration_from_proto(settings.spill_over_after)
    return Policy(
        spill_after=spill_after,
        affinity=affinity,
        weight=settings.weight or DEFAULT_WEIGHT,
        max_jobs=settings.max_jobs or DEFAULT_MAX_JOBS,
        projects=frozenset(settings.projects),
        paused=settings.paused,
    )


def slim(nodes: Iterable[node_pb2.Node]) -> bytes:
    """What placing needs of a cluster's nodes, to be kept: a serialized ListNodesResponse."""
    kept = resources_service_pb2.ListNodesResponse()
    for node in nodes:
        one = kept.nodes.add(node_id=node.node_id, name=node.name, status=node.status)
        one.capacity.CopyFrom(node.capacity)
        one.available.CopyFrom(node.available)
        one.isolation.level = node.isolation.level
        for gpu in node.gpus:
            held = gpu.run_id or gpu.allocation_id or ("shared" if gpu.shares else "")
            one.gpus.add(
                uuid=gpu.uuid,
                gpu_type=gpu.gpu_type,
                health=gpu.health,
                run_id=held,
                memory_total_bytes=gpu.memory_total_bytes,
                mig_instance=gpu.mig_instance if gpu.HasField("mig_instance") else None,
            )
    return kept.SerializeToString()


# Written when a cluster has been asked, and read with each look.
@lru_cache(maxsize=256)
def node_states(kept: bytes) -> tuple[NodeState, ...]:
    """A cluster's nodes, as `slim` kept them, in the scheduler's eyes."""
    nodes = resources_service_pb2.ListNodesResponse.FromString(kept).nodes
    return tuple(_node_state(node) for node in nodes)


def totals(kept: bytes) -> tuple[Sequence[node_pb2.Node], node_pb2.Capacity, node_pb2.Capacity]:
    """A cluster's nodes, what they have together, and what of that nothing holds."""
    nodes = resources_service_pb2.ListNodesResponse.FromString(kept).nodes
    return nodes, _sum(node.capacity for node in nodes), _sum(node.available for node in nodes)


def _sum(parts: Iterable[node_pb2.Capacity]) -> node_pb2.Capacity:
    total = node_pb2.Capacity()
    for part in parts:
        total.cpu_millis += part.cpu_millis
        total.memory_bytes += part.memory_bytes
        total.gpu_count += part.gpu_count
    return total


def _node_state(node: node_pb2.Node) -> NodeState:
    return NodeState(
        node_id=node.node_id,
        name=node.name,
        ready=node.status == node_pb2.Node.READY,
        cpu_millis=node.capacity.cpu_millis,
        memory_bytes=node.capacity.memory_bytes,
        cpu_free=node.available.cpu_millis,
        memory_free=node.available.memory_bytes,
        gpus=_gpus(node),
        isolation_level=int(node.isolation.level),
        labels=tuple(sorted(node.labels.items())),
    )


def _gpus(node: node_pb2.Node) -> tuple[Gpu, ...]:
    """The devices. What holds one may be foreign there and not shown: the count says that it is held."""
    idle = node.available.gpu_count
    gpus = []
    for gpu in node.gpus:
        healthy = gpu.health == node_pb2.Gpu.HEALTHY
        free = healthy and not gpu.run_id and idle > 0
        idle -= free
        gpus.append(
            Gpu(
                gpu.uuid,
                gpu.gpu_type,
                healthy,
                not free,
                part=gpu.HasField("mig_instance"),
                profile=gpu.mig_instance.profile,
                memory_bytes=gpu.memory_total_bytes,
            )
        )
    return tuple(gpus)
