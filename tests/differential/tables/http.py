"""HTTP itself: methods, slashes, media types, encodings, sizes, deadlines, metadata."""

import gzip

from tests.differential.backend import Script
from tests.differential.case import JSON, Case, Reaches, Refused, get, refuse, send, table

GET_THING = "ShelfService.GetThing"
PUT_THING = "ShelfService.PutThing"
THINGS_ALLOW = {"allow": "GET, HEAD, OPTIONS, PATCH, PUT"}
CHECK = "ShelfService.CheckThing"
PING = Reaches("ShelfService.Ping", ({},))


def options(name, target, allow):
    return Case(name, f"OPTIONS {target}", Refused(204, headers={"allow": allow}))


METHODS = table(
    "methods",
    [
        refuse("another", "DELETE /v1/things/x", 405, "METHOD_NOT_ALLOWED",
               with_headers=THINGS_ALLOW),
        refuse("an-unknown-one", "BREW /v1/things/x", 405, "METHOD_NOT_ALLOWED",
               with_headers=THINGS_ALLOW),
        refuse("post-where-there-is-only-get", "POST /v1/ping", 405, "METHOD_NOT_ALLOWED",
               with_headers={"allow": "GET, HEAD, OPTIONS, PURGE"}),
        refuse("of-all-templates-of-the-path", "DELETE /v1/things/x:touch", 405,
               "METHOD_NOT_ALLOWED",
               with_headers={"allow": "GET, HEAD, OPTIONS, PATCH, POST, PUT"}),
        refuse("another-on-a-planned-path", "GET /v1/shelves/3:burn", 405, "METHOD_NOT_ALLOWED",
               with_headers={"allow": "OPTIONS, POST"}),
        options("options", "/v1/things/x", "GET, HEAD, OPTIONS, PATCH, PUT"),
        options("options-on-a-planned-path", "/v1/shelves/3:burn", "OPTIONS, POST"),
        options("options-with-a-query", "/v1/ping?x=1", "GET, HEAD, OPTIONS, PURGE"),
        options("options-of-any", "/p/any/x", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        Case("options-of-its-own", "OPTIONS /v1/checks/x", Reaches(CHECK, ({"name": "x"},))),
        Case("head-of-its-own", "HEAD /v1/checks/x", Reaches(CHECK, ({"name": "x"},))),
        refuse("no-get-beside-them", "GET /v1/checks/x", 405, "METHOD_NOT_ALLOWED",
               with_headers={"allow": "HEAD, OPTIONS"}),
        refuse("options-nowhere", "OPTIONS /nowhere", 404, "ROUTE_NOT_FOUND"),
        Case("head", "HEAD /v1/things/x", Reaches(GET_THING, ({"name": "x"},))),
        Case("head-with-a-query", "HEAD /v1/things/x?flag=true",
             Reaches(GET_THING, ({"name": "x", "flag": True},))),
        Case("head-of-a-rest", "HEAD /v1/files/a/b", Reaches("ShelfService.GetFile",
             ({"name": "a/b"},))),
        refuse("head-nowhere", "HEAD /nowhere", 404, "ROUTE_NOT_FOUND"),
        refuse("head-where-there-is-no-get", "HEAD /p/literal:act", 405, "METHOD_NOT_ALLOWED",
               with_headers={"allow": "OPTIONS, POST"}),
        Case("a-custom-one", "PURGE /v1/ping", PING),
        Case("get-beside-a-custom-one", "GET /v1/ping", PING),
        Case("any", "GET /p/any/x", Reaches("PlaceService.AnyMethod", ({"a": "x"},))),
        Case("any-as-post", "POST /p/any/x", Reaches("PlaceService.AnyMethod", ({"a": "x"},))),
        Case("any-as-an-unknown-one", "BREW /p/any/x",
             Reaches("PlaceService.AnyMethod", ({"a": "x"},))),
        Case("delete", "DELETE /p/star/x", Reaches("PlaceService.Star", ({"a": "x"},))),
        refuse("planned", "POST /v1/shelves/3:burn", 501, "METHOD_NOT_SERVED"),
        refuse("planned-with-a-body", "POST /v1/shelves/3:burn", 501, "METHOD_NOT_SERVED",
               body="{}"),
        refuse("the-rpc-by-name", "POST /sample.v1.ShelfService/Ping", 404, "ROUTE_NOT_FOUND",
               body="{}"),
        refuse("the-root", "GET /", 404, "ROUTE_NOT_FOUND"),
        refuse("nowhere", "GET /nowhere", 404, "ROUTE_NOT_FOUND"),
        refuse("nowhere-with-a-query", "GET /nowhere?x=1", 404, "ROUTE_NOT_FOUND"),
    ],
)  # fmt: skip

SLASHES = table(
    "slashes",
    [
        refuse("trailing", "GET /v1/things/x/", 404, "ROUTE_NOT_FOUND"),
        refuse("trailing-before-a-query", "GET /v1/things/x/?flag=true", 404, "ROUTE_NOT_FOUND"),
        refuse("trailing-after-a-literal", "GET /v1/ping/", 404, "ROUTE_NOT_FOUND"),
        refuse("instead-of-a-variable", "GET /v1/things/", 404, "ROUTE_NOT_FOUND"),
        refuse("doubled", "GET /v1//things/x", 404, "ROUTE_NOT_FOUND"),
        refuse("doubled-at-the-start", "GET //v1/things/x", 404, "ROUTE_NOT_FOUND"),
        refuse("within-a-rest", "GET /v1/files/a//b", 404, "ROUTE_NOT_FOUND"),
        refuse("at-the-end-of-a-rest", "GET /v1/files/a/", 404, "ROUTE_NOT_FOUND"),
        refuse("wrong-method-too", "DELETE /v1/things/x/", 404, "ROUTE_NOT_FOUND"),
        get("in-the-query", "/v1/things/x?text=//", GET_THING, {"name": "x", "text": "//"}),
    ],
)


def put(name, body, message, **more):
    return send(name, "PUT /v1/things/x", body, PUT_THING, {"name": "x", **message}, **more)


def put_as(name, content_type, **more):
    headers = (("content-type", content_type),)
    return put(name, '{"text":"t"}', {"text": "t"}, headers=headers, **more)


def not_as(name, content_type):
    headers = (("content-type", content_type),)
    return refuse(name, "PUT /v1/things/x", 415, "UNSUPPORTED_MEDIA_TYPE", body='{"text":"t"}',
                  headers=headers)  # fmt: skip


MEDIA_TYPES = table(
    "media-types",
    [
        put_as("json", "application/json"),
        put_as("json-with-a-charset", "application/json; charset=utf-8"),
        put_as("json-with-a-quoted-charset", 'application/json;charset="UTF-8"'),
        put_as("json-with-another-parameter", "application/json; profile=x"),
        put_as("json-in-capitals", "Application/JSON"),
        put_as("a-kind-of-json", "application/merge-patch+json"),
        put("none", '{"text":"t"}', {"text": "t"}, headers=()),
        not_as("text", "text/plain"),
        not_as("a-form", "application/x-www-form-urlencoded"),
        not_as("a-form-with-files", "multipart/form-data; boundary=x"),
        not_as("another-charset", "application/json; charset=latin-1"),
        not_as("xml", "application/xml"),
        not_as("json-that-is-text", "text/json"),
        refuse("a-form-in-chunks", "PUT /v1/things/x", 415, "UNSUPPORTED_MEDIA_TYPE", body="text=t",
               headers=(("content-type", "application/x-www-form-urlencoded"),), chunked=True),
        Case("of-no-body", "GET /v1/things/x", Reaches(GET_THING, ({"name": "x"},)),
             headers=(("content-type", "text/plain"),)),
        Case("of-an-empty-body", "PUT /v1/things/x", Reaches(PUT_THING, ({"name": "x"},)),
             headers=(("content-type", "text/plain"),), body=b""),
    ],
)  # fmt: skip

ZIPPED = (*JSON, ("content-encoding", "gzip"))
SMALL = gzip.compress(b'{"text":"t"}')
TOO_LARGE = b'{"text":"' + b"x" * (65 << 10) + b'"}'


def bad_coding(name, coding):
    return refuse(name, "PUT /v1/things/x", 415, "UNSUPPORTED_CONTENT_ENCODING",
                  body='{"text":"t"}', headers=(*JSON, ("content-encoding", coding)),
                  with_headers={"accept-encoding": "gzip, identity"})  # fmt: skip


ENCODINGS = table(
    "encodings",
    [
        put("gzip", SMALL, {"text": "t"}, headers=ZIPPED),
        put("gzip-in-capitals", SMALL, {"text": "t"}, headers=(*JSON, ("content-encoding", "GZIP"))),
        put("identity", '{"text":"t"}', {"text": "t"},
            headers=(*JSON, ("content-encoding", "identity"))),
        put("chunks", '{"text":"t"}', {"text": "t"}, chunked=True),
        bad_coding("brotli", "br"),
        bad_coding("deflate", "deflate"),
        bad_coding("nonsense", "x"),
        refuse("no-gzip", "PUT /v1/things/x", 400, "MALFORMED_BODY", body='{"text":"t"}',
               headers=ZIPPED),
        refuse("gzip-cut-short", "PUT /v1/things/x", 400, "MALFORMED_BODY", body=SMALL[:-9],
               headers=ZIPPED),
        put("gzip-of-two-members", gzip.compress(b'{"text":') + gzip.compress(b'"t"}'),
            {"text": "t"}, headers=ZIPPED),
        put("accepted-in-the-answer", '{"text":"t"}', {"text": "t"},
            headers=(*JSON, ("accept-encoding", "gzip"))),
        put("a-large-answer", TOO_LARGE[:10_000] + b'"}', {"text": "x" * 9_991},
            headers=(*JSON, ("accept-encoding", "gzip")), shown=("content-encoding",),
            with_headers={"content-encoding": "gzip"}),
        put("a-large-answer-as-it-is", TOO_LARGE[:10_000] + b'"}', {"text": "x" * 9_991},
            headers=(*JSON, ("accept-encoding", "gzip;q=0")), shown=("content-encoding",)),
        put("a-small-answer", "{}", {}, headers=(*JSON, ("accept-encoding", "gzip")),
            shown=("content-encoding",)),
    ],
)  # fmt: skip

PLACE = {"a": "x" * (66 << 10)}
SIZES = table(
    "sizes",
    [
        put("just-small-enough", b'{"text":"' + b"x" * 65_525 + b'"}', {"text": "x" * 65_525}),
        refuse("too-large", "PUT /v1/things/x", 413, "BODY_TOO_LARGE", body=TOO_LARGE),
        refuse("too-large-in-chunks", "PUT /v1/things/x", 413, "BODY_TOO_LARGE", body=TOO_LARGE,
               chunked=True),
        refuse("too-large-when-inflated", "PUT /v1/things/x", 413, "BODY_TOO_LARGE",
               body=gzip.compress(TOO_LARGE), headers=ZIPPED),
        refuse("a-bomb", "PUT /v1/things/x", 413, "BODY_TOO_LARGE",
               body=gzip.compress(b'{"text":"' + b"x" * (8 << 20) + b'"}'), headers=ZIPPED),
        send("where-a-method-takes-more", "POST /p/large", b'{"a":"' + b"x" * (66 << 10) + b'"}',
             "PlaceService.Large", PLACE),
        refuse("larger-than-that", "POST /p/large", 413, "BODY_TOO_LARGE",
               body=b'{"a":"' + b"x" * (8 << 20) + b'"}'),
    ],
)  # fmt: skip

SLOW = Script(delay=3)


def timely(name, header, value, deadline=None):
    return get(name, "/v1/things/x", GET_THING, {"name": "x"}, headers=((header, value),),
               deadline=deadline)  # fmt: skip


def untimely(name, header, value):
    return refuse(name, "GET /v1/things/x", 400, "INVALID_TIMEOUT", header,
                  headers=((header, value),))  # fmt: skip


DEADLINES = table(
    "deadlines",
    [
        timely("of-grpc", "grpc-timeout", "4S", 4),
        timely("of-grpc-in-milliseconds", "grpc-timeout", "4000m", 4),
        timely("of-grpc-in-hours", "grpc-timeout", "1H", 3600),
        timely("in-seconds", "x-request-timeout", "4", 4),
        timely("in-seconds-with-a-fraction", "x-request-timeout", "8.75", 8.75),
        timely("in-many-seconds", "x-request-timeout", "3600", 3600),
        timely("the-longest-in-seconds", "x-request-timeout", "999999999"),
        timely("the-longest-of-grpc", "grpc-timeout", "99999999H"),
        get("none", "/v1/things/x", GET_THING, {"name": "x"}, deadline=5),
        get("none-of-a-method-with-a-cap", "/p/hasty", "PlaceService.Hasty", {}, deadline=0.25),
        get("more-than-the-cap", "/p/hasty", "PlaceService.Hasty", {}, deadline=0.25,
            headers=(("grpc-timeout", "9S"),)),
        untimely("of-grpc-zero", "grpc-timeout", "0S"),
        untimely("of-grpc-without-unit", "grpc-timeout", "5"),
        untimely("of-grpc-with-another-unit", "grpc-timeout", "5s"),
        untimely("of-grpc-too-long", "grpc-timeout", "123456789S"),
        untimely("of-grpc-negative", "grpc-timeout", "-1S"),
        untimely("zero", "x-request-timeout", "0"),
        untimely("zero-with-a-fraction", "x-request-timeout", "0.0"),
        untimely("negative", "x-request-timeout", "-1"),
        untimely("not-a-number", "x-request-timeout", "soon"),
        untimely("with-an-exponent", "x-request-timeout", "1e3"),
        untimely("with-a-unit", "x-request-timeout", "5s"),
    ],
)  # fmt: skip


def passed(name, line, rpc, message, *headers):
    expect = Reaches(rpc, (message,), deadline=0.2)
    return Case(name, line, expect, headers=headers, script=SLOW)


PASSED = table(
    "deadline-passed",
    [
        passed("of-grpc", "GET /v1/things/x", GET_THING, {"name": "x"}, ("grpc-timeout", "200m")),
        passed("in-seconds", "GET /v1/things/x", GET_THING, {"name": "x"},
               ("x-request-timeout", "0.2")),
        passed("the-shorter-of-two", "GET /v1/things/x", GET_THING, {"name": "x"},
               ("x-request-timeout", "0.2"), ("grpc-timeout", "9S")),
        passed("the-shorter-of-two-is-grpcs", "GET /v1/things/x", GET_THING, {"name": "x"},
               ("x-request-timeout", "9"), ("grpc-timeout", "200m")),
        passed("the-methods-cap", "GET /p/hasty", "PlaceService.Hasty", {}),
        passed("the-methods-cap-before-the-callers", "GET /p/hasty", "PlaceService.Hasty", {},
               ("grpc-timeout", "9S")),
        passed("of-a-stream", "GET /v1/watch/t", "ShelfService.WatchThings", {"topic": "t"},
               ("grpc-timeout", "200m")),
    ],
)  # fmt: skip

ID = "4f9c-11"


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def along(name, *headers, **expected):
    return get(name, "/v1/things/x", GET_THING, {"name": "x"}, headers=headers,
               metadata={key.replace("_", "-"): value for key, value in expected.items()})  # fmt: skip


METADATA = table(
    "metadata",
    [
        along("credentials", ("authorization", "Bearer t"), authorization="Bearer t"),
        along("a-request-id", ("x-request-id", ID), x_request_id=ID),
        along("a-trace", ("traceparent", TRACE), traceparent=TRACE),
        along("a-user-agent", ("user-agent", "curl/8"), x_forwarded_user_agent="curl/8"),
        along("nothing-else", ("x-custom", "1"), ("cookie", "a=b"), ("accept", "*/*"),
              x_custom=None, cookie=None, accept=None),
        along("nothing-of-grpcs", ("grpc-tags-bin", "AAA="), ("grpc-previous-rpc-attempts", "9"),
              ("grpc-encoding", "gzip"), grpc_tags_bin=None, grpc_previous_rpc_attempts=None,
              grpc_encoding=None),
        along("no-binary", ("x-thing-bin", "AAA="), x_thing_bin=None),
        get("a-request-id-comes-back", "/v1/things/x", GET_THING, {"name": "x"},
            headers=(("x-request-id", ID),), shown=("x-request-id",)),
        get("initial-metadata-are-headers", "/v1/things/x", GET_THING, {"name": "x"},
            script=Script(headers=(("x-shelf", "3"), ("x-other", "a, b")))),
        get("trailing-metadata-are-headers", "/v1/things/x", GET_THING, {"name": "x"},
            script=Script(trailers=(("x-shelf", "3"),))),
        get("of-a-stream", "/v1/watch/t", "ShelfService.WatchThings", {"topic": "t"},
            script=Script(items=({"cursor": "1"},), headers=(("x-shelf", "3"),))),
    ],
)  # fmt: skip

CASES = [
    *METHODS,
    *SLASHES,
    *MEDIA_TYPES,
    *ENCODINGS,
    *SIZES,
    *DEADLINES,
    *PASSED,
    *METADATA,
]
