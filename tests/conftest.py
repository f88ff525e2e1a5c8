"""What holds for all tests: properties are tried with the same examples each time.

`HYPOTHESIS_PROFILE=explore` tries new and more ones.
"""

import os

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of some suites; here, where they are known however pytest is called."""
    parser.addoption(
        "--whole-on",
        choices=["sqlite", "postgresql", "both"],
        default="both",
        help="on which engine tests of tests/integration/whole are run that are there for each",
    )
    parser.addoption("--seeds", type=int, default=2, help="lives of the simulated site to try")
    parser.addoption("--first-seed", type=int, default=0, help="the seed of the first of them")
    parser.addoption("--steps", type=int, default=40, help="how much happens in each of them")
