"""What the durations of earlier runs say of the next one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass_server.jobs.learning import packed, unpacked
from windlass_server.scheduler.estimates import run_time
from windlass_server.scheduler.snapshot import RunTime


@pytest.mark.parametrize(
    ("durations", "expected"),
    [
        ([], None),
        ([7, 7], None),
        ([1, 2, 3], RunTime(2, 3)),
        ([3, 1, 2, 4], RunTime(2, 4)),
        ([*range(1, 11)], RunTime(5, 9)),
        ([*range(1, 21)], RunTime(10, 18)),
        ([5] * 9 + [1000], RunTime(5, 5)),
    ],
)
def test_half_and_nine_of_ten_took_so_long_at_most(durations: list[int], expected: RunTime | None):
    assert run_time(durations) == expected


@given(st.lists(st.integers(0, 2**62), max_size=32))
def test_durations_are_stored_as_they_are(durations: list[int]):
    assert unpacked(packed(durations)) == durations
