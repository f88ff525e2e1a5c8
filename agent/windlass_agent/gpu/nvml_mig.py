"""The instances of a divided card, as NVIDIA's management library sees them."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from windlass_agent.gpu.device import GpuDevice, MigMode
from windlass_agent.gpu.mig import MigInstance
from windlass_agent.gpu.models import instance_type
from windlass_agent.gpu.nvml_query import NvmlQuery, text_of

CAPABILITIES = Path("/proc/driver/nvidia/capabilities")
DEVICES = Path("/dev/nvidia-caps")
_MODPROBE_SECONDS = 10


_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OpenInstance:
    """An instance: its handle, its number on its card, and the device files that unlock it."""

    device: GpuDevice
    handle: Any
    number: int
    paths: tuple[str, ...]


def make_device_file(capability: Path) -> None:
    """Has NVIDIA's own program make the device file of a capability; quietly not where it is missing.

    The driver makes none, and the first one to need it may be a task, in whose sandbox there is none.
    """
    program = shutil.which("nvidia-modprobe")
    if program is None:
        return
    try:
        subprocess.run(  # noqa: S603
            [program, "-f", str(capability)],
            capture_output=True,
            check=False,
            timeout=_MODPROBE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("nvidia-modprobe does not work", file=str(capability), reason=str(error))


def instances_of(
    query: NvmlQuery,
    card: GpuDevice,
    handle: Any,
    minor: int,
    capabilities: Path = CAPABILITIES,
    devices: Path = DEVICES,
    make_file: Callable[[Path], None] = make_device_file,
) -> Iterator[OpenInstance]:
    """The instances of a card that is divided, in the order of NVML's numbers.

    Args:
        query: Asks the library.
        card: The card as a whole.
        handle: Its handle.
        minor: The driver's number of it.
        capabilities: Where the driver tells the device files of instances.
        devices: Where these are.
        make_file: Makes one that is not there, when given what the driver tells of it.
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
            uuid=text_of(nvml.nvmlDeviceGetUUID(part)),
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
        paths = [(file, path) for file in files if (path := _device_file(file, devices))]
        for file, path in paths:
            if not path.exists():
                make_file(file)
        yield OpenInstance(device, part, number, tuple(str(path) for _, path in paths))


def _profile(query: NvmlQuery, part: Any) -> str:
    """The last word of its name, such as `1g.10gb` of `NVIDIA H100 80GB HBM3 MIG 1g.10gb`."""
    name = query.ask(query.library.nvmlDeviceGetName, part)
    words = text_of(name).split() if name is not None else []
    return words[-1] if words else "unknown"


def _placement(query: NvmlQuery, handle: Any, number: int) -> tuple[int, int]:
    """The first of its slices of the memory, and how many they are."""
    nvml = query.library
    instance = query.ask(nvml.nvmlDeviceGetGpuInstanceById, handle, number)
    info = query.ask(nvml.nvmlGpuInstanceGetInfo, instance) if instance is not None else None
    return (int(info.placement.start), int(info.placement.size)) if info is not None else (0, 0)


def _device_file(capability: Path, devices: Path) -> Path | None:
    """The file that a task must have to use an instance; None when the driver tells of none."""
    try:
        lines = capability.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    minor = found.get("DeviceFileMinor", "").strip()
    return devices / f"nvidia-cap{minor}" if minor.isdigit() else None
