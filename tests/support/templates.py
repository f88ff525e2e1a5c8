"""Path templates written back as text, and hypothesis strategies that make them."""

from urllib.parse import quote

from hypothesis import strategies as st

from windlass_server.gateway.template import ANY, REST, Literal, Template, Variable

# What a literal may hold unescaped; `:` is left out, for at the end it would start a verb.
_SAFE = "-._~!$&'()+,;@"
# Few, so that routes meet; some must be escaped, some look like what they are not.
_LITERALS = ["a", "b", "v1", "a:b", "*", "**", "{x}", "ä", "%2F", "a b"]
_VERBS = ["", "", "v", "b", "a b"]


def write(template: Template) -> str:
    """The template as text, from nothing but its parts."""
    pieces = [_piece(segment) for segment in template.segments]
    for variable in sorted(template.variables, key=lambda one: one.start, reverse=True):
        end = len(pieces) if variable.end is None else variable.end
        pattern = "/".join(pieces[variable.start : end])
        pieces[variable.start : end] = [f"{{{variable.field}={pattern}}}"]
    verb = f":{quote(template.verb, safe=_SAFE)}" if template.verb else ""
    return "/" + "/".join(pieces) + verb


def _piece(segment: Literal | str) -> str:
    return segment if isinstance(segment, str) else quote(segment.text, safe=_SAFE)


@st.composite
def templates(draw: st.DrawFn) -> Template:
    """Any template: literals, `*`, a last `**`, variables over parts of it, a verb."""
    segment = st.one_of(st.sampled_from(_LITERALS).map(Literal), st.just(ANY))
    segments: list[Literal | str] = draw(st.lists(segment, min_size=1, max_size=4))
    if draw(st.booleans()):
        segments.append(REST)
    variables: list[Variable] = []
    at = 0
    while at < len(segments):
        size = draw(st.integers(0, min(3, len(segments) - at)))
        if size:
            variables.append(_variable(f"field.f{len(variables)}", segments, at, at + size))
        at += max(size, 1)
    made = Template("", tuple(segments), tuple(variables), draw(st.sampled_from(_VERBS)))
    return Template(write(made), made.segments, made.variables, made.verb)


def _variable(field: str, segments: list[Literal | str], start: int, end: int) -> Variable:
    rest = segments[end - 1] == REST
    return Variable(field, start, None if rest else end, rest or end - start > 1)


def paths() -> st.SearchStrategy[str]:
    """Paths of the templates' own words, spelled in several ways, with verbs, slashes and colons."""
    words = [
        *("a", "b", "v1", "a:b", "a%3Ab", "%61", "a:v", "b:v", "b%3Av", "a:b:v", ":v", "a:"),
        *("*", "**", "%7Bx%7D", "%C3%A4", "%252F", "a%2Fb", "a%2fb", "a%20b", "a:a%20b", "a+b", ""),
    ]
    return st.lists(st.sampled_from(words), max_size=5).map(lambda parts: "/" + "/".join(parts))
