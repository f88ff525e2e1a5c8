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
def templates(draw: st.DrawFn, *, narrow: bool = False) -> Template:
    """Any template: literals, `*`, a last `**`, variables over parts of it, a verb.

    A narrow one is short and of so few words that many of them match the same path.
    """
    literals = st.sampled_from(["a", "a:b"] if narrow else _LITERALS)
    segment = st.one_of(literals.map(Literal), st.just(ANY))
    size = 2 if narrow else 4
    segments: list[Literal | str] = draw(st.lists(segment, min_size=1, max_size=size))
    if draw(st.booleans()):
        segments.append(REST)
    variables: list[Variable] = []
    verbs = st.sampled_from(["", "b"] if narrow else _VERBS)
    at = 0
    while at < len(segments):
        size = draw(st.integers(0, min(3, len(segments) - at)))
        if size:
            variables.append(_variable(f"field.f{len(variables)}", segments, at, at + size))
        at += max(size, 1)
    made = Template("", tuple(segments), tuple(variables), draw(verbs))
    return Template(write(made), made.segments, made.variables, made.verb)


def _variable(field: str, segments: list[Literal | str], start: int, end: int) -> Variable:
    rest = segments[end - 1] == REST
    return Variable(field, start, None if rest else end, rest or end - start > 1)


_WORDS = [
    *("a", "b", "v1", "a:b", "a%3Ab", "%61", "a:v", "b:v", "b%3Av", "a:b:v", ":v", "a:", "%7Bx%7D"),
    *("*", "**", "%C3%A4", "%252F", "a%2Fb", "a%2fb", "a%20b", "a:a%20b", "a+b", ""),
]


def paths() -> st.SearchStrategy[str]:
    """Paths of the templates' own words, spelled in several ways, with verbs, slashes and colons."""
    return st.lists(st.sampled_from(_WORDS), max_size=5).map(lambda parts: "/" + "/".join(parts))


@st.composite
def paths_of(draw: st.DrawFn, template: Template) -> str:
    """Paths that the template matches, or nearly."""
    words = st.sampled_from(_WORDS)
    parts: list[str] = []
    for segment in template.segments:
        if isinstance(segment, Literal):
            spelled = [quote(segment.text, safe=_SAFE), quote(segment.text, safe=_SAFE + ":*{}")]
            parts.append(draw(st.sampled_from(spelled)))
        elif segment == ANY:
            parts.append(draw(words))
        else:
            parts.extend(draw(st.lists(words, max_size=2)))
    verb = draw(st.sampled_from(["", ":v", ":b", ":a%20b", f":{quote(template.verb, safe=_SAFE)}"]))
    return "/" + "/".join(parts) + verb
