"""Which request reaches which method: templates, precedence, verbs, percent-encoding."""

from tests.differential.case import get, refuse, send, table


def place(name, target, rpc, **fields):
    return get(name, f"/p{target}", f"PlaceService.{rpc}", fields)


def act(name, target, rpc, **fields):
    return send(name, f"POST /p{target}", b"", f"PlaceService.{rpc}", fields, headers=())


TEMPLATES = table(
    "templates",
    [
        place("literal", "/literal", "Literal"),
        place("literal-with-punctuation", "/literal.with-all_of~them/x", "Literal"),
        refuse("literal-in-another-case", "GET /p/Literal", 404, "ROUTE_NOT_FOUND"),
        refuse("literal-cut-short", "GET /p/litera", 404, "ROUTE_NOT_FOUND"),
        refuse("literal-and-more", "GET /p/literal2", 404, "ROUTE_NOT_FOUND"),
        refuse("literal-and-a-segment", "GET /p/literal/x", 404, "ROUTE_NOT_FOUND"),
        place("star", "/star/x", "Star", a="x"),
        refuse("star-takes-one-segment", "GET /p/star/x/y", 404, "ROUTE_NOT_FOUND"),
        refuse("star-takes-a-segment", "GET /p/star", 404, "ROUTE_NOT_FOUND"),
        place("unnamed-star", "/unnamed/whatever/x", "Unnamed", a="x"),
        refuse("unnamed-star-needs-a-segment", "GET /p/unnamed/x", 404, "ROUTE_NOT_FOUND"),
        place("segments", "/shelves/3", "Segments", a="shelves/3"),
        place("more-segments", "/shelves/3/books/7", "Segments", a="shelves/3/books/7"),
        refuse("segments-with-another-literal", "GET /p/shelves/3/x/7", 404, "ROUTE_NOT_FOUND"),
        place("rest-of-one", "/rest/x", "Rest", a="x"),
        place("rest-of-many", "/rest/x/y/z", "Rest", a="x/y/z"),
        place("rest-of-none", "/rest", "Rest", a=""),
        place("rest-under-a-literal", "/under/x/y", "Rest", a="under/x/y"),
        place("rest-under-a-literal-of-none", "/under", "Rest", a="under"),
        place("unnamed-rest", "/open/x/y/z", "Open", a="x"),
        place("unnamed-rest-of-none", "/open/x", "Open", a="x"),
        place("two-variables", "/two/x/and/y", "Two", a="x", b="y"),
        place("nested", "/nested/x/y", "Nested", **{"in": {"a": "x", "b": "y"}}),
        place("nested-deeply", "/nested/x", "Nested", **{"in": {"in": {"in": {"a": "x"}}}}),
        place("nested-with-underscore", "/spelled/x", "Nested", **{"in": {"long_name": "x"}}),
        place("escaped-literal", "/a%20b/x", "Escaped", a="x"),
        place("a-literal-spelled-otherwise", "/l%69teral", "Literal"),
        place("an-escaped-literal-in-lower-case", "/%61%20b/x", "Escaped", a="x"),
    ],
)

PRECEDENCE = table(
    "precedence",
    [
        place("literal-before-star", "/win/literal", "WinLiteral"),
        place("star-before-rest", "/win/x", "WinStar", a="x"),
        place("rest-for-what-is-left", "/win/x/y", "WinRest", a="x/y"),
        place("rest-of-none", "/win", "WinRest", a=""),
        place("the-literal-branch", "/back/x/q/end", "BackLiteral", a="q"),
        place("back-out-of-the-literal-branch", "/back/x/q/stop", "BackStar", a="x", b="q"),
        refuse("no-branch", "GET /p/back/x/q/other", 404, "ROUTE_NOT_FOUND"),
        place("a-segment-that-begins-like-a-literal", "/win/literals", "WinStar", a="literals"),
        place("escaped-literal-is-the-literal", "/win/l%69teral", "WinLiteral"),
    ],
)

