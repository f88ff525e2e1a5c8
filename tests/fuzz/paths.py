"""Paths and queries: the route is the one that the definition says, and the path has the last word.

An input is a method, a space, and a request target.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.fuzz.contract import SERVICES, descriptors, peers
from tests.support import reference_router
from tests.support.json_peer import same
from tests.support.reference_router import Candidate
from windlass_server.gateway.errors import Refusal
from windlass_server.gateway.http_rules import read_rules
from windlass_server.gateway.percent import MalformedEscape
from windlass_server.gateway.routes import Match, Router
from windlass_server.gateway.template import Template, parse
from windlass_server.gateway.transcoder import Binding, Transcoder

SEEDS = (
    b"GET /v1/things/a%2Fb?text=x+y&i32=5&tags=a&tags=b",
    b"GET /v1/files/a/b%2Fc:read?child.text=a&kind=small",
    b"POST /v1/things/a:touch?update_mask=a.b,cD&time=2030-01-31T12:00:00Z",
    b"GET /v1/nested/a?child.i32=1&wrapped_number=5&data=_-8",
    b"PATCH /p/whole?b=1",
    b"GET /p/shelves/1/books/2?in.in.long_name=a",
    b"PURGE /p/any/%C3%A4?age=1.5s&f64=NaN&left=a",
)
WORDS = (
    *(
        b"name=",
        b"child.name=",
        b"i64=",
        b"kind=",
        b"flag=true",
        b"&",
        b"%6e",
        b"%2F",
        b"%00",
        b"%ff",
    ),
    *(b"/v1/", b"/p/", b"middle.", b"children.", b"counts", b"any", b"things/", b":read", b"+"),
)


@dataclass(frozen=True)
class Bound:
    """A route of the contract, and the name of its request's type."""

    method: str
    template: Template
    binding: Binding
    request: str


@cache
def table() -> tuple[Router[int], list[Bound]]:
    """All routes of the contract, by index."""
    transcoder = Transcoder(descriptors())
    router: Router[int] = Router()
    bound: list[Bound] = []
    for rule in read_rules(transcoder.registry, SERVICES):
        template = parse(rule.path)
        assert rule.method is not None
        router.add(rule.http_method, template, len(bound))
        binding = transcoder.compile(rule, rule.method, template)
        bound.append(Bound(rule.http_method, template, binding, rule.method.input.type_name))
    return router, bound


def check(data: bytes) -> None:
    """Route a request line and bind it."""
    method, _, target = data.decode("utf-8", "replace").partition(" ")
    path, _, query = target.partition("?")
    router, bound = table()
    try:
        found = router.match(method, path)
    except MalformedEscape:
        return
    expected = reference_router.match([(one.method, one.template) for one in bound], method, path)
    if not isinstance(found, Match) or not isinstance(expected, Candidate):
        assert not isinstance(found, Match), "no route by definition"
        assert found.allowed == expected
        return
    assert (found.target, found.values) == (expected.route, expected.values)
    route = bound[found.target]
    request_type = peers().type(route.request)
    try:
        alone = request_type.FromString(route.binding.request(found.values, "", b""))
        message = request_type.FromString(route.binding.request(found.values, query, b""))
    except Refusal:
        return
    for variable in route.template.variables:
        assert _value(message, variable.field) == _value(alone, variable.field)
    assert same(peers().read(message, peers().printed(message)), message)


def _value(message: Any, dotted: str) -> Any:
    for name in dotted.split("."):
        message = getattr(message, name)
    return message if isinstance(message, (str, bytes, int, float)) else str(message)
