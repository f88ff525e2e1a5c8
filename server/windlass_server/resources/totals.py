"""What several nodes have and hold together. Pure."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from windlass.resources.v1 import node_pb2
from windlass_server.resources.capacity import facts_of
from windlass_server.resources.states import Status
from windlass_server.storage.tables import GpuClaimRow, NodeRow


@dataclass(slots=True)
class Totals:
    """Sums over nodes, connected or not: CPU in thousandths of a core, memory in bytes."""

    nodes: int = 0
    connected: int = 0
    cpu_millis: int = 0
    memory_bytes: int = 0
    gpus: int = 0
    cpu_held: int = 0
    memory_held: int = 0
    gpus_held: int = 0

    @property
    def capacity(self) -> node_pb2.Capacity:
        """What the nodes have."""
        return node_pb2.Capacity(
            cpu_millis=self.cpu_millis, memory_bytes=self.memory_bytes, gpu_count=self.gpus
        )

    @property
    def allocated(self) -> node_pb2.Capacity:
        """What of it jobs and allocations hold."""
        return node_pb2.Capacity(
            cpu_millis=self.cpu_held, memory_bytes=self.memory_held, gpu_count=self.gpus_held
        )

    def add(self, node: NodeRow, gpus_held: int) -> None:
        """Take in a node, of which so many GPUs are held."""
        facts = facts_of(node)
        self.nodes += 1
        self.connected += node.status == Status.READY
        self.cpu_millis += facts.cpu_millis
        self.memory_bytes += facts.memory_bytes
        self.gpus += len(facts.gpus)
        self.cpu_held += node.cpu_held
        self.memory_held += node.memory_held
        self.gpus_held += gpus_held


def totals(
    nodes: Sequence[NodeRow], claims: Sequence[GpuClaimRow], key: Callable[[NodeRow], str]
) -> dict[str, Totals]:
    """The sums of each group of nodes, by the group's name.

    Nobody has what is kept free because its card is being divided.
    """
    held = Counter(claim.node_id for claim in claims if claim.layout is None)
    groups: dict[str, Totals] = {}
    for node in nodes:
        groups.setdefault(key(node), Totals()).add(node, held[node.node_id])
    return groups
