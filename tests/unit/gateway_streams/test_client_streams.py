"""An RPC with a client's stream over HTTP: a JSON array or a value per line, read while it comes."""

import asyncio
import gzip
import json
import tracemalloc

import pytest

from tests.support.gateway import STREAM_SERVICES, AsgiClient
from windlass_server.gateway.app import Gateway
from windlass_server.gateway.inbox import Inbox

COLLECT = "/v1/rooms/r/notes:collect"
DETAILS = "/v1/rooms/r/details:collect"
CHAT = "/v1/rooms/r:chat"
LINES = {"content-type": "application/x-ndjson"}
NOTES = [{"text": "a"}, {"text": 'b"],[{\\'}, {"number": 3}]


def lines(values):
    return "".join(json.dumps(value) + "\n" for value in values)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (json.dumps(NOTES), {}),
        (json.dumps(NOTES, indent=2), {"content-type": "application/json; charset=utf-8"}),
        (lines(NOTES), LINES),
        (lines(NOTES).rstrip("\n"), {"content-type": "application/ndjson"}),
        ("\n \r\n" + lines(NOTES).replace("\n", "\r\n\r\n"), {"content-type": "application/jsonl"}),
    ],
)
async def test_each_element_is_a_message(client, server, body, headers):
    answer = await client.request("POST", COLLECT, body, headers)
    assert answer.json == {"room": "r", "count": 3, "texts": ["a", 'b"],[{\\', ""]}
    assert server.streams.committed == [["a", 'b"],[{\\', ""]]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("form", [json.dumps, lines])
async def test_elements_may_be_cut_anywhere(client, server, form, size):
    body = form(NOTES).encode()
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    headers = LINES if form is lines else {}
    assert (await client.request("POST", COLLECT, pieces, headers)).status == 200
    assert server.streams.committed == [["a", 'b"],[{\\', ""]]


@pytest.mark.parametrize(
    ("body", "headers"), [("[]", {}), (" [ \n] ", {}), (None, {}), ("", {}), ("\n\n", LINES)]
)
async def test_a_stream_may_be_empty(client, server, body, headers):
    answer = await client.request("POST", COLLECT, body, headers)
    assert answer.json == {"room": "", "count": 0, "texts": []}
    assert server.streams.committed == [[]]


async def test_the_body_may_be_a_field_of_each_message(client, server):
    answer = await client.request("POST", DETAILS + "?number=5", '[{"text":"a"},{"text":"b"}]')
    assert answer.json == {"room": "r", "count": 2, "texts": ["a", "b"]}


async def test_path_and_query_are_bound_into_the_first_message_alone(client):
    answer = await client.request("POST", CHAT, '[{"text":"a"},{"text":"b"},{"room":"other"}]')
    assert [note["room"] for note in answer.json] == ["r", "", "other"]


async def test_a_rule_without_a_body_has_one_message(client):
    answer = await client.request("GET", COLLECT + "?text=hello")
    assert answer.json == {"room": "r", "count": 1, "texts": ["hello"]}


@pytest.mark.parametrize("body", ["[]", [b"[", b"]"]])
async def test_a_rule_without_a_body_refuses_one(client, server, body):
    answer = await client.request("GET", COLLECT, body)
    assert (answer.status, answer.reason) == (400, "BODY_NOT_ALLOWED")
    assert server.streams.committed == []


async def test_a_gzip_body_is_inflated_while_it_comes(client, server):
    body = gzip.compress(json.dumps(NOTES).encode())
    pieces = [body[start : start + 5] for start in range(0, len(body), 5)]
    answer = await client.request("POST", COLLECT, pieces, {"content-encoding": "gzip"})
    assert answer.json["count"] == 3


@pytest.mark.parametrize(
    ("body", "headers", "reason", "index"),
    [
        ('[{"text":"a"},{"text":5}]', {}, "INVALID_FIELD_VALUE", "1"),
        ('[{"text":"a"},{"txt":"b"}]', {}, "UNKNOWN_FIELD", "1"),
        ('[{"text":"a"} {"text":"b"}]', {}, "MALFORMED_JSON", "0"),
        ('[{"text":"a"},7]', {}, "MALFORMED_JSON", "1"),
        ('[{"text":"a"},null]', {}, "MALFORMED_JSON", "1"),
        ('[{"text":"a","text":"b"}]', {}, "DUPLICATE_KEY", "0"),
        ('[{"room":"other"}]', {}, "CONFLICTING_VALUES", "0"),
        ('{"text":"a"}\n{"text":\n', LINES, "MALFORMED_JSON", "1"),
        ('{"text":"a"}{"text":"b"}\n', LINES, "MALFORMED_JSON", "0"),
        ("[" * 300 + "]" * 300, {}, "MALFORMED_JSON", "0"),
    ],
)
async def test_a_bad_element_is_refused_by_its_index(client, server, body, headers, reason, index):
    answer = await client.request("POST", COLLECT, body, headers)
    assert (answer.status, answer.reason) == (400, reason)
    assert answer.json["details"][0]["metadata"]["index"] == index
    assert answer.json["message"].startswith(f"element {index}: ")
    assert server.streams.committed == [], "the call was cancelled before its end"


