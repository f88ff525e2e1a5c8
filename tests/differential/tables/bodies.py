"""JSON bodies: where they go, what every type takes, what is no JSON."""

import json

from tests.differential.case import Case, Reaches, refuse, send, table

PUT_THING = "ShelfService.PutThing"


def put(name, body, message):
    """PUT with the whole message as the body."""
    return send(name, "PUT /v1/things/x", body, PUT_THING, {"name": "x", **message})


def bad(name, body, reason, *fields):
    return refuse(name, "PUT /v1/things/x", 400, reason, *fields, body=body)


def bad_value(name, field, value):
    return bad(name, f'{{"{field}": {value}}}', "INVALID_FIELD_VALUE", field)


PLACES = table(
    "body-places",
    [
        put("whole", '{"text": "t", "flag": true}', {"text": "t", "flag": True}),
        put("whole-and-empty", "{}", {}),
        put("whole-with-the-paths-value", '{"name": "x", "text": "t"}', {"text": "t"}),
        Case("none-at-all", "PUT /v1/things/x", Reaches(PUT_THING, ({"name": "x"},))),
        send("a-field", "PATCH /v1/things/x", '{"text": "t"}', PUT_THING,
             {"name": "x", "child": {"text": "t"}}),
        send("a-field-and-empty", "PATCH /v1/things/x", "{}", PUT_THING,
             {"name": "x", "child": {}}),
        Case("none-of-a-field", "PATCH /v1/things/x", Reaches(PUT_THING,
             ({"name": "x", "child": {}},))),
        send("a-repeated-field", "POST /v1/things/x/tags", '["a", "b"]', PUT_THING,
             {"name": "x", "tags": ["a", "b"]}),
        send("a-repeated-field-and-empty", "POST /v1/things/x/tags", "[]", PUT_THING,
             {"name": "x"}),
        send("a-scalar-field", "POST /v1/things/x/text", '"t"', PUT_THING,
             {"name": "x", "text": "t"}),
        send("a-field-that-the-path-is-in", "PUT /v1/nested/x", '{"text": "t"}', PUT_THING,
             {"child": {"name": "x", "text": "t"}}),
        send("a-field-that-the-path-agrees-with", "PUT /v1/nested/x", '{"name": "x"}', PUT_THING,
             {"child": {"name": "x"}}),
        send("a-number-that-the-path-agrees-with", "PUT /v1/numbers/5", '{"i64": "5"}', PUT_THING,
             {"i64": "5"}),
        put("nothing-against-the-path", '{"name": ""}', {}),
        bad("against-the-path", '{"name": "y"}', "CONFLICTING_VALUES", "name"),
        refuse("a-nested-one-against-the-path", "PUT /v1/nested/x", 400, "CONFLICTING_VALUES",
               "child.name", body='{"name": "y"}'),
        refuse("a-number-against-the-path", "PUT /v1/numbers/4294967297", 400,
               "CONFLICTING_VALUES", "i64", body='{"i64": "1"}'),
        refuse("where-none-is-taken", "POST /v1/things/x:touch", 400, "BODY_NOT_ALLOWED",
               body="{}"),
        refuse("of-a-get", "GET /v1/things/x", 400, "BODY_NOT_ALLOWED", body='{"text": "t"}'),
        refuse("of-a-get-in-chunks", "GET /v1/things/x", 400, "BODY_NOT_ALLOWED",
               body='{"text": "t"}', chunked=True),
        refuse("an-object-for-a-list", "POST /v1/things/x/tags", 400, "INVALID_FIELD_VALUE",
               "tags", body='{"tags": ["a"]}'),
        refuse("a-list-for-an-object", "PATCH /v1/things/x", 400, "INVALID_FIELD_VALUE", "child",
               body="[]"),
        refuse("null-for-an-object", "PATCH /v1/things/x", 400, "INVALID_FIELD_VALUE", "child",
               body="null"),
        refuse("an-object-for-a-scalar", "POST /v1/things/x/text", 400, "INVALID_FIELD_VALUE",
               "text", body='{"text": "t"}'),
        bad("a-list-for-the-whole", "[]", "MALFORMED_JSON"),
        bad("a-string-for-the-whole", '"x"', "MALFORMED_JSON"),
        bad("null-for-the-whole", "null", "MALFORMED_JSON"),
        bad("a-number-for-the-whole", "1", "MALFORMED_JSON"),
    ],
)  # fmt: skip

