import pytest
from google.protobuf import json_format

from tests.support.gateway import compile_protos
from windlass_server.gateway.http_rules import RuleError
from windlass_server.gateway.table import build_table
from windlass_server.gateway.transcoder import Transcoder


@pytest.fixture
def bound(client, dispatcher, sample_type):
    """Sends a request and gives its request message as JSON, or the refusal's answer."""

    async def bind(line, body=None):
        method, target = line.split(" ")
        answer = await client.request(method, target, body)
        if answer.status != 200:
            return answer
        message = sample_type("Thing").FromString(dispatcher.calls[-1][1])
        return json_format.MessageToDict(message, preserving_proto_field_name=True)

    return bind


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/v1/things/a", {"name": "a"}),
        ("/v1/things/a%2Fb%20%C3%A4+", {"name": "a/b ä+"}),
        ("/v1/numbers/-5", {"i64": "-5"}),
        ("/v1/numbers/9223372036854775807", {"i64": "9223372036854775807"}),
        ("/v1/enums/LARGE", {"kind": "LARGE"}),
        ("/v1/enums/large", {"kind": "LARGE"}),
        ("/v1/enums/2", {"kind": "LARGE"}),
        ("/v1/enums/77", {"kind": 77}),
        ("/v1/enums/MINUS", {"kind": "minus"}),
        ("/v1/bools/true", {"flag": True}),
        ("/v1/bools/false", {}),
        ("/v1/nested/deep", {"child": {"name": "deep"}}),
        ("/v1/times/2030-01-31T12:00:00Z", {"time": "2030-01-31T12:00:00Z"}),
        ("/v1/bytes/_-8", {"data": "/+8="}),
        ("/v1/files/a/b%2Fc", {"name": "a/b%2Fc"}),
        ("/v1/files", {}),
        ("/v1/shelves/a/books/b%2Fc", {"name": "shelves/a/books/b%2Fc"}),
        ("/v1/shelves/a/any/x/t%2Fu", {"name": "shelves/a", "text": "t/u"}),
        ("/v1/libraries/a/b", {"child": {"name": "libraries/a/b"}}),
        ("/v1/libraries", {"child": {"name": "libraries"}}),
        ("/v1/wrapped/5", {"wrapped_number": "5"}),
        ("/v1/ages/1.5s", {"age": "1.500s"}),
        ("/v1/masks/a.b,c_d", {"update_mask": "a.b,cD"}),
        ("/v1/maybes/x", {"maybe": "x"}),
        ("/v1/doubles/-1.5e3", {"f64": -1500.0}),
        ("/v1/lefts/a?child.text=t", {"left": "a", "child": {"text": "t"}}),
        ("/v1/middles/a?middle.text=t", {"middle": {"name": "a", "text": "t"}}),
        ("/v1/nested/deep?child.child.text=t", {"child": {"name": "deep", "child": {"text": "t"}}}),
    ],
)
async def test_a_path_binds_its_variables(bound, target, expected):
    assert await bound(f"GET {target}") == expected


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("/v1/numbers/x", "i64"),
        ("/v1/numbers/1.0", "i64"),
        ("/v1/numbers/0x10", "i64"),
        ("/v1/numbers/9223372036854775808", "i64"),
        ("/v1/numbers/1_000", "i64"),
        ("/v1/enums/HUGE", "kind"),
        ("/v1/enums/99999999999", "kind"),
        ("/v1/bools/yes", "flag"),
        ("/v1/bools/TRUE", "flag"),
        ("/v1/bools/1", "flag"),
        ("/v1/times/yesterday", "time"),
        ("/v1/bytes/***", "data"),
    ],
)
async def test_a_path_value_that_its_field_cannot_hold_is_refused_by_the_fields_name(
    bound, target, field
):
    answer = await bound(f"GET {target}")
    assert (answer.status, answer.reason) == (400, "INVALID_FIELD_VALUE")
    assert list(answer.violations) == [field]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("text=a+b%26c", {"text": "a b&c"}),
        ("text=ä%C3%A4", {"text": "ää"}),
        ("text=", {}),
        ("text", {}),
        ("&&text=a&", {"text": "a"}),
        ("te%78t=a", {"text": "a"}),
        ("text=a=b", {"text": "a=b"}),
        ("i32=-5&i64=6&u32=7&u64=18446744073709551615&s64=-1", {
            "i32": -5, "i64": "6", "u32": 7, "u64": "18446744073709551615", "s64": "-1",
        }),
        ("f64=1.5&f32=-2e3", {"f64": 1.5, "f32": -2000.0}),
        ("f64=NaN&f32=-Infinity", {"f64": "NaN", "f32": "-Infinity"}),
        ("flag=true", {"flag": True}),
        ("data=YQ", {"data": "YQ=="}),
        ("data=YQ%3D%3D", {"data": "YQ=="}),
        ("kind=small", {"kind": "SMALL"}),
        ("kind=-1", {"kind": "minus"}),
        ("maybe=", {"maybe": ""}),
        ("tags=a&tags=b,c&tags=", {"tags": ["a", "b,c", ""]}),
        ("numbers=1&numbers=2", {"numbers": ["1", "2"]}),
        ("kinds=SMALL&kinds=2", {"kinds": ["SMALL", "LARGE"]}),
        ("ages=1s&ages=2.5s", {"ages": ["1s", "2.500s"]}),
        ("child.child.text=x&child.i32=1", {"child": {"child": {"text": "x"}, "i32": 1}}),
        ("child.tags=a&child.tags=b", {"child": {"tags": ["a", "b"]}}),
        ("oddSpelling=a", {"spelled_oddly": "a"}),
        ("spelled_oddly=a", {"spelled_oddly": "a"}),
        ("updateMask=a.b,cD", {"update_mask": "a.b,cD"}),
        ("update_mask=c_d,e", {"update_mask": "cD,e"}),
        ("update_mask=", {"update_mask": ""}),
        ("time=2030-01-31T12:00:00.5%2B01:00", {"time": "2030-01-31T11:00:00.500Z"}),
        ("age=1.5s", {"age": "1.500s"}),
        ("wrapped_text=&wrapped_number=5&wrapped_flag=false", {
            "wrapped_text": "", "wrapped_number": "5", "wrapped_flag": False,
        }),
        ("left=a", {"left": "a"}),
        ("middle.text=a&middle.i32=1", {"middle": {"text": "a", "i32": 1}}),
    ],
)  # fmt: skip
async def test_a_query_binds_its_parameters(bound, query, expected):
    assert await bound(f"GET /v1/things/n?{query}") == {"name": "n", **expected}


