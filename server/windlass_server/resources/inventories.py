"""What nodes have, read once for as long as it stays the same.

A node's inventory is stored as its agent sent it, changes when the agent says hello with another one,
and is asked for with every list of nodes: to parse it and to translate it into what the API shows are a
large part of such a list. Its bytes are the key, so that nothing here can be out of date.
"""

from dataclasses import dataclass
from functools import lru_cache

from windlass.agents.v1 import agent_pb2
from windlass.resources.v1 import node_pb2
from windlass.types.v1.gpu_pb2 import Mig
from windlass_server.resources.capacity import ZONE_LABEL
from windlass_server.resources.card_message import add_cards

# About 10 KiB each for nodes of eight GPUs.
_REMEMBERED = 16_384


@dataclass(frozen=True, slots=True)
class StandingGpu:
    """What follows of a GPU from its node's inventory alone.

    Attributes:
        part: a `Gpu`, serialized.
        memory_total_bytes: of it, as `power_limit_watts`, until one is measured.
    """

    uuid: str
    part: bytes
    memory_total_bytes: int
    power_limit_watts: float


@dataclass(frozen=True, slots=True)
class Standing:
    """What is shown of a node that follows from its inventory alone, as serialized parts of messages.

    Attributes:
        node: a `Node`.
        listed: the same in the short form of lists.
        gpus: in the inventory's order.
    """

    node: bytes
    listed: bytes
    gpus: tuple[StandingGpu, ...]


@lru_cache(_REMEMBERED)
def parsed(inventory: bytes) -> agent_pb2.Inventory:
    """The message of a stored inventory; whoever gets it does not change it."""
    return agent_pb2.Inventory.FromString(inventory)


@lru_cache(_REMEMBERED)
def standing(inventory: bytes) -> Standing:
    """What follows from a stored inventory."""
    has = parsed(inventory)
    node = node_pb2.Node(
        labels=has.labels,
        capacity=node_pb2.Capacity(
            cpu_millis=has.cpu_millis, memory_bytes=has.memory_bytes, gpu_count=len(has.gpus)
        ),
        allocatable=node_pb2.Capacity(gpu_count=len(has.gpus)),
        isolation=has.isolation,
        agent_version=has.agent_version,
        boot_id=has.boot_id,
        gpu_driver_version=has.gpu_driver_version,
        zone=has.labels.get(ZONE_LABEL, ""),
    )
    if has.gpus:
        node.gpu_driver.CopyFrom(_driver(has))
    listed = node_pb2.Node()
    listed.CopyFrom(node)
    add_cards(node, has)
    add_cards(listed, has, listed=True)
    return Standing(
        node.SerializeToString(), listed.SerializeToString(), tuple(map(_standing_gpu, has.gpus))
    )


def _driver(has: agent_pb2.Inventory) -> node_pb2.GpuDriver:
    return node_pb2.GpuDriver(
        version=has.gpu_driver_version,
        cuda_version=has.cuda_version,
        mig_capable=any(gpu.mig_mode != Mig.MODE_UNSPECIFIED for gpu in has.gpus),
        can_reset_gpus=has.can_reset_gpus,
    )


def _standing_gpu(gpu: agent_pb2.GpuDevice) -> StandingGpu:
    part = _gpu(gpu).SerializeToString()
    return StandingGpu(gpu.uuid, part, gpu.memory_total_bytes, gpu.power_limit_watts)


def _gpu(gpu: agent_pb2.GpuDevice) -> node_pb2.Gpu:
    return node_pb2.Gpu(
        uuid=gpu.uuid,
        index=gpu.index,
        model=gpu.model,
        gpu_type=gpu.gpu_type,
        memory_total_bytes=gpu.memory_total_bytes,
        power_limit_watts=gpu.power_limit_watts,
        pci_bus_id=gpu.pci_bus_id,
        nvlink_peers=gpu.nvlink_peers,
        mig_mode=gpu.mig_mode,
        compute_capability=gpu.compute_capability,
        slowdown_celsius=gpu.slowdown_celsius,
        mig_instance=gpu.mig_instance if gpu.HasField("mig_instance") else None,
    )
