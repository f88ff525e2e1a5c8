import json

import pytest
from google.protobuf import json_format

from tests.support.gateway import AsgiClient, FakeDispatcher, sample_gateway


def nested(depth):
    """A thing with `depth` things inside each other, itself included."""
    return '{"child":' * (depth - 1) + "{}" + "}" * (depth - 1)


@pytest.fixture
def put(client, dispatcher, sample_type):
    """PUTs a body and gives the request message as JSON, or the refusal's answer."""

    async def put(body, path="/v1/things/n"):
        answer = await client.request("PUT", path, body)
        if answer.status != 200:
            return answer
        message = sample_type("Thing").FromString(dispatcher.calls[-1][1])
        shown = json_format.MessageToDict(
            message, preserving_proto_field_name=True, descriptor_pool=message.DESCRIPTOR.file.pool
        )
        assert shown.pop("name") == "n"
        return shown

    return put


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{}", {}),
        (" \n{ }\t", {}),
        ('{"text":"\\ud83d\\ude00"}', {"text": "😀"}),
        ('{"oddSpelling":"a"}', {"spelled_oddly": "a"}),
        ('{"spelled_oddly":"a"}', {"spelled_oddly": "a"}),
        ('{"wrappedText":"a","wrapped_number":5}', {"wrapped_text": "a", "wrapped_number": "5"}),
        ('{"i64":"5","u64":"18446744073709551615"}', {"i64": "5", "u64": "18446744073709551615"}),
        ('{"i64":9223372036854775807}', {"i64": "9223372036854775807"}),
        ('{"i64":-9223372036854775808}', {"i64": "-9223372036854775808"}),
        ('{"i64":1.0,"i32":1e3}', {"i64": "1", "i32": 1000}),
        ('{"i64":"1e3"}', {"i64": "1000"}),
        ('{"i32":2147483647,"u32":4294967295}', {"i32": 2147483647, "u32": 4294967295}),
        ('{"f64":"NaN","f32":"-Infinity"}', {"f64": "NaN", "f32": "-Infinity"}),
        ('{"f64":1}', {"f64": 1.0}),
        ('{"data":"_-8"}', {"data": "/+8="}),
        ('{"kind":"SMALL"}', {"kind": "SMALL"}),
        ('{"kind":"small"}', {"kind": "SMALL"}),
        ('{"kind":"Minus"}', {"kind": "minus"}),
        ('{"kind":2}', {"kind": "LARGE"}),
        ('{"kind":"2"}', {"kind": "LARGE"}),
        ('{"kind":77}', {"kind": 77}),
        ('{"kinds":["small","LARGE",1]}', {"kinds": ["SMALL", "LARGE", "SMALL"]}),
        ('{"kind_by_name":{"a":"large"}}', {"kind_by_name": {"a": "LARGE"}}),
        ('{"child":{"children":[{"kind":"large"}]}}', {"child": {"children": [{"kind": "LARGE"}]}}),
        ('{"things":{"a":{"kind":"large"}}}', {"things": {"a": {"kind": "LARGE"}}}),
        ('{"text":"small","kind":"small"}', {"text": "small", "kind": "SMALL"}),
        ('{"text":null,"child":null,"tags":null,"kind":null,"counts":null,"time":null}', {}),
        ('{"left":"a","right":null}', {"left": "a"}),
        ('{"value":null}', {"value": None}),
        ('{"anything":{"a":[1,{"b":null}]}}', {"anything": {"a": [1.0, {"b": None}]}}),
        ('{"time":"2030-01-31T12:00:00+01:00","age":"-0.5s"}', {
            "time": "2030-01-31T11:00:00Z", "age": "-0.500s",
        }),
        ('{"update_mask":"a,b.cD"}', {"update_mask": "a,b.cD"}),
        ('{"update_mask":""}', {"update_mask": ""}),
        ('{"update_mask":"a,b.c_d"}', {"update_mask": "a,b.cD"}),
        ('{"any":{"@type":"type.googleapis.com/sample.v1.Thing","text":"a"}}', {
            "any": {"@type": "type.googleapis.com/sample.v1.Thing", "text": "a"},
        }),
        ('{"any":{"@type":"type.googleapis.com/sample.v1.Thing","kind":"small"}}', {
            "any": {"@type": "type.googleapis.com/sample.v1.Thing", "kind": "SMALL"},
        }),
        ('{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}}', {
            "any": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"},
        }),
        ('{"any":{}}', {"any": {}}),
        ('{"by_flag":{"true":"x"},"by_number":{"-1":"y"}}', {
            "by_flag": {"true": "x"}, "by_number": {"-1": "y"},
        }),
        ('{"maybe":""}', {"maybe": ""}),
    ],
)  # fmt: skip
async def test_json_is_read_as_proto_json(put, body, expected):
    assert await put(body) == expected


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"i32":2147483648}', "i32"),
        ('{"i32":-2147483649}', "i32"),
        ('{"u32":-1}', "u32"),
        ('{"u32":4294967296}', "u32"),
        ('{"i64":"9223372036854775808"}', "i64"),
        ('{"u64":"18446744073709551616"}', "u64"),
        ('{"i64":1e300}', "i64"),
        ('{"i64":1.5}', "i64"),
        ('{"i64":""}', "i64"),
        ('{"i64":" 1"}', "i64"),
        ('{"i64":"0x10"}', "i64"),
        ('{"i64":"1_000"}', "i64"),
        ('{"i64":"+1"}', "i64"),
        ('{"i64":"01"}', "i64"),
        ('{"i64":"\u0661"}', "i64"),
        ('{"i64":"Infinity"}', "i64"),
        ('{"i64":true}', "i64"),
        ('{"numbers":["1","1_0"]}', "numbers[1]"),
        ('{"counts":{"a":"1_0"}}', "counts[a]"),
        ('{"wrapped_number":"1_0"}', "wrapped_number"),
        ('{"kind":"HUGE"}', "kind"),
        ('{"kind":1.5}', "kind"),
        ('{"kind":true}', "kind"),
        ('{"kind":3000000000}', "kind"),
        ('{"kind":"3000000000"}', "kind"),
        ('{"kind":"99999999999999999999"}', "kind"),
        ('{"kinds":["SMALL",null]}', "kinds[1]"),
        ('{"kinds":["SMALL","HUGE"]}', "kinds[1]"),
        ('{"f32":1e39}', "f32"),
        ('{"f64":"1_0"}', "f64"),
        ('{"f64":"nan"}', "f64"),
        ('{"flag":1}', "flag"),
        ('{"flag":"true"}', "flag"),
        ('{"text":1}', "text"),
        ('{"text":"\\ud800"}', "text"),
        ('{"data":"***"}', "data"),
        ('{"data":"a"}', "data"),
        ('{"child":[]}', "child"),
        ('{"child":"x"}', "child"),
        ('{"tags":"a"}', "tags"),
        ('{"tags":{}}', "tags"),
        ('{"tags":["a",null]}', "tags[1]"),
        ('{"counts":[]}', "counts"),
        ('{"counts":{"a":null}}', "counts[a]"),
        ('{"by_flag":{"1":"x"}}', "by_flag[1]"),
        ('{"by_flag":{"True":"x"}}', "by_flag[True]"),
        ('{"by_number":{"1":"x","01":"y"}}', "by_number[01]"),
        ('{"by_number":{"0":"x","-0":"y"}}', "by_number[-0]"),
        ('{"by_number":{"+1":"x"}}', "by_number[+1]"),
        ('{"by_number":{"1_0":"x"}}', "by_number[1_0]"),
        ('{"by_number":{"1.0":"x"}}', "by_number[1.0]"),
        ('{"by_number":{"2147483648":"x"}}', "by_number[2147483648]"),
        ('{"time":"2024-13-01T00:00:00Z"}', "time"),
        ('{"time":{"seconds":1}}', "time"),
        ('{"time":"2030-01-+1T12:00:00Z"}', "time"),
        ('{"time":"2030-1-1T12:00:00Z"}', "time"),
        ('{"age":"1h"}', "age"),
        ('{"age":"315576000001s"}', "age"),
        ('{"update_mask":["a"]}', "update_mask"),
        ('{"update_mask":","}', "update_mask"),
        ('{"update_mask":"a,,b"}', "update_mask"),
        ('{"update_mask":"a__b"}', "update_mask"),
        ('{"update_mask":"line_1"}', "update_mask"),
        ('{"update_mask":"a..b"}', "update_mask"),
        ('{"update_mask":"a b"}', "update_mask"),
        ('{"any":{"@type":"type.googleapis.com/nope.Nope"}}', "any"),
        ('{"any":{"@type":"example.com/sample.v1.Thing"}}', "any"),
        ('{"any":{"@type":"sample.v1.Thing"}}', "any"),
        ('{"any":{"@type":5}}', "any"),
        ('{"any":{"text":"a"}}', "any"),
        ('{"any":{"@type":"type.googleapis.com/google.protobuf.Duration"}}', "any"),
        (
            '{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s","x":1}}',
            "any",
        ),
        (
            '{"any":{"@type":"type.googleapis.com/google.protobuf.Int32Value","value":"1_0"}}',
            "any.value",
        ),
        (
            '{"any":{"@type":"type.googleapis.com/google.protobuf.FieldMask","value":","}}',
            "any.value",
        ),
        ('{"any":{"@type":"type.googleapis.com/sample.v1.Thing","i64":"1_0"}}', "any.i64"),
        (
            '{"any":{"@type":"type.googleapis.com/sample.v1.Thing","child":{"i32":"x"}}}',
            "any.child.i32",
        ),
        ('{"child":{"children":[{},{"i32":"x"}]}}', "child.children[1].i32"),
        ('{"things":{"a":{"u32":-1}}}', "things[a].u32"),
    ],
)
async def test_a_value_that_does_not_fit_is_refused_by_the_path_of_its_field(put, body, field):
    answer = await put(body)
    assert (answer.status, answer.reason) == (400, "INVALID_FIELD_VALUE"), answer.body
    assert list(answer.violations) == [field]
    assert field in answer.json["message"]


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        ('{"nope":1}', "UNKNOWN_FIELD", "nope"),
        ('{"child":{"nope":1}}', "UNKNOWN_FIELD", "child.nope"),
        ('{"children":[{},{"nope":1}]}', "UNKNOWN_FIELD", "children[1].nope"),
        ('{"things":{"a":{"nope":1}}}', "UNKNOWN_FIELD", "things[a].nope"),
        ('{"[a.b]":1}', "UNKNOWN_FIELD", "[a.b]"),
        ('{"Text":"a"}', "UNKNOWN_FIELD", "Text"),
        ('{"\\ud800":1}', "UNKNOWN_FIELD", "?"),
        ('{"oddSpelling":"a","spelled_oddly":"b"}', "DUPLICATE_KEY", "spelled_oddly"),
        ('{"child":{"wrappedText":"a","wrapped_text":"b"}}', "DUPLICATE_KEY", "child.wrapped_text"),
        ('{"left":"a","right":1}', "ONEOF_CONFLICT", "right"),
        ('{"child":{"left":"a","middle":{}}}', "ONEOF_CONFLICT", "child.middle"),
        (
            '{"any":{"@type":"type.googleapis.com/sample.v1.Thing","nope":1}}',
            "UNKNOWN_FIELD",
            "any.nope",
        ),
        (
            '{"any":{"@type":"type.googleapis.com/sample.v1.Thing","left":"a","right":1}}',
            "ONEOF_CONFLICT",
            "any.right",
        ),
    ],
)
async def test_what_is_not_one_message_is_refused_by_the_fields_name(put, body, reason, field):
    answer = await put(body)
    assert (answer.status, answer.reason) == (400, reason)
    assert list(answer.violations) == [field]


