import asyncio
import json

import pytest

from tests.support.gateway import AsgiClient, failure, sample_gateway
from windlass_server.gateway.streams import Array, Lines, ServerSentEvents, choose_format

SSE = {"accept": "text/event-stream"}
LINES = {"accept": "application/x-ndjson"}
WATCH = "/v1/watch/news"


@pytest.fixture
def message(sample_type):
    def make(cursor, name):
        made = sample_type("WatchThingsResponse")(cursor=cursor)
        made.thing.name = name
        return made.SerializeToString()

    return make


@pytest.fixture
def client(sample_set, dispatcher):
    return AsgiClient(sample_gateway(sample_set, dispatcher))


def names(items):
    return [item["thing"]["name"] for item in items]


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("text/event-stream", ServerSentEvents),
        ("TEXT/Event-Stream; charset=utf-8", ServerSentEvents),
        ("application/x-ndjson", Lines),
        ("application/json", Array),
        ("", Array),
        ("*/*", Array),
        ("text/html", Array),
        ("text/html, text/event-stream", ServerSentEvents),
        ("application/json;q=0.5, application/x-ndjson", Lines),
        ("text/event-stream;q=0", Array),
        ("text/event-stream;q=x", Array),
    ],
)
def test_accept_chooses_the_form(accept, form):
    assert type(choose_format(accept)) is form


async def test_a_stream_is_a_json_array_by_default(client, dispatcher, message):
    dispatcher.stream_script = [message("1", "a"), message("2", "b")]
    answer = await client.request("GET", WATCH)
    assert answer.header("content-type") == "application/json"
    assert names(answer.json) == ["a", "b"]


async def test_an_empty_stream_is_an_empty_array(client):
    answer = await client.request("GET", WATCH)
    assert (answer.status, answer.json) == (200, [])


async def test_a_stream_can_be_lines(client, dispatcher, message):
    dispatcher.stream_script = [message("1", "a\nb"), message("2", "c")]
    answer = await client.request("GET", WATCH, headers=LINES)
    assert answer.header("content-type") == "application/x-ndjson"
    assert names(map(json.loads, answer.body.splitlines())) == ["a\nb", "c"]


async def test_an_empty_stream_is_no_line(client):
    answer = await client.request("GET", WATCH, headers=LINES)
    assert (answer.status, answer.body) == (200, b"")


async def test_a_stream_can_be_server_sent_events(client, dispatcher, message):
    dispatcher.stream_script = [message("1", "a\nb"), message("", "c"), message("x\ny", "d")]
    answer = await client.request("GET", WATCH, headers=SSE)
    assert answer.header("content-type") == "text/event-stream; charset=utf-8"
    assert answer.header("cache-control") == "no-store"
    start, *events, end, nothing = answer.body.decode().split("\n\n")
    assert start == "retry: 2000"
    assert end == "event: end\ndata: {}"
    assert nothing == ""
    first, second, third = (event.split("\n") for event in events)
    assert first[0] == "id: 1"
    assert [event[-1][:6] for event in (first, second, third)] == ["data: "] * 3
    assert len(second) == len(third) == 1, "a cursor that no line can hold gives no id"
    assert names(json.loads(event[-1][6:]) for event in (first, second, third)) == [
        "a\nb",
        "c",
        "d",
    ]


@pytest.mark.parametrize("headers", [SSE, LINES, {}])
async def test_each_message_is_sent_when_it_comes(client, dispatcher, message, headers):
    more = asyncio.Event()
    dispatcher.stream_script = [message("1", "first"), more, message("2", "second")]
    seen = []

    def on_chunk(chunk):
        seen.append(chunk)
        if b"first" in chunk:
            more.set()

    client.on_chunk = on_chunk
    await client.request("GET", WATCH, headers=headers)
    assert sum(b"first" in chunk for chunk in seen) == 1
    assert not any(b"first" in chunk and b"second" in chunk for chunk in seen)


@pytest.mark.parametrize("headers", [SSE, LINES, {}])
async def test_a_failure_before_the_first_message_has_its_real_status(client, dispatcher, headers):
    dispatcher.stream_script = [failure(5, "no such topic")]
    answer = await client.request("GET", WATCH, headers=headers)
    assert answer.status == 404
    assert answer.header("content-type") == "application/json"
    assert answer.json["message"] == "no such topic"


@pytest.mark.parametrize(
    ("headers", "last"),
    [
        (SSE, lambda body: json.loads(body.split(b"event: error\ndata: ")[1])),
        (LINES, lambda body: json.loads(body.splitlines()[-1])["error"]),
        ({}, lambda body: json.loads(body)[-1]["error"]),
    ],
)
async def test_a_later_failure_is_told_in_the_stream(client, dispatcher, message, headers, last):
    dispatcher.stream_script = [message("1", "a"), failure(14, "lost")]
    answer = await client.request("GET", WATCH, headers=headers)
    assert answer.status == 200
    assert last(answer.body) == {"code": 14, "message": "lost", "details": []}
    assert b"event: end" not in answer.body


async def test_the_text_of_an_unexpected_error_stays_inside(client, dispatcher, message, caplog):
    dispatcher.stream_script = [message("1", "a"), ValueError("secret")]
    answer = await client.request("GET", WATCH, headers=LINES)
    error = json.loads(answer.body.splitlines()[-1])["error"]
    assert error["code"] == 13
    assert b"secret" not in answer.body
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("target", "headers", "cursor"),
    [
        (WATCH, {**SSE, "last-event-id": "7"}, "7"),
        (WATCH + "?cursor=5", {**SSE, "last-event-id": "7"}, "7"),
        (WATCH, {**SSE, "last-event-id": "ä".encode().decode("latin-1")}, "ä"),
        (WATCH + "?cursor=5", SSE, "5"),
        (WATCH, {"last-event-id": "7"}, ""),
        (WATCH + "?cursor=5", LINES, "5"),
    ],
)
async def test_last_event_id_resumes_server_sent_events(
    client, dispatcher, sample_type, target, headers, cursor
):
    await client.request("GET", target, headers=headers)
    request = sample_type("WatchThingsRequest").FromString(dispatcher.calls[0][1])
    assert (request.topic, request.cursor) == ("news", cursor)


