"""How well cards are: real ones through a scripted library, simulated ones through a script."""

import queue
import re
from pathlib import Path

import pytest

from tests.support.fake_agent_clock import FakeAgentClock
from tests.support.fake_nvml import FakeNvml
from tests.unit.agent_session.conftest import OpenNvml
from windlass_agent.gpu.facts import (
    EccErrors,
    GpuFacts,
    GpuResetError,
    GpuXid,
    PcieLink,
    RemappedRows,
)
from windlass_agent.gpu.fault_script import (
    ALL_CARDS,
    CARD_FAULTS,
    NODE,
    NODE_FAULTS,
    ScriptedFault,
    missing_cards,
    parse_faults,
)
from windlass_agent.gpu.nvml import NvmlGpus
from windlass_agent.gpu.profiles import PROFILES
from windlass_agent.gpu.simulated import SimulatedGpus


def simulated(*names: str, missing: frozenset[int] = frozenset()) -> SimulatedGpus:
    profiles = [PROFILES[name] for name in names or ("H100", "H100")]
    clock = FakeAgentClock()
    return SimulatedGpus(
        profiles, b"n", clock.monotonic, missing=missing, time_nanos=clock.time_nanos
    )


def inject(gpus: SimulatedGpus, *faults: str) -> None:
    for fault in faults:
        for parsed in parse_faults(f"0s {fault}"):
            gpus.inject(parsed)


def test_a_real_card_tells_how_well_it_is(open_nvml: OpenNvml) -> None:
    nvml = FakeNvml()
    nvml.answers["DeviceGetRemappedRows"] = (1, 2, 1, 0)
    assert open_nvml(nvml).facts()[1] == GpuFacts(
        "GPU-1",
        ecc=EccErrors(3, 40, 1, 2),
        rows=RemappedRows(1, 2, pending=True),
        pcie=PcieLink(1, 8, 5, 16, 7),
    )


def test_a_card_without_error_correction_tells_nothing_of_it(open_nvml: OpenNvml) -> None:
    queries = ("DeviceGetRemappedRows", "DeviceGetMaxPcieLinkWidth", "DeviceGetPcieReplayCounter")
    nvml = FakeNvml(dict.fromkeys(queries, FakeNvml.NVML_ERROR_NOT_SUPPORTED))
    nvml.ecc.clear()
    assert open_nvml(nvml).facts()[0] == GpuFacts("GPU-0")


@pytest.mark.parametrize(
    ("mask", "too_hot"), [(0x0, False), (0x20, False), (0x40, True), (0xFF, True)]
)
def test_a_card_that_hardware_slows_down_is_too_hot(
    mask: int, too_hot: bool, open_nvml: OpenNvml
) -> None:
    nvml = FakeNvml()
    nvml.answers["DeviceGetCurrentClocksEventReasons"] = mask
    assert open_nvml(nvml).facts()[0].too_hot == too_hot


@pytest.mark.parametrize(("action", "required"), [(0, False), (1, True), (2, False), (4, True)])
def test_the_driver_says_which_card_wants_a_reset(
    action: int, required: bool, open_nvml: OpenNvml
) -> None:
    nvml = FakeNvml()
    nvml.fields[FakeNvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION] = action
    gpus = open_nvml(nvml)
    assert gpus.facts()[0].reset_required == required
    assert gpus.sample()[0].healthy != required


def test_a_lost_card_is_nothing_but_lost(open_nvml: OpenNvml) -> None:
    nvml = FakeNvml({"DeviceGetTemperature": FakeNvml.NVML_ERROR_GPU_IS_LOST})
    assert open_nvml(nvml).facts()[0] == GpuFacts("GPU-0", lost=True)


def test_a_card_that_is_broken_from_the_start_does_not_take_the_others_with_it(
    open_nvml: OpenNvml,
) -> None:
    nvml = FakeNvml()
    nvml.lost.add(0)
    (device,) = open_nvml(nvml).devices()
    assert (device.uuid, device.index) == ("GPU-1", 1)


