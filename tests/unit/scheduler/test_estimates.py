"""How long work is expected to go on."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.scheduler.worlds import a_job
from windlass_server.scheduler.estimates import (
    BEYOND,
    Ends,
    ahead,
    cautious,
    ends,
    guessed,
    likely,
)
from windlass_server.scheduler.snapshot import RunTime

MINUTE = 60_000_000
NOW = 1_800_000_000_000_000


@pytest.mark.parametrize(
    ("age", "limit", "learned", "expected"),
    [
        (0, None, None, (None, None, None)),
        (0, 30, None, (30, 30, 30)),
        (10, 30, None, (20, 20, 20)),
        (0, None, (5, 20), (5, 20, None)),
        (4, None, (5, 20), (1, 16, None)),
        (0, 10, (5, 20), (5, 10, 10)),
        (5, None, (5, 20), (15, 15, None)),  # has outlived p50: p90 counts
        (20, None, (5, 20), (20, 20, None)),  # has outlived p90: twice that
        (100, None, (5, 20), (60, 60, None)),  # four times were not enough: eight times
        (25, 30, (5, 20), (5, 5, 5)),  # never past its limit
        (30, 30, None, (1, 1, 1)),  # should be over: a minute late
        (33, 30, None, (1, 1, 1)),  # four minutes late
        (0, None, (0, 0), (1, 1, None)),
    ],
)
def test_an_end_is_expected_by_limit_history_and_age(
    age: int, limit: int | None, learned: tuple[int, int] | None, expected: tuple[int | None, ...]
):
    """In minutes from now."""
    known = None if learned is None else RunTime(*(each * MINUTE for each in learned))
    found = ends(
        NOW - age * MINUTE,
        NOW,
        limit=None if limit is None else limit * MINUTE,
        learned=known,
    )
    assert found == Ends(*(None if each is None else NOW + each * MINUTE for each in expected))


@pytest.mark.parametrize(("age", "days"), [(0, 1), (23, 1), (24, 2), (47, 2), (48, 4), (200, 16)])
def test_what_has_no_known_end_may_be_over_after_twice_as_many_days_each_time(age: int, days: int):
    began = NOW - age * 60 * MINUTE
    assert guessed(began + BEYOND, NOW) == began + days * 24 * 60 * MINUTE


@given(
    st.integers(0, 10**12),
    st.none() | st.integers(0, 10**12),
    st.none() | st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)),
)
def test_every_end_is_ahead_and_within_the_limit(
    age: int, limit: int | None, learned: tuple[int, int] | None
):
    known = None if learned is None else RunTime(min(learned), max(learned))
    found = ends(NOW - age, NOW, limit=limit, learned=known)
    known_ends = [end for end in (found.likely, found.expected, found.limit) if end is not None]
    assert all(end > NOW for end in known_ends)
    assert known_ends == sorted(known_ends)
    assert (found.expected is None) == (limit is None and learned is None)


@given(st.integers(0, 10**12))
def test_what_is_late_is_expected_to_be_at_most_twice_as_late(late: int):
    assert NOW < ahead(NOW - late, NOW) <= NOW + max(late, MINUTE)


@pytest.mark.parametrize(
    ("limit", "learned", "spans"),
    [
        (None, None, (None, None)),
        (9, None, (9, 9)),
        (None, RunTime(3, 5), (5, 3)),
        (9, RunTime(3, 5), (9, 3)),
        (2, RunTime(3, 5), (2, 2)),
    ],
)
def test_a_stated_limit_counts_for_caution_and_history_for_what_is_likely(
    limit: int | None, learned: RunTime | None, spans: tuple[int | None, int | None]
):
    job = replace(a_job(), time_limit=limit, expected_run=learned)
    assert (cautious(job), likely(job)) == spans
