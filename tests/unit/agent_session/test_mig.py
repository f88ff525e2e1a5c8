"""Divided cards: what they can be divided into, and their instances as devices."""

import math
import queue
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fake_agent_clock import FakeAgentClock
from tests.support.fake_nvml import FakeMigNvml
from tests.unit.agent_session.conftest import OpenNvml
from windlass_agent.config import load_config
from windlass_agent.gpu.device import MigMode
from windlass_agent.gpu.facts import GpuResetError
from windlass_agent.gpu.fault_script import parse_faults
from windlass_agent.gpu.mig import (
    COMPUTE_SLICES,
    MEMORY_SLICES,
    GpuLayoutError,
    MigInstance,
    MigPlacement,
    MigProfile,
    check_layout,
    parse_layout,
    place,
    profiles_of,
)
from windlass_agent.gpu.nvml_mig import instances_of, make_device_file
from windlass_agent.gpu.nvml_query import NvmlQuery
from windlass_agent.gpu.simulated import SimulatedGpus
from windlass_agent.inventory import inventory_of
from windlass_agent.option_values import simulated_gpus
from windlass_agent.run_types import Isolation

H100 = profiles_of("H100")


@pytest.mark.parametrize(
    ("names", "starts"),
    [
        (["7g.80gb"], (0,)),
        (["1g.10gb"] * 7, (6, 5, 4, 3, 2, 1, 0)),
        (["1g.10gb"] * 8, None),
        (["3g.40gb", "3g.40gb"], (4, 0)),
        # All of the memory, and a seventh of the compute that nobody can have.
        (["3g.40gb", "3g.40gb", "1g.10gb"], None),
        (["4g.40gb", "3g.40gb"], (0, 4)),
        (["3g.40gb", "4g.40gb"], (4, 0)),
        (["4g.40gb", "4g.40gb"], None),
        (["1g.10gb", "4g.40gb"], (6, 0)),
        (["2g.20gb", "2g.20gb", "2g.20gb", "1g.10gb"], (4, 2, 0, 6)),
        (["1g.20gb"] * 4, (6, 4, 2, 0)),
        (["7g.80gb", "1g.10gb"], None),
        ([], ()),
    ],
)
def test_instances_are_placed_where_the_hardware_can_have_them(
    names: list[str], starts: tuple[int, ...] | None
) -> None:
    assert place([H100[name] for name in names]) == starts


@given(st.lists(st.sampled_from(sorted(H100)), max_size=8))
def test_whatever_is_placed_overlaps_nowhere_and_fits(names: list[str]) -> None:
    profiles = [H100[name] for name in names]
    starts = place(profiles)
    if starts is None:
        return
    taken = [
        slice_
        for profile, start in zip(profiles, starts, strict=True)
        for slice_ in range(start, start + profile.memory_slices)
    ]
    assert len(set(taken)) == len(taken)
    assert all(0 <= slice_ < MEMORY_SLICES for slice_ in taken)
    assert sum(profile.compute_slices for profile in profiles) <= COMPUTE_SLICES
    assert all(start in p.starts for p, start in zip(profiles, starts, strict=True))


@pytest.mark.parametrize("gpu_type", ["A100", "H100", "H200", "B200"])
def test_every_profile_is_named_after_its_compute_and_fits_alone(gpu_type: str) -> None:
    found = profiles_of(gpu_type)
    assert len(found) == 6
    for name, profile in found.items():
        assert name.startswith(f"{profile.compute_slices}g.")
        assert place([profile]) is not None


def test_what_cannot_be_divided_has_no_profiles() -> None:
    assert profiles_of("T4") == {}


