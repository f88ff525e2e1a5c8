"""How a simulated card is: warm, at work, broken; and what of it can be read."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from windlass_agent.gpu.device import GpuDevice, GpuSample, unreadable
from windlass_agent.gpu.facts import EccErrors, GpuFacts, PcieLink, RemappedRows
from windlass_agent.gpu.fault_script import ScriptedFault
from windlass_agent.gpu.profiles import GpuProfile

# Time constants of the first-order lag, in seconds: silicon follows load at once, a heat sink does
# not.
_POWER_LAG = 2.0
_HEAT_LAG = 25.0
_IDLE_MEMORY_MIB = 4  # what a driver keeps for itself
_BUSY_MEMORY_SHARE = 0.72
_HOT_CELSIUS = 94.0
_PCIE_GENERATION = 5
# Memory is warmer than the core.
_MEMORY_CELSIUS = 6

# Bits of NVML's clocks event reasons.
_GPU_IDLE, _POWER_CAP, _HW_SLOWDOWN = 0x1, 0x4, 0x8
_SW_THERMAL, _HW_THERMAL = 0x20, 0x40


@dataclass(slots=True)
class SimulatedCard:
    """A card as a whole, or an instance of one."""

    device: GpuDevice
    profile: GpuProfile
    power: float
    heat: float
    moved_at: float
    energy: float = 0.0
    # By the run that works on it: its process, 0 when that is not known, and how hard it works.
    users: dict[str, tuple[int, float]] = field(default_factory=dict)
    healthy: bool = True
    hot: bool = False
    lost: bool = False
    reset_required: bool = False
    failing_resets: int = 0
    ecc: EccErrors = field(default_factory=EccErrors)
    rows: RemappedRows = field(default_factory=RemappedRows)

    @property
    def load(self) -> float:
        """How hard it works, 0 to 1."""
        return min(1.0, sum(load for _, load in self.users.values()))


def at_rest(device: GpuDevice, profile: GpuProfile, now: float) -> SimulatedCard:
    """A card that has done nothing yet."""
    return SimulatedCard(
        device,
        profile,
        power=float(profile.power_watts[0]),
        # Those further down the air flow of one machine are warmer.
        heat=float(profile.temperature_celsius[0] + device.index % 4),
        moved_at=now,
    )


def break_or_heal(card: SimulatedCard, fault: ScriptedFault) -> None:
    """Makes a fault happen; one that is no state, such as an XID, changes nothing."""
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
        "heal": {
            "healthy": True,
            "hot": False,
            "lost": False,
            "reset_required": False,
            "failing_resets": 0,
            "rows": RemappedRows(),
        },
    }
    for name, value in changes.get(fault.name, {}).items():
        setattr(card, name, value)


def facts_of(card: SimulatedCard, now: float) -> GpuFacts:
    """How well it is at a time of the monotonic clock, in seconds."""
    advance(card, now)
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


def advance(card: SimulatedCard, now: float) -> None:
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


def read(card: SimulatedCard, now: float) -> GpuSample:
    """What it tells at a time of the monotonic clock, in seconds."""
    advance(card, now)
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
        memory_used_bytes=memory_used(card),
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


def _read_part(card: SimulatedCard) -> GpuSample:
    """What an instance tells: power and load are the card's, which no instance is told of."""
    return replace(
        unreadable(card.device.uuid),
        temperature_celsius=round(card.heat),
        memory_used_bytes=memory_used(card),
        memory_total_bytes=card.device.memory_total_bytes,
        healthy=card.healthy and not card.reset_required and not card.rows.failure,
        memory_temperature_celsius=round(card.heat) + _MEMORY_CELSIUS,
        throttle_reasons=_throttle_reasons(card),
    )


def _too_hot(card: SimulatedCard) -> bool:
    return card.heat >= card.profile.slowdown_celsius


def _throttle_reasons(card: SimulatedCard) -> int:
    reasons = 0 if card.load else _GPU_IDLE
    if card.power >= card.profile.power_limit_watts:
        reasons |= _POWER_CAP
    if _too_hot(card):
        reasons |= _HW_SLOWDOWN | _SW_THERMAL | _HW_THERMAL
    return reasons


def memory_used(card: SimulatedCard) -> int:
    """Memory in use, in bytes."""
    return sum(memory_of(card, load) for _, load in card.users.values()) + (_IDLE_MEMORY_MIB << 20)


def memory_of(card: SimulatedCard, load: float) -> int:
    """What one who works so hard uses of its memory, in bytes."""
    return int((card.device.memory_total_bytes >> 20) * _BUSY_MEMORY_SHARE * load) << 20


def _between(ends: tuple[float, float], part: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * part
