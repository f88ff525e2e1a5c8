import asyncio
import gzip
import json
import logging
import re
import tracemalloc
import zlib

import pytest

from tests.support.gateway import AsgiClient, FakeDispatcher, failure, sample_gateway
from windlass_server.gateway.json_print import JsonStyle

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
JSON = {"content-type": "application/json"}


@pytest.fixture
def thing(sample_type):
    return sample_type("Thing")


async def test_a_call_reaches_the_dispatcher_with_what_the_caller_may_say(client, dispatcher):
    await client.request(
        "GET",
        "/v1/things/a",
        headers={
            "authorization": "Bearer t",
            "x-request-id": "r-1",
            "traceparent": TRACE,
            "user-agent": "curl/8",
            "grpc-internal-encoding-request": "gzip",
            "grpc-trace-bin": "AA",
            "x-windlass-principal": "root",
            "cookie": "a=b",
            "x-request-timeout": "2.5",
        },
    )
    call, _ = dispatcher.calls[0]
    assert call.method == "/sample.v1.ShelfService/GetThing"
    assert call.peer == "127.0.0.1:5555"
    assert call.timeout == 2.5
    assert call.metadata == {
        "authorization": "Bearer t",
        "x-request-id": "r-1",
        "traceparent": TRACE,
        "user-agent": "curl/8",
    }


@pytest.mark.parametrize(
    ("client_address", "peer"),
    [(("10.0.0.1", 80), "10.0.0.1:80"), (("::1", "80"), "[::1]:80"), (None, "")],
)
async def test_the_peer_is_the_clients_address(client, dispatcher, client_address, peer):
    await client.request("GET", "/v1/things/a", client=client_address)
    assert dispatcher.calls[0][0].peer == peer


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", "Bearer a"), ("authorization", "Bearer b")],
        [("authorization", "Bearer a"), ("authorization", "Bearer a")],
        [("authorization", "Bearer ä")],
        [("authorization", "Bearer a\x7f")],
    ],
)
async def test_credentials_that_are_not_one_are_refused(client, dispatcher, headers):
    answer = await client.request("GET", "/v1/things/a", headers=headers)
    assert (answer.status, answer.reason) == (401, "INVALID_CREDENTIALS")
    assert answer.header("www-authenticate") == "Bearer"
    assert dispatcher.calls == []


@pytest.mark.parametrize("request_id", [None, "", "a b", "ä", "x" * 129])
async def test_a_request_without_an_id_or_with_one_that_could_harm_a_log_gets_one(
    client, dispatcher, request_id
):
    headers = {} if request_id is None else {"x-request-id": request_id}
    answer = await client.request("GET", "/v1/things/a", headers=headers)
    made = dispatcher.calls[0][0].metadata["x-request-id"]
    assert re.fullmatch("req-[0-9a-f]{16}", made)
    assert answer.header("x-request-id") == made


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"grpc-timeout": "3S"}, 3.0),
        ({"grpc-timeout": "1H"}, 3600.0),
        ({"grpc-timeout": "99999999H"}, 1e9),  # longer ones overflow gRPC's clocks
        ({"grpc-timeout": "2M"}, 120.0),
        ({"grpc-timeout": "1500m"}, 1.5),
        ({"grpc-timeout": "250000u"}, 0.25),
        ({"grpc-timeout": "50000000n"}, 0.05),
        ({"x-request-timeout": "10"}, 10.0),
        ({"x-request-timeout": "0.5"}, 0.5),
        ({"grpc-timeout": "3S", "x-request-timeout": "2"}, 2.0),
    ],
)
async def test_a_timeout_is_read_in_seconds(client, dispatcher, headers, seconds):
    await client.request("GET", "/v1/things/a", headers=headers)
    timeout = dispatcher.calls[0][0].timeout
    assert timeout == seconds if seconds is None else timeout == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("grpc-timeout", text) for text in ("", "3", "3s", "-1S", "1.5S", "123456789S", "0S")),
        *(
            ("x-request-timeout", text)
            for text in ("", "3s", "-1", "1e3", "nan", "inf", "0", "1_0")
        ),
    ],
)
async def test_a_malformed_timeout_is_refused_by_its_header(client, dispatcher, name, text):
    answer = await client.request("GET", "/v1/things/a", headers={name: text})
    assert (answer.status, answer.reason) == (400, "INVALID_TIMEOUT")
    assert list(answer.violations) == [name]
    assert dispatcher.calls == []


