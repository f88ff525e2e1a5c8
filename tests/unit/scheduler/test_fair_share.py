"""Usage decays exactly, and adds up to the same however it is looked at."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass_server.scheduler.fair_share import (
    GPU,
    Account,
    Shares,
    Tally,
    by_project,
    charge,
    decayed,
    jain_index,
    part_of_card,
)

ADA, BOB, EVE = ("vision", "ada"), ("vision", "bob"), ("speech", "eve")
DAY = 86_400_000_000
GIB = 1 << 30

times = st.integers(0, 100 * DAY)
rates = st.integers(0, 10_000 * GPU)
half_lives = st.integers(60_000_000, 400 * DAY)
values = st.floats(0, 1e18)
spans = st.lists(
    st.tuples(st.sampled_from([ADA, BOB, EVE]), rates, times, times).map(
        lambda one: (one[0], one[1], min(one[2:]), max(one[2:]))
    ),
    max_size=12,
)
NOW = 100 * DAY


def close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-3)


def tallied(taken: list[tuple[Account, int, int, int]], half_life: int = DAY) -> Tally:
    tally = Tally(half_life)
    for account, rate, start, end in taken:
        tally.held(account, rate, start, end)
    return tally


def test_half_of_what_was_used_counts_after_a_half_life_and_a_quarter_after_two():
    assert decayed(100.0, 0, DAY, DAY) == 50.0
    assert decayed(100.0, 0, 2 * DAY, DAY) == 25.0
    assert decayed(100.0, 0, 0, DAY) == 100.0


def test_who_holds_a_gpu_for_a_half_life_had_half_a_gpu_lately_and_a_whole_one_after_ever():
    tally = Tally(DAY)
    tally.opened(ADA, GPU, 0)
    assert close(tally.lately(DAY)[ADA], GPU / 2)
    assert close(tally.lately(2 * DAY)[ADA], GPU * 3 / 4)
    assert close(tally.lately(1000 * DAY)[ADA], GPU)


@given(values, rates, times, times, half_lives)
def test_it_does_not_matter_how_often_one_looks(value, rate, first, second, half_life):
    at_once = decayed(value, rate, first + second, half_life)
    in_two = decayed(decayed(value, rate, first, half_life), rate, second, half_life)
    assert close(at_once, in_two)


@given(values, rates, times, half_lives)
def test_what_nobody_adds_to_only_falls_and_never_below_nothing(value, rate, time, half_life):
    assert 0 <= decayed(value, 0, time, half_life) <= value
    assert decayed(value, rate, time, half_life) >= decayed(value, 0, time, half_life)


@given(spans, st.randoms(use_true_random=False))
def test_the_order_in_which_a_tally_is_told_changes_nothing(taken, random):
    there = tallied(taken).lately(NOW)
    shuffled = random.sample(taken, len(taken))
    back = tallied(shuffled).lately(NOW)
    assert there.keys() == back.keys()
    assert all(close(there[account], back[account]) for account in there)


@given(spans, st.randoms(use_true_random=False))
def test_what_is_opened_and_closed_in_any_order_is_what_was_held(taken, random):
    whole, tally = tallied(taken), Tally(DAY)
    steps = [(start, True, one) for one in taken for start in [one[2]]]
    steps += [(one[3], False, one) for one in taken]
    steps.sort(key=lambda step: (step[0], not step[1]))
    # Some news comes late: an end may be told before other beginnings, but not before its own.
    late = random.randrange(len(steps) + 1) if steps else 0
    told = sorted(steps[late:], key=lambda step: (not step[1], step[0])) if steps else []
    for at, begins, (account, rate, _, _) in steps[:late] + told:
        (tally.opened if begins else tally.closed)(account, rate, at)
    assert tally.now() == {}
    expected, found = whole.lately(NOW), tally.lately(NOW)
    for account in expected:
        assert math.isclose(expected[account], found[account], rel_tol=1e-6, abs_tol=1e-6 * GPU)


@given(spans, st.integers(1, 9))
def test_a_span_that_is_cut_in_pieces_is_the_same_usage(taken, pieces):
    cut = [
        (
            account,
            rate,
            start + (end - start) * n // pieces,
            start + (end - start) * (n + 1) // pieces,
        )
        for account, rate, start, end in taken
        for n in range(pieces)
    ]
    there, back = tallied(taken).lately(NOW), tallied(cut).lately(NOW)
    for account in there:
        assert close(there[account], back[account])


@given(spans, st.integers(1, 100 * GPU))
def test_who_holds_more_has_more(taken, more):
    tally = tallied(taken)
    before = tally.lately(NOW).get(ADA, 0.0)
    tally.held(ADA, more, NOW - DAY, NOW)
    assert tally.lately(NOW)[ADA] > before


def test_what_is_held_and_what_was_add_up_by_account_and_by_project():
    shares = Shares({DAY: {ADA: 2.0, EVE: 1.0}}, {ADA: 3, BOB: 4})
    had = shares.of(DAY)
    assert had == {ADA: 5.0, BOB: 4.0, EVE: 1.0}
    assert by_project(had) == {"vision": 9.0, "speech": 1.0}
    assert shares.of(7) == {ADA: 3, BOB: 4}
    assert Shares().of(DAY) == {}


@pytest.mark.parametrize(
    ("gpus", "cpu", "memory", "expected"),
    [
        (8 * GPU, 1000, GIB, 8 * GPU),
        (0, 16_000, GIB, GPU),
        (0, 32_000, GIB, 2 * GPU),
        (0, 100, 128 * GIB, GPU),
        (GPU, 100, 1024 * GIB, 8 * GPU),
        (GPU // 4, 4000, 0, GPU // 4),
        (0, 0, 0, 1),
        (0, 1, 1, 63),
        (0, 2**31 * 1000, 0, 2**27 * GPU),
        (0, 0, 2**62, 2**25 * GPU),
    ],
)
def test_what_is_held_counts_by_what_it_holds_most_of(gpus, cpu, memory, expected):
    assert charge(gpus, cpu, memory) == expected


@pytest.mark.parametrize(
    ("name", "sevenths"),
    [("1g.10gb", 1), ("H100-3g.40gb", 3), ("7g.80gb", 7), ("H100", 7), ("", 7), ("A100-SXM4", 7)],
)
def test_an_instance_of_a_divided_card_counts_by_its_compute(name, sevenths):
    assert part_of_card(name) == sevenths * GPU // 7


def test_jains_index_is_one_for_equals_and_falls_to_one_in_n_when_one_has_all():
    assert jain_index([5.0, 5.0, 5.0]) == 1.0
    assert jain_index([9.0, 0.0, 0.0]) == pytest.approx(1 / 3)
    assert jain_index([4.0, 2.0]) == pytest.approx(36 / 40)
    assert jain_index([]) == jain_index([0.0, 0.0]) == 1.0
    assert jain_index([1e308, 1e308]) == 1.0
