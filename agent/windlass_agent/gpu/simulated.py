"""GPUs that do not exist: for trying windlass, and for testing it, on a machine without any.

They carry the names and numbers of real cards and heat up under work as those do, but never
pretend: the driver's version is `simulated` and every UUID begins with `SIM-`.
"""

import math
import threading
import uuid as uuids
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from windlass_agent.clock import SystemClock
from windlass_agent.gpu.device import (
    GpuDevice,
    GpuProcess,
    GpuSample,
    MigMode,
    program_of,
    unreadable,
)
from windlass_agent.gpu.facts import (
    EccErrors,
    GpuFacts,
    GpuResetError,
    GpuXid,
    PcieLink,
    RemappedRows,
)
from windlass_agent.gpu.fault_script import ALL_CARDS, ScriptedFault
from windlass_agent.gpu.mig import MEMORY_SLICES, MigInstance
from windlass_agent.gpu.models import gpu_type_of, instance_type
from windlass_agent.gpu.profiles import GpuProfile

# Time constants of the first-order lag, in seconds: silicon follows load at once, a heat sink does
# not.
_POWER_LAG = 2.0
_HEAT_LAG = 25.0
_IDLE_MEMORY_MIB = 4  # what a driver keeps for itself
_BUSY_MEMORY_SHARE = 0.72
_HOT_CELSIUS = 94.0
_WALL = SystemClock()
_PCIE_GENERATION = 5
# Memory is warmer than the core.
_MEMORY_CELSIUS = 6

# Bits of NVML's clocks event reasons.
_GPU_IDLE, _POWER_CAP, _HW_SLOWDOWN = 0x1, 0x4, 0x8
_SW_THERMAL, _HW_THERMAL = 0x20, 0x40


@dataclass(slots=True)
class _Card:
    device: GpuDevice
    profile: GpuProfile
    power: float
    heat: float
    moved_at: float
    energy: float = 0.0
    load: float = 0.0
    run_id: str = ""
    pid: int = 0
    healthy: bool = True
    hot: bool = False
    lost: bool = False
    reset_required: bool = False
    failing_resets: int = 0
    ecc: EccErrors = field(default_factory=EccErrors)
    rows: RemappedRows = field(default_factory=RemappedRows)


