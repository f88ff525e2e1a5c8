"""Simulated cards and the instances that they are divided into, as devices."""

import uuid as uuids
from collections.abc import Sequence
from dataclasses import replace

from windlass_agent.gpu.device import GpuDevice, MigMode
from windlass_agent.gpu.mig import MEMORY_SLICES, MigInstance, MigPlacement, MigProfile
from windlass_agent.gpu.models import gpu_type_of, instance_type
from windlass_agent.gpu.profiles import GpuProfile


def whole_cards(profiles: Sequence[GpuProfile], seed: bytes) -> tuple[GpuDevice, ...]:
    """The cards of these profiles, none of them divided; the same seed gives the same UUIDs."""
    names = [
        f"SIM-{uuids.uuid5(uuids.NAMESPACE_OID, f'{seed.hex()}/{index}')}"
        for index in range(len(profiles))
    ]
    return tuple(
        _card(profile, _island(profiles, names, index), index, names[index])
        for index, profile in enumerate(profiles)
    )


def part_of(card: GpuDevice, size: MigProfile, start: int) -> GpuDevice:
    """An instance of a card; the same one, made anew, has the same UUID."""
    name = uuids.uuid5(uuids.NAMESPACE_OID, f"{card.uuid}/{size.name}/{start}")
    return replace(
        card,
        uuid=f"SIM-MIG-{name}",
        model=f"{card.model} MIG {size.name}",
        gpu_type=instance_type(card.gpu_type, size.name),
        memory_total_bytes=card.memory_total_bytes * size.memory_slices // MEMORY_SLICES,
        power_limit_watts=0.0,
        nvlink_peers=(),
        mig=MigMode.ENABLED,
        instance=MigInstance(card.uuid, size.name, size.compute_slices, size.memory_slices, start),
    )


def initial_layout(profile: GpuProfile) -> tuple[MigPlacement, ...]:
    """What a card is divided into from the start."""
    return tuple(MigPlacement(size.name, start) for size, start in profile.layout)


def _island(profiles: Sequence[GpuProfile], names: Sequence[str], index: int) -> tuple[str, ...]:
    """The other cards of its kind on its NVLink switch, which joins neighbours, as if all were whole."""
    if not profiles[index].data_center:
        return ()
    size, kind = profiles[index].nvlink_island, replace(profiles[index], layout=())
    first = index // size * size
    return tuple(
        names[other]
        for other in range(first, min(first + size, len(names)))
        if other != index and replace(profiles[other], layout=()) == kind
    )


def _card(profile: GpuProfile, peers: tuple[str, ...], index: int, name: str) -> GpuDevice:
    return GpuDevice(
        uuid=name,
        index=index,
        model=profile.model,
        gpu_type=gpu_type_of(profile.model),
        memory_total_bytes=profile.memory_mib << 20,
        power_limit_watts=float(profile.power_limit_watts),
        pci_bus_id=f"{index >> 5:08X}:{index % 32 * 8 + 7:02X}:00.0",
        nvlink_peers=peers,
        mig=MigMode.DISABLED if profile.data_center else MigMode.NOT_CAPABLE,
        compute_capability=profile.compute_capability,
        slowdown_celsius=profile.slowdown_celsius,
    )