async def test_a_last_event_id_that_is_not_utf_8_is_refused(client, dispatcher):
    answer = await client.request("GET", WATCH, headers={**SSE, "last-event-id": "ä"})
    assert (answer.status, answer.reason) == (400, "MALFORMED_HEADER")
    assert dispatcher.calls == []


@pytest.mark.parametrize(("headers", "sign"), [(SSE, b": \n\n"), (LINES, None), ({}, b"[")])
async def test_silence_gives_a_sign_of_life(sample_set, dispatcher, message, headers, sign):
    client = AsgiClient(sample_gateway(sample_set, dispatcher, heartbeat_s=0.001))
    go_on = asyncio.Event()
    dispatcher.stream_script = [go_on, message("1", "a")]
    if sign is None:
        asyncio.get_running_loop().call_later(0.01, go_on.set)
    client.on_chunk = lambda chunk: go_on.set() if sign is not None and sign in chunk else None
    answer = await client.request("GET", WATCH, headers=headers)
    assert answer.status == 200
    assert b'"a"' in answer.body


async def test_a_failure_after_a_sign_of_life_is_told_in_the_stream(sample_set, dispatcher):
    client = AsgiClient(sample_gateway(sample_set, dispatcher, heartbeat_s=0.001))
    go_on = asyncio.Event()
    dispatcher.stream_script = [go_on, failure(5, "gone")]
    client.on_chunk = lambda chunk: go_on.set() if chunk == b": \n\n" else None
    answer = await client.request("GET", WATCH, headers=SSE)
    assert answer.status == 200
    assert b"event: error" in answer.body


@pytest.mark.parametrize("headers", [SSE, LINES, {}])
async def test_a_client_that_leaves_closes_the_dispatchers_stream(
    client, dispatcher, message, headers
):
    dispatcher.stream_script = [message("1", "a"), asyncio.Event()]
    client.on_chunk = lambda chunk: client.gone.set() if b'"a"' in chunk else None
    async with asyncio.timeout(5):
        await client.request("GET", WATCH, headers=headers)
        await dispatcher.closed.wait()


async def test_a_client_that_leaves_before_the_first_message_closes_it_too(client, dispatcher):
    dispatcher.stream_script = [asyncio.Event()]
    client.gone.set()
    async with asyncio.timeout(5):
        answer = await client.request("GET", WATCH, headers=SSE)
        await dispatcher.closed.wait()
    assert answer.status == 0


async def test_a_send_that_fails_closes_the_dispatchers_stream(client, dispatcher, message):
    dispatcher.stream_script = [message("1", "a"), asyncio.Event()]

    def broken(_chunk):
        raise BrokenPipeError

    client.on_chunk = broken
    async with asyncio.timeout(5):
        await client.request("GET", WATCH, headers=SSE)
        await dispatcher.closed.wait()


async def test_a_server_that_stops_ends_its_streams_by_an_error(sample_set, dispatcher, message):
    gateway = sample_gateway(sample_set, dispatcher)
    client = AsgiClient(gateway)
    dispatcher.stream_script = [message("1", "a"), asyncio.Event()]
    client.on_chunk = lambda chunk: gateway.drain() if b'"a"' in chunk else None
    async with asyncio.timeout(5):
        answer = await client.request("GET", WATCH, headers=LINES)
        await dispatcher.closed.wait()
    error = json.loads(answer.body.splitlines()[-1])["error"]
    assert error["code"] == 14
    assert error["details"][0]["reason"] == "SERVER_STOPPING"


async def test_head_of_a_stream_has_its_status_and_no_body(client, dispatcher, message):
    dispatcher.stream_script = [message("1", "a"), asyncio.Event()]
    async with asyncio.timeout(5):
        answer = await client.request("HEAD", WATCH, headers=SSE)
        await dispatcher.closed.wait()
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("headers", [SSE, LINES, {}])
async def test_head_of_a_stream_without_a_message_ends_when_a_sign_of_life_is_due(
    sample_set, dispatcher, headers
):
    dispatcher.stream_script = [asyncio.Event()]
    client = AsgiClient(sample_gateway(sample_set, dispatcher, heartbeat_s=0.01))
    async with asyncio.timeout(5):
        answer = await client.request("HEAD", WATCH, headers=headers)
        await dispatcher.closed.wait()
    assert (answer.status, answer.body) == (200, b"")


async def test_a_streams_answer_carries_the_dispatchers_metadata(client, dispatcher, message):
    dispatcher.stream_script = [message("1", "a")]
    dispatcher.response_metadata = {"x-request-id": "r-1"}
    answer = await client.request("GET", WATCH)
    assert answer.header("x-request-id") == "r-1"


async def test_the_end_event_has_the_trailing_metadata(client, dispatcher, message):
    dispatcher.stream_script = [message("1", "a")]
    dispatcher.trailing_metadata = {"x-a": "1", "x-bin": b"\x00", "grpc-status": "0", "x-b": "\n"}
    answer = await client.request("GET", "/v1/watch/t", headers={"accept": "text/event-stream"})
    assert answer.body.endswith(b'event: end\ndata: {"trailers":{"x-a":"1","x-bin":"AA=="}}\n\n')
    answer = await client.request("GET", "/v1/watch/t")
    assert b"x-a" not in answer.body
