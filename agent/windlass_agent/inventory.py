"""What this machine has for jobs."""

import ipaddress
import os
import socket
from collections.abc import Callable
from pathlib import Path

import psutil

from windlass.agents.v1 import agent_pb2 as pb
from windlass.agents.v1 import mig_pb2
from windlass.types.v1 import gpu_pb2
from windlass_agent.bounds import (
    MAX_CELSIUS,
    MAX_CPU_MILLIS,
    MAX_DETAIL,
    MAX_VERSION,
    MAX_WATTS,
    amount,
    number,
    text,
)
from windlass_agent.config import AgentConfig
from windlass_agent.gpu.device import GpuDevice, GpuProvider
from windlass_agent.gpu.mig import MigCard
from windlass_agent.run_types import Isolation
from windlass_agent.wire import isolation_of

_CGROUP = Path("/sys/fs/cgroup")
# What a cgroup writes when there is no limit: `max` in v2, nearly 2^63 in v1.
_NO_LIMIT = 1 << 60

LayoutOutcome = Callable[[str], tuple[int, str]]
"""The last order to divide a card that was carried out, and why it could not be, by the card's UUID."""


def inventory_of(
    config: AgentConfig, gpus: GpuProvider, isolation: Isolation, agent_version: str
) -> pb.Inventory:
    """The node, for Join and for each Hello. Amounts are what is left for jobs."""
    cpu = config.cpu_millis if config.cpu_millis is not None else available_cpu_millis()
    memory = config.memory_bytes if config.memory_bytes is not None else available_memory_bytes()
    inventory = pb.Inventory(
        hostname=text(socket.gethostname()),
        boot_id=boot_id(),
        agent_version=agent_version,
        cpu_millis=amount(cpu - config.reserve_cpu_millis, MAX_CPU_MILLIS),
        memory_bytes=amount(memory - config.reserve_memory_bytes),
        gpu_driver_version=text(gpus.driver_version),
        isolation=isolation_of(isolation),
        labels=config.labels,
        cuda_version=text(gpus.cuda_version, MAX_VERSION),
        can_reset_gpus=gpus.can_reset,
        takes_secrets=True,
        can_freeze=True,
        address=config.address or address_towards(config.server),
    )
    return with_devices(inventory, gpus, may_divide=config.divide_gpus)


def with_devices(
    inventory: pb.Inventory,
    gpus: GpuProvider,
    *,
    may_divide: bool,
    outcome: LayoutOutcome = lambda _: (0, ""),
) -> pb.Inventory:
    """The same node with the devices that it has now.

    Args:
        inventory: The node.
        gpus: Its GPUs.
        may_divide: Whether the operator lets the server divide them.
        outcome: What became of the server's orders to divide cards.
    """
    now = pb.Inventory()
    now.CopyFrom(inventory)
    del now.gpus[:], now.mig_cards[:]
    now.gpus.extend(_gpu(device) for device in gpus.devices())
    may = may_divide and gpus.can_divide
    now.mig_cards.extend(_mig_card(card, *outcome(card.uuid), may) for card in gpus.cards())
    return now


def address_towards(server: str) -> str:
    """The address of this machine by which it reaches the server, and so others can reach it.

    Beside a server of the same machine it is the one by which it reaches everything else, if there is
    any. Nothing is sent to find out.
    """
    host, _, port = server.rpartition(":")
    found = _source_address(host.strip("[]"), int(port))
    if found is None or ipaddress.ip_address(found).is_loopback:
        # Of a network that is kept for documentation: any that is not this one will do.
        found = _source_address("192.0.2.1", 9) or found
    return found or text(socket.gethostname())


def _source_address(host: str, port: int) -> str | None:
    """What this machine sends from to a host; None where that is not known or not reached."""
    try:
        for family, kind, protocol, _, target in socket.getaddrinfo(
            host, port, type=socket.SOCK_DGRAM
        ):
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(target)
                return str(probe.getsockname()[0]).partition("%")[0]
    except OSError:
        return None
    return None


def boot_id() -> str:
    """Changes when the machine is booted."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def available_cpu_millis(cgroup: Path = _CGROUP) -> int:
    """CPU time that this process may use: its affinity, or its container's quota if less."""
    cores = len(os.sched_getaffinity(0)) * 1000
    quota = _read(cgroup / "cpu.max").split()  # v2: "<quota|max> <period>", in microseconds
    if len(quota) != 2:
        quota = [_read(cgroup / "cpu/cpu.cfs_quota_us"), _read(cgroup / "cpu/cpu.cfs_period_us")]
    if not all(part.isdigit() for part in quota) or int(quota[1]) == 0:
        return cores  # no quota: v2 says `max`, v1 says -1
    return min(cores, int(quota[0]) * 1000 // int(quota[1]))


def available_memory_bytes(cgroup: Path = _CGROUP) -> int:
    """Memory that this process may use: the machine's, or its container's limit if less."""
    limits = [psutil.virtual_memory().total]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        text = _read(cgroup / name)
        if text.isdigit() and int(text) < _NO_LIMIT:
            limits.append(int(text))
    return min(limits)


def _gpu(device: GpuDevice) -> pb.GpuDevice:
    part = device.instance
    return pb.GpuDevice(
        uuid=device.uuid,
        index=device.index,
        model=text(device.model),
        gpu_type=device.gpu_type,
        memory_total_bytes=amount(device.memory_total_bytes),
        power_limit_watts=number(device.power_limit_watts, MAX_WATTS),
        pci_bus_id=_of(device.pci_bus_id, "0123456789ABCDEFabcdef:.", 32),
        nvlink_peers=device.nvlink_peers,
        mig_mode=gpu_pb2.Mig.Mode.Name(device.mig),
        compute_capability=_of(device.compute_capability, "0123456789.", 16),
        slowdown_celsius=amount(device.slowdown_celsius, MAX_CELSIUS),
        mig_instance=None
        if part is None
        else gpu_pb2.MigInstance(
            parent_uuid=part.parent_uuid,
            profile=part.profile,
            compute_slices=part.compute_slices,
            memory_slices=part.memory_slices,
            memory_start=part.memory_start,
        ),
    )


def _mig_card(
    card: MigCard, generation: int, problem: str, may_be_divided: bool
) -> mig_pb2.MigCard:
    return mig_pb2.MigCard(
        uuid=card.uuid,
        gpu_type=card.gpu_type,
        divided=card.divided,
        may_be_divided=may_be_divided,
        profiles=[
            mig_pb2.MigProfile(
                name=profile.name,
                compute_slices=profile.compute_slices,
                memory_slices=profile.memory_slices,
                memory_starts=profile.starts,
                memory_bytes=amount(profile.memory_bytes),
            )
            for profile in card.profiles
        ],
        generation=generation,
        problem=text(problem, MAX_DETAIL),
    )


def _of(given: str, letters: str, most: int) -> str:
    """The text; empty when it is too long or has other letters, as no driver's own has."""
    return given if len(given) <= most and not given.strip(letters) else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