async def test_an_answer_is_json_with_the_dispatchers_headers(client, dispatcher):
    dispatcher.response_metadata = {
        "x-request-id": "r-2",
        "x-rate-limit": "5",
        "grpc-status": "0",
        "content-length": "0",
        "content-type": "text/html",
        "trace-bin": "AA",
        "x-evil": "a\r\nset-cookie: b",
        "access-control-allow-origin": "*",
    }
    answer = await client.request("GET", "/v1/things/a", headers={"x-request-id": "r-1"})
    assert answer.json["name"] == "a"
    assert dict(answer.headers) == {
        "content-type": "application/json",
        "content-length": str(len(answer.body)),
        "x-request-id": "r-2",
        "x-rate-limit": "5",
    }


async def test_an_error_carries_the_callers_own_request_id(client):
    answer = await client.request("GET", "/nope", headers={"x-request-id": "r-1"})
    assert answer.header("x-request-id") == "r-1"


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        ("GET /nope", 404, "ROUTE_NOT_FOUND"),
        ("GET /v1/things/", 404, "ROUTE_NOT_FOUND"),
        ("GET /v1//things", 404, "ROUTE_NOT_FOUND"),
        ("OPTIONS /nope", 404, "ROUTE_NOT_FOUND"),
        ("DELETE /v1/things/a", 405, "METHOD_NOT_ALLOWED"),
        ("POST /v1/shelves/s:burn", 501, "METHOD_NOT_SERVED"),
        ("GET /v1/things/%zz", 400, "MALFORMED_PATH"),
        ("GET /v1/things/%ff", 400, "MALFORMED_PATH"),
        ("GET /v1/things/\udcff", 400, "MALFORMED_PATH"),
    ],
)
async def test_a_request_without_a_served_method_is_refused(
    client, dispatcher, line, status, reason
):
    answer = await client.request(*line.split(" "))
    assert (answer.status, answer.reason) == (status, reason)
    assert dispatcher.calls == []


async def test_a_planned_route_names_its_rpc(client):
    answer = await client.request("POST", "/v1/shelves/s:burn", "not even json")
    assert answer.json["code"] == 12
    assert "sample.v1.ShelfService/BurnShelf" in answer.json["message"]


async def test_another_method_is_refused_with_the_methods_that_there_are(client):
    answer = await client.request("DELETE", "/v1/things/a")
    assert answer.header("allow") == "GET, HEAD, OPTIONS, PATCH, PUT"


async def test_options_names_the_methods(client):
    answer = await client.request("OPTIONS", "/v1/things/a")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.header("allow") == "GET, HEAD, OPTIONS, PATCH, PUT"
    assert answer.header("content-type") is None


async def test_head_is_get_without_its_body(client, dispatcher):
    headers = {"x-request-id": "r-1"}
    get = await client.request("GET", "/v1/things/a", headers=headers)
    head = await client.request("HEAD", "/v1/things/a", headers=headers)
    assert (head.status, head.body, head.headers) == (200, b"", get.headers)
    assert dispatcher.calls[0][1] == dispatcher.calls[1][1]


async def test_head_of_what_has_no_get_is_refused(client):
    answer = await client.request("HEAD", "/v1/things/a:touch")
    assert (answer.status, answer.body) == (200, b""), "the verb is no route's under GET: a value"
    answer = await client.request("HEAD", "/v1/things/a/text")
    assert answer.status == 405