VERBS = table(
    "verbs",
    [
        act("on-a-literal", "/literal:act", "ActOnLiteral"),
        act("on-a-star", "/star/x:act", "ActOnStar", a="x"),
        act("the-last-colon-counts", "/star/x:y:act", "ActOnStar", a="x:y"),
        act("on-segments", "/shelves/3:act", "ActOnSegments", a="shelves/3"),
        act("on-a-rest", "/rest/x/y:act", "ActOnRest", a="x/y"),
        act("on-a-rest-of-one", "/rest/x:act", "ActOnRest", a="x"),
        act("on-a-rest-with-a-colon-before", "/rest/x:y/z:act", "ActOnRest", a="x:y/z"),
        place("an-unknown-verb-is-a-value", "/star/x:other", "Star", a="x:other"),
        place("a-colon-is-a-value", "/star/12:30", "Star", a="12:30"),
        place("a-colon-at-the-end", "/star/x:", "Star", a="x:"),
        place("a-colon-at-the-start", "/star/:x", "Star", a=":x"),
        place("an-encoded-colon-is-a-value", "/star/x%3Aact", "Star", a="x:act"),
        place("a-verb-of-another-method-is-a-value", "/star/x:act", "Star", a="x:act"),
        place("a-verb-of-another-service-is-a-value", "/star/x:touch", "Star", a="x:touch"),
        place("a-verb-within-the-path-is-a-value", "/two/x:act/and/y", "Two", a="x:act", b="y"),
        place("a-verb-in-a-rest-of-get", "/rest/x/y:act", "Rest", a="x/y:act"),
        refuse("a-verb-that-is-not-there", "POST /p/star/x:other", 405, "METHOD_NOT_ALLOWED",
               with_headers={"allow": "DELETE, GET, HEAD, OPTIONS"}),
        refuse("a-verb-alone", "POST /p/star/:act", 405, "METHOD_NOT_ALLOWED",
               with_headers={"allow": "DELETE, GET, HEAD, OPTIONS"}),
    ],
)  # fmt: skip

ESCAPES = table(
    "escapes",
    [
        place("a-space", "/star/a%20b", "Star", a="a b"),
        place("a-plus-is-a-plus", "/star/a+b", "Star", a="a+b"),
        place("utf-8", "/star/%C3%A4%E2%82%AC%F0%9F%98%80", "Star", a="ä€😀"),
        place("hexadecimal-in-either-case", "/star/%c3%a4", "Star", a="ä"),
        place("a-slash-in-a-segment", "/star/a%2Fb", "Star", a="a/b"),
        place("a-slash-in-a-segment-in-lower-case", "/star/a%2fb", "Star", a="a/b"),
        place("a-slash-in-a-rest-stays-encoded", "/rest/a%2Fb", "Rest", a="a%2Fb"),
        place("it-stays-byte-for-byte", "/rest/a%2fb/c", "Rest", a="a%2fb/c"),
        place("all-else-in-a-rest-is-decoded", "/rest/a%20b%3F%23/c", "Rest", a="a b?#/c"),
        place("a-slash-in-segments-stays-encoded", "/shelves/a%2Fb", "Segments", a="shelves/a%2Fb"),
        place("an-encoded-percent", "/star/100%25", "Star", a="100%"),
        place("decoded-once", "/star/%2541", "Star", a="%41"),
        place("an-encoded-escape-in-a-rest", "/rest/%2541", "Rest", a="%41"),
        place("a-question-mark", "/star/a%3Fb", "Star", a="a?b"),
        place("a-number-sign", "/star/a%23b", "Star", a="a#b"),
        place("a-null", "/star/a%00b", "Star", a="a\0b"),
        place("reserved-characters", "/star/a!$&'()*,;=@b", "Star", a="a!$&'()*,;=@b"),
        place("encoded-reserved-characters", "/rest/%21%24%26%3D%40", "Rest", a="!$&=@"),
        place("dots-are-data", "/rest/a/../b", "Rest", a="a/../b"),
        place("a-dot-is-data", "/star/..", "Star", a=".."),
        place("a-line-break", "/star/a%0Ab", "Star", a="a\nb"),
        refuse("a-broken-escape", "GET /p/star/a%zz", 400, "MALFORMED_PATH"),
        refuse("a-broken-escape-at-the-end", "GET /p/star/a%2", 400, "MALFORMED_PATH"),
        refuse("a-percent-alone", "GET /p/star/100%", 400, "MALFORMED_PATH"),
        refuse("no-utf-8", "GET /p/star/%FF", 400, "MALFORMED_PATH"),
        refuse("utf-8-cut-short", "GET /p/star/%C3", 400, "MALFORMED_PATH"),
        refuse("utf-8-too-long", "GET /p/star/%C0%AF", 400, "MALFORMED_PATH"),
        refuse("a-surrogate", "GET /p/star/%ED%A0%80", 400, "MALFORMED_PATH"),
        refuse("a-broken-escape-nowhere", "GET /nowhere/%zz", 400, "MALFORMED_PATH"),
    ],
)

