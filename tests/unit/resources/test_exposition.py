"""Text that Prometheus reads."""

import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from windlass.agents.v1.health_pb2 import GpuHealth
from windlass_server.resources.exposition import GPUS, HEALTH, MACHINES, RUNS, labels, number


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (71.0, "71"), (-3.0, "-3"), (0.25, "0.25"), (1e16, "1e+16"), (1e-9, "1e-09")],
)
def test_numbers_are_written_as_people_do(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    "value", ["plain", 'a "quoted" one', "back\\slash", "two\nlines", "ü👩", "a,b={c}", "\\n"]
)
def test_whatever_a_label_says_is_read_back(value: str) -> None:
    text = f"x{{{labels({'one': value, 'none': '', 'two': 'b'})}}} 1\n"
    (family,) = text_string_to_metric_families(text)
    assert family.samples[0].labels == {"one": value, "two": "b"}


def test_every_name_stands_for_one_metric() -> None:
    families = [(family.name, family.kind) for family in (*GPUS, *MACHINES, *RUNS)]
    families += [(family.name, family.kind) for family in HEALTH]
    assert len({name for name, _ in families}) == len(families)
    assert {kind for _, kind in families} == {"gauge", "counter"}


def test_the_health_of_a_gpu_is_written_as_far_as_it_tells() -> None:
    gpu = GpuHealth(uuid="GPU-0", health=3)
    told = {family.name.removeprefix("DCGM_FI_DEV_"): family.value for family in HEALTH}
    assert (told["XID_ERRORS"](gpu), told["windlass_gpu_health"](gpu)) == (0, 3)
    silent = [name for name, value in told.items() if math.isnan(value(gpu))]
    assert len(silent) == len(HEALTH) - 2
    for kind in ("XID_31", "XID_79", "GPU_LOST"):
        gpu.faults.add(kind=kind)
    gpu.report.ecc_errors.uncorrected_volatile = 2
    gpu.report.remapped_rows.failure = True
    gpu.report.pcie_link.replays = 7
    assert told["XID_ERRORS"](gpu) == 79
    assert (told["ECC_DBE_VOL_TOTAL"](gpu), told["ECC_SBE_AGG_TOTAL"](gpu)) == (2, 0)
    assert (told["ROW_REMAP_FAILURE"](gpu), told["PCIE_REPLAY_COUNTER"](gpu)) == (1, 7)