async def test_a_custom_method_is_served(client):
    answer = await client.request("PURGE", "/v1/ping")
    assert (answer.status, answer.json) == (200, {})


@pytest.mark.parametrize(
    "line",
    ["GET /nope", "DELETE /v1/things/a", "POST /v1/shelves/s:burn", "GET /%zz", "OPTIONS /v1/ping"],
)
async def test_without_credentials_all_that_is_not_served_looks_alike(sample_set, line):
    asked = []

    async def refuse(call):
        asked.append(call)
        raise failure(16, "who are you?")

    gateway = sample_gateway(sample_set, FakeDispatcher(), authenticate=refuse)
    headers = {"authorization": "Bearer x"}
    answer = await AsgiClient(gateway).request(*line.split(" "), headers=headers)
    assert (answer.status, answer.json["message"]) == (401, "who are you?")
    assert answer.header("www-authenticate") == "Bearer"
    assert answer.header("allow") is None
    assert asked[0].metadata.items() >= headers.items()
    assert asked[0].peer == "127.0.0.1:5555"


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        ("GET /v1/things/a?text=%zz", {}),
        ("GET /v1/things/a", {"x-request-timeout": "soon"}),
        ("GET /v1/things/a", {"grpc-timeout": "soon"}),
        ("GET /v1/things/a", {"transfer-encoding": "gzip"}),
        ("PUT /v1/things/a", {}),
        ("PUT /v1/things/a", {"content-length": "9999999"}),
    ],
)
async def test_a_stranger_is_refused_before_anything_is_read(sample_set, line, headers):
    async def refuse(_call):
        raise failure(16, "who are you?")

    dispatcher = FakeDispatcher()
    gateway = sample_gateway(sample_set, dispatcher, authenticate=refuse)
    answer = await AsgiClient(gateway).request(*line.split(" "), headers=headers)
    assert (answer.status, answer.json["message"]) == (401, "who are you?")
    assert dispatcher.calls == []


async def test_a_call_with_nothing_to_read_finds_out_by_itself_who_calls(sample_set):
    async def never(_call):
        raise AssertionError

    dispatcher = FakeDispatcher(reply=failure(16, "who are you?"))
    gateway = sample_gateway(sample_set, dispatcher, authenticate=never)
    headers = {"authorization": "Bearer x"}
    answer = await AsgiClient(gateway).request("GET", "/v1/things/a", headers=headers)
    assert (answer.status, answer.header("www-authenticate")) == (401, "Bearer")
    ((call, request),) = dispatcher.calls
    assert call.metadata.items() >= headers.items()
    assert request


async def test_with_credentials_the_hook_lets_the_answer_through(sample_set):
    async def accept(call):
        call.response_metadata["x-request-id"] = "r-9"

    gateway = sample_gateway(sample_set, FakeDispatcher(), authenticate=accept)
    answer = await AsgiClient(gateway).request("GET", "/nope")
    assert answer.status == 404
    assert answer.header("x-request-id") == "r-9"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 200),
        ("application/json", 200),
        ("Application/JSON; charset=UTF-8", 200),
        ('application/json; charset="utf-8"', 200),
        ("application/merge-patch+json", 200),
        ("application/json; charset=latin-1", 415),
        ("application/x-www-form-urlencoded", 415),
        ("text/json", 415),
        ("text/plain", 415),
        ("multipart/form-data; boundary=x", 415),
        ("nonsense", 415),
    ],
)
async def test_a_body_has_to_be_json(client, content_type, status):
    headers = {} if content_type is None else {"content-type": content_type}
    answer = await client.request("PUT", "/v1/things/a", '{"text":"x"}', headers)
    assert answer.status == status
    if status == 415:
        assert answer.reason == "UNSUPPORTED_MEDIA_TYPE"


