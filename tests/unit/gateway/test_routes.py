import itertools

import pytest

from windlass_server.gateway.percent import MalformedEscape
from windlass_server.gateway.routes import AmbiguousRoute, Match, Miss, Router, allow_header
from windlass_server.gateway.template import parse


def router(*routes):
    made = Router()
    for route in routes:
        method, path = route.split(" ")
        made.add(method, parse(path), route)
    return made


def look_up(made, request):
    method, path = request.split(" ")
    found = made.match(method, path)
    if isinstance(found, Match):
        return found.target, *found.values
    return sorted(found.allowed)


CONTRACT = [
    "GET /v1/jobs",
    "POST /v1/jobs",
    "GET /v1/jobs/{id}",
    "GET /v1/jobs/latest",
    "POST /v1/jobs/{id}:cancel",
    "GET /v1/jobs/{id}/logs",
    "GET /v1/runs/{id}",
    "GET /v1/{kind}/x/y",
    "GET /v1/jobs/x/z",
    "GET /v1/files/{name=**}",
    "GET /v1/files/{name=**}:read",
    "GET /v1/shelves/{name=shelf/*/book/*}",
    "POST /v1/jobs:purge",
    "* /v1/any/{x}",
    "GET /v1/a%20b",
    "GET /v1/x:read",
    "GET /v1/x%3Aread",
]

LOOK_UPS = [
    ("GET /v1/jobs", ("GET /v1/jobs",)),
    ("GET /v1/jobs/j-1", ("GET /v1/jobs/{id}", "j-1")),
    # a literal wins over a variable
    ("GET /v1/jobs/latest", ("GET /v1/jobs/latest",)),
    ("GET /v1/jobs/latest/logs", ("GET /v1/jobs/{id}/logs", "latest")),
    # a dead end goes back to the next best branch
    ("GET /v1/jobs/x/y", ("GET /v1/{kind}/x/y", "jobs")),
    ("GET /v1/jobs/x/z", ("GET /v1/jobs/x/z",)),
    # verbs: the last colon of the last segment, where the route has that verb
    ("POST /v1/jobs/j-1:cancel", ("POST /v1/jobs/{id}:cancel", "j-1")),
    ("POST /v1/jobs/a:b:cancel", ("POST /v1/jobs/{id}:cancel", "a:b")),
    ("GET /v1/jobs/j-1:stop", ("GET /v1/jobs/{id}", "j-1:stop")),
    ("GET /v1/jobs/j-1:cancel", ("GET /v1/jobs/{id}", "j-1:cancel")),
    ("GET /v1/runs/r:cancel", ("GET /v1/runs/{id}", "r:cancel")),
    ("GET /v1/runs/a:b", ("GET /v1/runs/{id}", "a:b")),
    ("POST /v1/jobs:purge", ("POST /v1/jobs:purge",)),
    # between a literal with a verb and a literal that looks like it, the escape decides
    ("GET /v1/x:read", ("GET /v1/x:read",)),
    ("GET /v1/x%3Aread", ("GET /v1/x%3Aread",)),
    # an encoded colon is data
    ("GET /v1/jobs/j%3Acancel", ("GET /v1/jobs/{id}", "j:cancel")),
    ("POST /v1/jobs/j%3Acancel", ["GET"]),
    # `**`
    ("GET /v1/files/a/b/c", ("GET /v1/files/{name=**}", "a/b/c")),
    ("GET /v1/files/a", ("GET /v1/files/{name=**}", "a")),
    ("GET /v1/files", ("GET /v1/files/{name=**}", "")),
    ("GET /v1/files/a/b:read", ("GET /v1/files/{name=**}:read", "a/b")),
    ("GET /v1/files/a/b:write", ("GET /v1/files/{name=**}", "a/b:write")),
    ("GET /v1/shelves/shelf/1/book/2", ("GET /v1/shelves/{name=shelf/*/book/*}", "shelf/1/book/2")),
    # decoding: once, and in multi-segment values everything but the slash
    ("GET /v1/jobs/a%2Fb", ("GET /v1/jobs/{id}", "a/b")),
    ("GET /v1/jobs/a%2fb%20c+d", ("GET /v1/jobs/{id}", "a/b c+d")),
    ("GET /v1/jobs/a%252Fb", ("GET /v1/jobs/{id}", "a%2Fb")),
    ("GET /v1/jobs/%C3%A4", ("GET /v1/jobs/{id}", "ä")),
    ("GET /v1/files/a%2Fb/c%2fd%20e", ("GET /v1/files/{name=**}", "a%2Fb/c%2fd e")),
    ("GET /v1/files/a%2Fb", ("GET /v1/files/{name=**}", "a%2Fb")),
    # literals match however they are spelled, and by case
    ("GET /v1/a%20b", ("GET /v1/a%20b",)),
    ("GET /v1/%6Aobs", ("GET /v1/jobs",)),
    ("GET /v1/Jobs", []),
    # any method
    ("PURGE /v1/any/1", ("* /v1/any/{x}", "1")),
    # misses
    ("GET /v1", []),
    ("GET /v1/jobs/", []),
    ("GET /v1/jobs//logs", []),
    ("GET //v1/jobs", []),
    ("GET /", []),
    ("GET v1/jobs", []),
    ("GET /v1/files/", []),
    # nothing stands before the colon: it is no verb, for an id is never empty
    ("GET /v1/jobs/:cancel", ("GET /v1/jobs/{id}", ":cancel")),
    ("POST /v1/jobs/:cancel", ["GET"]),
    ("GET /v1/shelves/shelf/1/book", []),
    ("DELETE /v1/jobs", ["GET", "POST"]),
    ("DELETE /v1/jobs/j-1", ["GET"]),
    ("DELETE /v1/jobs/j-1:cancel", ["GET", "POST"]),
    ("get /v1/jobs", ["GET", "POST"]),
]