@pytest.mark.parametrize(
    ("query", "reason", "fields"),
    [
        ("nope=1", "UNKNOWN_PARAMETER", ["nope"]),
        ("child.nope=1", "UNKNOWN_PARAMETER", ["child.nope"]),
        ("text.nope=1", "UNKNOWN_PARAMETER", ["text.nope"]),
        ("children.text=1", "UNKNOWN_PARAMETER", ["children.text"]),
        ("time.seconds=1", "UNKNOWN_PARAMETER", ["time.seconds"]),
        ("=1", "UNKNOWN_PARAMETER", [""]),
        ("text=a&text=b", "DUPLICATE_PARAMETER", ["text"]),
        ("oddSpelling=a&spelled_oddly=b", "DUPLICATE_PARAMETER", ["spelled_oddly"]),
        ("name=other", "CONFLICTING_PARAMETER", ["name"]),
        ("%6eame=other", "CONFLICTING_PARAMETER", ["name"]),
        ("i32=x", "INVALID_FIELD_VALUE", ["i32"]),
        ("i32=2147483648", "INVALID_FIELD_VALUE", ["i32"]),
        ("i32=1.0", "INVALID_FIELD_VALUE", ["i32"]),
        ("i32=%D9%A1", "INVALID_FIELD_VALUE", ["i32"]),
        ("i32=", "INVALID_FIELD_VALUE", ["i32"]),
        ("i64=1_0", "INVALID_FIELD_VALUE", ["i64"]),
        ("i64=9223372036854775808", "INVALID_FIELD_VALUE", ["i64"]),
        ("u32=-1", "INVALID_FIELD_VALUE", ["u32"]),
        ("u64=18446744073709551616", "INVALID_FIELD_VALUE", ["u64"]),
        ("f32=1e39", "INVALID_FIELD_VALUE", ["f32"]),
        ("f64=1e400", "INVALID_FIELD_VALUE", ["f64"]),
        ("f64=nan", "INVALID_FIELD_VALUE", ["f64"]),
        ("flag=yes", "INVALID_FIELD_VALUE", ["flag"]),
        ("flag=", "INVALID_FIELD_VALUE", ["flag"]),
        ("data=***", "INVALID_FIELD_VALUE", ["data"]),
        ("kind=HUGE", "INVALID_FIELD_VALUE", ["kind"]),
        ("kinds=SMALL,LARGE", "INVALID_FIELD_VALUE", ["kinds"]),
        ("time=2030-01-%2B1T12:00:00Z", "INVALID_FIELD_VALUE", ["time"]),
        ("time=noon", "INVALID_FIELD_VALUE", ["time"]),
        ("age=1h", "INVALID_FIELD_VALUE", ["age"]),
        ("update_mask=a,,b", "INVALID_FIELD_VALUE", ["update_mask"]),
        ("update_mask=line_1", "INVALID_FIELD_VALUE", ["update_mask"]),
        ("wrapped_number=1_0", "INVALID_FIELD_VALUE", ["wrapped_number"]),
        ("child=x", "INVALID_PARAMETER", ["child"]),
        ("children=x", "INVALID_PARAMETER", ["children"]),
        ("counts=x", "INVALID_PARAMETER", ["counts"]),
        ("anything=x", "INVALID_PARAMETER", ["anything"]),
        ("left=a&right=1", "ONEOF_CONFLICT", ["right"]),
        ("left=a&middle.text=b", "ONEOF_CONFLICT", ["middle.text"]),
        ("middle.text=b&left=a", "ONEOF_CONFLICT", ["left"]),
        ("nope=1&i32=x&text=ok", "UNKNOWN_PARAMETER", ["nope", "i32"]),
        (".".join(["child"] * 200) + ".text=x", "UNKNOWN_PARAMETER", None),
    ],
)
async def test_a_bad_parameter_is_refused_by_its_name(bound, query, reason, fields):
    answer = await bound(f"GET /v1/things/n?{query}")
    assert (answer.status, answer.reason) == (400, reason)
    if fields is not None:
        assert list(answer.violations) == fields