def test_xids_come_as_the_driver_reports_them(open_nvml: OpenNvml) -> None:
    nvml, heard = FakeNvml(), queue.Queue[bool]()
    gpus = open_nvml(nvml)
    gpus.on_xid(lambda: heard.put(True))
    nvml.xid(1, 79)
    heard.get(timeout=10)
    assert gpus.take_xids() == [GpuXid("GPU-1", 1_800_000_000, 79)]
    assert gpus.take_xids() == []


def test_a_driver_that_tells_of_no_xids_is_not_waited_for(open_nvml: OpenNvml) -> None:
    nvml = FakeNvml({"DeviceRegisterEvents": FakeNvml.NVML_ERROR_NOT_SUPPORTED})
    gpus = open_nvml(nvml)
    nvml.xid(0, 79)
    gpus.close()
    assert nvml.events.qsize() == 1


def resetting(tmp_path: Path, nvml: FakeNvml, script: str) -> NvmlGpus:
    """Cards that are reset by a program of the test's, which is given the bus id."""
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\necho reset $1 >> {tmp_path}/log\n{script}\n")
    command.chmod(0o755)
    return NvmlGpus(nvml, str, lambda: 0, [str(command)])


def test_a_card_is_reset_while_nobody_has_the_library_open(tmp_path: Path) -> None:
    nvml = FakeNvml()
    gpus = resetting(tmp_path, nvml, "exit 0")
    gpus.reset("GPU-1")
    assert (tmp_path / "log").read_text() == "reset 00000000:1B:00.0\n"
    assert nvml.shut_down == 1
    assert gpus.sample()[1].power_watts == 123.456
    gpus.close()


def test_a_reset_that_fails_says_why_and_leaves_the_cards_readable(tmp_path: Path) -> None:
    gpus = resetting(tmp_path, FakeNvml(), "echo 'In use by another client' >&2; exit 19")
    with pytest.raises(GpuResetError, match="In use by another client"):
        gpus.reset("GPU-0")
    assert not gpus.facts()[0].lost
    with pytest.raises(GpuResetError, match="there is no GPU GPU-9"):
        gpus.reset("GPU-9")
    gpus.close()


def test_a_card_that_is_not_found_after_a_reset_is_lost(tmp_path: Path) -> None:
    nvml = FakeNvml()
    gpus = resetting(tmp_path, nvml, "exit 0")
    nvml.lost.add(1)
    gpus.reset("GPU-1")
    assert [facts.lost for facts in gpus.facts()] == [False, True]
    assert [sample.healthy for sample in gpus.sample()] == [True, False]
    nvml.lost.clear()
    gpus.reset("GPU-1")
    assert [facts.lost for facts in gpus.facts()] == [False, False]
    gpus.close()


def test_who_may_not_reset_says_so(open_nvml: OpenNvml, tmp_path: Path) -> None:
    gpus = NvmlGpus(FakeNvml(), str, lambda: 0)
    assert not gpus.can_reset
    with pytest.raises(GpuResetError, match="root"):
        gpus.reset("GPU-0")
    gpus.close()