async def test_a_wrong_field_of_an_element_is_named_by_its_path(client):
    answer = await client.request("POST", COLLECT, '[{},{"detail":{"tags":["a",1]}}]')
    assert list(answer.violations) == ["[1].detail.tags[1]"]


@pytest.mark.parametrize(
    "body",
    [
        '{"text":"a"}',
        '[{"text":"a"}',
        '[{"text":"a"},',
        '[{"text":"a"},]',
        "[,]",
        "[ , {}]",
        '[{"text":"a"}]x',
        "[][]",
        '[{"text":"a]',
        "]",
        " ",
        "nonsense",
    ],
)
async def test_what_is_no_array_is_refused(client, server, body):
    answer = await client.request("POST", COLLECT, body)
    assert (answer.status, answer.reason) == (400, "MALFORMED_JSON")
    assert server.streams.committed == []


@pytest.mark.parametrize(
    ("target", "body"),
    [("/v1/rooms/r/details:collect?number=x", "[]"), ("/v1/rooms/r/notes:collect?text=a", "[]")],
)
async def test_parameters_are_checked_even_when_no_message_holds_them(client, server, target, body):
    answer = await client.request("POST", target, body)
    assert answer.status == 400
    assert server.streams.taken == 0
    assert server.streams.committed == []


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ('[{},{"text":"' + "a" * 4096 + '"}]', {}),
        ('{}\n{"text":"' + "a" * 4096 + '"}\n', LINES),
        (["[{},", *['{"text":"' + "a" * 1000] * 5], {}),
        # 2,100 characters of JSON that are more than 4,096 bytes as a message.
        ('[{},{"detail":{"tags":[' + ",".join(['""'] * 2060) + "]}}]", {}),
    ],
    ids=["array", "lines", "cut", "serialized"],
)
async def test_an_element_beyond_the_limit_is_refused(client, server, body, headers):
    pieces = [part.encode() for part in body] if isinstance(body, list) else body
    answer = await client.request("POST", COLLECT, pieces, headers)
    assert (answer.status, answer.reason) == (413, "REQUEST_TOO_LARGE")
    assert answer.json["details"][0]["metadata"]["index"] == "1"
    assert server.streams.committed == []


async def test_a_stream_may_be_longer_than_any_message_in_constant_memory(client, server):
    async def body():
        yield b"["
        for number in range(4000):
            yield b'{"text":"' + b"a" * 1000 + b'"}' + (b"," if number < 3999 else b"]")

    tracemalloc.start()
    try:
        answer = await client.request("POST", "/v1/rooms/r:chat", body())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert server.streams.taken == 4000
    assert len(answer.body) > 4_000_000
    assert peak < len(answer.body) * 2.5, "the answer, which the test holds, and little more"


async def test_a_stream_beyond_its_own_limit_is_refused(server):
    client = AsgiClient(server.gateway(max_upload_bytes=100))
    body = json.dumps([{"text": "a" * 10}] * 10)
    for given in (body, [body[:50].encode(), body[50:].encode()]):
        answer = await client.request("POST", COLLECT, given)
        assert (answer.status, answer.reason) == (413, "BODY_TOO_LARGE")
    assert server.streams.committed == []


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"content-type": "text/plain"}, "UNSUPPORTED_MEDIA_TYPE"),
        ({"content-type": "multipart/form-data; boundary=x"}, "UNSUPPORTED_MEDIA_TYPE"),
        ({"content-encoding": "br"}, "UNSUPPORTED_CONTENT_ENCODING"),
    ],
)
async def test_another_media_type_or_encoding_is_refused(client, server, headers, reason):
    answer = await client.request("POST", COLLECT, "[{}]", headers)
    assert (answer.status, answer.reason) == (415, reason)
    assert server.streams.taken == 0


async def test_a_body_that_breaks_off_cancels_the_call(client, server):
    client.gone.set()
    answer = await client.request("POST", COLLECT, [b'[{"text":"a"},', None])
    assert (answer.status, answer.reason) == (400, "MALFORMED_BODY")
    assert server.streams.taken == 1
    assert server.streams.committed == []


async def test_the_body_is_read_only_as_fast_as_the_call_takes_messages(client, server):
    read = []

    async def body():
        for number in range(100):
            read.append(number)
            yield b'{"text":"%d"}\n' % number if number != 3 else b'{"text":"enough"}\n'

    answer = await client.request("POST", COLLECT, body(), LINES)
    assert answer.json["count"] == 4
    # The rest is read behind the answer, so that the client can take it.
    assert client.read_before_answer == 4


