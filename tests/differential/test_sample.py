"""The same requests through windlass's gateway and the real Envoy, beside plain gRPC.

Each case is a row of a table: a request and the call that it has to become, or the refusal. A call is
also made by plain gRPC, which says what has to be answered. The gateway has to do exactly that; Envoy
but for the differences in differences.toml.
"""

from dataclasses import fields
from fnmatch import fnmatchcase

import pytest

from tests.differential.case import Case
from tests.differential.differences import load
from tests.differential.lab import Lab
from tests.differential.outcome import Outcome
from tests.differential.tables import answers, bodies, http, paths, queries, streams
from tests.differential.tables.windlass import ROWS

TABLES = (paths, queries, bodies, answers, streams, http)
CASES: list[Case] = [case for table in TABLES for case in table.CASES]
LISTED = load()


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_both_front_ends_do_what_plain_grpc_does(lab: Lab, case: Case):
    expected = await lab.expected(case)
    outcome = await lab.through(lab.gateway, case)
    assert not outcome.aspects(expected), explained(outcome, expected)
    outcome = await lab.through(lab.envoy, case)
    differing, required = outcome.aspects(expected), LISTED.required(case.name)
    unlisted = differing - required - LISTED.allowed(case.name)
    assert not unlisted, f"not in differences.toml: {unlisted}\n{explained(outcome, expected)}"
    assert required <= differing, f"in differences.toml, but no more: {required - differing}"


def explained(outcome: Outcome, expected: Outcome) -> str:
    """The parts that are not the same, one to a line."""
    lines = []
    for each in fields(outcome):
        found, wanted = getattr(outcome, each.name), getattr(expected, each.name)
        if found != wanted:
            lines.append(f"{each.name}: {found!r}\n    instead of {wanted!r}")
    return "\n".join(lines)


def test_every_case_has_a_name_of_its_own():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


def test_every_pattern_of_a_difference_is_that_of_a_case():
    names = [one.name for one in (*CASES, *ROWS)]
    for pattern in LISTED.patterns():
        assert any(fnmatchcase(name, pattern) for name in names), pattern