def test_a_script_is_read_line_by_line_in_the_order_of_its_times() -> None:
    script = "2m 1 xid 79 # falls off\n500ms * hot; 0s 3 missing\n\n1.5s node stall 40"
    assert parse_faults(script) == (
        ScriptedFault(0, 3, "missing"),
        ScriptedFault(0.5, ALL_CARDS, "hot"),
        ScriptedFault(1.5, NODE, "stall", 40),
        ScriptedFault(120, 1, "xid", 79),
    )


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("soon 0 hot", "is not TIME CARD FAULT"),
        ("1s 0", "is not TIME CARD FAULT"),
        ("1s 0 melts", "'melts' in '1s 0 melts' is not one of xid,"),
        ("1s node hot", "is not one of disk-full,"),
        ("1s 0 xid", "lacks the number of `xid`"),
        ("1s 0 hot 3", "`hot` has no number"),
        ("1s 0 missing", "missing from 0s on or not at all"),
        ("1s -1 hot", "is not TIME CARD FAULT"),
    ],
)
def test_what_is_no_fault_is_named(script: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_faults(script)


@pytest.mark.parametrize(
    ("script", "gone"), [("", set()), ("0s 1 missing", {1}), ("0s * missing", {0, 1, 2})]
)
def test_missing_cards_are_not_there_from_the_start(script: str, gone: set[int]) -> None:
    missing = missing_cards(parse_faults(script), 3)
    assert missing == gone
    whole = simulated("H100", "H100", "H100").devices()
    there = simulated("H100", "H100", "H100", missing=missing).devices()
    assert [d.uuid for d in there] == [d.uuid for d in whole if d.index not in gone]


SEEN_ON_A_CARD = sorted(CARD_FAULTS.keys() - {"missing", "heal", "reset-fails", "xid"})


@pytest.mark.parametrize("name", SEEN_ON_A_CARD)
async def test_every_fault_of_a_card_is_seen_on_it_alone(name: str) -> None:
    clock = FakeAgentClock()
    gpus = SimulatedGpus([PROFILES["H100"]] * 2, b"n", clock.monotonic)
    sound = gpus.facts()
    inject(gpus, f"0 {name}")
    await clock.advance(300)  # time to heat up
    first, second = gpus.facts()
    assert first != sound[0]
    assert second == sound[1]


def test_simulated_faults_change_what_they_are_named_after() -> None:
    gpus = simulated()
    inject(gpus, "0 ecc-corrected 5", "0 ecc-uncorrected 2", "0 remap-pending", "0 reset-required")
    broken = gpus.facts()[0]
    assert broken.ecc == EccErrors(5, 5, 2, 2)
    assert broken.rows == RemappedRows(pending=True)
    assert broken.reset_required
    assert not gpus.sample()[0].healthy


def test_a_reset_mends_what_a_reset_mends() -> None:
    gpus = simulated()
    uuid = gpus.devices()[0].uuid
    inject(gpus, "0 ecc-uncorrected 2", "0 remap-pending", "0 reset-required")
    gpus.reset(uuid)
    mended = gpus.facts()[0]
    assert mended.ecc == EccErrors(0, 0, 0, 2)
    assert mended.rows == RemappedRows(uncorrectable=1)
    assert not mended.reset_required
    inject(gpus, "0 remap-failure", "0 lost")
    with pytest.raises(GpuResetError, match="lost"):
        gpus.reset(uuid)
    inject(gpus, "0 heal", "0 reset-fails 1")
    assert gpus.sample()[0].healthy
    with pytest.raises(GpuResetError, match="couldn't run"):
        gpus.reset(uuid)
    gpus.reset(uuid)


def test_a_card_in_use_is_not_reset() -> None:
    gpus = simulated()
    uuid = gpus.devices()[0].uuid
    gpus.set_busy(uuid, "run-1", 42)
    with pytest.raises(GpuResetError, match="run-1 uses it"):
        gpus.reset(uuid)


def test_an_injected_xid_is_heard_at_once_on_the_card_it_is_of() -> None:
    gpus, heard = simulated(), list[int]()
    gpus.on_xid(lambda: heard.append(1))
    inject(gpus, "* xid 31", "1 xid 48", "1 hot")
    names = [device.uuid for device in gpus.devices()]
    taken = gpus.take_xids()
    assert [(xid.uuid, xid.code) for xid in taken] == [
        (names[0], 31),
        (names[1], 31),
        (names[1], 48),
    ]
    assert heard == [1, 1]
    assert gpus.take_xids() == []


def test_every_fault_is_explained() -> None:
    assert all(CARD_FAULTS.values())
    assert all(NODE_FAULTS.values())
