"""GPUs as NVIDIA's management library sees them.

Handles are looked up once and kept: looking them up for each sample is what makes exporters slow.
A field that a card does not support reads as NaN and takes nothing else with it.
"""

import math
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pynvml
import structlog

from windlass_agent.gpu.device import (
    GpuDevice,
    GpuProcess,
    GpuProvider,
    GpuSample,
    MigMode,
    NoGpus,
    program_of,
    unreadable,
)
from windlass_agent.gpu.facts import GpuFacts, GpuResetError, GpuXid
from windlass_agent.gpu.models import gpu_type_of
from windlass_agent.gpu.nvml_events import XidEvents
from windlass_agent.gpu.nvml_facts import facts_of
from windlass_agent.gpu.nvml_mig import instances_of
from windlass_agent.gpu.nvml_query import NvmlQuery

_log = structlog.get_logger(__name__)

# NVML says "not available" for a process's memory by the largest unsigned number.
_NOT_AVAILABLE = (None, 2**64 - 1)

# What CUDA opens beside the card itself.
_SHARED_DEVICES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")

_RESET_SECONDS = 120


@dataclass(frozen=True, slots=True)
class _Card:
    device: GpuDevice
    # None when it was not found again after a reset.
    handle: Any
    path: str
    # Of an instance of a divided card: the card, its number there, and the files that unlock it.
    parent: Any = None
    number: int | None = None
    keys: tuple[str, ...] = ()

    @property
    def whole(self) -> Any:
        """The handle of the card that answers for its state."""
        return self.handle if self.device.instance is None else self.parent


