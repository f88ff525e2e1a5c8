"""Text that Prometheus reads."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from windlass_server.resources.exposition import GPUS, MACHINES, RUNS, labels, number


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
    names = [family.name for family in (*GPUS, *MACHINES, *RUNS)]
    assert len(set(names)) == len(names)
    assert {family.kind for family in (*GPUS, *MACHINES, *RUNS)} == {"gauge", "counter"}