async def test_without_a_body_the_content_type_does_not_matter(client):
    answer = await client.request("GET", "/v1/things/a", "", {"content-type": "text/html"})
    assert answer.status == 200


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "x"])
async def test_other_content_encodings_are_refused(client, encoding):
    answer = await client.request("PUT", "/v1/things/a", "{}", {"content-encoding": encoding})
    assert (answer.status, answer.reason) == (415, "UNSUPPORTED_CONTENT_ENCODING")


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b'{"text":"x"}'),
        gzip.compress(b'{"text"') + gzip.compress(b':"x"}'),
    ],
    ids=["in one piece", "in two"],
)
async def test_a_gzip_body_is_read(client, dispatcher, thing, body):
    answer = await client.request("PUT", "/v1/things/a", body, {"content-encoding": "gzip"})
    assert answer.status == 200
    assert thing.FromString(dispatcher.calls[0][1]).text == "x"


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"{}", 400, "MALFORMED_BODY"),
        (gzip.compress(b"{}")[:-3], 400, "MALFORMED_BODY"),
        (gzip.compress(b"{}") + b"rest", 400, "MALFORMED_BODY"),
        (zlib.compress(b"{}"), 400, "MALFORMED_BODY"),
        (gzip.compress(b" " * 10_000_000)[:4096], 413, "BODY_TOO_LARGE"),
        (gzip.compress(b" " * 4000) + gzip.compress(b" " * 4000), 413, "BODY_TOO_LARGE"),
    ],
    ids=[f"case {number}" for number in range(6)],
)
async def test_a_bad_gzip_body_is_refused(client, body, status, reason):
    answer = await client.request("PUT", "/v1/things/a", body, {"content-encoding": "gzip"})
    assert (answer.status, answer.reason) == (status, reason)


async def test_a_gzip_body_of_nothing_but_members_is_refused(client):
    body = gzip.compress(b"", mtime=0) * 150
    assert len(body) < 4096
    answer = await client.request("PUT", "/v1/things/a", body, {"content-encoding": "gzip"})
    assert (answer.status, answer.reason) == (400, "MALFORMED_BODY")
    assert "too many members" in answer.json["message"]


@pytest.mark.parametrize("pieces", [[b"{", None], [None], [b"{", b" ", None]])
async def test_a_body_that_does_not_come_is_given_up(sample_set, dispatcher, pieces):
    client = AsgiClient(sample_gateway(sample_set, dispatcher, read_timeout_s=0.05))
    answer = await client.request("PUT", "/v1/things/a", pieces)
    assert (answer.status, answer.reason) == (408, "BODY_TIMEOUT")
    assert dispatcher.calls == []


async def test_a_callers_deadline_holds_for_its_body_too(client, dispatcher):
    late = {"x-request-timeout": "0.05"}
    answer = await client.request("PUT", "/v1/things/a", [b"{", None], late)
    assert (answer.status, answer.reason) == (504, "DEADLINE_EXCEEDED")
    assert dispatcher.calls == []


async def test_a_body_that_comes_too_slowly_is_given_up(sample_set, dispatcher):
    async def for_ever():
        while True:
            yield b""

    client = AsgiClient(sample_gateway(sample_set, dispatcher, read_timeout_s=0.05))
    async with asyncio.timeout(5):
        answer = await client.request("PUT", "/v1/things/a", for_ever())
    assert (answer.status, answer.reason) == (408, "BODY_TIMEOUT")


@pytest.mark.parametrize("length", ["9" * 5000, "9" * 30, "10000000000"])
async def test_a_length_beyond_all_bounds_is_refused_before_the_body(client, length):
    headers = [(b"content-length", length.encode())]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "PUT",
        "path": "/v1/things/a",
        "raw_path": b"/v1/things/a",
        "query_string": b"",
        "headers": headers,
        "client": None,
    }
    answer = await client._run(scope, b"{}")
    assert (answer.status, answer.reason) == (413, "BODY_TOO_LARGE")


async def test_headers_beyond_the_limit_are_refused(client, dispatcher):
    answer = await client.request("GET", "/v1/things/a", headers={"user-agent": "a" * 65536})
    assert (answer.status, answer.reason) == (431, "HEADERS_TOO_LARGE")
    assert dispatcher.calls == []


