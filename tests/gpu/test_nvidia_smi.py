"""The NVML path against the numbers of `nvidia-smi` itself, on a machine that has a card.

Not part of the test run: `make test-gpu`. Without a card every test is skipped. The one that divides a
card does so only to the card whose UUID is in WINDLASS_TEST_DIVIDE_GPU, which must be whole and idle.
"""

import csv
import math
import os
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from windlass_agent.gpu.device import GpuProvider
from windlass_agent.gpu.mig import MigPlacement
from windlass_agent.gpu.nvml import open_nvml

SMI = shutil.which("nvidia-smi")
pytestmark = pytest.mark.skipif(SMI is None, reason="no nvidia-smi on this machine")


def asked(*fields: str) -> list[list[str]]:
    """What nvidia-smi says of each card, one list of words for each."""
    assert SMI is not None
    query = f"--query-gpu={','.join(fields)}"
    command = [SMI, query, "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [[word.strip() for word in row] for row in csv.reader(done.stdout.splitlines())]


def number(word: str) -> float:
    """A number; NaN for `[N/A]` and its like."""
    try:
        return float(word)
    except ValueError:
        return math.nan


@pytest.fixture
def gpus() -> Iterator[GpuProvider]:
    opened = open_nvml(lambda: 0)
    yield opened
    opened.close()


def test_the_devices_are_the_same(gpus: GpuProvider) -> None:
    told = asked("uuid", "name", "memory.total", "pci.bus_id", "compute_cap", "mig.mode.current")
    seen = [
        [
            device.uuid,
            device.model,
            device.memory_total_bytes >> 20,
            device.pci_bus_id,
            device.compute_capability,
            device.mig.name,
        ]
        for device in gpus.devices()
    ]
    modes = {"Disabled": "DISABLED", "Enabled": "ENABLED"}
    assert seen == [
        [uuid, name, int(mib), bus, capability, modes.get(mig, "NOT_CAPABLE")]
        for uuid, name, mib, bus, capability, mig in told
    ]
    assert {gpus.driver_version} == {row[0] for row in asked("driver_version")}


@pytest.mark.parametrize(
    ("field", "name", "tolerance"),
    [
        ("temperature.gpu", "temperature_celsius", 3),
        ("temperature.memory", "memory_temperature_celsius", 3),
        ("power.draw.instant", "power_watts", 60),
        ("enforced.power.limit", "power_limit_watts", 0.01),
        ("utilization.gpu", "utilization_percent", 15),
        ("clocks.sm", "sm_clock_mhz", 400),
        ("clocks.mem", "memory_clock_mhz", 1),
    ],
)
def test_a_reading_is_the_same(gpus: GpuProvider, field: str, name: str, tolerance: float) -> None:
    told = [number(word) for (word,) in asked(field)]
    read = [float(getattr(sample, name)) for sample in gpus.sample()]
    assert read == [pytest.approx(value, abs=tolerance, nan_ok=True) for value in told]


def test_used_memory_is_the_same_but_for_what_the_driver_keeps(gpus: GpuProvider) -> None:
    told = [int(used) + int(kept) for used, kept in asked("memory.used", "memory.reserved")]
    read = [sample.memory_used_bytes / 2**20 for sample in gpus.sample()]
    assert read == [pytest.approx(value, abs=64) for value in told]


def test_the_reasons_of_slow_clocks_are_the_same(gpus: GpuProvider) -> None:
    told = [int(word, 16) for (word,) in asked("clocks_event_reasons.active")]
    assert [int(sample.throttle_reasons) for sample in gpus.sample()] == told


def test_the_errors_of_the_memory_are_the_same(gpus: GpuProvider) -> None:
    told = asked(
        *(
            f"ecc.errors.{kind}.{count}.total"
            for kind in ("corrected", "uncorrected")
            for count in ("volatile", "aggregate")
        )
    )
    read = [
        [math.nan] * 4
        if facts.ecc is None
        else [
            facts.ecc.corrected_volatile,
            facts.ecc.corrected_aggregate,
            facts.ecc.uncorrected_volatile,
            facts.ecc.uncorrected_aggregate,
        ]
        for facts in gpus.facts()
    ]
    assert read == [pytest.approx([*map(number, row)], nan_ok=True) for row in told]


def test_the_links_are_the_same_and_no_card_is_lost(gpus: GpuProvider) -> None:
    told = asked("pcie.link.gen.max", "pcie.link.width.max")
    facts = gpus.facts()
    assert not any(one.lost for one in facts)
    read = [
        (one.pcie.max_generation, one.pcie.max_width) if one.pcie is not None else None
        for one in facts
    ]
    assert read == [(int(generation), int(width)) for generation, width in told]


def test_the_cards_that_can_be_divided_are_the_same(gpus: GpuProvider) -> None:
    told = {uuid: mode for uuid, mode in asked("uuid", "mig.mode.current") if mode != "[N/A]"}
    cards = {card.uuid: card for card in gpus.cards()}
    assert cards.keys() <= told.keys()
    assert {uuid: card.divided for uuid, card in cards.items()} == {
        uuid: told[uuid] == "Enabled" for uuid in cards
    }
    for card in cards.values():
        whole = max(card.profiles, key=lambda profile: profile.memory_slices)
        assert (whole.compute_slices, whole.memory_slices, whole.starts) == (7, 8, (0,))


def listed() -> dict[str, str]:
    """The profiles of the instances that nvidia-smi lists, by their UUIDs."""
    assert SMI is not None
    done = subprocess.run([SMI, "-L"], capture_output=True, text=True, check=True)
    found = re.findall(r"MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-\S+)\)", done.stdout)
    return {uuid: profile for profile, uuid in found}


def test_a_card_is_divided_and_made_whole(gpus: GpuProvider) -> None:
    uuid = os.environ.get("WINDLASS_TEST_DIVIDE_GPU")
    if uuid is None:
        pytest.skip("no card may be divided: WINDLASS_TEST_DIVIDE_GPU is not set")
    before = gpus.devices()
    (card,) = [card for card in gpus.cards() if card.uuid == uuid and not card.divided]
    small, large = (
        min(
            (profile for profile in card.profiles if profile.compute_slices == compute),
            key=lambda profile: profile.memory_slices,
        )
        for compute in (1, 3)
    )
    try:
        gpus.divide(uuid, [MigPlacement(large.name, 4), MigPlacement(small.name, 0)], ())
        parts = {
            device.uuid: device.instance.profile for device in gpus.devices() if device.instance
        }
        assert parts == listed()
        assert sorted(parts.values()) == sorted([small.name, large.name])
        stays = next(name for name, profile in parts.items() if profile == large.name)
        gpus.divide(uuid, [MigPlacement(large.name, 4)], {stays})
        assert listed() == {stays: large.name}
        samples = [sample for sample in gpus.sample() if sample.uuid == stays]
        assert [sample.healthy for sample in samples] == [True]
    finally:
        gpus.divide(uuid, [], ())
    assert gpus.devices() == before
    assert listed() == {}
