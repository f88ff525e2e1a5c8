"""Readings of a real card or instance, as NVIDIA's management library sees it."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from windlass_agent.gpu.device import GpuProcess, GpuSample, unreadable
from windlass_agent.gpu.nvml_query import NvmlQuery

# NVML says "not available" for a process's memory by the largest unsigned number.
_NOT_AVAILABLE = (None, 2**64 - 1)


def sample_card(query: NvmlQuery, uuid: str, handle: Any) -> GpuSample:
    """One reading of a whole card."""
    nvml = query.library
    memory = query.ask(nvml.nvmlDeviceGetMemoryInfo, handle)
    rates = query.ask(nvml.nvmlDeviceGetUtilizationRates, handle)
    return GpuSample(
        uuid=uuid,
        temperature_celsius=query.number(
            nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU
        ),
        power_watts=query.number(nvml.nvmlDeviceGetPowerUsage, handle, scale=1e-3),
        power_limit_watts=query.number(nvml.nvmlDeviceGetEnforcedPowerLimit, handle, scale=1e-3),
        utilization_percent=math.nan if rates is None else float(rates.gpu),
        memory_used_bytes=math.nan if memory is None else float(memory.used),
        memory_total_bytes=math.nan if memory is None else float(memory.total),
        sm_clock_mhz=query.number(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM),
        memory_clock_mhz=query.number(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_MEM),
        healthy=_healthy(query, handle),
        memory_temperature_celsius=_or_nan(query.field(handle, nvml.NVML_FI_DEV_MEMORY_TEMP)),
        energy_joules=query.number(nvml.nvmlDeviceGetTotalEnergyConsumption, handle, scale=1e-3),
        throttle_reasons=query.throttle_reasons(handle),
    )


def sample_part(query: NvmlQuery, uuid: str, handle: Any, card: Any) -> GpuSample:
    """What an instance tells: power and load are the card's, which no instance is told of."""
    nvml = query.library
    memory = query.ask(nvml.nvmlDeviceGetMemoryInfo, handle)
    return replace(
        unreadable(uuid),
        temperature_celsius=query.number(
            nvml.nvmlDeviceGetTemperature, card, nvml.NVML_TEMPERATURE_GPU
        ),
        memory_used_bytes=math.nan if memory is None else float(memory.used),
        memory_total_bytes=math.nan if memory is None else float(memory.total),
        memory_temperature_celsius=_or_nan(query.field(card, nvml.NVML_FI_DEV_MEMORY_TEMP)),
        throttle_reasons=query.throttle_reasons(card),
        healthy=_healthy(query, card),
    )


def processes_of(
    query: NvmlQuery, uuid: str, handle: Any, process_name: Callable[[int], str]
) -> list[GpuProcess]:
    """Who uses a card or an instance, each once."""
    nvml = query.library
    found: dict[int, int] = {}
    for ask in (
        nvml.nvmlDeviceGetComputeRunningProcesses,
        nvml.nvmlDeviceGetGraphicsRunningProcesses,
    ):
        for process in query.ask(ask, handle) or ():
            used = process.usedGpuMemory
            memory = 0 if used in _NOT_AVAILABLE else int(used)
            found[int(process.pid)] = max(memory, found.get(int(process.pid), 0))
    return [
        GpuProcess(uuid, pid, memory, process_name(pid)) for pid, memory in sorted(found.items())
    ]


def _healthy(query: NvmlQuery, handle: Any) -> bool:
    """False for a card that fell off the bus, wants a reset, or can remap no more rows.

    Asked anew for each sample: a card that recovers is healthy again without a restart.
    """
    if query.is_lost(handle) or query.wants_reset(handle):
        return False
    rows = query.ask(query.library.nvmlDeviceGetRemappedRows, handle)
    return rows is None or not rows[3]  # (correctable, uncorrectable, pending, failed)


def _or_nan(number: int | None) -> float:
    return math.nan if number is None else float(number)
