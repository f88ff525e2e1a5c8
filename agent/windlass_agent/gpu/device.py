"""What the agent asks of the node's GPUs, whether real or simulated."""

import enum
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from windlass_agent.gpu.facts import GpuFacts, GpuResetError, GpuXid
from windlass_agent.gpu.mig import GpuLayoutError, MigCard, MigInstance, MigPlacement


class MigMode(enum.IntEnum):
    """Whether a card is divided into instances; as `types.v1.Mig.Mode`."""

    NOT_CAPABLE = 0
    DISABLED = 1
    ENABLED = 2


@dataclass(frozen=True, slots=True)
class GpuDevice:
    """What does not change while the device is there."""

    uuid: str
    index: int
    model: str
    gpu_type: str
    memory_total_bytes: int
    power_limit_watts: float
    pci_bus_id: str = ""
    # UUIDs of the node's other cards that it reaches over NVLink.
    nvlink_peers: tuple[str, ...] = ()
    mig: MigMode = MigMode.NOT_CAPABLE
    compute_capability: str = ""
    # Where it halves its clocks; 0 when it does not tell.
    slowdown_celsius: int = 0
    # What part of a divided card it is; None for a whole card.
    instance: MigInstance | None = None


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One reading of one GPU; NaN stands for what the card does not tell. Units are in the names."""

    uuid: str
    temperature_celsius: float
    power_watts: float
    power_limit_watts: float
    utilization_percent: float
    memory_used_bytes: float
    memory_total_bytes: float
    sm_clock_mhz: float
    memory_clock_mhz: float
    healthy: bool
    memory_temperature_celsius: float = math.nan
    # A counter that begins anew with the driver.
    energy_joules: float = math.nan
    # NVML's mask of clocks event reasons.
    throttle_reasons: float = math.nan


def unreadable(uuid: str) -> GpuSample:
    """The reading of a card that does not answer."""
    return GpuSample(
        uuid=uuid,
        temperature_celsius=math.nan,
        power_watts=math.nan,
        power_limit_watts=math.nan,
        utilization_percent=math.nan,
        memory_used_bytes=math.nan,
        memory_total_bytes=math.nan,
        sm_clock_mhz=math.nan,
        memory_clock_mhz=math.nan,
        healthy=False,
    )


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that holds memory of a GPU. `pid` is the one that the agent's own pid space shows."""

    uuid: str
    pid: int
    memory_used_bytes: int
    name: str


class GpuProvider(Protocol):
    """The GPUs of this node.

    `sample` and `processes` may block for tens of milliseconds: they are called from one sampling
    thread, never from the event loop.
    """

    @property
    def driver_version(self) -> str:
        """The driver's version; empty without GPUs, `simulated` when nothing here is real."""
        ...

    @property
    def cuda_version(self) -> str:
        """The newest CUDA version that the driver can run, such as `12.8`; empty without GPUs."""
        ...

    def devices(self) -> Sequence[GpuDevice]:
        """Every GPU, in the order of its index: whole cards, and what others are divided into."""
        ...

    def cards(self) -> Sequence[MigCard]:
        """The cards that can be divided, whether they are or not."""
        ...

    def sample(self) -> Sequence[GpuSample]:
        """One reading of every GPU, a lost one included (unhealthy, all NaN)."""
        ...

    def processes(self) -> Sequence[GpuProcess]:
        """Who uses the GPUs now."""
        ...

    def device_paths(self, uuids: Sequence[str]) -> Sequence[str]:
        """Device files that a task needs to use these cards; none for cards that do not exist."""
        ...

    def facts(self) -> Sequence[GpuFacts]:
        """How well every GPU is, a lost one included. Called from the sampling thread."""
        ...

    def take_xids(self) -> Sequence[GpuXid]:
        """The XIDs that have come since the last call, oldest first."""
        ...

    def on_xid(self, heard: Callable[[], None]) -> None:
        """Has `heard` called, from any thread, whenever there are XIDs to take."""
        ...

    @property
    def can_reset(self) -> bool:
        """Whether `reset` may work at all."""
        ...

    def reset(self, uuid: str) -> None:
        """Resets a card that nothing uses. Called from the sampling thread; may take a minute.

        Raises:
            GpuResetError: It could not be.
        """
        ...

    @property
    def can_divide(self) -> bool:
        """Whether `divide` may work at all."""
        ...

    def divide(
        self, card_uuid: str, placements: Sequence[MigPlacement], held: Collection[str]
    ) -> None:
        """Divides a card into these instances and no others; into nothing makes it whole.

        Instances that are there already stay as they are. Called from the sampling thread; may take
        a minute. What `devices` and `cards` say is the truth afterwards, whether it worked or not.

        Args:
            card_uuid: UUID of the card as a whole.
            placements: The instances.
            held: UUIDs of devices that belong to somebody, whether a process is seen there or not.

        Raises:
            GpuLayoutError: It could not be; what is in use has not been touched.
        """
        ...

    def close(self) -> None:
        """Lets the driver go. Calling it twice is harmless."""
        ...


class NoGpus:
    """A machine without GPUs."""

    driver_version = ""
    cuda_version = ""
    can_reset = False
    can_divide = False

    def devices(self) -> Sequence[GpuDevice]:
        return ()

    def cards(self) -> Sequence[MigCard]:
        return ()

    def sample(self) -> Sequence[GpuSample]:
        return ()

    def processes(self) -> Sequence[GpuProcess]:
        return ()

    def device_paths(self, uuids: Sequence[str]) -> Sequence[str]:
        return ()

    def facts(self) -> Sequence[GpuFacts]:
        return ()

    def take_xids(self) -> Sequence[GpuXid]:
        return ()

    def on_xid(self, heard: Callable[[], None]) -> None:
        return

    def reset(self, uuid: str) -> None:
        raise GpuResetError(f"there is no GPU {uuid}")

    def divide(
        self, card_uuid: str, placements: Sequence[MigPlacement], held: Collection[str]
    ) -> None:
        raise GpuLayoutError(f"there is no GPU {card_uuid}")

    def close(self) -> None:
        return


def linked(devices: Sequence[GpuDevice]) -> tuple[GpuDevice, ...]:
    """The same devices, whole cards linked to whole cards alone: a card that is divided reaches nobody.

    What the cards say of each other goes both ways: one that was divided when another one was looked
    at knows of the link when it is whole again.
    """
    whole = {device.uuid: set(device.nvlink_peers) for device in devices if not device.instance}
    return tuple(
        replace(device, nvlink_peers=peers)
        if (peers := _peers(device, whole)) != device.nvlink_peers
        else device
        for device in devices
    )


def _peers(device: GpuDevice, whole: Mapping[str, set[str]]) -> tuple[str, ...]:
    if device.instance is not None:
        return ()
    near = whole[device.uuid]
    return tuple(
        uuid
        for uuid, theirs in whole.items()
        if uuid != device.uuid and (uuid in near or device.uuid in theirs)
    )


def memory_of(gpus: GpuProvider, uuid: str) -> int:
    """Memory of a device in bytes; 0 when it is not there."""
    return next((one.memory_total_bytes for one in gpus.devices() if one.uuid == uuid), 0)


def program_of(pid: int) -> str:
    """Name of a process's program, at most 15 characters as the kernel keeps it; empty if gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
