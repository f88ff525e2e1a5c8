"""What a hole of some size in a GPU is worth, by the shares that tasks ask for.

To pack shares into as few GPUs as possible is the cutting-stock problem. Gilmore and Gomory ("A Linear
Programming Approach to the Cutting-Stock Problem", Operations Research, 1961) solve its relaxation by
column generation: the simplex method, where the pattern that enters is the best filling of one GPU at
the current prices of the sizes. The prices of the optimum say what each size is worth in GPUs, and the
best filling of a hole at these prices is what the hole is worth: a hole that no mix of sizes fills well is
worth less than its size.
"""

from collections.abc import Sequence

import numpy as np

from windlass_server.scheduler.packing.shapes import WHOLE, Floats, Integers

_TINY = 1e-9
_MOST_STEPS = 1000


def hole_values(sizes: Sequence[int], rates: Sequence[float], grain: int = 10) -> Floats:
    """The worth of holes of 0 to `WHOLE` thousandths, in GPUs.

    Args:
        sizes: shares in demand, in thousandths, above 0; a whole GPU is one of them.
        rates: how many tasks ask for each, above 0; only their proportions matter.
        grain: sizes are rounded up to multiples of so many thousandths, which divide `WHOLE`.
    """
    capacity = WHOLE // grain
    units = np.array([-(-size // grain) for size in sizes], np.int64)
    best = _Filling(units, capacity)
    prices = _prices(units, np.array(rates, np.float64), best)
    return best.values(prices)[np.arange(WHOLE + 1) // grain]


class _Filling:
    """The best filling of holes of up to `capacity` units (unbounded knapsack)."""

    def __init__(self, units: Integers, capacity: int) -> None:
        self._units = units
        self.capacity = capacity

    def values(self, prices: Floats) -> Floats:
        """What the best filling of each hole is worth, for 0 to `capacity` units."""
        # Without arrays: there are few sizes, and as many steps as units.
        priced = sorted(zip(self._units.tolist(), prices.tolist(), strict=True))
        values = [0.0]
        for hole in range(1, self.capacity + 1):
            best = values[-1]
            for units, price in priced:
                if units > hole:
                    break
                best = max(best, price + values[hole - units])
            values.append(best)
        return np.array(values)

    def pattern(self, prices: Floats, values: Floats) -> Floats:
        """How often each size is in a best filling of the whole."""
        pattern, left = np.zeros(len(prices)), self.capacity
        while left:
            fits = (self._units <= left).nonzero()[0]
            filled = prices[fits] + values[left - self._units[fits]]
            if not len(fits) or filled.max() < values[left] - _TINY:
                left -= 1
                continue
            size = fits[filled.argmax()]
            pattern[size] += 1
            left -= int(self._units[size])
        return pattern


def _prices(units: Integers, rates: Floats, best: _Filling) -> Floats:
    """Prices of the sizes that are optimal in the dual of the relaxation.

    The basis starts with a pattern for each size, which is cut from a GPU alone. A price below 0 needs no
    care: the same pattern without that size is then worth more than a GPU, and enters.
    """
    basis = np.diag((best.capacity // units).astype(np.float64))
    costs = np.ones(len(units))
    prices: Floats = np.zeros(len(units))
    for _ in range(_MOST_STEPS):
        prices = np.asarray(np.linalg.solve(basis.T, costs), np.float64)
        values = best.values(prices)
        if values[-1] <= 1 + _TINY:
            break
        entering = best.pattern(prices, values)
        change = np.linalg.solve(basis, entering)
        amounts = np.linalg.solve(basis, rates)
        rises = change > _TINY
        ratios = np.full(len(units), np.inf)
        ratios[rises] = amounts[rises] / change[rises]
        leaving = ratios.argmin()
        basis[:, leaving] = entering
    return prices.clip(0)
