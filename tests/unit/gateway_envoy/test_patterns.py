"""The expressions of the Envoy configuration. Envoy reads them as RE2; these mean the same to `re`."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.reference_router import Candidate, match
from tests.support.templates import paths, templates
from windlass_server.gateway.envoy import patterns
from windlass_server.gateway.percent import MalformedEscape, decode
from windlass_server.gateway.template import parse


def matches(expression, text):
    return re.fullmatch(expression, text) is not None


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("/v1/jobs", "/v1/jobs", True),
        ("/v1/jobs", "/v1/jobsx", False),
        ("/v1/{id}", "/v1/a%2Fb", True),
        ("/v1/{id}", "/v1/a/b", False),
        ("/v1/{id}", "/v1/", False),
        ("/v1/{id}:cancel", "/v1/x:cancel", True),
        ("/v1/{id}:cancel", "/v1/x:y:cancel", True),
        ("/v1/{id}:cancel", "/v1/x", False),
        ("/v1/{id=**}", "/v1", True),
        ("/v1/{id=**}", "/v1/a/b", True),
        ("/v1/{id=**}", "/v1a", False),
        ("/v1/{id=**}:read", "/v1/a/b:read", True),
        ("/v1/{id=shelves/*}", "/v1/shelves/3", True),
        ("/v1/a.b+c", "/v1/a.b+c", True),
        ("/v1/a.b+c", "/v1/axbbc", False),
        ("/v1/a b", "/v1/a%20b", True),
    ],
)
def test_a_template_matches_raw_paths(template, path, expected):
    escaped = template.replace(" ", "%20")
    assert matches(patterns.path(parse(escaped)), path) is expected


@given(templates(), paths())
def test_a_template_matches_the_paths_that_the_router_gives_it(template, path):
    found = isinstance(match([("GET", template)], "GET", path), Candidate)
    # Envoy compares literals as they are spelled; the router knows every spelling.
    if "%" not in template.text + path and "//" not in path and not path.endswith("/"):
        assert matches(patterns.path(template), path) is found


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a", False),
        ("/a?", False),
        ("/a?&", False),
        ("/a?x", True),
        ("/a?x=1", True),
        ("/a?&x=1", True),
    ],
)
def test_a_query_is_one_with_a_parameter(path, expected):
    assert matches(patterns.ANY_PARAMETER, path) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a", False),
        ("/a/b?x=//", False),
        ("/a?b/", False),
        ("/", True),
        ("/a/", True),
        ("/a/?x", True),
        ("/a//b", True),
        ("//", True),
    ],
)
def test_an_empty_segment_is_seen_in_the_path_alone(path, expected):
    assert matches(patterns.EMPTY_SEGMENT, path) is expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", False),
        ("name=1", True),
        ("a=1&name=2", True),
        ("name", True),
        ("name&a", True),
        ("child.name=1", True),
        ("childName.x=1", True),
        ("names=1", False),
        ("rename=1", False),
        ("a=name", False),
        ("a=&name.x.y=1", True),
        ("child_name=1", True),
        ("childxname=1", False),
    ],
)
def test_a_parameter_is_seen_by_its_name_and_by_those_below(query, expected):
    expression = patterns.parameter(["name", "child.name", "child_name", "childName"])
    assert matches(expression, f"/a?{query}") is expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [("a%62=1", True), ("a=1&b%63", True), ("a=%62", False), ("a=1&b=%62&c", False), ("", False)],
)
def test_an_escape_is_seen_in_names_alone(query, expected):
    assert matches(patterns.ESCAPED_NAME, f"/a?{query}") is expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [("=1", True), ("a=1&=2", True), ("=", True), ("a==", False), ("a=&b", False), ("", False)],
)
def test_a_parameter_without_a_name_is_seen(query, expected):
    assert matches(patterns.NO_NAME, f"/a?{query}") is expected


def decodes(text):
    try:
        decode(text)
    except MalformedEscape:
        return False
    return True


_BYTES = st.binary(min_size=1, max_size=4).map(lambda raw: "".join(f"%{byte:02X}" for byte in raw))
_TEXT = st.one_of(
    st.lists(st.one_of(_BYTES, st.sampled_from(["a", "%", "%z", "%2", "ä", "%C3%A4"])))
    .map("".join),
    st.text().map(lambda text: "".join(f"%{byte:02x}" for byte in text.encode())),
)  # fmt: skip


@given(_TEXT)
def test_escapes_are_well_formed_when_the_gateway_decodes_them(text):
    assert matches(patterns.WELL_FORMED_PATH, f"/{text}") is decodes(text)
    assert matches(patterns.WELL_FORMED_PATH, f"/a?{text}")
    assert matches(patterns.WELL_FORMED_QUERY, f"/a?{text}") is decodes(text)
    assert matches(patterns.WELL_FORMED_QUERY, f"/{text}")


_NAME = st.text("abc-:", min_size=1, max_size=6)


@given(st.sets(_NAME.filter(lambda name: ":" not in name), max_size=6), _NAME)
def test_a_name_is_none_of_some_names_exactly_when_it_is_not_among_them(names, name):
    expected = name not in names and not name.startswith(":")
    assert matches(patterns.none_of(names), name) is expected


@pytest.mark.parametrize("name", ["te", "host"])
def test_a_kept_name_is_kept_and_its_neighbours_are_not(name):
    expression = patterns.none_of(["te", "host", "testing"])
    assert not matches(expression, name)
    for other in (name[:-1], name + "x", "x" + name, "test"):
        assert matches(expression, other)