VALUES = table(
    "path-values",
    [
        get("number", "/v1/numbers/-7", "ShelfService.GetThing", {"i64": "-7"}),
        get("largest", "/v1/numbers/9223372036854775807", "ShelfService.GetThing",
            {"i64": "9223372036854775807"}),
        get("enum", "/v1/enums/LARGE", "ShelfService.GetThing", {"kind": "LARGE"}),
        get("enum-in-any-case", "/v1/enums/large", "ShelfService.GetThing", {"kind": "LARGE"}),
        get("enum-by-number", "/v1/enums/2", "ShelfService.GetThing", {"kind": "LARGE"}),
        get("enum-by-unknown-number", "/v1/enums/77", "ShelfService.GetThing", {"kind": 77}),
        get("bool", "/v1/bools/true", "ShelfService.GetThing", {"flag": True}),
        get("time", "/v1/times/2030-01-31T12:00:00Z", "ShelfService.GetThing",
            {"time": "2030-01-31T12:00:00Z"}),
        get("time-with-offset", "/v1/times/2030-01-31T12:00:00.5%2B01:00", "ShelfService.GetThing",
            {"time": "2030-01-31T11:00:00.500Z"}),
        get("bytes", "/v1/bytes/_-8=", "ShelfService.GetThing", {"data": "/+8="}),
        get("bytes-unpadded", "/v1/bytes/_-8", "ShelfService.GetThing", {"data": "/+8="}),
        get("nested", "/v1/nested/x", "ShelfService.GetThing", {"child": {"name": "x"}}),
        get("oneof", "/v1/lefts/a", "ShelfService.GetThing", {"left": "a"}),
        get("nested-in-a-oneof", "/v1/middles/a", "ShelfService.GetThing",
            {"middle": {"name": "a"}}),
        get("wrapper", "/v1/wrapped/-5", "ShelfService.GetThing", {"wrapped_number": "-5"}),
        get("duration", "/v1/ages/1.5s", "ShelfService.GetThing", {"age": "1.500s"}),
        get("field-mask", "/v1/masks/a,child.bC", "ShelfService.GetThing",
            {"update_mask": "a,child.bC"}),
        get("optional", "/v1/maybes/a", "ShelfService.GetThing", {"maybe": "a"}),
        get("double", "/v1/doubles/-1.5e3", "ShelfService.GetThing", {"f64": -1500}),
        get("infinity", "/v1/doubles/Infinity", "ShelfService.GetThing", {"f64": "Infinity"}),
        refuse("another-of-the-oneof-in-the-query", "GET /v1/lefts/a?right=1", 400,
               "ONEOF_CONFLICT", "left"),
        refuse("no-double", "GET /v1/doubles/x", 400, "INVALID_FIELD_VALUE", "f64"),
        refuse("no-number", "GET /v1/numbers/x", 400, "INVALID_FIELD_VALUE", "i64"),
        refuse("number-too-large", "GET /v1/numbers/9223372036854775808", 400,
               "INVALID_FIELD_VALUE", "i64"),
        refuse("fraction", "GET /v1/numbers/1.5", 400, "INVALID_FIELD_VALUE", "i64"),
        refuse("hexadecimal", "GET /v1/numbers/0x10", 400, "INVALID_FIELD_VALUE", "i64"),
        refuse("number-with-a-sign", "GET /v1/numbers/+1", 400, "INVALID_FIELD_VALUE", "i64"),
        refuse("number-with-an-underscore", "GET /v1/numbers/1_000", 400, "INVALID_FIELD_VALUE",
               "i64"),
        refuse("number-with-a-space", "GET /v1/numbers/%201", 400, "INVALID_FIELD_VALUE", "i64"),
        refuse("no-enum", "GET /v1/enums/HUGE", 400, "INVALID_FIELD_VALUE", "kind"),
        refuse("no-bool", "GET /v1/bools/yes", 400, "INVALID_FIELD_VALUE", "flag"),
        refuse("bool-by-number", "GET /v1/bools/1", 400, "INVALID_FIELD_VALUE", "flag"),
        refuse("bool-in-capitals", "GET /v1/bools/TRUE", 400, "INVALID_FIELD_VALUE", "flag"),
        refuse("no-time", "GET /v1/times/noon", 400, "INVALID_FIELD_VALUE", "time"),
        refuse("no-base64", "GET /v1/bytes/***", 400, "INVALID_FIELD_VALUE", "data"),
    ],
)  # fmt: skip

CASES = [*TEMPLATES, *PRECEDENCE, *VERBS, *ESCAPES, *VALUES]
