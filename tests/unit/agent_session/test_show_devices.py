"""`windlass agent devices`."""

import json
import re

import pytest
import structlog

from windlass_agent.__main__ import main
from windlass_agent.config import ConfigError
from windlass_agent.show_devices import show_devices


@pytest.fixture(autouse=True)
def logs_as_before():
    """The program sets up logging for its process, which is that of other tests, too."""
    yield
    structlog.reset_defaults()


def shown(*argv: str) -> list[str]:
    lines: list[str] = []
    show_devices(argv, lines.append)
    return lines


def test_a_line_is_shown_for_each_device_and_one_for_the_driver() -> None:
    heading, first, part, driver, last = shown("--simulate-gpus", "1xT4,1xH100/3g.40gb")
    assert heading.split()[:4] == ["GPU", "UUID", "TYPE", "BUS"]
    assert re.fullmatch(r"0 +SIM-\S+ +T4 +\S+ +15GiB +34C +9W +- +- +- +well", first)
    assert re.fullmatch(r"1 +SIM-MIG-\S+ +H100-3g\.40gb +\S+ +40GiB +31C +- +0 +0 +- +well", part)
    assert driver == "driver simulated, CUDA 12.8; the agent can reset them"
    assert last == (
        "H100 can be divided into 7x1g.10gb, 4x1g.20gb, 3x2g.20gb, 2x3g.40gb, 1x4g.40gb, 1x7g.80gb"
        " and mixtures; the agent can do so"
    )


def test_programs_get_json_with_null_for_what_a_card_does_not_tell() -> None:
    answer = json.loads("\n".join(shown("--json", "--simulate-gpus", "2xH100/7g.80gb")))
    assert (answer["driver_version"], answer["can_reset_gpus"]) == ("simulated", True)
    device = answer["devices"][0]
    assert device["sample"]["power_watts"] is None
    assert device["facts"]["ecc"]["uncorrected_volatile"] == 0
    assert device["instance"]["profile"] == "7g.80gb"
    assert answer["can_divide_gpus"]
    card = answer["mig_cards"][0]
    assert (card["uuid"], card["divided"]) == (device["instance"]["parent_uuid"], True)
    assert {profile["name"]: profile["starts"] for profile in card["profiles"]}["3g.40gb"] == [4, 0]


def test_a_machine_without_gpus_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices"]) == 0
    said = capsys.readouterr().out
    assert said == "this machine has no GPU that the NVIDIA driver knows of\n" or "GPU-" in said


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--simulate-gpus", "9xABC"], "is not COUNTxTYPE"),
        (["--nonsense"], "unrecognized arguments"),
        (["--simulate-gpus"], "expected one argument"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=words):
        shown(*argv)
    assert main(["devices", *argv]) == 2
    assert capsys.readouterr().err.startswith("windlass agent: ")