class SimulatedGpus:
    """Simulated cards.

    Args:
        profiles: One for each card.
        seed: Bytes that are this node's own and survive restarts, such as its public key: the same
            seed gives the same UUIDs.
        monotonic: The clock that cards warm up by, in seconds.
        program: Name of a process's program.
        missing: The indexes of cards that are not there.
        time_nanos: The wall clock, for XIDs.

    Safe to call from the event loop and from the sampling thread at the same time.
    """

    driver_version = "simulated"
    cuda_version = "12.8"
    can_reset = True

    def __init__(
        self,
        profiles: Sequence[GpuProfile],
        seed: bytes,
        monotonic: Callable[[], float],
        program: Callable[[int], str] = program_of,
        *,
        missing: Collection[int] = (),
        time_nanos: Callable[[], int] = _WALL.time_nanos,
    ) -> None:
        self._monotonic = monotonic
        self._program = program
        self._time_nanos = time_nanos
        self._xids: list[GpuXid] = []
        self._heard: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        names = [_uuid(seed, index) for index in range(len(profiles))]
        cards = [
            _Card(
                part,
                profile,
                power=float(profile.power_watts[0]),
                # Those further down the air flow of one machine are warmer.
                heat=float(profile.temperature_celsius[0] + index % 4),
                moved_at=monotonic(),
            )
            for index, profile in enumerate(profiles)
            for part in _parts(
                _device(profile, _island(profiles, names, index), index, names[index]), profile
            )
        ]
        self._cards = {card.device.uuid: card for card in cards if card.device.index not in missing}

    def devices(self) -> Sequence[GpuDevice]:
        return tuple(card.device for card in self._cards.values())

    def sample(self) -> Sequence[GpuSample]:
        with self._lock:
            now = self._monotonic()
            return tuple(_read(card, now) for card in self._cards.values())

    def processes(self) -> Sequence[GpuProcess]:
        with self._lock:
            busy = [card for card in self._cards.values() if card.run_id and not card.lost]
            return tuple(
                GpuProcess(card.device.uuid, card.pid, _memory_used(card), self._program(card.pid))
                for card in busy
                if card.pid
            )

    def facts(self) -> Sequence[GpuFacts]:
        with self._lock:
            now = self._monotonic()
            return tuple(_facts(card, now) for card in self._cards.values())

    def take_xids(self) -> Sequence[GpuXid]:
        with self._lock:
            taken, self._xids = self._xids, []
            return taken

    def on_xid(self, heard: Callable[[], None]) -> None:
        self._heard = heard

    def reset(self, uuid: str) -> None:
        """Mends what a reset mends: not a fan, not a used up memory, not a card that is gone."""
        with self._lock:
            card = self._cards.get(uuid)
            if card is None:
                raise GpuResetError(f"there is no GPU {uuid}")
            if card.run_id:
                raise GpuResetError(f"{card.run_id} uses it")
            if card.device.instance is not None:
                raise GpuResetError("it is a part of a card that is divided")
            if card.lost:
                raise GpuResetError("Unable to determine the device handle: GPU is lost")
            if card.failing_resets:
                card.failing_resets -= 1
                raise GpuResetError("GPU Reset couldn't run because of an unknown error")
            card.reset_required, card.healthy = False, True
            card.ecc = replace(card.ecc, corrected_volatile=0, uncorrected_volatile=0)
            if card.rows.pending:
                remapped = card.rows.uncorrectable + 1
                card.rows = replace(card.rows, pending=False, uncorrectable=remapped)

    def device_paths(self, uuids: Sequence[str]) -> Sequence[str]:
        return ()

    def close(self) -> None:
        return

    def set_busy(self, uuid: str, run_id: str, pid: int, load: float = 1.0) -> None:
        """A run uses the card from now on.

        Args:
            uuid: The card; KeyError when there is none such.
            run_id: Who uses it; empty sets the card at rest.
            pid: The process that shall be seen on it; 0 when it is not known.
            load: How hard it works, 0 to 1.
        """
        with self._lock:
            card = self._cards[uuid]
            _advance(card, self._monotonic())
            card.run_id, card.pid = run_id, pid if run_id else 0
            card.load = load if run_id else 0.0

    def set_idle(self, run_id: str) -> None:
        """A run uses none of the cards any more."""
        held = [card.device.uuid for card in self._cards.values() if card.run_id == run_id]
        for uuid in held:
            self.set_busy(uuid, "", 0)

    def set_fault(
        self, uuid: str, *, unhealthy: bool = False, hot: bool = False, lost: bool = False
    ) -> None:
        """Breaks a card, or heals it when all are False.

        Args:
            uuid: The card; KeyError when there is none such.
            unhealthy: It must not be given to jobs.
            hot: Its fan fails: it heats up past what a real card slows down at.
            lost: It falls off the bus: unhealthy, and it tells nothing any more.
        """
        with self._lock:
            card = self._cards[uuid]
            _advance(card, self._monotonic())
            card.healthy, card.hot, card.lost = not (unhealthy or lost), hot, lost

    def tell(self) -> None:
        """Says that there is something to look at, as it does of an XID."""
        self._heard()

    def inject(self, fault: ScriptedFault) -> None:
        """Makes a fault happen now; of a card that is not there, nothing."""
        with self._lock:
            for card in self._cards.values():
                if fault.target in (ALL_CARDS, card.device.index):
                    _advance(card, self._monotonic())
                    self._inject(card, fault)
        if fault.name == "xid":
            self._heard()

    def _inject(self, card: _Card, fault: ScriptedFault) -> None:
        if fault.name == "xid":
            xid = GpuXid(card.device.uuid, self._time_nanos(), fault.number)
            self._xids.append(xid)
        elif fault.name == "heal":
            card.healthy, card.hot, card.lost, card.reset_required = True, False, False, False
            card.failing_resets, card.rows = 0, RemappedRows()
        else:
            _break(card, fault)


def _break(card: _Card, fault: ScriptedFault) -> None:
    ecc, rows, more = card.ecc, card.rows, fault.number
    changes: dict[str, dict[str, Any]] = {
        "ecc-corrected": {
            "ecc": replace(
                ecc,
                corrected_volatile=ecc.corrected_volatile + more,
                corrected_aggregate=ecc.corrected_aggregate + more,
            )
        },
        "ecc-uncorrected": {
            "ecc": replace(
                ecc,
                uncorrected_volatile=ecc.uncorrected_volatile + more,
                uncorrected_aggregate=ecc.uncorrected_aggregate + more,
            )
        },
        "remap-pending": {"rows": replace(rows, pending=True)},
        "remap-failure": {"rows": replace(rows, failure=True)},
        "reset-required": {"reset_required": True},
        "reset-fails": {"failing_resets": more},
        "hot": {"hot": True},
        "lost": {"lost": True},
    }
    for name, value in changes.get(fault.name, {}).items():
        setattr(card, name, value)


def _facts(card: _Card, now: float) -> GpuFacts:
    _advance(card, now)
    if card.lost:
        return GpuFacts(card.device.uuid, lost=True)
    data_center = card.profile.data_center
    return GpuFacts(
        card.device.uuid,
        reset_required=card.reset_required,
        too_hot=_too_hot(card),
        ecc=card.ecc if data_center else None,
        rows=card.rows if data_center else None,
        # At rest a card runs its link slowly.
        pcie=PcieLink(_PCIE_GENERATION if card.load else 1, 16, _PCIE_GENERATION, 16),
    )


def _uuid(seed: bytes, index: int) -> str:
    return f"SIM-{uuids.uuid5(uuids.NAMESPACE_OID, f'{seed.hex()}/{index}')}"


