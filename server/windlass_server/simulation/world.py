"""The nodes in virtual time: what is free of them, kept up with each job that starts or ends."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from operator import attrgetter

from windlass_server.scheduler.plan import Placement
from windlass_server.scheduler.snapshot import WHOLE, Demand, Gpu, NodeState


class OverCommittedError(Exception):
    """A plan gave out what is not there: an error of the scheduler, never of a trace."""


class World:
    """Nodes as the scheduler sees them. Only those that change are made anew.

    Args:
        nodes: as they are when nothing runs.
    """

    def __init__(self, nodes: Iterable[NodeState]) -> None:
        self._nodes = {node.node_id: node for node in sorted(nodes, key=attrgetter("node_id"))}
        self._seen: tuple[NodeState, ...] | None = None

    @property
    def nodes(self) -> tuple[NodeState, ...]:
        """By their ids."""
        if self._seen is None:
            self._seen = tuple(self._nodes.values())
        return self._seen

    def give(self, demand: Demand, placement: Placement) -> None:
        """Take the places of a job.

        Raises:
            OverCommittedError: one is not free.
        """
        places = {place.node_id: place.gpu_uuids for place in placement.places}
        enough = demand.min_nodes <= len(places) <= demand.nodes
        if not enough or len(placement.places) != len(places):
            raise OverCommittedError(f"{demand.job_id} got {len(places)} of {demand.nodes} nodes")
        for node_id, gpu_uuids in places.items():
            self._give(demand, node_id, gpu_uuids)

    def _give(self, demand: Demand, node_id: str, gpu_uuids: Collection[str]) -> None:
        node = self._nodes[node_id]
        taken = set(gpu_uuids)
        gpus = tuple(_given(gpu, demand, node) if gpu.uuid in taken else gpu for gpu in node.gpus)
        cpu_millis, memory_bytes = self.amounts(demand, node_id)
        cpu, memory = node.cpu_free - cpu_millis, node.memory_free - memory_bytes
        wanted = len(node.gpus) if demand.exclusive else demand.gpu_count
        if cpu < 0 or memory < 0 or len(taken) != wanted:
            raise OverCommittedError(f"{demand.job_id} does not fit on {node.node_id}")
        if not taken <= {gpu.uuid for gpu in node.gpus}:
            raise OverCommittedError(f"{node.node_id} has no such GPUs as {demand.job_id} got")
        self._put(replace(node, cpu_free=cpu, memory_free=memory, gpus=gpus))

    def take_back(self, demand: Demand, placement: Placement) -> None:
        """Free the places that were given."""
        for place in placement.places:
            self._take_back(demand, place.node_id, place.gpu_uuids)

    def _take_back(self, demand: Demand, node_id: str, gpu_uuids: Collection[str]) -> None:
        node = self._nodes[node_id]
        taken = set(gpu_uuids)
        cpu_millis, memory_bytes = self.amounts(demand, node_id)
        self._put(
            replace(
                node,
                cpu_free=node.cpu_free + cpu_millis,
                memory_free=node.memory_free + memory_bytes,
                gpus=tuple(_freed(gpu, demand) if gpu.uuid in taken else gpu for gpu in node.gpus),
            )
        )

    def amounts(self, demand: Demand, node_id: str) -> tuple[int, int]:
        """CPU and memory that a job holds of a node: all of one that it has alone."""
        if not demand.exclusive:
            return demand.cpu_millis, demand.memory_bytes
        node = self._nodes[node_id]
        return node.cpu_millis, node.memory_bytes

    def gpu_type(self, placement: Placement) -> str:
        """The type of the GPUs of a job; empty for none."""
        gpus = self._nodes[placement.node_id].gpus if placement.gpu_uuids else ()
        return next((gpu.gpu_type for gpu in gpus if gpu.uuid in placement.gpu_uuids), "")

    def _put(self, node: NodeState) -> None:
        self._nodes[node.node_id] = node
        self._seen = None


def _given(gpu: Gpu, demand: Demand, node: NodeState) -> Gpu:
    if not demand.gpu_millis:
        if gpu.held or not gpu.healthy:
            raise OverCommittedError(f"{gpu.uuid} is not free for {demand.job_id}")
        return replace(gpu, held=True)
    millis, sharers = gpu.shared_millis + demand.gpu_millis, gpu.sharers + 1
    alone = gpu.held and not gpu.sharers
    if alone or millis > WHOLE or sharers > node.max_sharers or not gpu.healthy:
        raise OverCommittedError(f"{gpu.uuid} has no share left for {demand.job_id}")
    return replace(gpu, held=True, shared_millis=millis, sharers=sharers)


def _freed(gpu: Gpu, demand: Demand) -> Gpu:
    if not demand.gpu_millis:
        return replace(gpu, held=False)
    sharers = gpu.sharers - 1
    return replace(
        gpu,
        held=sharers > 0,
        shared_millis=gpu.shared_millis - demand.gpu_millis,
        sharers=sharers,
    )
