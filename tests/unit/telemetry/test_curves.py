"""Curves of what jobs measure stay short, and keep their peaks, their ends and their not-a-numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass_server.telemetry.curves import (
    NO_STEP,
    Curve,
    curve_of,
    decode,
    encode,
    grouped,
    joined,
    thinned,
)

VALUES = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=60)


def a_curve(*values: float) -> Curve:
    return curve_of(range(1000, 1000 + len(values)), range(len(values)), values)


def columns(curve: Curve) -> list[list[float]]:
    names = ("times", "steps", "counts", "lows", "highs", "totals", "lasts")
    return [getattr(curve, name).tolist() for name in names]


@given(VALUES)
def test_a_curve_is_read_as_it_was_written(values: list[float]) -> None:
    curve = a_curve(*values)
    read = decode(encode(curve))
    # Not-a-numbers are equal to nothing: compared by how they are written.
    assert repr(columns(read)) == repr(columns(curve))


def test_a_curve_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version"):
        decode(b"\x02" + encode(a_curve(1))[1:])


@given(VALUES, st.integers(1, 20))
def test_a_thinner_curve_has_no_more_points_and_all_values(values: list[float], most: int) -> None:
    curve = a_curve(*values)
    thin = thinned(curve, most)
    assert len(thin) <= most
    assert int(thin.counts.sum()) == len(values)
    finite = [value for value in values if not math.isnan(value)]
    if finite:
        assert (np.fmin.reduce(thin.lows), np.fmax.reduce(thin.highs)) == (min(finite), max(finite))
    if values:
        assert repr(thin.lasts[-1].item()) == repr(values[-1])


def test_points_of_a_thinned_curve_are_of_as_many_values_each_however_often_it_was_thinned() -> (
    None
):
    curve = a_curve()
    for number in range(40):
        curve = thinned(joined([curve, a_curve(*[float(number)] * 10)]), 32)
    assert set(curve.counts.tolist()[:-1]) <= {16}
    assert int(curve.counts.sum()) == 400


def test_a_point_of_several_values_says_what_they_were() -> None:
    curve = grouped(a_curve(1, 3, math.nan, 5, 9), np.array([0, 0, 1, 1, 2]))
    assert curve.times.tolist() == [1001, 1003, 1004]
    assert curve.steps.tolist() == [1, 3, 4]
    assert curve.counts.tolist() == [2, 2, 1]
    assert curve.lows.tolist() == [1, 5, 9]
    assert curve.highs.tolist() == [3, 5, 9]
    assert curve.lasts.tolist() == [3, 5, 9]
    assert repr(curve.means.tolist()) == "[2.0, nan, 9.0]"


def test_steps_that_were_not_said_are_not_there() -> None:
    assert curve_of([1], [NO_STEP], [2.0]).steps.tolist() == [-1]
