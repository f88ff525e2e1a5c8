"""`windlass agent devices`: what an agent would see of this machine's GPUs, without any server."""

import argparse
import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from windlass_agent.clock import SystemClock
from windlass_agent.config import ConfigError
from windlass_agent.gpu.device import GpuDevice, GpuProvider, GpuSample
from windlass_agent.gpu.facts import GpuFacts
from windlass_agent.gpu.mig import COMPUTE_SLICES, MigProfile, place
from windlass_agent.gpu.nvml import open_nvml
from windlass_agent.gpu.simulated import SimulatedGpus
from windlass_agent.option_values import simulated_gpus

_HEADINGS = (
    "GPU", "UUID", "TYPE", "BUS", "MEMORY", "TEMP", "POWER", "ECC LOST", "ROWS", "NVLINK", "STATE",
)  # fmt: skip
_EXAMPLE = """\
examples:
  windlass agent devices                          what this machine has
  windlass agent devices --json                   the same for programs
  windlass agent devices --simulate-gpus 1xH100/3g.40gb+4x1g.10gb
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def show_devices(argv: Sequence[str], say: Callable[[str], None]) -> None:
    """Prints a line for each device that jobs can be given, or JSON.

    Args:
        argv: Arguments behind `devices`.
        say: Prints a line.

    Raises:
        ConfigError: an argument is none, or not good.
    """
    parser = _Parser(
        prog="windlass agent devices",
        description="Show the GPUs that an agent on this machine would offer.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--simulate-gpus", metavar="SPEC", help="as of `windlass agent`")
    asked = parser.parse_args(argv)
    clock = SystemClock()
    if asked.simulate_gpus is None:
        gpus: GpuProvider = open_nvml(clock.time_nanos)
    else:
        try:
            profiles = simulated_gpus(asked.simulate_gpus)
        except ValueError as error:
            raise ConfigError(f"--simulate-gpus: {error}") from None
        gpus = SimulatedGpus(profiles, b"devices", clock.monotonic)
    try:
        for line in _json(gpus) if asked.json else _lines(gpus):
            say(line)
    finally:
        gpus.close()


def _json(gpus: GpuProvider) -> Iterable[str]:
    devices = [
        dataclasses.asdict(device) | {"sample": _told(sample), "facts": dataclasses.asdict(facts)}
        for device, sample, facts in _looked_at(gpus)
    ]
    answer = {
        "driver_version": gpus.driver_version,
        "cuda_version": gpus.cuda_version,
        "can_reset_gpus": gpus.can_reset,
        "can_divide_gpus": gpus.can_divide,
        "devices": devices,
        "mig_cards": [dataclasses.asdict(card) for card in gpus.cards()],
    }
    yield json.dumps(answer, indent=2)


def _told(sample: GpuSample) -> dict[str, Any]:
    """A reading as JSON can have it: null for what the card does not tell."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in dataclasses.asdict(sample).items()
    }


def _lines(gpus: GpuProvider) -> Iterable[str]:
    rows = [_HEADINGS, *(_row(*each) for each in _looked_at(gpus))]
    if len(rows) == 1 and not gpus.cards():
        yield "this machine has no GPU that the NVIDIA driver knows of"
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        yield "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
    resets = "can" if gpus.can_reset else "cannot"
    yield f"driver {gpus.driver_version}, CUDA {gpus.cuda_version}; the agent {resets} reset them"
    yield from _divisible(gpus)


def _divisible(gpus: GpuProvider) -> Iterable[str]:
    """What each type of card can be divided into, and the cards that are divided into nothing."""
    parts = {device.instance.parent_uuid for device in gpus.devices() if device.instance}
    divides = "can" if gpus.can_divide else "cannot"
    for gpu_type, profiles in {card.gpu_type: card.profiles for card in gpus.cards()}.items():
        most = ", ".join(f"{_most(profile)}x{profile.name}" for profile in profiles)
        yield f"{gpu_type} can be divided into {most} and mixtures; the agent {divides} do so"
    for card in gpus.cards():
        if card.divided and card.uuid not in parts:
            yield f"{card.uuid} is divided, into nothing yet"


def _most(profile: MigProfile) -> int:
    """How many of it a card can have."""
    counts = range(COMPUTE_SLICES, 0, -1)
    return next(count for count in counts if place([profile] * count) is not None)


def _looked_at(gpus: GpuProvider) -> Iterable[tuple[GpuDevice, GpuSample, GpuFacts]]:
    return zip(gpus.devices(), gpus.sample(), gpus.facts(), strict=True)


def _row(device: GpuDevice, sample: GpuSample, facts: GpuFacts) -> tuple[str, ...]:
    rows = facts.rows
    return (
        str(device.index),
        device.uuid,
        device.gpu_type,
        device.pci_bus_id or "-",
        f"{device.memory_total_bytes / 2**30:.0f}GiB",
        _number(sample.temperature_celsius, "C"),
        _number(sample.power_watts, "W"),
        "-" if facts.ecc is None else str(facts.ecc.uncorrected_volatile),
        "-" if rows is None else str(rows.correctable + rows.uncorrectable),
        str(len(device.nvlink_peers)) if device.nvlink_peers else "-",
        _state(sample, facts),
    )


def _number(value: float, unit: str) -> str:
    return "-" if math.isnan(value) else f"{value:.0f}{unit}"


def _state(sample: GpuSample, facts: GpuFacts) -> str:
    if facts.lost:
        return "lost"
    if facts.reset_required:
        return "wants a reset"
    if facts.rows is not None and (facts.rows.failure or facts.rows.pending):
        return "row not replaced" if facts.rows.failure else "row waits for a reset"
    return "too hot" if facts.too_hot else "well" if sample.healthy else "unhealthy"