@pytest.mark.parametrize(("request_line", "expected"), LOOK_UPS)
def test_a_request_finds_its_route(request_line, expected):
    assert look_up(router(*CONTRACT), request_line) == expected


def test_the_order_of_declaration_does_not_matter():
    routes = ["GET /a/{x}", "GET /a/b", "GET /a/{x=**}", "GET /{x}/b", "GET /a/{x}:v"]
    requests = ["GET /a/b", "GET /a/c", "GET /a/b/c", "GET /c/b", "GET /a/b:v", "GET /a/c:v"]
    answers = {
        tuple(map(str, (look_up(router(*order), request) for request in requests)))
        for order in itertools.permutations(routes)
    }
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("GET /a/{x}", "GET /a/{y}"),
        ("GET /a/{x}", "GET /a/*"),
        ("GET /a/{x=**}", "GET /a/**"),
        ("GET /a/{x=b/*}", "GET /a/b/{y}"),
        ("GET /a/b:v", "GET /a/b:v"),
        ("GET /a%20b", "GET /%61%20b"),
    ],
)
def test_two_routes_for_the_same_requests_are_refused_by_both_names(one, other):
    with pytest.raises(AmbiguousRoute) as error:
        router(one, other)
    assert one in str(error.value)
    assert other in str(error.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("GET /a/{x}", "POST /a/{y}"),
        ("GET /a/{x}", "GET /a/{x}:v"),
        ("GET /a/{x}", "GET /a/{x=**}"),
        ("GET /a/{x}", "* /a/{x}"),
    ],
)
def test_routes_that_differ_live_side_by_side(one, other):
    assert isinstance(router(one, other).match("GET", "/a/1"), Match)


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        # HEAD is GET, unless it has a route of its own; `*` comes last
        ("HEAD /a/1", ("GET /a/{x}", "1")),
        ("HEAD /a/b", ("GET /a/{x}", "b")),
        ("HEAD /b/1", ("HEAD /b/{x}", "1")),
        ("GET /b/1", ("GET /b/{x}", "1")),
        ("HEAD /c/1", ("* /c/{x}", "1")),
        ("HEAD /d", ["POST"]),
        # OPTIONS asks what there is, also where that is any method
        ("OPTIONS /a/1", ["*", "GET"]),
        ("OPTIONS /c/1", ["*"]),
        ("OPTIONS /e", ("OPTIONS /e",)),
        ("TRACE /c/1", ("* /c/{x}", "1")),
        ("DELETE /a/1", ("* /a/{x}", "1")),
    ],
)
def test_head_and_options_have_their_own_way(request_line, expected):
    routes = ["GET /a/{x}", "* /a/{x}", "POST /a/b", "GET /b/{x}", "HEAD /b/{x}", "* /c/{x}"]
    assert look_up(router(*routes, "POST /d", "OPTIONS /e"), request_line) == expected


@pytest.mark.parametrize(
    "path", ["/v1/jobs/%zz", "/v1/jobs/%", "/v1/jobs/%1", "/v1/jobs/%ff", "/%C3"]
)
def test_a_path_that_cannot_be_decoded_is_malformed(path):
    with pytest.raises(MalformedEscape):
        router(*CONTRACT).match("GET", path)


@pytest.mark.parametrize(
    ("methods", "header"),
    [
        ({"GET"}, "GET, HEAD, OPTIONS"),
        ({"POST"}, "OPTIONS, POST"),
        ({"*"}, "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
    ],
)
def test_allow_names_head_with_get_and_options_always(methods, header):
    assert allow_header(frozenset(methods)) == header


def test_an_empty_router_misses():
    assert Router().match("GET", "/a") == Miss(frozenset())