@pytest.mark.parametrize(
    "query", ["text=%zz", "text=%", "%zz=a", "text=%ff", "a%C3=b", "text=\udcff"]
)
async def test_a_query_that_cannot_be_decoded_is_malformed(bound, query):
    answer = await bound(f"GET /v1/things/n?{query}")
    assert (answer.status, answer.reason) == (400, "MALFORMED_QUERY")


@pytest.mark.parametrize(
    ("line", "body", "reason", "field"),
    [
        # the body is the whole request
        ("PUT /v1/things/n?text=a", "{}", "QUERY_NOT_ALLOWED", "text"),
        ("PUT /v1/things/n?nope=a", "{}", "QUERY_NOT_ALLOWED", "nope"),
        # the body is one field: nothing of it comes from the query
        ("PATCH /v1/things/n?child=a", "{}", "CONFLICTING_PARAMETER", "child"),
        ("PATCH /v1/things/n?child.text=a", "{}", "CONFLICTING_PARAMETER", "child.text"),
        ("POST /v1/things/n/tags?tags=a", "[]", "CONFLICTING_PARAMETER", "tags"),
        # the path and the body name the same field
        ("PUT /v1/things/n", '{"name":"m"}', "CONFLICTING_VALUES", "name"),
        ("PUT /v1/numbers/4294967297", '{"i64":"1"}', "CONFLICTING_VALUES", "i64"),
        ("PUT /v1/nested/n", '{"name":"m"}', "CONFLICTING_VALUES", "child.name"),
        # a oneof over body and query
        ("GET /v1/nested/n?child.name=m", None, "CONFLICTING_PARAMETER", "child.name"),
        # a oneof over path and query: neither takes the other's place
        ("GET /v1/lefts/a?right=1", None, "ONEOF_CONFLICT", "left"),
        ("GET /v1/lefts/a?middle.text=t", None, "ONEOF_CONFLICT", "left"),
        ("GET /v1/middles/a?left=b", None, "ONEOF_CONFLICT", "middle.name"),
        ("GET /v1/lefts/a?left=a", None, "CONFLICTING_PARAMETER", "left"),
    ],
)
async def test_what_another_part_binds_is_not_bound_again(bound, line, body, reason, field):
    answer = await bound(line, body)
    assert (answer.status, answer.reason) == (400, reason)
    assert list(answer.violations) == [field]


