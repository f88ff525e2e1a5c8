import pytest

from windlass_server.gateway.template import MAX_SEGMENTS, Literal, TemplateError, Variable, parse


def shown(text):
    """A template as the segments that it matches, its variables and its verb."""
    template = parse(text)
    variables = {v.field: (v.start, v.end, v.multiple) for v in template.variables}
    return template.shape, variables, template.verb


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/v1/jobs", ("/v1/jobs", {}, "")),
        ("/v1/jobs/{job_id}", ("/v1/jobs/*", {"job_id": (2, 3, False)}, "")),
        ("/v1/{a.b=*}", ("/v1/*", {"a.b": (1, 2, False)}, "")),
        ("/v1/*/x", ("/v1/*/x", {}, "")),
        ("/v1/**", ("/v1/**", {}, "")),
        ("/v1/{name=**}", ("/v1/**", {"name": (1, None, True)}, "")),
        ("/v1/{name=a/*/b/*}", ("/v1/a/*/b/*", {"name": (1, 5, True)}, "")),
        ("/v1/{name=a/**}:read", ("/v1/a/**:read", {"name": (1, None, True)}, "read")),
        ("/v1/{name=a}", ("/v1/a", {"name": (1, 2, False)}, "")),
        ("/v1/jobs:purge", ("/v1/jobs:purge", {}, "purge")),
        ("/v1/{a}:x", ("/v1/*:x", {"a": (1, 2, False)}, "x")),
        ("/v1/{a}/b/{c}", ("/v1/*/b/*", {"a": (1, 2, False), "c": (3, 4, False)}, "")),
    ],
)
def test_a_template_is_read_as_the_grammar_says(text, expected):
    assert shown(text) == expected


def test_a_literal_is_kept_percent_decoded():
    assert parse("/v1/a%20b").segments == (Literal("v1"), Literal("a b"))


def test_a_variable_without_a_pattern_is_one_segment():
    assert parse("/{a}").segments == parse("/{a=*}").segments
    assert parse("/{a}").variables == (Variable("a", 0, 1, False),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v1",
        "/",
        "//",
        "/a/",
        "/a//b",
        "/{}",
        "/{=*}",
        "/{x=}",
        "/a{x}",
        "/{x}a",
        "/{x=/b}",
        "/{x=b/}",
        "/a:",
        "/:verb",
        "/a/:verb",
        "/a/**/*",
        "/a/**/**",
        "/a/{x=b/**}/z",
        "/a/{x",
        "/a/x}",
        "/{x{y}}",
        "/{x={y}}",
        "/{x=a/{y}}",
        "/foo/bar:baz/x",
        "/a/{x.}",
        "/a/{.x}",
        "/a/{1x}",
        "/a/{x-y}",
        "/a b",
        "/a%zz",
        "/a?b",
        "/a#b",
        "/***",
        "/a*",
        "/{x}/{x}",
    ],
)
def test_a_template_that_the_grammar_refuses_is_refused_by_name(text):
    with pytest.raises(TemplateError) as error:
        parse(text)
    assert repr(text) in str(error.value)


def test_a_template_has_at_most_as_many_segments_as_a_look_up_can_follow():
    parse("/a" * MAX_SEGMENTS)
    for text in ("/a" * (MAX_SEGMENTS + 1), "/{x=a" + "/*" * MAX_SEGMENTS + "}"):
        with pytest.raises(TemplateError, match=f"more than {MAX_SEGMENTS} segments"):
            parse(text)