@pytest.mark.parametrize(
    ("gpu_type", "text", "words"),
    [
        ("H100", "1g.18gb", "'1g.18gb' is no profile of H100 (there are: 1g.10gb, 1g.20gb,"),
        ("T4", "1g.10gb", "(there are: none)"),
        ("H100", "8x1g.10gb", "is no profile"),
        ("H100", "2x4g.40gb", "'2x4g.40gb' does not fit on one H100"),
        ("H100", "", "is no profile"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(gpu_type: str, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_layout(gpu_type, text)


def test_no_more_compute_is_given_out_than_there_is_though_there_is_memory() -> None:
    known = {"4g": MigProfile("4g", 4, 2, (0, 2))}
    check_layout(known, [MigPlacement("4g", 2)])
    with pytest.raises(GpuLayoutError, match="it has 7 slices of compute, not 8"):
        check_layout(known, [MigPlacement("4g", 0), MigPlacement("4g", 2)])


def divided(spec: str) -> SimulatedGpus:
    return SimulatedGpus(simulated_gpus(spec), b"node", FakeAgentClock().monotonic)


def test_the_instances_of_a_simulated_card_are_its_devices() -> None:
    gpus = divided("1xH100,1xH100/3g.40gb+2x1g.10gb")
    whole, *parts = gpus.devices()
    assert (whole.gpu_type, whole.mig, whole.instance) == ("H100", MigMode.DISABLED, None)
    assert [part.gpu_type for part in parts] == ["H100-3g.40gb", "H100-1g.10gb", "H100-1g.10gb"]
    assert {part.instance.parent_uuid for part in parts if part.instance} != {whole.uuid}
    assert [(p.instance.memory_start, p.instance.memory_slices) for p in parts if p.instance] == [
        (4, 4),
        (3, 1),
        (2, 1),
    ]
    assert [part.memory_total_bytes * 8 // whole.memory_total_bytes for part in parts] == [4, 1, 1]
    assert {part.index for part in parts} == {1}
    assert len({device.uuid for device in gpus.devices()}) == 4
    assert [device.uuid for device in divided("1xH100,1xH100/3g.40gb+2x1g.10gb").devices()] == [
        device.uuid for device in gpus.devices()
    ]
    assert whole.nvlink_peers == ()  # a divided card reaches nobody


def test_an_instance_tells_of_its_memory_and_of_its_cards_heat_but_not_of_power() -> None:
    gpus = divided("1xH100/7x1g.10gb")
    uuid = gpus.devices()[0].uuid
    gpus.set_busy(uuid, "run-1", 42)
    busy, idle = gpus.sample()[:2]
    assert 5 << 30 < busy.memory_used_bytes < busy.memory_total_bytes < 11 << 30
    assert idle.memory_used_bytes < 1 << 30
    assert math.isnan(busy.power_watts)
    assert math.isnan(busy.utilization_percent)
    assert busy.temperature_celsius > 0


def test_what_happens_to_a_card_happens_to_its_instances_and_none_is_reset_alone() -> None:
    gpus = divided("1xH100,1xH100/2x3g.40gb")
    gpus.inject(parse_faults("0s 1 lost")[0])
    assert [facts.lost for facts in gpus.facts()] == [False, True, True]
    gpus.inject(parse_faults("0s 1 heal")[0])
    with pytest.raises(GpuResetError, match="part of a card that is divided"):
        gpus.reset(gpus.devices()[1].uuid)


def test_an_inventory_names_instances_as_parts_of_their_card() -> None:
    config = load_config(["--server", "a:1", "--simulate-gpus", "1xH100/4g.40gb"], {})
    gpus = divided("1xH100/4g.40gb")
    (gpu,) = inventory_of(config, gpus, Isolation(), "1").gpus
    part = gpu.mig_instance
    assert (part.profile, part.compute_slices, part.memory_slices, part.memory_start) == (
        "4g.40gb",
        4,
        4,
        0,
    )
    assert part.parent_uuid != gpu.uuid
    assert gpu.gpu_type == "H100-4g.40gb"


def test_the_instances_of_a_real_card_are_its_devices(open_nvml: OpenNvml) -> None:
    gpus = open_nvml(FakeMigNvml())
    large, small, whole = gpus.devices()
    assert (large.uuid, large.gpu_type, large.index) == ("MIG-a", "H200-3g.40gb", 0)
    assert large.instance == MigInstance("GPU-0", "3g.40gb", 3, 4, 4)
    assert small.instance == MigInstance("GPU-0", "1g.10gb", 1, 1, 0)
    assert (small.memory_total_bytes, small.mig) == (10_000 << 20, MigMode.ENABLED)
    assert (whole.uuid, whole.instance) == ("GPU-1", None)


def test_a_real_instance_is_measured_as_far_as_it_can_be(open_nvml: OpenNvml) -> None:
    gpus = open_nvml(FakeMigNvml())
    sample = gpus.sample()[0]
    assert (sample.memory_used_bytes, sample.temperature_celsius) == (25, 41)
    assert sample.memory_temperature_celsius == 55
    assert math.isnan(sample.power_watts)
    assert sample.healthy
    facts = gpus.facts()
    assert facts[0].ecc == facts[2].ecc
    with pytest.raises(GpuResetError):
        gpus.reset("MIG-a")


def test_an_xid_of_an_instance_is_its_own_and_one_of_a_card_is_of_all_its_instances(
    open_nvml: OpenNvml,
) -> None:
    nvml, heard = FakeMigNvml(), queue.Queue[bool]()
    gpus = open_nvml(nvml)
    gpus.on_xid(lambda: heard.put(True))
    nvml.xid(0, 31, instance=9)
    nvml.xid(0, 79)
    nvml.xid(1, 13)
    for _ in range(3):
        heard.get(timeout=10)
    seen = [(xid.uuid, xid.code) for xid in gpus.take_xids()]
    assert seen == [("MIG-b", 31), ("MIG-a", 79), ("MIG-b", 79), ("GPU-1", 13)]


def test_the_driver_s_own_program_makes_device_files_where_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    make_device_file(Path("/a/access"))  # no such program: nothing happens
    program = tmp_path / "nvidia-modprobe"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/log\n')
    program.chmod(0o755)
    make_device_file(Path("/a/access"))
    assert (tmp_path / "log").read_text() == "-f /a/access\n"


def test_a_task_gets_the_files_of_its_instance_and_of_no_other(
    open_nvml: OpenNvml, tmp_path: Path
) -> None:
    for file, minor in (("gi1/access", 21), ("gi1/ci0/access", 22), ("gi9/access", 39)):
        path = tmp_path / "gpu1/mig" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"DeviceFileMinor: {minor}\nDeviceFileMode: 292\nDeviceFileModify: 1\n")
    card, devices, made = open_nvml(FakeMigNvml()).devices()[2], tmp_path / "dev", list[Path]()
    devices.mkdir()
    (devices / "nvidia-cap22").touch()
    query = NvmlQuery(FakeMigNvml())
    found = instances_of(query, card, 0, 1, tmp_path, devices, made.append)
    parts = {one.device.uuid: one for one in found}
    assert parts["MIG-a"].paths == (f"{devices}/nvidia-cap21", f"{devices}/nvidia-cap22")
    assert parts["MIG-b"].paths == (f"{devices}/nvidia-cap39",)
    # Those that are not there yet are made, by what the driver tells of them.
    folder = tmp_path / "gpu1/mig"
    assert made == [folder / "gi1/access", folder / "gi9/access"]
    assert parts["MIG-b"].number == 9
