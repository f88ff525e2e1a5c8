"""What the database has is what it was given, to seven digits."""

import math
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass_server.telemetry.rollup import Columns, Rollup
from windlass_server.telemetry.segments import decode, encode

MICROS = 1_000_000
FLOATS = st.one_of(st.just(math.nan), st.floats(width=32, allow_infinity=False, allow_nan=False))


@st.composite
def rollups(draw: st.DrawFn) -> Rollup:
    starts = draw(st.lists(st.integers(0, 10_000_000), min_size=1, max_size=20, unique=True))
    subjects = draw(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5), min_size=1, max_size=4, unique=True))  # fmt: skip
    shape = (len(starts), len(subjects))
    size = shape[0] * shape[1]
    numbers = draw(st.lists(st.integers(0, 2**32 - 1), min_size=size, max_size=size))
    floats = [
        np.array(draw(st.lists(FLOATS, min_size=size, max_size=size))).reshape(shape)
        for _ in range(4)
    ]
    columns = Columns(np.array(numbers, dtype=np.int64).reshape(shape), *floats)
    return Rollup(tuple(subjects), np.array(sorted(starts)) * 10 * MICROS, columns)


@given(rollups())
def test_what_was_encoded_is_decoded(rollup: Rollup) -> None:
    found = decode(encode(rollup))
    assert found.subjects == rollup.subjects
    assert found.starts.tolist() == rollup.starts.tolist()
    for one, other in zip(found.columns, rollup.columns, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_a_float32_cannot_hold_is_cut_to_what_it_can() -> None:
    one = np.array([[1e300]])
    columns = Columns(np.array([[1]]), one, one, -one, one)
    found = decode(encode(Rollup(("",), np.array([0]), columns)))
    assert found.columns.high[0, 0] == pytest.approx(3.4028235e38)
    assert found.columns.total[0, 0] == pytest.approx(-3.4028235e38)


def test_a_segment_of_another_version_is_refused() -> None:
    one = np.array([[1.0]])
    data = zlib.decompress(encode(Rollup(("",), np.array([0]), Columns(one, one, one, one, one))))
    with pytest.raises(ValueError, match="version 9"):
        decode(zlib.compress(b"\x09" + data[1:]))


def test_eight_gpus_of_five_minutes_take_a_few_bytes_for_each_value() -> None:
    random = np.random.default_rng(1)
    shape = (30, 8)
    values = random.integers(200, 700, (300, 8)).astype(float)
    tens = values.reshape(30, 10, 8)
    columns = Columns(
        np.full(shape, 10), tens.min(axis=1), tens.max(axis=1), tens.sum(axis=1), tens[:, -1]
    )
    data = encode(Rollup(tuple(f"GPU-{n}" for n in range(8)), np.arange(30) * 10 * MICROS, columns))
    assert len(data) < 2400 * 1.0  # of 2,400 values measured: a byte each, at most
