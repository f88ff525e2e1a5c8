"""The order of the Envoy configuration's routes, and which of them covers which."""

import re

from hypothesis import given
from hypothesis import strategies as st

from tests.support.reference_router import Candidate, match
from tests.support.templates import paths, templates
from windlass_server.gateway.envoy import patterns
from windlass_server.gateway.envoy.bindings import Bound, covers
from windlass_server.gateway.http_rules import HttpRule
from windlass_server.gateway.template import parse


def bound(template):
    return Bound(HttpRule("s/M", "GET", template.text, "", "", None), template)


def unescaped(path):
    """Whether the path has one spelling, and no empty segment, for which other routes stand."""
    return "%" not in path and "//" not in path and not path.endswith("/")


# Envoy compares literals as they are spelled; the router knows every spelling.
PLAIN_TEMPLATES = templates().filter(lambda template: "%" not in template.text)


@given(
    st.lists(PLAIN_TEMPLATES, max_size=8, unique_by=lambda one: (one.segments, one.verb)),
    st.lists(paths().filter(unescaped), max_size=6),
)
def test_the_first_route_that_matches_is_the_one_that_the_router_takes(routes, requests):
    ordered = sorted(map(bound, routes), key=lambda one: one.order)
    for path in requests:
        found = [
            each.template for each in ordered if re.fullmatch(patterns.path(each.template), path)
        ]
        expected = match([("GET", one) for one in routes], "GET", path)
        if isinstance(expected, Candidate):
            assert found[0] == routes[expected.route]
        else:
            assert not found


@given(st.lists(templates(), max_size=8), st.lists(paths(), max_size=6))
def test_a_template_that_covers_another_matches_its_paths(routes, requests):
    for path in requests:
        matching = [isinstance(match([("GET", one)], "GET", path), Candidate) for one in routes]
        for general, matched in zip(routes, matching, strict=True):
            covered = [covers(general, specific) for specific in routes]
            assert matched or not any(map(all, zip(covered, matching, strict=True)))


def test_covering_is_seen():
    for general, specific, expected in [
        ("/a/{x}", "/a/b", True),
        ("/a/b", "/a/{x}", False),
        ("/a/{x=**}", "/a/{x}", True),
        ("/a/{x=**}", "/a", True),
        ("/a/{x}", "/a/{x=**}", False),
        ("/a/{x=**}", "/a/{x=**}:v", True),
        ("/a/{x}", "/a/{x}:v", True),
        ("/a/{x}:v", "/a/{x}", False),
        ("/a/b", "/a/b:v", False),
        ("/{x}/b", "/a/{x}", False),
    ]:
        assert covers(parse(general), parse(specific)) is expected, (general, specific)
