"""Curves become series: along time, along steps, and one over the ranks."""

import math

import pytest

from windlass_server.errors import InvalidInput
from windlass_server.jobs.metric_names import asked_for
from windlass_server.jobs.metric_series import MOST_POINTS, Aggregate, aggregated, of_curve
from windlass_server.storage.tables import RunRow
from windlass_server.telemetry.curves import curve_of
from windlass_server.telemetry.fields import NUMBERS

SECOND = 1_000_000
NAN = math.nan


def a_series(rank: int, *points: tuple[int, int, float], by_step: bool = False, width=SECOND):
    """Of points at some second and step."""
    seconds, steps, values = zip(*points, strict=True)
    curve = curve_of([second * SECOND for second in seconds], steps, values)
    run = RunRow(run_id=f"run-{rank}", rank=rank)
    return of_curve("custom.x", run, curve, by_step=by_step, width=width, most=MOST_POINTS)


def test_along_time_what_falls_into_a_bucket_is_a_point() -> None:
    one = a_series(0, (10, -1, 1.0), (11, -1, 3.0), (19, -1, 5.0), (20, -1, 7.0), width=10 * SECOND)
    assert one.curve.times.tolist() == [10 * SECOND, 20 * SECOND]
    assert one.means.tolist() == [3, 7]


def test_without_a_width_each_value_is_a_point_until_they_are_many() -> None:
    few = a_series(0, *[(second, -1, 1.0) for second in range(MOST_POINTS)], width=None)
    many = a_series(0, *[(second, -1, 1.0) for second in range(MOST_POINTS + 1)], width=None)
    assert (len(few.curve), len(many.curve)) == (MOST_POINTS, MOST_POINTS // 2 + 1)


def test_along_steps_a_step_that_was_done_again_is_one_point_and_what_has_none_is_left_out() -> (
    None
):
    one = a_series(
        0, (1, 1, 1.0), (2, 2, 2.0), (3, -1, 9.0), (4, 1, 3.0), (5, 3, 5.0), by_step=True
    )
    assert one.curve.steps.tolist() == [1, 2, 3]
    assert one.means.tolist() == [2, 2, 5]
    assert one.curve.lasts.tolist() == [3, 2, 5]


@pytest.mark.parametrize(
    ("how", "means", "lows", "highs"),
    [
        (Aggregate.MEAN, [2, 4], [1, 4], [3, 4]),
        (Aggregate.MIN, [1, 4], [1, 4], [3, 4]),
        (Aggregate.MAX, [3, 4], [1, 4], [3, 4]),
        (Aggregate.SUM, [4, 4], [4, 4], [4, 4]),
    ],
)
@pytest.mark.parametrize("by_step", [False, True])
def test_ranks_become_one_where_they_stand_together(how, means, lows, highs, by_step) -> None:
    ranks = [
        a_series(0, (5, 5, 1.0), (6, 6, 4.0), by_step=by_step),
        a_series(1, (5, 5, 3.0), by_step=by_step),
    ]
    (one,) = aggregated(ranks, how, by_step=by_step)
    assert one.means.tolist() == means
    assert one.curve.lows.tolist() == lows
    assert one.curve.highs.tolist() == highs
    assert one.run is None


def test_a_rank_that_has_no_number_is_seen_in_the_average() -> None:
    (one,) = aggregated(
        [a_series(0, (5, 5, NAN)), a_series(1, (5, 5, 3.0))], Aggregate.MEAN, by_step=False
    )
    assert repr((one.means.tolist(), one.curve.lows.tolist())) == "([nan], [3.0])"


def test_not_aggregated_each_rank_has_its_own() -> None:
    ranks = [a_series(0, (5, 5, 1.0)), a_series(1, (5, 5, 3.0))]
    assert aggregated(ranks, Aggregate.NONE, by_step=False) == ranks


@pytest.mark.parametrize(
    ("words", "fields", "custom"),
    [
        (["cpu"], {"cpu": "cpu_used_millis"}, []),
        (
            ["GPU_Power_Watts", "cpu"],
            {"GPU_Power_Watts": "gpu_power_watts", "cpu": "cpu_used_millis"},
            [],
        ),
        (["custom.loss", "custom.eval/f1"], {}, ["loss", "eval/f1"]),
        (["custom.*", "custom.b"], {}, ["a", "b"]),
        (["custom.never-sent"], {}, ["never-sent"]),
        ([], {}, []),
    ],
)
def test_words_name_fields_and_the_jobs_own(words, fields, custom) -> None:
    asked = asked_for(words, ["a", "b"])
    assert asked.fields == {word: NUMBERS[name] for word, name in fields.items()}
    assert list(asked.custom) == custom


@pytest.mark.parametrize("word", ["loss", "custom.", "gpu_throttle_reasons", "cpu_usage"])
def test_a_word_that_means_nothing_is_refused_by_its_place(word: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        asked_for(["cpu", word], ["loss"])
    assert caught.value.reason == "METRIC_UNKNOWN"
    assert caught.value.violations[0].field == "metrics[1]"