@pytest.mark.parametrize(
    ("line", "body", "expected"),
    [
        ("PUT /v1/things/n", '{"name":"n","text":"a"}', {"name": "n", "text": "a"}),
        ("PUT /v1/things/n", '{"name":""}', {"name": "n"}),
        ("PUT /v1/things/n", "", {"name": "n"}),
        ("PUT /v1/things/n", None, {"name": "n"}),
        ("PUT /v1/numbers/5", '{"i64":5}', {"i64": "5"}),
        # a mask is only what the caller says: nobody adds one to a PATCH
        ("PATCH /v1/things/n?update_mask=a", "{}", {"name": "n", "child": {}, "update_mask": "a"}),
        ("PATCH /v1/things/n?text=a", '{"i32":1}', {"name": "n", "text": "a", "child": {"i32": 1}}),
        ("PATCH /v1/things/n", None, {"name": "n", "child": {}}),
        ("POST /v1/things/n/tags", '["a","b"]', {"name": "n", "tags": ["a", "b"]}),
        ("POST /v1/things/n/tags?i32=1", "[]", {"name": "n", "i32": 1}),
        ("POST /v1/things/n/text", '"a"', {"name": "n", "text": "a"}),
        ("PUT /v1/nested/n", '{"name":"n","i32":1}', {"child": {"name": "n", "i32": 1}}),
        ("PUT /v1/nested/n", '{"i32":1}', {"child": {"name": "n", "i32": 1}}),
        ("POST /v1/things/n:touch?text=a", None, {"name": "n", "text": "a"}),
    ],
)
async def test_path_query_and_body_make_one_message(bound, line, body, expected):
    assert await bound(line, body) == expected


PROTO = """
syntax = "proto3";
package bad.v1;
import "google/api/annotations.proto";
service BadService {
  rpc Get(Message) returns (Message) { option (google.api.http) = {%s}; }
}
message Message {
  string id = 1; repeated string ids = 2; map<string, string> map = 3; Message message = 4;
  string odd_name = 5 [json_name = "oddSpelling"];
}
"""


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ('get: "/v1/{nope}"', "no field nope"),
        ('get: "/v1/{id.nope}"', "no field id.nope"),
        ('get: "/v1/{ids}"', "single values only"),
        ('get: "/v1/{map}"', "single values only"),
        ('get: "/v1/{message}"', "single values only"),
        ('get: "/v1/{id"', "'/v1/{id'"),
        ('post: "/v1" body: "nope"', "no field nope"),
        ('post: "/v1" body: "message.id"', "not a top-level field"),
        ('get: "/v1" response_body: "nope"', "no field nope"),
        ('get: "/v1/{id}" additional_bindings {get: "/v1/{ids.x}"}', "no field ids.x"),
        (
            'get: "/v1/{id}" additional_bindings {get: "/v1/{message.id}"}',
            "match the same requests",
        ),
        ('body: "*"', "no path"),
        ('get: "/v1/{oddSpelling}"', "names it odd_name"),
        ('get: "/v1/{odd_name}/{oddSpelling}"', "names it odd_name"),
        ('post: "/v1" body: "oddSpelling"', "oddSpelling odd_name"),
        ('get: "/v1" response_body: "oddSpelling"', "oddSpelling odd_name"),
        ('custom {kind: "" path: "/v1"}', "'' is not an HTTP method"),
        ('custom {kind: "A B" path: "/v1"}', "'A B' is not an HTTP method"),
        ('custom {kind: "**" path: "/v1"}', "'**' is not an HTTP method"),
        (
            'get: "/a" additional_bindings {get: "/b" additional_bindings {get: "/c"}}',
            "do not nest",
        ),
    ],
)
def test_a_rule_that_cannot_be_served_stops_the_start(tmp_path, rule, complaint):
    (tmp_path / "bad.proto").write_text(PROTO % rule)
    transcoder = Transcoder(compile_protos(tmp_path, "bad.proto", path=tmp_path))
    with pytest.raises(RuleError) as error:
        build_table(transcoder, ["bad.v1.BadService"])
    assert complaint in str(error.value)
    assert "bad.v1.BadService/Get" in str(error.value)


def test_a_service_that_is_not_in_the_descriptor_set_stops_the_start(sample_transcoder):
    with pytest.raises(RuleError, match=r"nope\.v1\.Nope"):
        build_table(sample_transcoder, ["nope.v1.Nope"])
