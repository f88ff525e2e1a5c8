"""The scheduler's view of the nodes: rows, claims and health in; `NodeState`s out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol

from windlass.agents.v1 import agent_pb2
from windlass_server.errors import Conflict
from windlass_server.resources.cards import cards_of, with_layouts
from windlass_server.resources.health_record import unusable
from windlass_server.resources.maintenance import State
from windlass_server.resources.states import Status
from windlass_server.scheduler.snapshot import WHOLE, Card, Gpu, NodeState, Pool
from windlass_server.storage.tables import GpuClaimRow, GpuLayoutRow, NodeRow

IsHealthy = Callable[[str, str], bool]
"""Whether a node (id) has said that its GPU (UUID) can be given to jobs."""


ZONE_LABEL = "zone"
"""The label of a node that says where it is."""
BLOCK_LABEL = "block"
RACK_LABEL = "rack"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a node says it has.

    Attributes:
        gpus: UUID and type of each.
        profiles: the profiles of those that are instances of divided cards, by UUID.
        memory: the memory of each in bytes, by UUID; 0 when it does not tell.
        cards: the cards that may be divided.
        nvlink_peers: UUIDs of those that each reaches over NVLink; those without are left out.
        isolation_level: the strongest that it proved.
        labels: given to its agent by its operator.
        cpu_millis: thousandths of a core.
        memory_bytes: bytes.
        address: where other nodes reach its tasks; empty when its agent does not say so.
    """

    gpus: tuple[tuple[str, str], ...]
    isolation_level: int
    labels: Mapping[str, str]
    cpu_millis: int
    memory_bytes: int
    profiles: Mapping[str, str] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)
    cards: tuple[Card, ...] = ()
    nvlink_peers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    address: str = ""

    @property
    def zone(self) -> str:
        """Where it is, as its operator says; empty when that is not said."""
        return self.labels.get(ZONE_LABEL, "")


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
_NO_PEERS = frozenset[str]()


@dataclass(frozen=True, slots=True)
class Sharing:
    """How GPUs are shared.

    Attributes:
        most: how many may share one of a pool's GPUs, by the pool's name; none of those left out.
        sharers: how many share a GPU, by its node and then its UUID.
    """

    most: Mapping[str, int]
    sharers: Mapping[str, Mapping[str, int]]

    def on(self, node: NodeRow) -> tuple[int, Mapping[str, int]]:
        """How many may share a GPU of a node, and how many do, by the UUIDs of those that are shared."""
        return self.most.get(node.pool, 0), self.sharers.get(node.node_id, _NO_SHARERS)


_NO_SHARERS: Mapping[str, int] = MappingProxyType({})
NOT_SHARED = Sharing(MappingProxyType({}), MappingProxyType({}))


def node_states(
    nodes: Sequence[NodeRow],
    claims: Sequence[GpuClaimRow],
    is_healthy: IsHealthy,
    layouts: Sequence[GpuLayoutRow] = (),
    sharing: Sharing = NOT_SHARED,
) -> tuple[NodeState, ...]:
    """Every node as the scheduler sees it, in the order of `nodes`."""
    held: dict[str, dict[str, GpuClaimRow]] = {}
    for claim in claims:
        held.setdefault(claim.node_id, {})[claim.gpu_uuid] = claim
    told: dict[str, list[GpuLayoutRow]] = {}
    for layout in layouts:
        told.setdefault(layout.node_id, []).append(layout)
    return tuple(
        _node_state(
            node, held.get(node.node_id, {}), is_healthy, told.get(node.node_id, ()), sharing
        )
        for node in nodes
    )


def facts_of(node: NodeRow) -> Facts:
    """What a node said it has when it last connected."""
    return _read_inventory(node.inventory)


def gpus_of(node: NodeRow) -> tuple[tuple[str, str], ...]:
    """UUID and type of each GPU of a node."""
    return facts_of(node).gpus


def gpu_types_of(node: NodeRow | None, gpu_uuids: Sequence[str]) -> tuple[str, ...]:
    """The type of each of these GPUs, as their node says; empty for one that it does not know."""
    known = dict(gpus_of(node)) if node is not None else {}
    return tuple(known.get(uuid, "") for uuid in gpu_uuids)