class NvmlGpus:
    """Real cards.

    Args:
        library: The `pynvml` module, initialised; a test hands in another of the same names.
        process_name: Name of the program of a process id, or empty when it is gone.
        time_nanos: The wall clock, for XIDs.
        reset_command: Resets a card when given its bus id; empty when this process may not.
    """

    def __init__(
        self,
        library: Any,
        process_name: Callable[[int], str],
        time_nanos: Callable[[], int],
        reset_command: Sequence[str] = (),
    ) -> None:
        self._nvml = library
        self._query = NvmlQuery(library)
        self._process_name = process_name
        self._time_nanos = time_nanos
        self._reset_command = tuple(reset_command)
        self._closed = False
        self._heard: Callable[[], None] = lambda: None
        self.driver_version = _text(library.nvmlSystemGetDriverVersion())
        self.cuda_version = _cuda_version(self._query.ask(library.nvmlSystemGetCudaDriverVersion))
        self._cards = self._open_all()
        self._events = self._listen()

    @property
    def can_reset(self) -> bool:
        return bool(self._reset_command)

    def devices(self) -> Sequence[GpuDevice]:
        return tuple(card.device for card in self._cards)

    def sample(self) -> Sequence[GpuSample]:
        return tuple(self._sample(card) for card in self._cards)

    def processes(self) -> Sequence[GpuProcess]:
        return tuple(process for card in self._cards for process in self._processes(card))

    def facts(self) -> Sequence[GpuFacts]:
        return tuple(
            facts_of(self._query, card.device.uuid, card.whole)
            if card.whole is not None
            else GpuFacts(card.device.uuid, lost=True)
            for card in self._cards
        )

    def take_xids(self) -> Sequence[GpuXid]:
        return self._events.take()

    def on_xid(self, heard: Callable[[], None]) -> None:
        self._heard = heard

    def device_paths(self, uuids: Sequence[str]) -> Sequence[str]:
        granted = [
            path
            for card in self._cards
            if card.device.uuid in uuids
            for path in (card.path, *card.keys)
        ]
        return (*dict.fromkeys(granted), *_SHARED_DEVICES) if granted else ()

    def reset(self, uuid: str) -> None:
        if not self._reset_command:
            raise GpuResetError("nvidia-smi is not there, or the agent does not run as root")
        card = next((card for card in self._cards if card.device.uuid == uuid), None)
        if card is None:
            raise GpuResetError(f"there is no GPU {uuid}")
        if card.device.instance is not None:
            raise GpuResetError("it is a part of a card that is divided")
        # The driver resets no card that anybody has open, ourselves included.
        self._events.close()
        self._nvml.nvmlShutdown()
        try:
            done = subprocess.run(  # noqa: S603
                [*self._reset_command, card.device.pci_bus_id],
                capture_output=True,
                text=True,
                check=False,
                timeout=_RESET_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GpuResetError(str(error)) from None
        finally:
            self._reopen()
        if done.returncode:
            said = (done.stderr + done.stdout).strip().splitlines()
            raise GpuResetError(said[-1] if said else f"nvidia-smi returned {done.returncode}")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._events.close()
            self._nvml.nvmlShutdown()

    def _reopen(self) -> None:
        """Finds the cards again after the library was let go; one that is not found is lost."""
        nvml = self._nvml
        if self._query.ask(_initialised, nvml) is None:
            self._cards = tuple(replace(card, handle=None, parent=None) for card in self._cards)
        else:
            self._cards = tuple(self._found_again(card) for card in self._cards)
        self._events = self._listen()

    def _found_again(self, card: _Card) -> _Card:
        find, part = self._nvml.nvmlDeviceGetHandleByUUID, card.device.instance
        handle = self._query.ask(find, card.device.uuid.encode())
        parent = None if part is None else self._query.ask(find, part.parent_uuid.encode())
        return replace(card, handle=handle, parent=parent)

    def _listen(self) -> XidEvents:
        handles = {_card_uuid(card): card.whole for card in self._cards if card.whole is not None}
        return XidEvents(self._nvml, handles, self._devices_of, self._time_nanos, self._tell)

    def _devices_of(self, card_uuid: str, number: int) -> list[str]:
        """The devices that an XID of a card is of: one of its instances, or all that it has."""
        parts = [card for card in self._cards if _card_uuid(card) == card_uuid]
        named = [card for card in parts if card.number == number]
        return [card.device.uuid for card in named or parts]

    def _tell(self) -> None:
        self._heard()

    def _open_all(self) -> tuple[_Card, ...]:
        """Every card that answers; a broken one must not take the others with it."""
        nvml = self._nvml
        found = [
            (index, handle)
            for index in range(nvml.nvmlDeviceGetCount())
            if (handle := self._query.ask(nvml.nvmlDeviceGetHandleByIndex, index)) is not None
        ]
        handles = [handle for _, handle in found]
        uuids = [_text(nvml.nvmlDeviceGetUUID(handle)) for handle in handles]
        return tuple(
            part
            for index, handle in found
            for part in self._parts(self._open(index, handle, self._peers(handle, handles, uuids)))
        )

    def _parts(self, card: _Card) -> Iterator[_Card]:
        """The card itself, or what it is divided into: none of it can be used as a whole then."""
        if card.device.mig is not MigMode.ENABLED:
            yield card
            return
        minor = int(card.path.removeprefix("/dev/nvidia"))
        for one in instances_of(self._query, card.device, card.handle, minor):
            yield _Card(one.device, one.handle, card.path, card.handle, one.number, one.paths)

    def _open(self, index: int, handle: Any, peers: tuple[str, ...]) -> _Card:
        nvml = self._nvml
        model = _text(nvml.nvmlDeviceGetName(handle))
        memory = self._query.ask(nvml.nvmlDeviceGetMemoryInfo, handle)
        limit = self._query.number(nvml.nvmlDeviceGetEnforcedPowerLimit, handle, scale=1e-3)
        pci = self._query.ask(nvml.nvmlDeviceGetPciInfo, handle)
        capability = self._query.ask(nvml.nvmlDeviceGetCudaComputeCapability, handle)
        slowdown = self._query.ask(
            nvml.nvmlDeviceGetTemperatureThreshold, handle, nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
        )
        device = GpuDevice(
            uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
            index=index,
            model=model,
            gpu_type=gpu_type_of(model),
            memory_total_bytes=0 if memory is None else int(memory.total),
            power_limit_watts=0.0 if math.isnan(limit) else limit,
            pci_bus_id="" if pci is None else _text(pci.busId),
            nvlink_peers=peers,
            mig=_mig_mode(self._query.ask(nvml.nvmlDeviceGetMigMode, handle)),
            compute_capability="" if capability is None else "{}.{}".format(*capability),
            slowdown_celsius=slowdown or 0,
        )
        # The index is NVML's own order; the device file is named by the driver's minor number.
        minor = self._query.ask(nvml.nvmlDeviceGetMinorNumber, handle)
        return _Card(device, handle, f"/dev/nvidia{index if minor is None else minor}")

    def _peers(self, handle: Any, handles: list[Any], uuids: list[str]) -> tuple[str, ...]:
        """The cards that it reaches over NVLink, through a switch or not."""
        nvml = self._nvml
        ask, nvlink = nvml.nvmlDeviceGetP2PStatus, nvml.NVML_P2P_CAPS_INDEX_NVLINK
        return tuple(
            uuid
            for other, uuid in zip(handles, uuids, strict=True)
            if other is not handle
            and self._query.ask(ask, handle, other, nvlink) == nvml.NVML_P2P_STATUS_OK
        )

    def _sample(self, card: _Card) -> GpuSample:
        nvml, handle = self._nvml, card.handle
        if handle is None:
            return unreadable(card.device.uuid)
        if card.device.instance is not None:
            return self._sample_part(card)
        memory = self._query.ask(nvml.nvmlDeviceGetMemoryInfo, handle)
        rates = self._query.ask(nvml.nvmlDeviceGetUtilizationRates, handle)
        return GpuSample(
            uuid=card.device.uuid,
            temperature_celsius=self._query.number(
                nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU
            ),
            power_watts=self._query.number(nvml.nvmlDeviceGetPowerUsage, handle, scale=1e-3),
            power_limit_watts=self._query.number(
                nvml.nvmlDeviceGetEnforcedPowerLimit, handle, scale=1e-3
            ),
            utilization_percent=math.nan if rates is None else float(rates.gpu),
            memory_used_bytes=math.nan if memory is None else float(memory.used),
            memory_total_bytes=math.nan if memory is None else float(memory.total),
            sm_clock_mhz=self._query.number(
                nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM
            ),
            memory_clock_mhz=self._query.number(
                nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_MEM
            ),
            healthy=self._healthy(handle),
            memory_temperature_celsius=_or_nan(
                self._query.field(handle, nvml.NVML_FI_DEV_MEMORY_TEMP)
            ),
            energy_joules=self._query.number(
                nvml.nvmlDeviceGetTotalEnergyConsumption, handle, scale=1e-3
            ),
            throttle_reasons=self._query.throttle_reasons(handle),
        )

    def _sample_part(self, card: _Card) -> GpuSample:
        """What an instance tells: power and load are the card's, which no instance is told of."""
        nvml, memory = self._nvml, self._query.ask(self._nvml.nvmlDeviceGetMemoryInfo, card.handle)
        return replace(
            unreadable(card.device.uuid),
            temperature_celsius=self._query.number(
                nvml.nvmlDeviceGetTemperature, card.parent, nvml.NVML_TEMPERATURE_GPU
            ),
            memory_used_bytes=math.nan if memory is None else float(memory.used),
            memory_total_bytes=math.nan if memory is None else float(memory.total),
            memory_temperature_celsius=_or_nan(
                self._query.field(card.parent, nvml.NVML_FI_DEV_MEMORY_TEMP)
            ),
            throttle_reasons=self._query.throttle_reasons(card.parent),
            healthy=self._healthy(card.parent),
        )

    def _healthy(self, handle: Any) -> bool:
        """False for a card that fell off the bus, wants a reset, or can remap no more rows.

        Asked anew for each sample: a card that recovers is healthy again without a restart.
        """
        query = self._query
        if query.is_lost(handle) or query.wants_reset(handle):
            return False
        rows = query.ask(self._nvml.nvmlDeviceGetRemappedRows, handle)
        return rows is None or not rows[3]  # (correctable, uncorrectable, pending, failed)

    def _processes(self, card: _Card) -> list[GpuProcess]:
        nvml = self._nvml
        found: dict[int, int] = {}
        for ask in (
            nvml.nvmlDeviceGetComputeRunningProcesses,
            nvml.nvmlDeviceGetGraphicsRunningProcesses,
        ):
            for process in self._query.ask(ask, card.handle) or ():
                used = process.usedGpuMemory
                memory = 0 if used in _NOT_AVAILABLE else int(used)
                found[int(process.pid)] = max(memory, found.get(int(process.pid), 0))
        return [
            GpuProcess(card.device.uuid, pid, memory, self._process_name(pid))
            for pid, memory in sorted(found.items())
        ]


def open_nvml(time_nanos: Callable[[], int], library: Any = pynvml) -> GpuProvider:
    """The machine's real GPUs; none, quietly, on a machine without NVIDIA's driver."""
    try:
        library.nvmlInit()
    except library.NVMLError as error:
        _log.debug("no NVIDIA driver", reason=str(error))
        return NoGpus()
    try:
        return NvmlGpus(library, program_of, time_nanos, _reset_command())
    except library.NVMLError as error:
        _log.warning("the NVIDIA driver does not answer; running without GPUs", reason=str(error))
        library.nvmlShutdown()
        return NoGpus()


def _reset_command() -> tuple[str, ...]:
    """Only root resets cards."""
    found = shutil.which("nvidia-smi")
    return (found, "--gpu-reset", "-i") if found and os.geteuid() == 0 else ()


def _initialised(library: Any) -> bool:
    library.nvmlInit()
    return True


def _card_uuid(card: _Card) -> str:
    """Of the card that a device is, or is a part of."""
    part = card.device.instance
    return card.device.uuid if part is None else part.parent_uuid


def _or_nan(number: int | None) -> float:
    return math.nan if number is None else float(number)


def _cuda_version(number: int | None) -> str:
    """NVML says 12080 for 12.8."""
    return "" if number is None else f"{number // 1000}.{number % 1000 // 10}"


def _mig_mode(modes: Sequence[int] | None) -> MigMode:
    """From the present mode and the one after a reset."""
    if modes is None:
        return MigMode.NOT_CAPABLE
    return MigMode.ENABLED if modes[0] else MigMode.DISABLED


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
