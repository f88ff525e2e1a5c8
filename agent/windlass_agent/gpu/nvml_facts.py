"""How well a real card is, as NVIDIA's management library sees it."""

import math
from typing import Any

from windlass_agent.gpu.facts import EccErrors, GpuFacts, PcieLink, RemappedRows
from windlass_agent.gpu.nvml_query import NvmlQuery

_HW_THERMAL_SLOWDOWN = 0x40


def facts_of(query: NvmlQuery, uuid: str, handle: Any) -> GpuFacts:
    """The facts of a card; of a lost one, that it is lost."""
    if query.is_lost(handle):
        return GpuFacts(uuid, lost=True)
    mask = query.throttle_reasons(handle)
    return GpuFacts(
        uuid,
        reset_required=query.wants_reset(handle),
        too_hot=not math.isnan(mask) and bool(int(mask) & _HW_THERMAL_SLOWDOWN),
        ecc=_ecc(query, handle),
        rows=_rows(query, handle),
        pcie=_pcie(query, handle),
    )


def _ecc(query: NvmlQuery, handle: Any) -> EccErrors | None:
    nvml = query.library
    counts = [
        query.ask(nvml.nvmlDeviceGetTotalEccErrors, handle, kind, counter)
        for kind in (nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED)
        for counter in (nvml.NVML_VOLATILE_ECC, nvml.NVML_AGGREGATE_ECC)
    ]
    if None in counts:
        return None
    return EccErrors(*map(int, counts))


def _rows(query: NvmlQuery, handle: Any) -> RemappedRows | None:
    rows = query.ask(query.library.nvmlDeviceGetRemappedRows, handle)
    if rows is None:
        return None
    correctable, uncorrectable, pending, failure = rows
    return RemappedRows(int(correctable), int(uncorrectable), bool(pending), bool(failure))


def _pcie(query: NvmlQuery, handle: Any) -> PcieLink | None:
    nvml = query.library
    link = [
        query.ask(ask, handle)
        for ask in (
            nvml.nvmlDeviceGetCurrPcieLinkGeneration,
            nvml.nvmlDeviceGetCurrPcieLinkWidth,
            nvml.nvmlDeviceGetMaxPcieLinkGeneration,
            nvml.nvmlDeviceGetMaxPcieLinkWidth,
        )
    ]
    if None in link:
        return None
    generation, width, max_generation, max_width = map(int, link)
    replays = query.ask(nvml.nvmlDeviceGetPcieReplayCounter, handle)
    return PcieLink(generation, width, max_generation, max_width, int(replays or 0))
