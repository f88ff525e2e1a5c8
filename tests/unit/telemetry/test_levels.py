"""Which level of detail answers."""

import itertools

import pytest

from windlass_server.telemetry.levels import (
    DAY,
    LEVELS,
    Retention,
    level_for,
    resolution_for,
)

S = 1_000_000
MINUTE, HOUR = 60 * S, 3600 * S
KEPT = Retention.of_days((1, 14, 90, 730))
NOW = 1_800_000_000 * S


@pytest.mark.parametrize(
    ("span", "asked", "answered"),
    [
        (HOUR, None, MINUTE),
        (50 * MINUTE, None, 10 * S),
        (60 * S, None, 10 * S),
        (DAY, None, 10 * MINUTE),
        (7 * DAY, None, HOUR),
        (365 * DAY, None, 30 * HOUR),
        (HOUR, 1, 10 * S),
        (HOUR, 11 * S, 20 * S),
        (HOUR, 10 * S, 10 * S),
        (HOUR, 5 * MINUTE, 5 * MINUTE),
    ],
)
def test_the_width_of_an_answers_buckets(span: int, asked: int | None, answered: int) -> None:
    assert resolution_for(span, asked) == answered


@pytest.mark.parametrize(
    ("resolution", "age", "width"),
    [
        (10 * S, HOUR, 10 * S),
        (50 * S, HOUR, 10 * S),
        (MINUTE, HOUR, MINUTE),
        (5 * MINUTE, HOUR, MINUTE),
        (10 * MINUTE, HOUR, 10 * MINUTE),
        (7 * HOUR, HOUR, HOUR),
        (90 * MINUTE, HOUR, 10 * MINUTE),
        # What is kept no more is answered by what is.
        (10 * S, 2 * DAY, MINUTE),
        (10 * S, 20 * DAY, 10 * MINUTE),
        (10 * S, 100 * DAY, HOUR),
        (10 * S, 5000 * DAY, HOUR),
    ],
)
def test_the_level_that_answers(resolution: int, age: int, width: int) -> None:
    assert level_for(resolution, NOW - age, NOW, KEPT).width == width


def test_each_level_is_made_of_whole_segments_of_the_one_before() -> None:
    for finer, coarser in itertools.pairwise(LEVELS):
        assert coarser.width % finer.width == 0
        assert coarser.period % finer.segment == 0
        assert coarser.period == coarser.segment
        assert coarser.period % coarser.width == 0
