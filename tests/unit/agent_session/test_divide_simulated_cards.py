"""Simulated cards are divided by the rules of real ones."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.support.fake_agent_clock import FakeAgentClock
from windlass_agent.config import ConfigError, load_config
from windlass_agent.gpu.device import MigMode
from windlass_agent.gpu.fault_script import parse_faults
from windlass_agent.gpu.mig import GpuLayoutError, MigPlacement, place, profiles_of
from windlass_agent.gpu.simulated import SimulatedGpus
from windlass_agent.option_values import simulated_gpus
from windlass_agent.simulation import SimulatedLayouts

H100 = profiles_of("H100")
SEVEN = [MigPlacement("1g.10gb", start) for start in range(7)]


def cards(spec: str = "2xH100", file: Path | None = None) -> SimulatedGpus:
    profiles, clock = simulated_gpus(spec), FakeAgentClock()
    if file is None:
        return SimulatedGpus(profiles, b"node", clock.monotonic)
    kept = SimulatedLayouts(file)
    return SimulatedGpus(
        profiles, b"node", clock.monotonic, layouts=kept.load(), remember=kept.save
    )


def types(gpus: SimulatedGpus) -> list[str]:
    return [device.gpu_type for device in gpus.devices()]


def test_a_card_tells_what_it_can_be_divided_into_unless_it_cannot_be() -> None:
    whole, divided = cards("1xH100,1xT4,1xA100/7g.80gb").cards()
    assert (whole.gpu_type, whole.divided) == ("H100", False)
    assert (divided.gpu_type, divided.divided) == ("A100", True)
    sizes = {profile.name: profile.memory_bytes for profile in whole.profiles}
    assert list(sizes) == ["1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"]
    assert sizes["7g.80gb"] == 8 * sizes["1g.10gb"] == 81559 << 20


def test_a_card_is_divided_and_becomes_whole_again() -> None:
    gpus = cards()
    before = gpus.devices()
    card = before[0].uuid
    assert [device.nvlink_peers for device in before] == [(before[1].uuid,), (card,)]
    gpus.divide(card, SEVEN, ())
    assert types(gpus) == ["H100-1g.10gb"] * 7 + ["H100"]
    assert [len(read) for read in (gpus.sample(), gpus.facts())] == [8, 8]
    assert gpus.devices()[7].nvlink_peers == ()  # a divided card reaches nobody
    assert {device.mig for device in gpus.devices()[:7]} == {MigMode.ENABLED}
    gpus.divide(card, (), ())
    assert gpus.devices() == before


def test_instances_that_stay_are_the_same_though_they_are_in_use() -> None:
    gpus = cards("1xH100")
    card = gpus.devices()[0].uuid
    gpus.divide(card, SEVEN, ())
    stays = gpus.devices()[6]
    gpus.set_busy(stays.uuid, "run-1", 42)
    gpus.divide(card, [MigPlacement("1g.10gb", 6), MigPlacement("3g.40gb", 0)], {stays.uuid})
    assert gpus.devices()[0] == stays
    assert [process.uuid for process in gpus.processes()] == [stays.uuid]


def test_what_is_in_use_is_not_taken_away_and_nothing_else_is() -> None:
    gpus = cards()
    first, second = (device.uuid for device in gpus.devices())
    gpus.divide(first, SEVEN, ())
    part = gpus.devices()[3].uuid
    gpus.set_busy(part, "run-1", 42)
    with pytest.raises(GpuLayoutError, match=f"{part} is in use"):
        gpus.divide(first, (), ())
    with pytest.raises(GpuLayoutError, match=f"{second} is in use"):
        gpus.divide(second, SEVEN, {second})
    assert types(gpus) == ["H100-1g.10gb"] * 7 + ["H100"]


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ([("1g.5gb", 0)], "it has no profile 1g.5gb"),
        ([("3g.40gb", 1)], "no 3g.40gb at 1 can be"),
        ([("1g.10gb", 1), ("1g.20gb", 0)], "1g.20gb at 0 and 1g.10gb at 1 overlap"),
        ([("4g.40gb", 0), ("1g.10gb", 4), ("1g.10gb", 4)], "overlap"),
    ],
)
def test_what_a_card_cannot_have_changes_nothing(places: list[tuple[str, int]], words: str) -> None:
    gpus = cards()
    before = gpus.devices()
    with pytest.raises(GpuLayoutError, match=re.escape(words)):
        gpus.divide(before[0].uuid, [MigPlacement(*each) for each in places], ())
    assert gpus.devices() == before
    with pytest.raises(GpuLayoutError, match="there is no GPU SIM-9"):
        gpus.divide("SIM-9", (), ())


@given(
    st.lists(
        st.lists(st.sampled_from(sorted(H100)), max_size=7).filter(
            lambda names: place([H100[name] for name in names]) is not None
        ),
        max_size=4,
    )
)
def test_whatever_follows_what_a_card_is_what_it_was_told_last(layouts: list[list[str]]) -> None:
    gpus = cards()
    before = gpus.devices()
    card = before[0].uuid
    for names in layouts:
        starts = place([H100[name] for name in names]) or ()
        wanted = [MigPlacement(name, start) for name, start in zip(names, starts, strict=True)]
        kept = {device.uuid: device for device in gpus.devices() if device.instance}
        gpus.divide(card, wanted, ())
        now = [device for device in gpus.devices() if device.instance]
        assert [
            MigPlacement(d.instance.profile, d.instance.memory_start) for d in now if d.instance
        ] == wanted
        assert all(kept.get(device.uuid, device) == device for device in now)
        assert len({device.uuid for device in gpus.devices()}) == len(wanted) + (1 if wanted else 2)
    gpus.divide(card, (), ())
    assert gpus.devices() == before


def test_a_fault_of_a_card_stays_when_it_is_divided_and_when_it_is_whole_again() -> None:
    gpus = cards("1xH100")
    card = gpus.devices()[0].uuid
    gpus.inject(parse_faults("0s 0 ecc-uncorrected 3")[0])
    gpus.divide(card, SEVEN, ())
    gpus.inject(parse_faults("0s 0 remap-failure")[0])
    gpus.inject(parse_faults("0s 0 xid 48")[0])
    assert sorted(xid.uuid for xid in gpus.take_xids()) == sorted(d.uuid for d in gpus.devices())
    assert {f.ecc.uncorrected_volatile for f in gpus.facts() if f.ecc} == {3}
    gpus.divide(card, (), ())
    (facts,) = gpus.facts()
    assert facts.rows is not None
    assert facts.rows.failure
    gpus.inject(parse_faults("0s 0 lost")[0])
    with pytest.raises(GpuLayoutError, match="GPU is lost"):
        gpus.divide(card, SEVEN, ())


def test_what_cards_are_divided_into_outlives_the_agent(tmp_path: Path) -> None:
    file = tmp_path / "layouts.json"
    gpus = cards("1xH100,1xH100/3g.40gb", file)
    first, second = (card.uuid for card in gpus.cards())
    gpus.divide(first, SEVEN, ())
    gpus.divide(second, (), ())
    assert cards("1xH100,1xH100/3g.40gb", file).devices() == gpus.devices()
    assert types(gpus) == ["H100-1g.10gb"] * 7 + ["H100"]
    # Another kind of card than it was then is what its profile says.
    assert types(cards("1xT4,1xH200/7g.141gb", file)) == ["T4", "H200"]


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', '{"a": [["x"]]}', '{"a": [["x", "y"]]}'])
def test_a_file_that_cannot_be_read_is_as_if_there_was_none(tmp_path: Path, content: str) -> None:
    file = tmp_path / "layouts.json"
    file.write_text(content)
    with capture_logs() as logs:
        assert types(cards("1xH100", file)) == ["H100"]
    assert [line["log_level"] for line in logs] == ["warning"]


def test_a_layout_that_cannot_be_kept_is_not_made(tmp_path: Path) -> None:
    gpus = cards("1xH100", tmp_path / "nowhere" / "layouts.json")
    with pytest.raises(GpuLayoutError, match="cannot keep it: cannot write"):
        gpus.divide(gpus.devices()[0].uuid, SEVEN, ())
    assert types(gpus) == ["H100"]


def test_so_many_cards_that_their_instances_could_not_be_told_are_refused() -> None:
    flags = ["--server", "a:1", "--divide-gpus", "--simulate-gpus"]
    assert load_config([*flags, "146xH100"], {}).divide_gpus
    with pytest.raises(ConfigError, match="at most 146 simulated GPUs"):
        load_config([*flags, "147xH100"], {})