TYPES = table(
    "body-types",
    [
        put("both-names", '{"wrappedText": "a", "wrapped_number": "5"}',
            {"wrapped_text": "a", "wrapped_number": "5"}),
        put("json-name-of-its-own", '{"oddSpelling": "a"}', {"spelled_oddly": "a"}),
        put("null-is-unset", '{"text": null, "child": null, "tags": null, "counts": null}', {}),
        put("optional-default", '{"maybe": ""}', {"maybe": ""}),
        put("escapes", r'{"text": "\u00e4\n\"\\\/\ud83d\ude00"}', {"text": 'ä\n"\\/😀'}),
        put("utf-8", '{"text": "ä€😀"}', {"text": "ä€😀"}),
        put("null-character", r'{"text": "\u0000"}', {"text": "\0"}),
        put("white-space", ' {\n\t"text" :\r\n"t" } ', {"text": "t"}),
        put("int32", '{"i32": -2147483648}', {"i32": -2147483648}),
        put("int32-as-a-string", '{"i32": "7"}', {"i32": 7}),
        put("int32-with-a-zero-fraction", '{"i32": 1.0}', {"i32": 1}),
        put("int32-with-an-exponent", '{"i32": 1e3}', {"i32": 1000}),
        put("int64", '{"i64": "9223372036854775807"}', {"i64": "9223372036854775807"}),
        put("int64-as-a-number", '{"i64": 9007199254740993}', {"i64": "9007199254740993"}),
        put("uint64", '{"u64": "18446744073709551615"}', {"u64": "18446744073709551615"}),
        put("uint64-as-a-number", '{"u64": 18446744073709551615}',
            {"u64": "18446744073709551615"}),
        put("float", '{"f32": 1.5, "f64": -0.25}', {"f32": 1.5, "f64": -0.25}),
        put("float-as-a-string", '{"f64": "1.5"}', {"f64": 1.5}),
        put("infinity", '{"f64": "-Infinity"}', {"f64": "-Infinity"}),
        put("not-a-number", '{"f64": "NaN"}', {"f64": "NaN"}),
        put("bool", '{"flag": true}', {"flag": True}),
        put("bytes", '{"data": "/+8="}', {"data": "/+8="}),
        put("bytes-for-urls-unpadded", '{"data": "_-8"}', {"data": "/+8="}),
        put("enum", '{"kind": "LARGE"}', {"kind": "LARGE"}),
        put("enum-in-lower-case", '{"kind": "large"}', {"kind": "LARGE"}),
        put("enum-by-number", '{"kind": 2}', {"kind": "LARGE"}),
        put("enum-by-unknown-number", '{"kind": 77}', {"kind": 77}),
        put("int64-as-a-string-with-a-fraction", '{"i64": "1.0"}', {"i64": "1"}),
        put("int32-as-a-string-with-an-exponent", '{"i32": "1e3"}', {"i32": 1000}),
        put("enum-by-number-as-a-string", '{"kind": "2"}', {"kind": "LARGE"}),
        put("enum-by-unknown-number-as-a-string", '{"kind": "77"}', {"kind": 77}),
        put("enum-declared-in-lower-case", '{"kind": "Minus"}', {"kind": "minus"}),
        put("bytes-half-padded", '{"data": "YQ="}', {"data": "YQ=="}),
        put("repeated", '{"tags": ["a", ""], "numbers": [1, "2"]}',
            {"tags": ["a", ""], "numbers": ["1", "2"]}),
        put("repeated-enums", '{"kinds": ["SMALL", 2]}', {"kinds": ["SMALL", "LARGE"]}),
        put("map", '{"counts": {"a": "1", "": 2}}', {"counts": {"a": "1", "": "2"}}),
        put("map-of-enums", '{"kind_by_name": {"a": "SMALL"}}', {"kind_by_name": {"a": "SMALL"}}),
        put("map-of-messages", '{"things": {"a": {"text": "t"}}}',
            {"things": {"a": {"text": "t"}}}),
        put("map-by-bool", '{"by_flag": {"true": "a", "false": "b"}}',
            {"by_flag": {"true": "a", "false": "b"}}),
        put("map-by-number", '{"by_number": {"-1": "a"}}', {"by_number": {"-1": "a"}}),
        put("nested", '{"child": {"child": {"text": "t"}}}', {"child": {"child": {"text": "t"}}}),
        put("empty-nested", '{"child": {}}', {"child": {}}),
        put("repeated-messages", '{"children": [{}, {"text": "t"}]}',
            {"children": [{}, {"text": "t"}]}),
        put("time", '{"time": "2030-01-31T12:00:00.5+01:00"}', {"time": "2030-01-31T11:00:00.500Z"}),
        put("duration", '{"age": "-1.5s"}', {"age": "-1.500s"}),
        put("field-mask", '{"update_mask": "name,child.wrappedText"}',
            {"update_mask": "name,child.wrappedText"}),
        put("field-mask-in-snake-case", '{"update_mask": "wrapped_text"}',
            {"update_mask": "wrappedText"}),
        put("wrappers", '{"wrapped_text": "", "wrapped_number": "0", "wrapped_flag": false}',
            {"wrapped_text": "", "wrapped_number": "0", "wrapped_flag": False}),
        put("null-wrapper", '{"wrapped_text": null}', {}),
        put("struct", '{"anything": {"a": 1.5, "b": [null, true, {"c": "d"}]}}',
            {"anything": {"a": 1.5, "b": [None, True, {"c": "d"}]}}),
        put("empty-struct", '{"anything": {}}', {"anything": {}}),
        put("value", '{"value": [1, "a", null]}', {"value": [1, "a", None]}),
        put("null-value", '{"value": null}', {"value": None}),
        put("any", '{"any": {"@type": "type.googleapis.com/sample.v1.Thing", "text": "t"}}',
            {"any": {"@type": "type.googleapis.com/sample.v1.Thing", "text": "t"}}),
        put("any-of-a-duration",
            '{"any": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"}}',
            {"any": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"}}),
        put("oneof", '{"left": "a"}', {"left": "a"}),
        put("oneof-default", '{"right": 0}', {"right": 0}),
        put("oneof-message", '{"middle": {}}', {"middle": {}}),
        put("oneof-with-null-beside", '{"left": "a", "right": null}', {"left": "a"}),
    ],
)  # fmt: skip

REFUSED = table(
    "body-values",
    [
        bad("unknown-field", '{"nonsense": 1}', "UNKNOWN_FIELD", "nonsense"),
        bad("unknown-nested-field", '{"child": {"nonsense": 1}}', "UNKNOWN_FIELD",
            "child.nonsense"),
        bad("field-in-another-case", '{"TEXT": "t"}', "UNKNOWN_FIELD", "TEXT"),
        bad("duplicate-key", '{"text": "a", "text": "b"}', "DUPLICATE_KEY"),
        bad("duplicate-key-in-a-map", '{"counts": {"a": 1, "a": 2}}', "DUPLICATE_KEY"),
        bad("both-names-of-a-field", '{"wrappedText": "a", "wrapped_text": "b"}', "DUPLICATE_KEY",
            "wrapped_text"),
        bad("two-of-a-oneof", '{"left": "a", "right": 1}', "ONEOF_CONFLICT", "right"),
        bad_value("number-for-a-string", "text", "1"),
        bad_value("object-for-a-string", "text", "{}"),
        bad_value("string-for-a-number", "i32", '"x"'),
        bad_value("empty-string-for-a-number", "i32", '""'),
        bad_value("bool-for-a-number", "i32", "true"),
        bad_value("fraction", "i32", "1.5"),
        bad_value("int32-too-large", "i32", "2147483648"),
        bad_value("int64-too-large", "i64", '"9223372036854775808"'),
        bad_value("negative-uint32", "u32", "-1"),
        bad_value("number-with-an-underscore", "i64", '"1_000"'),
        bad_value("number-with-a-sign", "i64", '"+1"'),
        bad_value("number-with-a-space", "i64", '" 1"'),
        bad_value("float-too-large", "f32", "1e39"),
        bad_value("string-for-a-bool", "flag", '"true"'),
        bad_value("number-for-a-bool", "flag", "1"),
        bad_value("no-base64", "data", '"***"'),
        bad_value("no-enum", "kind", '"HUGE"'),
        bad_value("fraction-for-an-enum", "kind", "1.5"),
        bad_value("enum-too-large", "kind", "2147483648"),
        bad_value("no-time", "time", '"noon"'),
        bad_value("number-for-a-time", "time", "1"),
        bad_value("no-duration", "age", '"1m"'),
        bad_value("scalar-for-a-list", "tags", '"a"'),
        bad_value("list-for-a-scalar", "text", '["a"]'),
        bad_value("list-for-a-message", "child", "[]"),
        bad_value("scalar-for-a-message", "child", "1"),
        bad_value("list-for-a-map", "counts", "[]"),
        bad("null-in-a-list", '{"tags": [null]}', "INVALID_FIELD_VALUE", "tags[0]"),
        bad("null-in-a-map", '{"counts": {"a": null}}', "INVALID_FIELD_VALUE", "counts[a]"),
        bad("bad-map-value", '{"counts": {"a": "x"}}', "INVALID_FIELD_VALUE", "counts[a]"),
        bad("bad-list-element", '{"numbers": [1, "x"]}', "INVALID_FIELD_VALUE", "numbers[1]"),
        bad("bad-nested-value", '{"child": {"i32": "x"}}', "INVALID_FIELD_VALUE", "child.i32"),
        bad("any-of-an-unknown-type", '{"any": {"@type": "type.googleapis.com/no.Such"}}',
            "INVALID_FIELD_VALUE", "any"),
        bad("any-without-a-type", '{"any": {"text": "t"}}', "INVALID_FIELD_VALUE", "any"),
    ],
)  # fmt: skip


def nested(depth):
    return '{"child":' * depth + "{}" + "}" * depth


def no_json(name, body):
    return bad(name, body, "MALFORMED_JSON")


SYNTAX = table(
    "body-syntax",
    [
        no_json("cut-short", '{"text": "t"'),
        no_json("a-word", "nonsense"),
        no_json("two-values", "{}{}"),
        no_json("something-behind", "{} x"),
        no_json("single-quotes", "{'text': 't'}"),
        no_json("unquoted-key", '{text: "t"}'),
        no_json("trailing-comma", '{"text": "t",}'),
        no_json("trailing-comma-in-a-list", '{"tags": ["a",]}'),
        no_json("leading-zero", '{"i32": 01}'),
        no_json("plus", '{"i32": +1}'),
        no_json("bare-nan", '{"f64": NaN}'),
        no_json("bare-infinity", '{"f64": Infinity}'),
        no_json("double-beyond-range", '{"f64": 1e400}'),
        no_json("comment", '{/* x */ "text": "t"}'),
        no_json("raw-line-break-in-a-string", '{"text": "a\nb"}'),
        no_json("unknown-escape", r'{"text": "\x41"}'),
        no_json("no-utf-8", b'{"text": "\xff"}'),
        no_json("utf-16", '{"text": "t"}'.encode("utf-16")),
        no_json("byte-order-mark", b'\xef\xbb\xbf{"text": "t"}'),
        bad("lone-surrogate", r'{"text": "\ud800"}', "INVALID_FIELD_VALUE", "text"),
        no_json("white-space-alone", "  "),
        put("deep", nested(30), json.loads(nested(30))),
        put("deeper", nested(60), json.loads(nested(60))),
        bad("too-deep", nested(101), "NESTING_TOO_DEEP"),
        bad("far-too-deep", nested(5000), "NESTING_TOO_DEEP"),
    ],
)

CASES = [*PLACES, *TYPES, *REFUSED, *SYNTAX]
