"""Every policy of docs/gateway.md on every served route, through real servers."""

import re

import pytest

from tests.integration.policies.policies import POLICIES
from tests.support.gateway import ROOT

# What windlass's own contract has none of.
ABSENT = {"two members of a oneof"}


def documented():
    """The names in the first column of the page's table of policies."""
    page = (ROOT / "docs/gateway.md").read_text()
    section = page.partition("## Policies\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| ([^|]+?) \|", section, re.MULTILINE)[1:]


def test_the_page_and_the_checks_name_the_same_policies():
    assert documented() == list(POLICIES)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("policy", documented())
async def test_a_policy_holds_on_every_route(site, policy):
    concerned, broken = 0, []
    for route in site.routes:
        try:
            concerned += await POLICIES[policy](site, route)
        except AssertionError as error:
            broken.append(f"{route}: {error}")
    assert not broken, "\n".join(broken)
    assert concerned or policy in ABSENT
