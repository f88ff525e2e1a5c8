"""The scheduler's view of the nodes: rows, claims and health in; `NodeState`s out."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol

from windlass.agents.v1 import agent_pb2
from windlass_server.resources.maintenance import State
from windlass_server.resources.states import Status
from windlass_server.scheduler.snapshot import Gpu, NodeState, Pool
from windlass_server.storage.tables import GpuClaimRow, NodeRow

IsHealthy = Callable[[str, str], bool]
"""Whether a node (id) has said that its GPU (UUID) can be given to jobs."""


ZONE_LABEL = "zone"
"""The label of a node that says where it is."""


class DeclaredPool(Protocol):
    """What an operator declared of a pool, as the configuration has it."""

    @property
    def name(self) -> str: ...
    @property
    def count(self) -> int: ...
    @property
    def cpu_millis(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def gpu_type(self) -> str: ...
    @property
    def gpu_count(self) -> int: ...


# The strongest level: a pool says nothing of isolation, so it rules no job out.
_ANY_ISOLATION = 3


def node_states(
    nodes: Sequence[NodeRow], claims: Sequence[GpuClaimRow], is_healthy: IsHealthy
) -> tuple[NodeState, ...]:
    """Every node as the scheduler sees it, in the order of `nodes`."""
    held = {(claim.node_id, claim.gpu_uuid) for claim in claims}
    return tuple(_node_state(node, held, is_healthy) for node in nodes)


def gpus_of(node: NodeRow) -> tuple[tuple[str, str], ...]:
    """UUID and type of each GPU of a node."""
    return _read_inventory(node.inventory)[0]


def zone_of(node: NodeRow) -> str:
    """The zone that a node's operator says it is in; empty when none is said."""
    return _read_inventory(node.inventory)[2]


def pools(declared: Sequence[DeclaredPool]) -> tuple[Pool, ...]:
    """Declared pools as the scheduler sees them."""
    return tuple(Pool(one.name, _template(one), one.count) for one in declared)


def _node_state(node: NodeRow, held: set[tuple[str, str]], is_healthy: IsHealthy) -> NodeState:
    devices, isolation_level, _ = _read_inventory(node.inventory)
    gpus = tuple(
        Gpu(uuid, gpu_type, is_healthy(node.node_id, uuid), (node.node_id, uuid) in held)
        for uuid, gpu_type in devices
    )
    return NodeState(
        node_id=node.node_id,
        name=node.name,
        ready=node.status == Status.READY,
        cpu_millis=node.cpu_millis,
        memory_bytes=node.memory_bytes,
        cpu_free=node.cpu_millis - node.cpu_held,
        memory_free=node.memory_bytes - node.memory_held,
        gpus=gpus,
        isolation_level=isolation_level,
        takes_work=node.maintenance == State.OPEN,
    )


# Inventories change with a Hello and are read with each cycle.
@lru_cache(maxsize=8192)
def _read_inventory(inventory: bytes) -> tuple[tuple[tuple[str, str], ...], int, str]:
    """UUID and type of each GPU, the isolation level, and the zone."""
    read = agent_pb2.Inventory.FromString(inventory)
    gpus = tuple((gpu.uuid, gpu.gpu_type) for gpu in read.gpus)
    return gpus, int(read.isolation.level), read.labels.get(ZONE_LABEL, "")


def _template(declared: DeclaredPool) -> NodeState:
    return NodeState(
        node_id="",
        name=declared.name,
        ready=True,
        cpu_millis=declared.cpu_millis,
        memory_bytes=declared.memory_bytes,
        cpu_free=declared.cpu_millis,
        memory_free=declared.memory_bytes,
        gpus=tuple(
            Gpu(f"{declared.name}-{number}", declared.gpu_type, healthy=True, held=False)
            for number in range(declared.gpu_count)
        ),
        isolation_level=_ANY_ISOLATION,
    )
