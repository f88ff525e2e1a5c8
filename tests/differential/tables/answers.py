"""What answers and errors look like: JSON of every type, errors of every code, their details."""

from google.protobuf import any_pb2

from tests.differential.backend import Failure, Script
from tests.differential.case import Case, Reaches, get, table

GET_THING = "ShelfService.GetThing"


def shown(name, reply):
    """A GET that is answered with this message."""
    return get(name, "/v1/things/x", GET_THING, {"name": "x"}, script=Script(reply=reply))


def narrowed(name, path, field, reply):
    return get(name, f"/v1/things/x/{path}", "ShelfService.GetTags", {"name": "x"}, narrow=field,
               script=Script(reply=reply))  # fmt: skip


JSON = table(
    "answer-types",
    [
        shown("empty", {}),
        shown("strings", {"text": 'ä€😀"\\\n\t\u0000</script>\u2028', "maybe": ""}),
        shown("integers", {"i32": -2147483648, "u32": 4294967295}),
        shown("64-bit-integers", {"i64": "-9223372036854775808", "u64": "18446744073709551615"}),
        shown("doubles", {"f64": 0.1}),
        shown("small-double", {"f64": 5e-324}),
        shown("large-double", {"f64": 1.7976931348623157e308}),
        shown("whole-double", {"f64": 3.0}),
        shown("double-beyond-exact", {"f64": 1e22}),
        shown("negative-zero", {"f64": -0.0}),
        shown("infinity", {"f64": "Infinity", "f32": "-Infinity"}),
        shown("not-a-number", {"f64": "NaN", "f32": "NaN"}),
        shown("float", {"f32": 0.5}),
        shown("float-of-short-digits", {"f32": 0.1}),
        shown("float-of-many-digits", {"f32": 16777217}),
        shown("float-of-eight-digits", {"f32": 0.33333334}),
        shown("large-float", {"f32": 3.4e38}),
        shown("bools", {"flag": True, "wrapped_flag": False}),
        shown("bytes", {"data": "/+8="}),
        shown("enum", {"kind": "LARGE", "kinds": ["SMALL", "minus"]}),
        shown("unknown-enum", {"kind": 77, "kinds": [77]}),
        shown("lists", {"tags": ["", "a"], "numbers": ["0", "-1"]}),
        shown("maps", {"counts": {"a": "1", "": "0"}, "kind_by_name": {"a": "SMALL"}}),
        shown("maps-by-other-keys", {"by_flag": {"true": "a"}, "by_number": {"-1": "a"}}),
        shown("map-of-messages", {"things": {"a": {}}}),
        shown("nested", {"child": {"child": {"text": "t"}}, "children": [{}, {"i32": 1}]}),
        shown("time", {"time": "2030-01-31T12:00:00Z"}),
        shown("time-with-milliseconds", {"time": "2030-01-31T12:00:00.500Z"}),
        shown("time-with-nanoseconds", {"time": "2030-01-31T12:00:00.000000001Z"}),
        shown("first-and-last-time", {"time": "0001-01-01T00:00:00Z",
              "child": {"time": "9999-12-31T23:59:59.999999999Z"}}),
        shown("durations", {"age": "-0.500s", "ages": ["0s", "1.000000001s"]}),
        shown("field-mask", {"update_mask": "name,child.wrappedText"}),
        shown("empty-field-mask", {"update_mask": ""}),
        shown("wrappers", {"wrapped_text": "", "wrapped_number": "-1", "wrapped_flag": True}),
        shown("struct", {"anything": {"a": 1.5, "b": [None, True, {"c": "d"}], "e": {}}}),
        shown("value", {"value": [1, "a", None]}),
        shown("null-value", {"value": None}),
        shown("any", {"any": {"@type": "type.googleapis.com/sample.v1.Thing", "text": "t"}}),
        shown("any-of-a-duration",
              {"any": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"}}),
        shown("oneof", {"left": ""}),
        shown("oneof-message", {"middle": {}}),
        shown("json-name-of-its-own", {"oddSpelling": "a"}),
        narrowed("narrowed-to-a-list", "tags", "tags", {"tags": ["a", "b"]}),
        narrowed("narrowed-to-an-empty-list", "tags", "tags", {}),
        narrowed("narrowed-to-a-number", "i64", "i64", {"i64": "5"}),
        narrowed("narrowed-to-messages", "children", "children", {"children": [{"text": "t"}]}),
        narrowed("narrowed-to-a-message", "child", "child", {"child": {"text": "t"}}),
        narrowed("narrowed-to-a-map", "counts", "counts", {"counts": {"a": "1"}}),
        narrowed("narrowed-to-an-enum", "kind", "kind", {"kind": "LARGE"}),
        narrowed("narrowed-to-bytes", "data", "data", {"data": "/+8="}),
        narrowed("narrowed-to-a-time", "time", "time", {"time": "2030-01-31T12:00:00Z"}),
        narrowed("narrowed-to-a-wrapper", "wrapped", "wrapped_text", {"wrapped_text": "a"}),
        narrowed("narrowed-to-a-value", "value", "value", {"value": [1, None]}),
        narrowed("narrowed-to-a-double", "f64", "f64", {"f64": 0.1}),
        Case("of-another-type", "GET /v1/ping", Reaches("ShelfService.Ping", ({},))),
    ],
)  # fmt: skip


def fails(name, code, message="it failed", details=(), **more):
    script = Script(failure=Failure(code, message, details), **more)
    return get(name, "/v1/things/x", GET_THING, {"name": "x"}, script=script)


def of(kind, **fields):
    return {"@type": f"type.googleapis.com/google.rpc.{kind}", **fields}


INFO = of("ErrorInfo", reason="NO_SHELF", domain="sample", metadata={"shelf": "3"})
UNKNOWN = any_pb2.Any(type_url="type.googleapis.com/no.Such", value=b"\x08\x01")
BROKEN = any_pb2.Any(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff")

ERRORS = table(
    "errors",
    [
        *(fails(f"code-{code}", code, details=(INFO,)) for code in range(1, 17)),
        fails("of-utf-8", 5, "kein Regal für ä€😀", (INFO,)),
        fails("with-percent-and-quotes", 9, '100% of "it"\n{}', (INFO,)),
        fails("with-an-empty-message", 5, "", (INFO,)),
        fails("without-details", 5, details=()),
        fails("without-a-status", 5, details=None),
        fails("internal-without-a-status", 13, details=None),
        fails("with-violations", 3, details=(INFO, of("BadRequest", field_violations=[
            {"field": "child.text", "description": "too long"},
            {"field": "name", "description": "too short", "reason": "TOO_SHORT"}]))),
        fails("with-a-retry", 14, details=(INFO, of("RetryInfo", retry_delay="3s"))),
        fails("exhausted-with-a-retry", 8, details=(INFO, of("RetryInfo", retry_delay="3s"))),
        fails("with-other-details", 9, details=(
            INFO,
            of("PreconditionFailure", violations=[{"type": "T", "subject": "s"}]),
            of("RequestInfo", request_id="r-1"),
            of("Help", links=[{"description": "d", "url": "https://example.com"}]))),
        fails("with-a-message-of-the-api", 9, details=(
            INFO, {"@type": "type.googleapis.com/sample.v1.Thing", "text": "t"})),
        fails("with-a-detail-of-unknown-type", 9, details=(INFO, UNKNOWN)),
        fails("with-a-broken-detail", 9, details=(INFO, BROKEN)),
        fails("with-headers", 5, details=(INFO,), headers=(("x-shelf", "3"),)),
    ],
)  # fmt: skip

CASES = [*JSON, *ERRORS]