async def test_a_failure_of_the_call_is_answered_as_such(client, server):
    answer = await client.request("POST", COLLECT, '[{"text":"no more"},{"text":"b"}]')
    assert (answer.status, answer.reason) == (404, "ROOM_CLOSED")


async def test_an_answer_to_both_ways_comes_while_the_body_is_still_under_way(client, server):
    answered = asyncio.Event()

    async def body():
        yield b'{"text":"a"}\n'
        await answered.wait()
        yield b'{"text":"b"}\n'

    client.on_chunk = lambda chunk: answered.set() if b'"a"' in chunk else None
    async with asyncio.timeout(5):
        answer = await client.request(
            "POST", CHAT, body(), {**LINES, "accept": "application/x-ndjson"}
        )
    assert [json.loads(line)["text"] for line in answer.body.splitlines()] == ["a", "b"]


async def test_who_talks_both_ways_may_be_silent_for_long(server):
    client = AsgiClient(server.gateway(read_timeout_s=0.01))

    async def body():
        yield b'{"text":"a"}\n'
        await asyncio.sleep(0.05)
        yield b'{"text":"b"}\n'

    answer = await client.request("POST", CHAT, body(), LINES)
    assert [note["text"] for note in answer.json] == ["a", "b"]
    answer = await client.request("POST", COLLECT, body(), LINES)
    assert answer.status == 408


@pytest.mark.parametrize(
    ("accept", "last"),
    [
        ("application/json", lambda body: json.loads(body)[-1]["error"]),
        ("application/x-ndjson", lambda body: json.loads(body.splitlines()[-1])["error"]),
        ("text/event-stream", lambda body: json.loads(body.split(b"event: error\ndata: ")[1])),
    ],
)
async def test_a_bad_element_behind_an_answer_is_told_in_the_stream(client, accept, last):
    answer = await client.request("POST", CHAT, '[{"text":"a"},{"txt":"b"}]', {"accept": accept})
    assert answer.status == 200
    error = last(answer.body)
    assert error["code"] == 3
    assert error["details"][0]["metadata"]["index"] == "1"


async def test_a_bad_first_element_of_both_ways_has_its_status(client):
    answer = await client.request("POST", CHAT, '[{"txt":"b"}]')
    assert (answer.status, answer.reason) == (400, "UNKNOWN_FIELD")


async def test_a_client_that_leaves_cancels_both_ways(client, server):
    async def body():
        yield b'{"text":"a"}\n'
        await asyncio.Event().wait()

    client.on_chunk = lambda chunk: client.gone.set() if b'"a"' in chunk else None
    async with asyncio.timeout(5):
        await client.request("POST", CHAT, body(), LINES)
    assert server.streams.ended in (["Cancelled"], ["CancelledError"])


class Busy:
    """A dispatcher that is long in answering a client's stream that it has read."""

    def __init__(self):
        self.has_read, self.cancelled = asyncio.Event(), asyncio.Event()

    async def client_stream(self, _call, requests):
        async for _ in requests:
            pass
        self.has_read.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


@pytest.mark.parametrize("body", ["[]", '[{"text":"a"},{"text":"b"}]'])
async def test_a_client_that_leaves_behind_its_stream_cancels_the_call(streams_set, body):
    busy = Busy()
    gateway = Gateway(descriptor_set=streams_set, services=STREAM_SERVICES, dispatcher=busy)
    client = AsgiClient(gateway)
    headers = {"content-type": "application/json"}
    async with asyncio.timeout(5):
        asking = asyncio.create_task(client.request("POST", COLLECT, body, headers))
        await busy.has_read.wait()
        client.gone.set()
        await busy.cancelled.wait()
        assert (await asking).status == 0


async def test_a_client_that_leaves_is_noticed_though_nobody_reads_its_body():
    messages = [{"type": "http.request", "body": b"a", "more_body": True}] * 3

    async def receive():
        return messages.pop() if messages else {"type": "http.disconnect"}

    async with asyncio.timeout(5), Inbox(receive) as inbox:
        assert (await inbox.receive_end())["type"] == "http.disconnect"
        assert (await inbox.receive_body())["body"] == b"a"


async def test_not_more_than_a_few_pieces_are_read_ahead():
    read = []

    async def receive():
        read.append(1)
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"a", "more_body": True}

    async with Inbox(receive) as inbox:
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(read) == 5
        await inbox.receive_body()
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(read) == 6


@pytest.mark.parametrize("pieces", [[None], [b'[{"text":"a"},', None]])
async def test_a_stream_of_which_nothing_comes_any_more_is_given_up(server, pieces):
    client = AsgiClient(server.gateway(read_timeout_s=0.05))
    async with asyncio.timeout(5):
        answer = await client.request("POST", COLLECT, pieces)
    assert (answer.status, answer.reason) == (408, "BODY_TIMEOUT")
    assert server.streams.committed == []
