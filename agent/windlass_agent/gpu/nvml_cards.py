"""The machine's real cards, looked up once, and what they are divided into."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from windlass_agent.gpu.device import GpuDevice, MigMode, linked
from windlass_agent.gpu.models import gpu_type_of
from windlass_agent.gpu.nvml_mig import instances_of
from windlass_agent.gpu.nvml_query import NvmlQuery, text_of


@dataclass(frozen=True, slots=True)
class Card:
    """A card as a whole, or an instance of one."""

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


def open_all(query: NvmlQuery) -> dict[str, Card]:
    """Every card that answers, as a whole; a broken one must not take the others with it."""
    nvml = query.library
    found = [
        open_card(query, index, handle, ())
        for index in range(nvml.nvmlDeviceGetCount())
        if (handle := query.ask(nvml.nvmlDeviceGetHandleByIndex, index)) is not None
    ]
    return {
        card.device.uuid: replace(
            card, device=replace(card.device, nvlink_peers=peers_of(query, card.handle, found))
        )
        for card in found
    }


def open_card(query: NvmlQuery, index: int, handle: Any, peers: tuple[str, ...]) -> Card:
    """A card as a whole. NVMLError when it does not answer."""
    nvml = query.library
    model = text_of(nvml.nvmlDeviceGetName(handle))
    memory = query.ask(nvml.nvmlDeviceGetMemoryInfo, handle)
    limit = query.number(nvml.nvmlDeviceGetEnforcedPowerLimit, handle, scale=1e-3)
    pci = query.ask(nvml.nvmlDeviceGetPciInfo, handle)
    capability = query.ask(nvml.nvmlDeviceGetCudaComputeCapability, handle)
    slowdown = query.ask(
        nvml.nvmlDeviceGetTemperatureThreshold, handle, nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
    )
    device = GpuDevice(
        uuid=text_of(nvml.nvmlDeviceGetUUID(handle)),
        index=index,
        model=model,
        gpu_type=gpu_type_of(model),
        memory_total_bytes=0 if memory is None else int(memory.total),
        power_limit_watts=0.0 if math.isnan(limit) else limit,
        pci_bus_id="" if pci is None else text_of(pci.busId),
        nvlink_peers=peers,
        mig=_mig_mode(query.ask(nvml.nvmlDeviceGetMigMode, handle)),
        compute_capability="" if capability is None else "{}.{}".format(*capability),
        slowdown_celsius=slowdown or 0,
    )
    # The index is NVML's own order; the device file is named by the driver's minor number.
    minor = query.ask(nvml.nvmlDeviceGetMinorNumber, handle)
    return Card(device, handle, f"/dev/nvidia{index if minor is None else minor}")


def peers_of(query: NvmlQuery, handle: Any, others: Sequence[Card]) -> tuple[str, ...]:
    """UUIDs of the cards that one reaches over NVLink, through a switch or not."""
    nvml = query.library
    ask, nvlink = nvml.nvmlDeviceGetP2PStatus, nvml.NVML_P2P_CAPS_INDEX_NVLINK
    return tuple(
        other.device.uuid
        for other in others
        if other.handle is not handle
        and query.ask(ask, handle, other.handle, nvlink) == nvml.NVML_P2P_STATUS_OK
    )


def instances(query: NvmlQuery, card: Card) -> tuple[Card, ...]:
    """What a card is divided into: nothing of it can be used as a whole then."""
    if not is_divided(card):
        return ()
    minor = int(card.path.removeprefix("/dev/nvidia"))
    return tuple(
        Card(one.device, one.handle, card.path, card.handle, one.number, one.paths)
        for one in instances_of(query, card.device, card.handle, minor)
    )


def offered(whole: Mapping[str, Card], parts: Mapping[str, Sequence[Card]]) -> tuple[Card, ...]:
    """The cards that are whole and the instances of the others, each linked to whom it reaches.

    Args:
        whole: All cards by their UUIDs.
        parts: What they are divided into, by the same.
    """
    cards = [
        one
        for uuid, card in whole.items()
        for one in (parts[uuid] if is_divided(card) else (card,))
    ]
    devices = linked([card.device for card in cards])
    return tuple(replace(card, device=device) for card, device in zip(cards, devices, strict=True))


def is_divided(card: Card) -> bool:
    """Whether its MIG mode is on; perhaps it is divided into nothing."""
    return card.device.mig is MigMode.ENABLED


def card_uuid_of(card: Card) -> str:
    """Of the card that a device is, or is a part of."""
    part = card.device.instance
    return card.device.uuid if part is None else part.parent_uuid


def _mig_mode(modes: Sequence[int] | None) -> MigMode:
    """From the present mode and the one after a reset."""
    if modes is None:
        return MigMode.NOT_CAPABLE
    return MigMode.ENABLED if modes[0] else MigMode.DISABLED