@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "chunked, chunked", "identity"])
async def test_another_transfer_coding_than_chunked_is_refused(client, coding):
    headers = {"transfer-encoding": coding}
    answer = await client.request("PUT", "/v1/things/a", "{}", headers)
    assert (answer.status, answer.reason) == (400, "UNSUPPORTED_TRANSFER_ENCODING")


async def test_a_gzip_bomb_is_never_inflated_whole(client):
    bomb = gzip.compress(b" " * 3_000_000)
    assert len(bomb) < 4096
    tracemalloc.start()
    try:
        answer = await client.request("PUT", "/v1/things/a", bomb, {"content-encoding": "gzip"})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status == 413
    assert peak < 1_000_000


def padded(size):
    return '{"text":"' + "a" * (size - 11) + '"}'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (padded(4096), 200),
        (padded(4097), 413),
        ([padded(4096).encode()[:2000], padded(4096).encode()[2000:]], 200),
        ([b"a" * 4000, b"a" * 97, b"never read"], 413),
    ],
)
async def test_a_body_beyond_the_limit_is_refused(client, body, status):
    answer = await client.request("PUT", "/v1/things/a", body, JSON)
    assert answer.status == status
    if status == 413:
        assert answer.reason == "BODY_TOO_LARGE"


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("GET /v1/things/a", "{}"),
        ("POST /v1/things/a:touch", "{}"),
        ("GET /v1/things/a", [b"{", b"}"]),
    ],
)
async def test_a_body_where_none_belongs_is_refused(client, line, body):
    answer = await client.request(*line.split(" "), body)
    assert (answer.status, answer.reason) == (400, "BODY_NOT_ALLOWED")


async def test_http_2_bodies_come_without_framing_headers(sample_set, dispatcher, thing):
    client = AsgiClient(sample_gateway(sample_set, dispatcher), http_version="2")
    answer = await client._run(
        {
            "type": "http",
            "http_version": "2",
            "method": "PUT",
            "path": "/v1/things/a",
            "raw_path": b"/v1/things/a",
            "query_string": b"",
            "headers": [],
            "client": None,
        },
        [b'{"text":', b'"x"}'],
    )
    assert answer.status == 200
    assert thing.FromString(dispatcher.calls[0][1]).text == "x"


async def test_a_body_that_breaks_off_is_refused(client, dispatcher):
    client.gone.set()
    headers = {"content-length": "5"}
    answer = await client._run(
        {
            "type": "http",
            "http_version": "1.1",
            "method": "PUT",
            "path": "/v1/things/a",
            "raw_path": b"/v1/things/a",
            "query_string": b"",
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
            "client": None,
        },
        [],
    )
    assert answer.status == 400
    assert b"MALFORMED_BODY" in answer.body
    assert dispatcher.calls == []


async def test_a_server_without_raw_paths_is_served_by_the_decoded_one(
    sample_set, dispatcher, thing
):
    client = AsgiClient(sample_gateway(sample_set, dispatcher))
    scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/v1/things/a ä%"}
    await client._run({**scope, "query_string": b"", "headers": [], "client": None}, [])
    assert thing.FromString(dispatcher.calls[0][1]).name == "a ä%"


async def test_the_dispatchers_failure_is_shown_as_it_is(client, dispatcher):
    dispatcher.reply = failure(5, "no such thing")
    dispatcher.response_metadata = {"x-request-id": "r-1"}
    answer = await client.request("GET", "/v1/things/a")
    assert answer.status == 404
    assert answer.json == {"code": 5, "message": "no such thing", "details": []}
    assert answer.header("x-request-id") == "r-1"