async def test_every_wrong_field_is_named(put):
    answer = await put('{"i32":"x","child":{"flag":1},"kind":"HUGE","text":"ok"}')
    assert set(answer.violations) == {"i32", "child.flag", "kind"}


async def test_wrong_fields_of_all_kinds_are_named_together(put):
    answer = await put('{"nope":1,"i64":"1_0","kind":"HUGE","kinds":["small"],"child":{"flag":1}}')
    assert set(answer.violations) == {"nope", "i64", "kind", "child.flag"}


async def test_a_large_body_is_refused_without_a_search(sample_set):
    client = AsgiClient(sample_gateway(sample_set, FakeDispatcher()))
    body = json.dumps({"tags": ["a"] * 100_000, "flag": 1})
    answer = await client.request("PUT", "/v1/things/n", body)
    assert (answer.status, answer.reason) == (400, "INVALID_FIELD_VALUE")
    body = json.dumps({str(number): 1 for number in range(1000)})
    answer = await client.request("PUT", "/v1/things/n", body)
    assert len(answer.violations) == 100
    assert "(and 999 more)" in answer.json["message"]


# Each took a quadratic time, or one for each of more mistakes than anybody reads.
@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (
            "{" + ",".join(f'"k{n}":1' for n in range(200_000)) + ',"z":1,"z":1}',
            400,
            "DUPLICATE_KEY",
        ),
        ("{" + ",".join(f'"k{n}":1' for n in range(200_000)) + "}", 400, "UNKNOWN_FIELD"),
        ('{"numbers":[' + ",".join(['"1_0"'] * 400_000) + "]}", 400, "INVALID_FIELD_VALUE"),
        ('{"children":[' + ",".join(["{}"] * 100_000) + "]}", 413, "BODY_TOO_COMPLEX"),
        ('{"value":' + "[" * 100_000, 400, "NESTING_TOO_DEEP"),
        ('{"value":' + "[" * 300_000, 413, "BODY_TOO_COMPLEX"),
        (
            '{"child":' * 90 + '{"tags":[' + ",".join(["1"] * 31_000) + "]}" + "}" * 90,
            400,
            "INVALID_FIELD_VALUE",
        ),
    ],
    ids=["duplicate", "unknown", "numbers", "objects", "lists", "more lists", "deep"],
)
async def test_a_body_of_many_mistakes_is_refused_soon(sample_set, body, status, reason):
    client = AsgiClient(sample_gateway(sample_set, FakeDispatcher()))
    answer = await client.request("PUT", "/v1/things/n", body)
    assert (answer.status, answer.reason) == (status, reason)


