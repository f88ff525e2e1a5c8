"""Buckets say the same however the values came to be in them."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from windlass_server.telemetry.rollup import Rollup, coarsen, merge, stacked, stats_of

NAN = math.nan
VALUES = st.one_of(st.just(NAN), st.just(math.inf), st.integers(-1000, 1000).map(float))


def bucket(start: int, *rows: list[float], subjects: tuple[str, ...] = ("a", "b")) -> Rollup:
    """A bucket of single rows."""
    return Rollup(subjects, np.array([start]), stacked([stats_of(np.array(rows))]))


def told(rollup: Rollup) -> dict[tuple[int, str], tuple[float, ...]]:
    """Number, low, high, total and last by bucket and subject, of those that have any."""
    return {
        (int(start), subject): tuple(float(column[row, place]) for column in rollup.columns)
        for row, start in enumerate(rollup.starts)
        for place, subject in enumerate(rollup.subjects)
        if rollup.columns.number[row, place]
    }


def test_a_bucket_has_the_least_greatest_sum_number_and_last_of_its_values() -> None:
    made = bucket(0, [3, 5], [1, NAN], [2, NAN])
    assert told(made) == {(0, "a"): (3, 1, 3, 6, 2), (0, "b"): (1, 5, 5, 5, 5)}


def test_what_is_not_finite_is_no_value() -> None:
    made = bucket(0, [NAN, math.inf], [NAN, -math.inf])
    assert told(made) == {}
    assert np.isnan(made.columns.total).all()
    assert np.isnan(made.columns.last).all()


def test_wider_buckets_have_what_those_in_them_had() -> None:
    parts = [bucket(0, [1, NAN]), bucket(10, [5, 2]), bucket(60, [7, NAN])]
    made = merge(parts, 60)
    assert told(made) == {
        (0, "a"): (2, 1, 5, 6, 5),
        (0, "b"): (1, 2, 2, 2, 2),
        (60, "a"): (1, 7, 7, 7, 7),
    }


def test_a_time_in_which_nothing_was_measured_has_no_bucket() -> None:
    made = merge([bucket(0, [1, 1]), bucket(600, [1, 1])], 60)
    assert made.starts.tolist() == [0, 600]


def test_parts_of_different_things_become_one() -> None:
    parts = [bucket(0, [1.0], subjects=("a",)), bucket(0, [2.0], subjects=("b",))]
    assert told(merge(parts, 10)) == {(0, "a"): (1, 1, 1, 1, 1), (0, "b"): (1, 2, 2, 2, 2)}


def test_the_last_value_is_that_of_the_later_part() -> None:
    parts = [bucket(0, [1, 1]), bucket(0, [2, NAN])]
    assert told(merge(parts, 10))[0, "a"][-1] == 2
    assert told(merge(parts, 10))[0, "b"][-1] == 1


def test_only_some_of_it_is_asked_for() -> None:
    made = merge([bucket(0, [1, 2]), bucket(10, [3, 4])], 10)
    assert told(made.of(["b", "z"]).between(10, 20)) == {(10, "b"): (1, 4, 4, 4, 4)}
    assert made.of([]).subjects == ()


def naive(
    rows: list[tuple[int, list[float]]], width: int
) -> dict[tuple[int, str], tuple[float, ...]]:
    """What `told` should say, value by value."""
    found: dict[tuple[int, str], list[float]] = {}
    for at, values in rows:
        for subject, value in zip(("a", "b"), values, strict=True):
            if math.isfinite(value):
                found.setdefault((at // width * width, subject), []).append(value)
    return {
        key: (len(some), min(some), max(some), sum(some), some[-1]) for key, some in found.items()
    }


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 400), st.lists(VALUES, min_size=2, max_size=2)),
        min_size=1,
        max_size=60,
    ),
    width=st.sampled_from([10, 20, 60, 600]),
)
def test_buckets_of_buckets_are_as_if_made_of_the_values(
    rows: list[tuple[int, list[float]]], width: int
) -> None:
    rows.sort(key=lambda row: row[0])
    starts = sorted({at // 10 * 10 for at, _ in rows})
    fine = [bucket(start, *(row for at, row in rows if at // 10 * 10 == start)) for start in starts]
    assert told(merge(fine, width)) == naive(rows, width)
    assert told(coarsen(merge(fine, 10), width)) == naive(rows, width)