def require_there(node: NodeRow | None, gpu_uuids: Sequence[str]) -> None:
    """Refuse GPUs that a node does not have any more. Raises Conflict, GPU_GONE.

    Asked when they were just taken: a card may have been divided since a plan gave them away.
    """
    known = dict(gpus_of(node)) if node is not None else {}
    for uuid in gpu_uuids:
        if uuid not in known:
            message = f"GPU {uuid} is not there any more"
            raise Conflict(message, reason="GPU_GONE", gpu_uuid=uuid)


def declared_pools(declared: Sequence[DeclaredPool]) -> tuple[Pool, ...]:
    """Declared pools as the scheduler sees them."""
    return tuple(Pool(one.name, _template(one), one.count) for one in declared)


def _node_state(
    node: NodeRow,
    held: Mapping[str, GpuClaimRow],
    is_healthy: IsHealthy,
    layouts: Sequence[GpuLayoutRow],
    sharing: Sharing,
) -> NodeState:
    facts = facts_of(node)
    bad = unusable(node.health)
    most, sharers = sharing.on(node)
    gpus = tuple(
        Gpu(
            uuid,
            gpu_type,
            uuid not in bad and is_healthy(node.node_id, uuid),
            uuid in held,
            part=uuid in facts.profiles,
            profile=facts.profiles.get(uuid, ""),
            memory_bytes=facts.memory.get(uuid, 0),
            going=uuid in held and held[uuid].layout is not None,
            nvlink_peers=facts.nvlink_peers.get(uuid, _NO_PEERS),
            shared_millis=(held[uuid].shared_millis or 0) if uuid in held else 0,
            sharers=sharers.get(uuid, 0),
        )
        for uuid, gpu_type in facts.gpus
    )
    return NodeState(
        node_id=node.node_id,
        name=node.name,
        ready=node.status == Status.READY,
        cpu_millis=node.cpu_millis,
        memory_bytes=node.memory_bytes,
        # Of one that a job has alone nothing is free, though it may have grown since.
        cpu_free=0 if node.exclusive else node.cpu_millis - node.cpu_held,
        memory_free=0 if node.exclusive else node.memory_bytes - node.memory_held,
        gpus=gpus,
        isolation_level=facts.isolation_level,
        takes_work=node.maintenance == State.OPEN,
        pool=node.pool,
        cards=with_layouts(facts.cards, layouts) if layouts else facts.cards,
        max_sharers=most,
        labels=tuple(sorted(facts.labels.items())),
        place=(
            node.cluster,
            facts.zone,
            facts.labels.get(BLOCK_LABEL, ""),
            facts.labels.get(RACK_LABEL, ""),
        ),
        address=facts.address,
    )


# Inventories change with a Hello and are read with each cycle.
@lru_cache(maxsize=8192)
def _read_inventory(inventory: bytes) -> Facts:
    return facts(agent_pb2.Inventory.FromString(inventory))


def facts(read: agent_pb2.Inventory) -> Facts:
    """What an inventory says."""
    return Facts(
        gpus=tuple((gpu.uuid, gpu.gpu_type) for gpu in read.gpus),
        isolation_level=int(read.isolation.level),
        labels=MappingProxyType(dict(read.labels)),
        cpu_millis=read.cpu_millis,
        memory_bytes=read.memory_bytes,
        profiles=MappingProxyType(
            {
                gpu.uuid: gpu.mig_instance.profile
                for gpu in read.gpus
                if gpu.HasField("mig_instance")
            }
        ),
        memory=MappingProxyType({gpu.uuid: gpu.memory_total_bytes for gpu in read.gpus}),
        cards=cards_of(read),
        nvlink_peers=MappingProxyType(
            {gpu.uuid: frozenset(gpu.nvlink_peers) for gpu in read.gpus if gpu.nvlink_peers}
        ),
        address=read.address,
    )


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
        # They may come to be in a pool that allows it, and have any labels.
        max_sharers=WHOLE,
        labels=None,
    )
