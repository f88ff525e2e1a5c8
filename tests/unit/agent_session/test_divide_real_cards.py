"""Real cards are divided as they shall be, or stay as they are and say why."""

import queue
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.fake_mig_nvml import DividableNvml
from windlass.agents.v1 import agent_pb2 as pb
from windlass_agent.gpu.device import MigMode
from windlass_agent.gpu.mig import GpuLayoutError, MigCard, MigPlacement, profiles_of
from windlass_agent.gpu.nvml import NvmlGpus
from windlass_agent.inventory import with_devices

SMALL, LARGE = "1g.10gb", "3g.40gb"
Opened = Callable[..., NvmlGpus]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens the cards of a library, with a program that resets them if one is given."""
    found: list[NvmlGpus] = []

    def open_them(nvml: DividableNvml, *reset: str, can_divide: bool = True) -> NvmlGpus:
        found.append(NvmlGpus(nvml, str, lambda: 7, reset, can_divide=can_divide))
        return found[-1]

    yield open_them
    for gpus in found:
        gpus.close()


def at(*places: tuple[str, int]) -> list[MigPlacement]:
    return [MigPlacement(profile, start) for profile, start in places]


def types(gpus: NvmlGpus) -> list[str]:
    return [device.gpu_type for device in gpus.devices()]


def test_a_whole_card_tells_what_its_like_can_be_divided_into(opened: Opened) -> None:
    gpus = opened(DividableNvml())
    first, _ = gpus.cards()
    likely = tuple(profiles_of("H100", 81559 << 20).values())
    assert first == MigCard("GPU-0", "H100", False, likely)


@pytest.mark.parametrize(
    ("gpu_type", "gib", "smallest"),
    [
        ("A100", 80, "1g.10gb"),
        ("A100", 40, "1g.5gb"),
        ("H100", 94, "1g.12gb"),
        ("H200", 141, "1g.18gb"),
    ],
)
def test_the_profiles_of_a_card_are_named_after_its_memory(
    gpu_type: str, gib: int, smallest: str
) -> None:
    found = profiles_of(gpu_type, gib << 30)
    assert next(iter(found)) == smallest
    assert found[smallest].memory_bytes == (gib << 30) // 8


def test_a_card_is_divided_and_its_instances_take_its_place(opened: Opened) -> None:
    nvml, heard = DividableNvml(), queue.Queue[bool]()
    gpus = opened(nvml)
    gpus.on_xid(lambda: heard.put(True))
    assert [device.nvlink_peers for device in gpus.devices()] == [("GPU-1",), ("GPU-0",)]
    gpus.divide("GPU-0", at((LARGE, 4), (SMALL, 0)), ())
    assert nvml.calls == ["mode 1", "create 3g.40gb at 4", "create 1g.10gb at 0"]
    assert types(gpus) == ["H100-3g.40gb", "H100-1g.10gb", "H100"]
    large, small, whole = gpus.devices()
    assert large.instance is not None
    assert (large.instance.parent_uuid, large.instance.memory_start) == ("GPU-0", 4)
    assert (large.memory_total_bytes, large.mig) == (9984 * 4 << 20, MigMode.ENABLED)
    assert whole.nvlink_peers == ()  # a divided card reaches nobody
    assert [sample.memory_used_bytes for sample in gpus.sample()] == [25, 25, 25]
    assert gpus.device_paths([small.uuid])[0] == "/dev/nvidia1"
    nvml.xid(0, 31, instance=2)
    heard.get(timeout=10)
    assert [xid.uuid for xid in gpus.take_xids()] == [small.uuid]


def test_a_divided_card_tells_what_nvml_says_of_it_and_so_does_its_like(opened: Opened) -> None:
    gpus = opened(DividableNvml())
    gpus.divide("GPU-1", at((SMALL, 0)), ())
    for card in gpus.cards():
        told = {profile.name: profile for profile in card.profiles}
        # Profiles with extensions are limited by more than slices.
        assert sorted(told) == ["1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"]
        assert (told[LARGE].compute_slices, told[LARGE].memory_slices) == (3, 4)
        assert (told[LARGE].starts, told[LARGE].memory_bytes) == ((0, 4), 9984 * 4 << 20)
    assert [card.divided for card in gpus.cards()] == [False, True]


def test_a_card_that_is_not_like_its_like_is_whole_again_and_says_what_it_has(
    opened: Opened,
) -> None:
    nvml = DividableNvml()
    nvml.unknown = {LARGE}
    gpus = opened(nvml)
    with pytest.raises(GpuLayoutError, match=r"it has no profile 3g\.40gb"):
        gpus.divide("GPU-0", at((LARGE, 4)), ())
    assert nvml.calls == ["mode 1", "mode 0"]
    for card in gpus.cards():
        assert LARGE not in {profile.name for profile in card.profiles}


def test_who_is_not_told_of_places_takes_those_of_its_like(opened: Opened) -> None:
    nvml = DividableNvml()
    nvml.privileged = False
    nvml.have(SMALL, 0)
    told = {profile.name: profile.starts for profile in opened(nvml).cards()[0].profiles}
    assert told[LARGE] == (4, 0)


def test_what_stays_is_not_touched_though_it_is_in_use(opened: Opened) -> None:
    nvml = DividableNvml()
    number = nvml.have(LARGE, 4)
    nvml.have(SMALL, 0)
    nvml.used = {number}
    gpus = opened(nvml)
    uuid = gpus.devices()[0].uuid
    gpus.divide("GPU-0", at((LARGE, 4), ("2g.20gb", 0)), {uuid})
    assert nvml.calls == ["destroy 1g.10gb at 0", "create 2g.20gb at 0"]
    assert gpus.devices()[0].uuid == uuid


def test_a_card_that_is_as_it_shall_be_is_left_alone(opened: Opened) -> None:
    nvml = DividableNvml()
    nvml.have(SMALL, 3)
    gpus = opened(nvml)
    nvml.used = {"card"}
    gpus.divide("GPU-0", at((SMALL, 3)), ())
    gpus.divide("GPU-1", (), {"GPU-1"})
    assert nvml.calls == []


def test_what_somebody_else_has_made_meanwhile_is_seen_then(opened: Opened) -> None:
    nvml = DividableNvml()
    gpus = opened(nvml)
    nvml.have(SMALL, 3)
    with pytest.raises(GpuLayoutError, match="error 23"):  # the place is taken
        gpus.divide("GPU-0", at((LARGE, 0)), ())
    assert types(gpus) == ["H100-1g.10gb", "H100"]
    nvml.have(SMALL, 4)
    gpus.divide("GPU-0", at((SMALL, 3), (SMALL, 4)), ())
    assert types(gpus) == ["H100-1g.10gb", "H100-1g.10gb", "H100"]


def test_a_card_becomes_whole_again(opened: Opened) -> None:
    nvml = DividableNvml()
    nvml.have(SMALL, 3)
    nvml.have(SMALL, 4, compute=[])  # no program can use it, and none sees it
    gpus = opened(nvml)
    assert types(gpus) == ["H100-1g.10gb", "H100"]
    gpus.divide("GPU-0", (), ())
    assert nvml.calls == ["destroy 1g.10gb at 3", "destroy 1g.10gb at 4", "mode 0"]
    assert [(device.uuid, device.mig) for device in gpus.devices()] == [
        ("GPU-0", MigMode.DISABLED),
        ("GPU-1", MigMode.DISABLED),
    ]
    assert [device.nvlink_peers for device in gpus.devices()] == [("GPU-1",), ("GPU-0",)]


def test_a_card_divided_into_nothing_is_told_and_can_be_whole(opened: Opened) -> None:
    nvml = DividableNvml()
    nvml.modes[0] = [1, 1]
    gpus = opened(nvml)
    assert [card.divided for card in gpus.cards()] == [True, False]
    assert types(gpus) == ["H100"]
    gpus.divide("GPU-0", (), ())
    assert types(gpus) == ["H100", "H100"]


def test_instances_that_are_cut_up_or_empty_are_made_anew(opened: Opened) -> None:
    nvml = DividableNvml()
    nvml.have(LARGE, 4, compute=[1, 2])
    nvml.have(SMALL, 0, compute=[])
    gpus = opened(nvml)
    gpus.divide("GPU-0", at((LARGE, 4), (SMALL, 0)), ())
    assert [one.compute for one in nvml.instances.values()] == [[3], [1]]
    assert types(gpus) == ["H100-3g.40gb", "H100-1g.10gb", "H100"]


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ([("1g.5gb", 0)], "it has no profile 1g.5gb"),
        ([(LARGE, 2)], "no 3g.40gb at 2 can be"),
        ([(LARGE, 0), (SMALL, 3)], "1g.10gb at 3 and 3g.40gb at 0 overlap"),
        ([(LARGE, 0), (LARGE, 4), ("1g.20gb", 0)], "overlap"),
        ([("1g.10gb+me", 0)], "it has no profile 1g.10gb+me"),
    ],
)
@pytest.mark.parametrize("divided", [False, True])
def test_what_a_card_cannot_have_changes_nothing(
    divided: bool, places: list[tuple[str, int]], words: str, opened: Opened
) -> None:
    nvml = DividableNvml()
    if divided:
        nvml.have("2g.20gb", 4)
    gpus = opened(nvml)
    with pytest.raises(GpuLayoutError, match=re.escape(words)):
        gpus.divide("GPU-0", at(*places), ())
    assert nvml.calls == []


def test_what_an_operator_made_may_stay_though_it_cannot_be_asked_for(opened: Opened) -> None:
    nvml = DividableNvml()
    nvml.have("1g.10gb+me", 6)
    gpus = opened(nvml)
    gpus.divide("GPU-0", at(("1g.10gb+me", 6), (SMALL, 5)), ())
    assert nvml.calls == ["create 1g.10gb at 5"]


def test_what_is_in_use_is_not_taken_away(opened: Opened) -> None:
    nvml = DividableNvml()
    number = nvml.have(SMALL, 0)
    nvml.have(SMALL, 1)
    nvml.used = {number}
    gpus = opened(nvml)
    with pytest.raises(GpuLayoutError, match=r"MIG-1\.0 is in use by process 7"):
        gpus.divide("GPU-0", (), ())
    nvml.used.clear()
    held = gpus.devices()[1].uuid
    with pytest.raises(GpuLayoutError, match=r"MIG-2\.0 is in use by a run"):
        gpus.divide("GPU-0", at((SMALL, 0)), {held})
    nvml.used = {"card"}
    with pytest.raises(GpuLayoutError, match="GPU-1 is in use by process 7"):
        gpus.divide("GPU-1", at((SMALL, 0)), ())
    nvml.used.clear()
    with pytest.raises(GpuLayoutError, match="GPU-1 is in use by a run"):
        gpus.divide("GPU-1", at((SMALL, 0)), {"GPU-1"})
    assert nvml.calls == []


def test_who_may_not_says_so(opened: Opened) -> None:
    nvml = DividableNvml()
    gpus = opened(nvml, can_divide=False)
    with pytest.raises(GpuLayoutError, match="does not run as root"):
        gpus.divide("GPU-0", at((SMALL, 0)), ())
    told = with_devices(pb.Inventory(), gpus, may_divide=True).mig_cards
    assert [card.may_be_divided for card in told] == [False, False]
    with pytest.raises(GpuLayoutError, match="there is no GPU GPU-9"):
        opened(nvml).divide("GPU-9", (), ())


@pytest.mark.parametrize(
    ("call", "made", "left"),
    [
        ("DeviceSetMigMode", [], []),
        ("DeviceGetGpuInstances", [(SMALL, 0)], [(SMALL, 0)]),
        ("GpuInstanceDestroy", [(SMALL, 0)], [(SMALL, 0)]),
        ("DeviceCreateGpuInstanceWithPlacement", [], []),
        ("DeviceCreateGpuInstanceWithPlacement", [(SMALL, 0)], []),
        ("GpuInstanceCreateComputeInstance", [], []),
        ("GpuInstanceCreateComputeInstance", [(LARGE, 4)], [(LARGE, 4)]),
    ],
)
def test_what_nvml_refuses_is_said_and_what_there_is_then_is_told(
    call: str, made: list[tuple[str, int]], left: list[tuple[str, int]], opened: Opened
) -> None:
    nvml = DividableNvml()
    for profile, start in made:
        nvml.have(profile, start)
    gpus = opened(nvml)
    nvml.failing = [(call, 23)]
    with pytest.raises(GpuLayoutError, match="error 23"):
        gpus.divide("GPU-0", at((LARGE, 4), (LARGE, 0)), ())
    assert nvml.layout() == left
    told = [(d.instance.profile, d.instance.memory_start) for d in gpus.devices() if d.instance]
    # An instance that lost its compute instance before it could be taken away is no device.
    assert told == (left if call != "GpuInstanceDestroy" else [])
    # A card that was whole is whole again when nothing could be made of it.
    assert [card.divided for card in gpus.cards()] == [bool(made), False]


def test_what_could_be_made_before_a_failure_is_told(opened: Opened) -> None:
    nvml = DividableNvml()
    gpus = opened(nvml)
    nvml.failing = [("DeviceCreateGpuInstanceWithPlacement", error) for error in (0, 23)]
    with pytest.raises(GpuLayoutError, match="error 23"):
        gpus.divide("GPU-0", at((SMALL, 6), (SMALL, 5)), ())
    assert types(gpus) == ["H100-1g.10gb", "H100"]
    gpus.divide("GPU-0", at((SMALL, 6), (SMALL, 5)), ())
    assert types(gpus) == ["H100-1g.10gb", "H100-1g.10gb", "H100"]


def reset_program(folder: Path, script: str) -> str:
    """A program that resets the card of the bus id that it is given."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def test_a_mode_that_needs_a_reset_gets_one(opened: Opened, tmp_path: Path) -> None:
    nvml = DividableNvml()
    nvml.needs_reset = True
    gpus = opened(nvml, reset_program(tmp_path, f"echo $1 >> {tmp_path}/log"))
    gpus.divide("GPU-0", at((SMALL, 0)), ())
    assert types(gpus) == ["H100-1g.10gb", "H100"]
    gpus.divide("GPU-0", (), ())
    assert types(gpus) == ["H100", "H100"]
    assert (tmp_path / "log").read_text() == "00000000:1B:00.0\n" * 2
    assert [facts.lost for facts in gpus.facts()] == [False, False]


