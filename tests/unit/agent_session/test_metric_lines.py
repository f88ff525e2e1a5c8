"""The line protocol of custom metrics: what it takes, what it refuses, and never an exception but its own."""

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass_agent.metric_lines import MAX_LINE, MAX_PAIRS, NO_STEP, Malformed, lines_in, parse

LAST_STEP = (1 << 53) - 1


@pytest.mark.parametrize(
    ("line", "values", "step"),
    [
        (b"loss=0.31", {"loss": 0.31}, NO_STEP),
        (b"loss=0.31 step=17", {"loss": 0.31}, 17),
        (b"step=17 loss=.5", {"loss": 0.5}, 17),
        (b"a=1 \t b=-2e3  c=+4.", {"a": 1, "b": -2000, "c": 4}, NO_STEP),
        (b"eval/f1.macro-avg=1", {"eval/f1.macro-avg": 1}, NO_STEP),
        (b"x=1e400 y=-1e400", {"x": math.inf, "y": -math.inf}, NO_STEP),
        (b"x=Inf y=-inf", {"x": math.inf, "y": -math.inf}, NO_STEP),
        (b"x=1 step=0", {"x": 1}, 0),
        (b"x=1 step=1e3", {"x": 1}, 1000),
        (b"x=1 step=9007199254740991", {"x": 1}, LAST_STEP),
    ],
)
def test_a_line_of_the_grammar_is_its_values(line: bytes, values: dict, step: int) -> None:
    parsed = parse(line)
    assert (dict(parsed.values), parsed.step) == (values, step)


def test_a_value_that_is_no_number_is_taken_as_such() -> None:
    assert math.isnan(dict(parse(b"loss=nan step=1").values)["loss"])


@pytest.mark.parametrize(
    "line",
    [
        b"loss",
        b"loss=",
        b"=1",
        b"loss =1",
        b"loss=0x1f",
        b"loss=1_000",
        b"loss=1,5",
        b"loss=infinity",
        b"1st=1",
        b"na me=1",
        "verlust\u00fc=1".encode(),
        "x=\u0661".encode(),
        b"x=1\x00",
        b"step=1",
        b"x=1 step=-1",
        b"x=1 step=1.5",
        b"x=1 step=nan",
        b"x=1 step=inf",
        b"x=1 step=9007199254740992",
        b"n" * 129 + b"=1",
        b"x=" + b"1" * MAX_LINE,
        b" ".join([b"x=1"] * (MAX_PAIRS + 1)),
        b"\xff\xfe",
    ],
)
def test_another_line_is_refused_and_says_why(line: bytes) -> None:
    with pytest.raises(Malformed, match=": "):
        parse(line)


def test_a_datagram_has_lines_and_what_is_nothing_is_left_out() -> None:
    assert list(lines_in(b"a=1\n\n  \r\n# b=2\n c=3 \r\nd=4")) == [b"a=1", b"c=3", b"d=4"]


@given(st.binary(max_size=2000))
def test_whatever_comes_is_values_or_refused(datagram: bytes) -> None:
    for line in lines_in(datagram):
        with suppress(Malformed):
            assert parse(line).values