async def test_brackets_in_strings_are_not_counted(sample_set, dispatcher):
    client = AsgiClient(sample_gateway(sample_set, dispatcher))
    body = json.dumps({"text": "{[" * 60_000, "tags": ['[\\"]'] * 10})
    assert (await client.request("PUT", "/v1/things/n", body)).status == 200


@pytest.mark.parametrize(
    "body",
    [
        '{"text":"a","text":"b"}',
        '{"child":{"i32":1,"i32":1}}',
        '{"counts":{"a":1,"a":2}}',
        '{"anything":{"a":1,"a":2}}',
        '{"nope":1,"nope":2}',
    ],
)
async def test_a_key_given_twice_is_refused(put, body):
    answer = await put(body)
    assert (answer.status, answer.reason) == (400, "DUPLICATE_KEY")


@pytest.mark.parametrize(
    "body",
    [
        "[]", '"x"', "null", "1", "true", " ",
        "{} x", "{}{}", '{"text":"a",}', "{'text':'a'}", '{text:"a"}', "{/*x*/}", '{"text":"a\nb"}',
        '{"f64":1e400}', '{"anything":{"a":-1e400}}', '{"f64":NaN}', '{"f64":Infinity}', '{"f64":-Infinity}', '{"anything":{"a":NaN}}',
        '{"i64":01}', '{"i64":+1}', '{"i64":' + "9" * 3000 + "." + "}", '{"text":', "\ufeff{}",
        b'{"text":"\xff"}', b'{"\xff":1}', b"\xff\xfe{\x00}\x00", '{"text":"é"}'.encode("utf-16"),
    ],
)  # fmt: skip
async def test_what_is_not_a_json_object_in_utf_8_is_refused(put, body):
    answer = await put(body)
    assert (answer.status, answer.reason) == (400, "MALFORMED_JSON")