@pytest.mark.parametrize(
    ("script", "resets", "words"),
    [
        (None, True, "its MIG mode needs a reset to change: nvidia-smi is not there"),
        ("echo 'In use by another client'; exit 19", False, "change: In use by another client"),
        ("exit 0", False, "change: one changed nothing"),
    ],
)
def test_a_card_whose_mode_does_not_change_stays_whole(
    script: str | None, resets: bool, words: str, opened: Opened, tmp_path: Path
) -> None:
    nvml = DividableNvml()
    nvml.needs_reset, nvml.resets = True, resets
    gpus = opened(nvml, *([] if script is None else [reset_program(tmp_path, script)]))
    with pytest.raises(GpuLayoutError, match=re.escape(words)):
        gpus.divide("GPU-0", at((SMALL, 0)), ())
    assert nvml.modes[0] == [0, 0]  # nor at the next reset
    assert types(gpus) == ["H100", "H100"]
    assert gpus.sample()[0].healthy


def test_a_card_that_is_lost_on_the_way_is_kept_as_lost(opened: Opened) -> None:
    nvml = DividableNvml()
    number = nvml.have(SMALL, 0)
    gpus = opened(nvml)
    nvml.failing = [("GpuInstanceDestroy", 15)]
    nvml.lost = {0}
    with pytest.raises(GpuLayoutError, match="error 15"):
        gpus.divide("GPU-0", (), ())
    assert types(gpus) == ["H100-1g.10gb", "H100"]
    assert [facts.lost for facts in gpus.facts()] == [True, False]
    assert not gpus.sample()[0].healthy
    with pytest.raises(GpuLayoutError, match="or it is lost"):
        gpus.divide("GPU-0", (), ())
    assert number in nvml.instances


def test_an_xid_that_nobody_has_taken_yet_is_not_lost_while_a_card_changes(opened: Opened) -> None:
    nvml, heard = DividableNvml(), queue.Queue[bool]()
    gpus = opened(nvml)
    gpus.on_xid(lambda: heard.put(True))
    nvml.xid(1, 31)
    heard.get(timeout=10)
    gpus.divide("GPU-0", at((SMALL, 0)), ())
    assert [(xid.uuid, xid.code) for xid in gpus.take_xids()] == [("GPU-1", 31)]
