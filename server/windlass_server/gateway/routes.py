"""From method and raw path to a route: a trie over path segments.

Per segment a literal wins over `*`, which wins over `**`; a dead end goes back to the next best, so
the order of declaration never matters. A path that matches only under other methods is a miss that
knows them. The path is split before it is decoded: `%2F` is data, and so is `%3A`.

HEAD is answered as GET where it has no route of its own.

A verb is what follows the last colon of the last segment, where a route with that verb is
registered at that place; anywhere else the colon is part of the value.
"""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from windlass_server.gateway.percent import decode, decode_keeping_slashes
from windlass_server.gateway.template import REST, Literal, Template

T = TypeVar("T")

ANY_METHOD = "*"
_ALL_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
# Whose routes answer a method, the best first. OPTIONS asks what a path takes, also where that is any
# method; only a route of its own answers it otherwise.
_STAND_INS = {"HEAD": ("HEAD", "GET", ANY_METHOD), "OPTIONS": ("OPTIONS",)}


class AmbiguousRoute(ValueError):
    """Two routes that would answer the same requests."""


@dataclass(frozen=True, slots=True)
class Route(Generic[T]):
    """A method and a template, and what they lead to."""

    method: str
    template: Template
    target: T

    def __str__(self) -> str:
        """The route as a person writes it, with its target."""
        return f"{self.method} {self.template.text} ({self.target})"


# Not frozen, like others that are made for each request: that costs more than the rest of it.
@dataclass(slots=True)
class Match(Generic[T]):
    """A found route and the decoded values of its template's variables, in their order."""

    target: T
    values: list[str]


@dataclass(frozen=True, slots=True)
class Miss:
    """No route. `allowed` are the methods that the path has, without those of HTTP itself."""

    allowed: frozenset[str]


@dataclass(slots=True)
class _Node(Generic[T]):
    """A place in the trie. `ends` and `rest` hold routes by verb, then by method."""

    literals: "dict[str, _Node[T]]" = field(default_factory=dict)
    any: "_Node[T] | None" = None
    ends: dict[str, dict[str, Route[T]]] = field(default_factory=dict)
    rest: dict[str, dict[str, Route[T]]] = field(default_factory=dict)


class Router(Generic[T]):
    """A set of routes."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, method: str, template: Template, target: T) -> None:
        """Add a route; raises AmbiguousRoute when another answers the same requests."""
        node = self._root
        rest = template.segments[-1] == REST
        for segment in template.segments[: -1 if rest else None]:
            if isinstance(segment, Literal):
                node = node.literals.setdefault(segment.text, _Node())
            else:
                node.any = node.any or _Node()
                node = node.any
        methods = (node.rest if rest else node.ends).setdefault(template.verb, {})
        route = Route(method, template, target)
        if method in methods:
            raise AmbiguousRoute(f"{methods[method]} and {route} match the same requests")
        methods[method] = route

    def match(self, method: str, path: str) -> Match[T] | Miss:
        """Find the route of a raw path; raises MalformedEscape."""
        origin, *raw = path.split("/")
        if origin or "" in raw or not raw:
            return Miss(frozenset())
        escaped = "%" in path
        search: _Search[T] = _Search(method, raw, escaped)
        route = search.visit(self._root, 0)
        if route is None:
            return Miss(frozenset(search.allowed))
        if route.template.verb:
            raw[-1] = search.head
        return Match(route.target, _values(route.template, raw, escaped))


def _values(template: Template, raw: list[str], escaped: bool) -> list[str]:
    """The decoded values of the template's variables in a path that it matches."""
    values = []
    for variable in template.variables:
        if variable.multiple:
            parts = raw[variable.start : variable.end]
            values.append("/".join(map(decode_keeping_slashes, parts) if escaped else parts))
        else:
            part = raw[variable.start]
            values.append(decode(part) if escaped else part)
    return values


class _Search(Generic[T]):
    """One look-up: a depth-first walk, best branch first."""

    __slots__ = ("allowed", "decoded", "head", "last", "methods", "tail", "verb")

    def __init__(self, method: str, raw: list[str], escaped: bool) -> None:
        self.methods = _STAND_INS.get(method) or (method, ANY_METHOD)
        self.allowed: set[str] = set()
        self.decoded = [decode(part) for part in raw] if escaped else raw
        self.last = len(raw) - 1
        # The raw last segment is cut: an encoded colon never starts a verb.
        self.head, _, verb = raw[-1].rpartition(":")
        self.verb = (decode(verb) if escaped else verb) if self.head else ""
        self.tail = decode(self.head) if escaped else self.head

    def visit(self, node: _Node[T], index: int) -> Route[T] | None:
        """Search below `node` for the segments from `index`."""
        if index == self.last:
            return self._visit_last(node)
        literal = node.literals.get(self.decoded[index])
        if literal is not None and (route := self.visit(literal, index + 1)):
            return route
        if node.any is not None and (route := self.visit(node.any, index + 1)):
            return route
        return self._take_rest(node) if node.rest else None

    def _visit_last(self, node: _Node[T]) -> Route[T] | None:
        """Search for the last segment: per kind of branch first with the verb, then without."""
        route = None
        if self.verb and (literal := node.literals.get(self.tail)):
            route = self._take_end(literal, self.verb)
        if route is None and (literal := node.literals.get(self.decoded[-1])):
            route = self._take_end(literal, "")
        if route is None and node.any is not None:
            if self.verb:
                route = self._take_end(node.any, self.verb)
            route = route or self._take_end(node.any, "")
        return route or (self._take_rest(node) if node.rest else None)

    def _take_end(self, node: _Node[T], verb: str) -> Route[T] | None:
        """The route that ends at `node`, itself or with `**` standing for nothing."""
        route = self._take(node.ends, verb) if node.ends else None
        return route or (self._take(node.rest, verb) if node.rest else None)

    def _take_rest(self, node: _Node[T]) -> Route[T] | None:
        """The route whose `**` holds all further segments."""
        route = self._take(node.rest, self.verb) if self.verb else None
        return route or self._take(node.rest, "")

    def _take(self, by_verb: dict[str, dict[str, Route[T]]], verb: str) -> Route[T] | None:
        methods = by_verb.get(verb)
        if methods is None:
            return None
        for one in self.methods:
            route = methods.get(one)
            if route is not None:
                return route
        self.allowed.update(methods)
        return None


def allow_header(allowed: frozenset[str]) -> str:
    """The value of `Allow` for a path with these methods: HEAD comes with GET, OPTIONS always."""
    methods = (allowed - {ANY_METHOD}) | (_ALL_METHODS if ANY_METHOD in allowed else frozenset())
    if "GET" in methods:
        methods |= {"HEAD"}
    return ", ".join(sorted(methods | {"OPTIONS"}))
