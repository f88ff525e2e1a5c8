"""What holes in GPUs are worth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass_server.scheduler.packing.holes import hole_values


@pytest.mark.parametrize(
    ("sizes", "rates", "worth"),
    [
        # Each is alone on its GPU, or nearly: its price is what it takes of one.
        ([1000], [1], {0: 0, 990: 0, 1000: 1}),
        ([500], [1], {490: 0, 500: 0.5, 999: 0.5, 1000: 1}),
        ([400], [1], {390: 0, 400: 0.5, 790: 0.5, 800: 1, 1000: 1}),
        # Each big one has a small one beside it; the other small ones lie two by two.
        ([333, 660], [2, 1], {330: 0, 340: 0.5, 660: 0.5, 680: 1, 1000: 1}),
        # Small ones are scarce beside the big ones: what lies beside a big one is worth nothing.
        ([200, 800], [1, 9], {200: 0, 600: 0, 800: 1, 1000: 1}),
        # Small ones abound: they need GPUs of their own.
        ([200, 800], [9, 1], {200: 0.2, 600: 0.6, 800: 0.8, 1000: 1}),
        ([600, 700], [1, 1], {500: 0, 600: 1, 700: 1, 1000: 1}),
    ],
)
def test_what_holes_are_worth(sizes: list[int], rates: list[float], worth: dict[int, float]):
    values = hole_values(sizes, rates)
    assert {hole: pytest.approx(values[hole], abs=1e-6) for hole in worth} == worth


demand = st.dictionaries(
    st.integers(1, 100).map(lambda units: units * 10), st.integers(1, 1000), min_size=1, max_size=12
)


@given(demand)
def test_a_bigger_hole_is_worth_no_less_and_a_whole_gpu_is_worth_one(rates: dict[int, int]):
    sizes = sorted(rates)
    values = hole_values(sizes, [rates[size] for size in sizes])
    assert values[0] == 0
    assert np.all(np.diff(values) >= -1e-9)
    assert values[1000] == pytest.approx(1)


@given(demand, st.integers(0, 1000), st.integers(0, 1000))
def test_two_holes_are_worth_no_more_than_one_of_their_size(
    rates: dict[int, int], one: int, other: int
):
    sizes = sorted(rates)
    values = hole_values(sizes, [rates[size] for size in sizes])
    if one + other <= 1000:
        assert values[one] + values[other] <= values[one + other] + 1e-6


@given(demand)
def test_prices_bound_the_gpus_that_the_demand_needs(rates: dict[int, int]):
    """Weak duality: by first fit into sorted bins there is a packing, and it costs no less."""
    sizes = sorted(rates, reverse=True)
    values = hole_values(sizes, [rates[size] for size in sizes])
    bound = sum(rates[size] * values[size] for size in sizes)
    assert sum(size * rates[size] for size in sizes) / 1000 <= bound * (1 + 1e-6)
    assert bound <= sum(rates.values()) * (1 + 1e-6)
