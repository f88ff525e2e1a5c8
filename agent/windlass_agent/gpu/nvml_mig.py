"""The instances of a divided card, as NVIDIA's management library sees them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from windlass_agent.gpu.device import GpuDevice, MigMode
from windlass_agent.gpu.mig import MigInstance
from windlass_agent.gpu.models import instance_type
from windlass_agent.gpu.nvml_query import NvmlQuery

CAPABILITIES = Path("/proc/driver/nvidia/capabilities")


@dataclass(frozen=True, slots=True)
class OpenInstance:
    """An instance: its handle, its number on its card, and the device files that unlock it."""

    device: GpuDevice
    handle: Any
    number: int
    paths: tuple[str, ...]


def instances_of(
    query: NvmlQuery, card: GpuDevice, handle: Any, minor: int, capabilities: Path = CAPABILITIES
) -> Iterator[OpenInstance]:
    """The instances of a card that is divided, in the order of NVML's numbers.

    Args:
        query: Asks the library.
        card: The card as a whole.
        handle: Its handle.
        minor: The driver's number of it.
        capabilities: Where the driver tells the device files of instances.
    """
    nvml = query.library
    for index in range(query.ask(nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        part = query.ask(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index)
        number = query.ask(nvml.nvmlDeviceGetGpuInstanceId, part) if part is not None else None
        has = query.ask(nvml.nvmlDeviceGetAttributes, part) if part is not None else None
        if number is None or has is None:
            continue  # numbers are not given out without gaps
        start, size = _placement(query, handle, number)
        instance = MigInstance(
            parent_uuid=card.uuid,
            profile=_profile(query, part),
            compute_slices=int(has.gpuInstanceSliceCount),
            memory_slices=size,
            memory_start=start,
        )
        device = replace(
            card,
            uuid=_text(nvml.nvmlDeviceGetUUID(part)),
            model=f"{card.model} MIG {instance.profile}",
            gpu_type=instance_type(card.gpu_type, instance.profile),
            memory_total_bytes=int(has.memorySizeMB) << 20,
            power_limit_watts=0.0,
            nvlink_peers=(),
            mig=MigMode.ENABLED,
            instance=instance,
        )
        compute = query.ask(nvml.nvmlDeviceGetComputeInstanceId, part)
        base = capabilities / f"gpu{minor}/mig/gi{number}"
        files = (base / "access", base / f"ci{compute}/access")
        paths = tuple(path for file in files if (path := _device_file(file)))
        yield OpenInstance(device, part, number, paths)


def _profile(query: NvmlQuery, part: Any) -> str:
    """The last word of its name, such as `1g.10gb` of `NVIDIA H100 80GB HBM3 MIG 1g.10gb`."""
    name = query.ask(query.library.nvmlDeviceGetName, part)
    words = _text(name).split() if name is not None else []
    return words[-1] if words else "unknown"


def _placement(query: NvmlQuery, handle: Any, number: int) -> tuple[int, int]:
    """The first of its slices of the memory, and how many they are."""
    nvml = query.library
    instance = query.ask(nvml.nvmlDeviceGetGpuInstanceById, handle, number)
    info = query.ask(nvml.nvmlGpuInstanceGetInfo, instance) if instance is not None else None
    return (int(info.placement.start), int(info.placement.size)) if info is not None else (0, 0)


def _device_file(capability: Path) -> str:
    """The file that a task must have to use an instance; empty when the driver tells of none."""
    try:
        lines = capability.read_text(encoding="ascii").splitlines()
    except OSError:
        return ""
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    minor = found.get("DeviceFileMinor", "").strip()
    return f"/dev/nvidia-caps/nvidia-cap{minor}" if minor.isdigit() else ""


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
