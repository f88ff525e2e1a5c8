"""GPUs as NVIDIA's management library sees them.

Handles are looked up once and kept: looking them up for each sample is what makes exporters slow.
A field that a card does not support reads as NaN and takes nothing else with it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
)
from windlass_agent.gpu.models import gpu_type_of

_log = structlog.get_logger(__name__)

# NVML says "not available" for a process's memory by the largest unsigned number.
_NOT_AVAILABLE = (None, 2**64 - 1)

# What CUDA opens beside the card itself.
_SHARED_DEVICES = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")


@dataclass(frozen=True, slots=True)
class _Card:
    device: GpuDevice
    handle: Any
    path: str


class NvmlGpus:
    """Real cards.

    Args:
        library: The `pynvml` module, initialised; a test hands in another of the same names.
        process_name: Name of the program of a process id, or empty when it is gone.
    """

    def __init__(self, library: Any, process_name: Callable[[int], str]) -> None:
        self._nvml = library
        self._process_name = process_name
        self._closed = False
        self.driver_version = _text(library.nvmlSystemGetDriverVersion())
        self.cuda_version = _cuda_version(self._ask(library.nvmlSystemGetCudaDriverVersion))
        handles = [
            library.nvmlDeviceGetHandleByIndex(index)
            for index in range(library.nvmlDeviceGetCount())
        ]
        uuids = [_text(library.nvmlDeviceGetUUID(handle)) for handle in handles]
        self._cards = tuple(
            self._open(index, handle, self._peers(handle, handles, uuids))
            for index, handle in enumerate(handles)
        )

    def devices(self) -> Sequence[GpuDevice]:
        return tuple(card.device for card in self._cards)

    def sample(self) -> Sequence[GpuSample]:
        return tuple(self._sample(card) for card in self._cards)

    def processes(self) -> Sequence[GpuProcess]:
        return tuple(process for card in self._cards for process in self._processes(card))

    def device_paths(self, uuids: Sequence[str]) -> Sequence[str]:
        granted = [card.path for card in self._cards if card.device.uuid in uuids]
        return (*granted, *_SHARED_DEVICES) if granted else ()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._nvml.nvmlShutdown()

    def _open(self, index: int, handle: Any, peers: tuple[str, ...]) -> _Card:
        nvml = self._nvml
        model = _text(nvml.nvmlDeviceGetName(handle))
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo, handle)
        limit = self._number(nvml.nvmlDeviceGetEnforcedPowerLimit, handle, scale=1e-3)
        pci = self._ask(nvml.nvmlDeviceGetPciInfo, handle)
        capability = self._ask(nvml.nvmlDeviceGetCudaComputeCapability, handle)
        slowdown = self._ask(
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
            mig=_mig_mode(self._ask(nvml.nvmlDeviceGetMigMode, handle)),
            compute_capability="" if capability is None else "{}.{}".format(*capability),
            slowdown_celsius=slowdown or 0,
        )
        # The index is NVML's own order; the device file is named by the driver's minor number.
        minor = self._ask(nvml.nvmlDeviceGetMinorNumber, handle)
        return _Card(device, handle, f"/dev/nvidia{index if minor is None else minor}")

    def _peers(self, handle: Any, handles: list[Any], uuids: list[str]) -> tuple[str, ...]:
        """The cards that it reaches over NVLink, through a switch or not."""
        nvml = self._nvml
        ask, nvlink = nvml.nvmlDeviceGetP2PStatus, nvml.NVML_P2P_CAPS_INDEX_NVLINK
        return tuple(
            uuid
            for other, uuid in zip(handles, uuids, strict=True)
            if other is not handle
            and self._ask(ask, handle, other, nvlink) == nvml.NVML_P2P_STATUS_OK
        )

    def _sample(self, card: _Card) -> GpuSample:
        nvml, handle = self._nvml, card.handle
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo, handle)
        rates = self._ask(nvml.nvmlDeviceGetUtilizationRates, handle)
        return GpuSample(
            uuid=card.device.uuid,
            temperature_celsius=self._number(
                nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU
            ),
            power_watts=self._number(nvml.nvmlDeviceGetPowerUsage, handle, scale=1e-3),
            power_limit_watts=self._number(
                nvml.nvmlDeviceGetEnforcedPowerLimit, handle, scale=1e-3
            ),
            utilization_percent=math.nan if rates is None else float(rates.gpu),
            memory_used_bytes=math.nan if memory is None else float(memory.used),
            memory_total_bytes=math.nan if memory is None else float(memory.total),
            sm_clock_mhz=self._number(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM),
            memory_clock_mhz=self._number(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_MEM),
            healthy=self._healthy(handle),
            memory_temperature_celsius=self._memory_temperature(handle),
            energy_joules=self._number(
                nvml.nvmlDeviceGetTotalEnergyConsumption, handle, scale=1e-3
            ),
            throttle_reasons=self._throttle_reasons(handle),
        )

    def _memory_temperature(self, handle: Any) -> float:
        nvml = self._nvml
        found = self._ask(nvml.nvmlDeviceGetFieldValues, handle, [nvml.NVML_FI_DEV_MEMORY_TEMP])
        if found is None or found[0].nvmlReturn != nvml.NVML_SUCCESS:
            return math.nan
        return float(found[0].value.uiVal)

    def _throttle_reasons(self, handle: Any) -> float:
        """The mask; drivers before 535 know it by its older name alone."""
        nvml = self._nvml
        mask = self._number(nvml.nvmlDeviceGetCurrentClocksEventReasons, handle)
        if math.isnan(mask):
            mask = self._number(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
        return mask

    def _healthy(self, handle: Any) -> bool:
        """False for a card that fell off the bus, wants a reset, or can remap no more rows.

        Asked anew for each sample: a card that recovers is healthy again without a restart.
        """
        nvml = self._nvml
        try:
            nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
        except nvml.NVMLError as error:
            if error.value in (nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_RESET_REQUIRED):
                return False
        rows = self._ask(nvml.nvmlDeviceGetRemappedRows, handle)
        return rows is None or not rows[3]  # (correctable, uncorrectable, pending, failed)

    def _processes(self, card: _Card) -> list[GpuProcess]:
        nvml = self._nvml
        found: dict[int, int] = {}
        for ask in (
            nvml.nvmlDeviceGetComputeRunningProcesses,
            nvml.nvmlDeviceGetGraphicsRunningProcesses,
        ):
            for process in self._ask(ask, card.handle) or ():
                used = process.usedGpuMemory
                memory = 0 if used in _NOT_AVAILABLE else int(used)
                found[int(process.pid)] = max(memory, found.get(int(process.pid), 0))
        return [
            GpuProcess(card.device.uuid, pid, memory, self._process_name(pid))
            for pid, memory in sorted(found.items())
        ]

    def _ask(self, query: Callable[..., Any], *arguments: Any) -> Any:
        """What NVML answers, or None when this card cannot tell."""
        try:
            return query(*arguments)
        except self._nvml.NVMLError:
            return None

    def _number(self, query: Callable[..., Any], *arguments: Any, scale: float = 1.0) -> float:
        answer = self._ask(query, *arguments)
        return math.nan if answer is None else float(answer) * scale


def open_nvml(library: Any = pynvml) -> GpuProvider:
    """The machine's real GPUs; none, quietly, on a machine without NVIDIA's driver."""
    try:
        library.nvmlInit()
    except library.NVMLError as error:
        _log.debug("no NVIDIA driver", reason=str(error))
        return NoGpus()
    try:
        return NvmlGpus(library, program_of)
    except library.NVMLError as error:
        _log.warning("the NVIDIA driver does not answer; running without GPUs", reason=str(error))
        library.nvmlShutdown()
        return NoGpus()


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
