"""The fuzz targets' own seeds, and what they once found; `make fuzz` looks for more."""

import pytest

from tests.fuzz.regressions import REGRESSIONS
from tests.fuzz.targets import TARGETS

SEEDS = [(name, seed) for name, target in TARGETS.items() for seed in target.SEEDS]
FOUND = [(name, data) for name, inputs in REGRESSIONS.items() for data in inputs]


@pytest.mark.parametrize(("name", "seed"), SEEDS)
def test_a_seed_keeps_the_invariants(name, seed):
    TARGETS[name].check(seed)


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_once_broke_an_invariant_does_not_do_so_again(name, data):
    TARGETS[name].check(data)
