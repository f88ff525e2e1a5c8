"""What a route table has to answer, by definition: every route tried, the best of those that match.

Slow on purpose, and nothing of the router's: paths are split, decoded and compared here once more.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from windlass_server.gateway.template import REST, Literal, Template


@dataclass(frozen=True)
class Candidate:
    """A route that matches a path, and how well; the smallest rank is the best.

    Attributes:
        route: its index.
        method: of the route, `*` for any.
        rank: of each segment 0 for a literal, 1 for `*`, 2 for `**`; then whether the verb is
            unused, then whether `**` stands for nothing.
        values: decoded values of the template's variables.
    """

    route: int
    method: str
    rank: tuple[tuple[int, ...], bool, bool]
    values: list[str]


def match(
    routes: Sequence[tuple[str, Template]], method: str, path: str
) -> Candidate | frozenset[str]:
    """The best route, or the methods of those that match the path; for well-formed escapes only."""
    found = [
        Candidate(index, route_method, rank, values)
        for index, (route_method, template) in enumerate(routes)
        for rank, values in _matches(template, path)
    ]
    methods = {"HEAD": ["HEAD", "GET", "*"], "OPTIONS": ["OPTIONS"]}.get(method, [method, "*"])
    usable = [one for one in found if one.method in methods]
    if not usable:
        return frozenset(one.method for one in found)
    return min(usable, key=lambda one: (one.rank, methods.index(one.method)))


def _matches(
    template: Template, path: str
) -> Iterator[tuple[tuple[tuple[int, ...], bool, bool], list[str]]]:
    """How the template matches the path: once at most, for it has a verb or has none."""
    start, *raw = path.split("/")
    if start or not raw or "" in raw:
        return
    if template.verb:
        head, colon, verb = raw[-1].rpartition(":")
        if not colon or not head or unquote(verb) != template.verb:
            return
        raw[-1] = head
    kinds = _kinds(template.segments, raw)
    if kinds is None:
        return
    values = []
    for variable in template.variables:
        parts = raw[variable.start : variable.end]
        if variable.multiple:
            values.append("/".join(_keeping_slashes(part) for part in parts))
        else:
            values.append(unquote(parts[0]))
    rest_is_empty = REST in template.segments and len(raw) == len(template.segments) - 1
    yield (kinds, template.verb == "", rest_is_empty), values


def _kinds(segments: Iterable[Literal | str], raw: list[str]) -> tuple[int, ...] | None:
    """What each part of the path is matched by; None when the template does not match."""
    kinds: list[int] = []
    for segment in segments:
        if segment == REST:
            return (*kinds, *[2] * (len(raw) - len(kinds)))
        if len(kinds) == len(raw):
            return None
        if isinstance(segment, Literal):
            if unquote(raw[len(kinds)]) != segment.text:
                return None
            kinds.append(0)
        else:
            kinds.append(1)
    return tuple(kinds) if len(kinds) == len(raw) else None


def _keeping_slashes(part: str) -> str:
    """Decoded, but for encoded slashes, which stay as they are."""
    slash = part.lower().find("%2f")
    if slash < 0:
        return unquote(part)
    return unquote(part[:slash]) + part[slash : slash + 3] + _keeping_slashes(part[slash + 3 :])
