"""What holds for every template and every route table."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import reference_router
from tests.support.reference_router import Candidate
from tests.support.templates import paths, paths_of, templates, write
from windlass_server.gateway.routes import AmbiguousRoute, Match, Router
from windlass_server.gateway.template import TemplateError, parse

METHODS = ["GET", "POST", "HEAD", "OPTIONS", "*"]


def same(template):
    return template.segments, template.variables, template.verb


@given(templates())
def test_a_template_that_is_written_out_is_read_as_itself(template):
    assert parse(template.text) == template


@given(st.text("/{}*=:.ab%2F0~ ä", max_size=24).map(lambda text: "/" + text))
def test_whatever_is_read_as_a_template_survives_being_written_out(text):
    try:
        template = parse(text)
    except TemplateError:
        return
    assert same(parse(write(template))) == same(template)


@st.composite
def tables(draw):
    """Routes of which no two answer the same requests."""
    one = templates(narrow=draw(st.booleans()))
    drawn = draw(st.lists(st.tuples(st.sampled_from(METHODS), one), max_size=8))
    return list({(method, one.segments, one.verb): (method, one) for method, one in drawn}.values())


def filled(routes):
    router = Router()
    for index, (method, template) in enumerate(routes):
        router.add(method, template, index)
    return router


def requests_of(routes):
    """Paths of which most are matched by one of the routes or by several."""
    one = st.one_of(paths(), *(paths_of(template) for _, template in routes))
    return st.lists(one, min_size=1, max_size=6)


@settings(max_examples=500)
@given(tables(), st.sampled_from(["GET", "POST", "PURGE", "HEAD", "OPTIONS"]), st.data())
def test_a_route_table_answers_what_the_definition_says(routes, method, data):
    router = filled(routes)
    for path in data.draw(requests_of(routes)):
        found = router.match(method, path)
        expected = reference_router.match(routes, method, path)
        if isinstance(expected, Candidate):
            assert (found.target, found.values) == (expected.route, expected.values)
        else:
            assert found.allowed == expected


@given(tables(), st.data())
def test_a_route_table_answers_the_same_in_every_order_of_declaration(routes, data):
    router = filled(routes)
    order = data.draw(st.permutations(range(len(routes))))
    other = filled([routes[index] for index in order])
    for path in data.draw(requests_of(routes)):
        found, again = router.match("GET", path), other.match("GET", path)
        if isinstance(found, Match):
            assert (found.target, found.values) == (order[again.target], again.values)
        else:
            assert found == again


@given(templates(), templates(), st.sampled_from(METHODS), st.sampled_from(METHODS))
def test_two_routes_are_ambiguous_when_only_their_variables_differ(one, other, method, another):
    router = Router()
    router.add(method, one, 0)
    if (method, one.segments, one.verb) == (another, other.segments, other.verb):
        with pytest.raises(AmbiguousRoute):
            router.add(another, other, 1)
    else:
        router.add(another, other, 1)