def _island(profiles: Sequence[GpuProfile], names: Sequence[str], index: int) -> tuple[str, ...]:
    """The other cards of its kind on its NVLink switch, which joins neighbours."""
    if not profiles[index].data_center:
        return ()
    size = profiles[index].nvlink_island
    first = index // size * size
    return tuple(
        names[other]
        for other in range(first, min(first + size, len(names)))
        if other != index and profiles[other] is profiles[index]
    )


def _device(profile: GpuProfile, peers: tuple[str, ...], index: int, name: str) -> GpuDevice:
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


def _parts(card: GpuDevice, profile: GpuProfile) -> Iterator[GpuDevice]:
    """The card itself, or what it is divided into."""
    if not profile.layout:
        yield card
        return
    for size, start in profile.layout:
        part = MigInstance(card.uuid, size.name, size.compute_slices, size.memory_slices, start)
        name = uuids.uuid5(uuids.NAMESPACE_OID, f"{card.uuid}/{size.name}/{start}")
        yield replace(
            card,
            uuid=f"SIM-MIG-{name}",
            model=f"{card.model} MIG {size.name}",
            gpu_type=instance_type(card.gpu_type, size.name),
            memory_total_bytes=card.memory_total_bytes * size.memory_slices // MEMORY_SLICES,
            power_limit_watts=0.0,
            nvlink_peers=(),
            mig=MigMode.ENABLED,
            instance=part,
        )


def _advance(card: _Card, now: float) -> None:
    """Lets power and heat follow the load that lasted until now: x' = (target - x) / lag."""
    elapsed, card.moved_at = max(0.0, now - card.moved_at), now
    power = _between(card.profile.power_watts, card.load)
    heat = _between(card.profile.temperature_celsius, card.load) + card.device.index % 4
    heat = _HOT_CELSIUS if card.hot else heat
    part = math.exp(-elapsed / _POWER_LAG)
    # The integral of the power over the time that has passed.
    card.energy += power * elapsed + (card.power - power) * _POWER_LAG * (1 - part)
    card.power = power + (card.power - power) * part
    card.heat = heat + (card.heat - heat) * math.exp(-elapsed / _HEAT_LAG)


def _read(card: _Card, now: float) -> GpuSample:
    _advance(card, now)
    if card.lost:
        return unreadable(card.device.uuid)
    if card.device.instance is not None:
        return _read_part(card)
    # A training step is not flat: a slow ripple, the same for the same card and time.
    ripple = math.sin(now * 0.9 + card.device.index) * 0.04 * card.load
    return GpuSample(
        uuid=card.device.uuid,
        temperature_celsius=round(card.heat),
        power_watts=round(min(card.power * (1 + ripple), card.device.power_limit_watts), 2),
        power_limit_watts=card.device.power_limit_watts,
        utilization_percent=round(100 * min(1.0, card.load * 0.95 + ripple)),
        memory_used_bytes=_memory_used(card),
        memory_total_bytes=card.device.memory_total_bytes,
        sm_clock_mhz=_between(card.profile.sm_clock_mhz, 1.0 if card.load else 0.0)
        / (2 if _too_hot(card) else 1),
        memory_clock_mhz=_between(card.profile.memory_clock_mhz, 1.0 if card.load else 0.0),
        healthy=card.healthy and not card.reset_required and not card.rows.failure,
        memory_temperature_celsius=round(card.heat) + _MEMORY_CELSIUS
        if card.profile.data_center
        else math.nan,
        energy_joules=round(card.energy, 3),
        throttle_reasons=_throttle_reasons(card),
    )


def _read_part(card: _Card) -> GpuSample:
    """What an instance tells: power and load are the card's, which no instance is told of."""
    return replace(
        unreadable(card.device.uuid),
        temperature_celsius=round(card.heat),
        memory_used_bytes=_memory_used(card),
        memory_total_bytes=card.device.memory_total_bytes,
        healthy=card.healthy and not card.reset_required and not card.rows.failure,
        memory_temperature_celsius=round(card.heat) + _MEMORY_CELSIUS,
        throttle_reasons=_throttle_reasons(card),
    )


def _too_hot(card: _Card) -> bool:
    return card.heat >= card.profile.slowdown_celsius


def _throttle_reasons(card: _Card) -> int:
    reasons = 0 if card.load else _GPU_IDLE
    if card.power >= card.profile.power_limit_watts:
        reasons |= _POWER_CAP
    if _too_hot(card):
        reasons |= _HW_SLOWDOWN | _SW_THERMAL | _HW_THERMAL
    return reasons


def _memory_used(card: _Card) -> int:
    share = _BUSY_MEMORY_SHARE * card.load if card.run_id else 0.0
    return int((card.device.memory_total_bytes >> 20) * share + _IDLE_MEMORY_MIB) << 20


def _between(ends: tuple[float, float], part: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * part