@pytest.mark.parametrize("reply", [ValueError("secret"), OSError("secret"), b"\xff\xff"])
async def test_an_unexpected_error_is_logged_and_shows_nothing_of_itself(sample_set, reply, caplog):
    dispatcher = FakeDispatcher(reply=reply)
    gateway = sample_gateway(sample_set, dispatcher, new_id=lambda: "id-1")
    with caplog.at_level(logging.ERROR):
        answer = await AsgiClient(gateway).request("GET", "/v1/things/a")
    assert (answer.status, answer.reason) == (500, "INTERNAL")
    assert b"secret" not in answer.body
    assert answer.json["details"][0]["metadata"] == {"correlation_id": "id-1"}
    assert "id-1" in caplog.text
    assert "Traceback" in caplog.text


async def test_every_error_of_the_gateway_has_its_domain(client):
    answer = await client.request("GET", "/nope")
    assert answer.json["details"][0]["domain"] == "sample"


async def test_the_lifespan_is_answered(sample_set):
    kinds = ["lifespan.startup", "lifespan.shutdown"]
    sent = []

    async def receive():
        return {"type": kinds.pop(0)}

    async def send(message):
        sent.append(message["type"])

    await sample_gateway(sample_set, FakeDispatcher())({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_websocket_is_closed(sample_set):
    sent = []

    async def send(message):
        sent.append(message["type"])

    await sample_gateway(sample_set, FakeDispatcher())({"type": "websocket"}, None, send)
    assert sent == ["websocket.close"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tags", ["a", "b"]),
        ("i64", "5"),
        ("children", [{"name": "c"}]),
        ("child", None),
    ],
)
async def test_response_body_narrows_the_answer(client, dispatcher, thing, path, expected):
    made = thing(name="n", tags=["a", "b"], i64=5)
    made.children.add(name="c")
    dispatcher.reply = made.SerializeToString()
    answer = await client.request("GET", f"/v1/things/n/{path}")
    shown = answer.json
    if path == "children":
        shown = [{"name": each["name"]} for each in shown]
    assert shown == expected


@pytest.mark.parametrize(
    ("path", "set_to", "shown", "unset"),
    [
        ("counts", {"counts": {"a": 2**60}}, {"a": str(2**60)}, {}),
        ("kind", {"kind": 2}, "LARGE", "KIND_UNSPECIFIED"),
        ("data", {"data": b"\x00"}, "AA==", ""),
        ("time", {"time": {"seconds": 1}}, "1970-01-01T00:00:01Z", None),
        ("wrapped", {"wrapped_text": {"value": ""}}, "", None),
        ("value", {"value": {"string_value": "a"}}, "a", None),
        ("left", {"left": "a"}, "a", None),
        ("f64", {"f64": float("nan")}, "NaN", 0.0),
    ],
)
@pytest.mark.parametrize("style", [JsonStyle(), JsonStyle(proto_names=False, defaults=False)])
async def test_any_field_can_be_all_of_an_answer(
    sample_set, dispatcher, thing, path, set_to, shown, unset, style
):
    client = AsgiClient(sample_gateway(sample_set, dispatcher, json_style=style))
    for message, expected in ((thing(**set_to), shown), (thing(), unset)):
        dispatcher.reply = message.SerializeToString()
        answer = await client.request("GET", f"/v1/things/n/{path}")
        assert (answer.status, answer.json) == (200, expected)


async def test_methods_of_http_itself_can_be_a_contracts_own(client, dispatcher):
    head = await client.request("HEAD", "/v1/checks/a")
    assert (head.status, head.body) == (200, b"")
    assert (await client.request("OPTIONS", "/v1/checks/a")).json["name"] == "a"
    assert (await client.request("GET", "/v1/checks/a")).status == 405


async def test_an_error_is_not_narrowed(client, dispatcher):
    dispatcher.reply = failure(5, "no")
    answer = await client.request("GET", "/v1/things/n/tags")
    assert answer.json == {"code": 5, "message": "no", "details": []}


async def test_json_is_sent_in_utf_8_and_not_escaped(client):
    answer = await client.request("GET", "/v1/things/%C3%A4")
    assert "ä" in answer.body.decode()
    assert json.loads(answer.body)["name"] == "ä"