@pytest.mark.parametrize(
    "body",
    [
        nested(102),
        nested(300),
        '{"anything":' + '{"a":' * 400 + "1" + "}" * 401,
        '{"value":' + "[" * 300 + "]" * 300 + "}",
        '{"value":' + "[" * 1200 + "]" * 1200 + "}",
        '{"nope":' + "[" * 1200 + "]" * 1200 + "}",
    ],
)
async def test_deep_nesting_is_refused_and_never_a_recursion_error(put, body):
    answer = await put(body)
    assert answer.status == 400
    assert answer.json["code"] == 3


ANY_THING = '{"@type":"type.googleapis.com/sample.v1.Thing","any":'


@pytest.mark.parametrize(
    ("deep", "limit"),
    [
        # so many messages below the request, as protobuf's parsers count them
        (lambda n: nested(n + 1), 100),
        (lambda n: '{"things":{"a":' * n + "{}" + "}}" * n, 50),
        (lambda n: '{"value":' + "[" * n + "]" * n + "}", 50),
        (lambda n: '{"anything":{"a":' + '{"a":' * (n - 1) + "1" + "}" * (n + 1), 33),
        (lambda n: '{"any":' + ANY_THING * n + "{}" + "}" * n + "}", 49),
    ],
    ids=["messages", "maps", "lists", "structs", "any"],
)
async def test_nesting_is_read_up_to_the_limit_and_what_is_read_can_be_parsed(put, deep, limit):
    assert isinstance(await put(deep(limit)), dict)
    answer = await put(deep(limit + 1))
    assert (answer.status, answer.reason) == (400, "NESTING_TOO_DEEP")


@pytest.mark.parametrize(
    ("line", "body", "field"),
    [
        ("PATCH /v1/things/n", "null", "child"),
        ("PATCH /v1/things/n", "[]", "child"),
        ("PATCH /v1/things/n", '"a"', "child"),
        ("PATCH /v1/things/n", '{"i32":"x"}', "child.i32"),
        ("POST /v1/things/n/tags", '{"a":1}', "tags"),
        ("POST /v1/things/n/tags", '["a",1]', "tags[1]"),
        ("POST /v1/things/n/text", "1", "text"),
    ],
)
async def test_a_body_that_is_one_field_is_refused_by_that_field(client, line, body, field):
    method, path = line.split(" ")
    answer = await client.request(method, path, body)
    assert answer.status == 400
    assert list(answer.violations) == [field]


async def test_a_body_that_is_one_field_cannot_smuggle_another(client):
    answer = await client.request("POST", "/v1/things/n/text", '"a","name":"m"')
    assert (answer.status, answer.reason) == (400, "MALFORMED_JSON")


@pytest.mark.parametrize("text", ['"a\\u0000b"', '"<>&\\u2028"'])
async def test_odd_text_survives(put, text):
    assert await put(f'{{"text":{text}}}') == {"text": json.loads(text)}
