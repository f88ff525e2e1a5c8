"""Files in answers: whole, in ranges, and not at all when the client has them."""

import asyncio

import pytest

from tests.support.gateway import AsgiClient
from tests.support.sample_services import StoredBlob
from windlass_server.gateway.app import AnswerBroken

DATA = bytes(range(256)) * 40
SIZE = len(DATA)
MONDAY = "Mon, 05 Jan 2026 10:00:00 GMT"
WHOLE = "/v1/whole/b"
PIECES = "/v1/blobs/b"
DESCRIBED = "/v1/described/b"
ALL = [WHOLE, PIECES, DESCRIBED]


@pytest.fixture(autouse=True)
def blob(server):
    stored = StoredBlob(
        DATA,
        "image/png",
        {
            "etag": '"v1"',
            "last-modified": MONDAY,
            "x-content-length": str(SIZE),
            "content-disposition": 'attachment; filename="b.png"',
            "content-digest": "sha-256=:AA==:",
            "repr-digest": "sha-256=:BB==:",
            "cache-control": "private",
        },
    )
    server.blobs.blobs["b"] = stored
    server.blobs.piece = 1000
    return stored


@pytest.mark.parametrize("target", ALL)
async def test_the_bytes_are_the_answer_with_what_the_service_says_of_them(client, target):
    answer = await client.request("GET", target)
    assert (answer.status, answer.body) == (200, DATA)
    headers = dict(answer.headers)
    del headers["x-request-id"]
    assert headers == {
        "content-type": "image/png",
        "content-length": str(SIZE),
        "accept-ranges": "bytes",
        "etag": '"v1"',
        "last-modified": MONDAY,
        "content-disposition": 'attachment; filename="b.png"',
        "content-digest": "sha-256=:AA==:",
        "repr-digest": "sha-256=:BB==:",
        "cache-control": "private",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox",
    }


@pytest.mark.parametrize("target", ALL)
async def test_head_says_the_same_without_the_bytes(client, target):
    get, head = await client.request("GET", target), await client.request("HEAD", target)
    assert (head.status, head.body) == (200, b"")
    assert dict(head.headers).keys() == dict(get.headers).keys()
    assert head.header("content-length") == str(SIZE)


async def test_the_bytes_come_as_the_call_gives_them(client):
    chunks = []
    client.on_chunk = lambda chunk: chunks.append(len(chunk))
    await client.request("GET", PIECES)
    assert chunks == [1000] * 10 + [240, 0]


@pytest.mark.parametrize(
    ("accept", "encoding"), [("text/event-stream", "gzip"), ("application/json", "identity")]
)
async def test_the_bytes_are_sent_as_they_are_whatever_is_accepted(client, accept, encoding):
    headers = {"accept": accept, "accept-encoding": encoding}
    answer = await client.request("GET", PIECES, headers=headers)
    assert (answer.body, answer.header("content-encoding")) == (DATA, None)


async def test_a_file_that_is_stored_encoded_says_so(client, blob):
    blob.metadata["x-content-encoding"] = "gzip"
    for target in ALL:
        assert (await client.request("GET", target)).header("content-encoding") == "gzip"


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-", 0, SIZE - 1),
        ("bytes=0-0", 0, 0),
        ("bytes=999-1000", 999, 1000),
        ("bytes=1000-1999", 1000, 1999),
        ("bytes=5000-", 5000, SIZE - 1),
        ("bytes=-5", SIZE - 5, SIZE - 1),
        ("bytes=10000-99999", 10000, SIZE - 1),
    ],
)
async def test_a_range_is_cut_out(client, target, asked, first, last):
    answer = await client.request("GET", target, headers={"range": asked})
    assert (answer.status, answer.body) == (206, DATA[first : last + 1])
    assert answer.header("content-range") == f"bytes {first}-{last}/{SIZE}"
    assert answer.header("content-length") == str(last + 1 - first)
    assert answer.header("etag") == '"v1"'
    assert answer.header("repr-digest") == "sha-256=:BB==:"
    assert (answer.header("content-digest") is None) == (last + 1 - first < SIZE)


async def test_what_is_behind_the_range_is_not_asked_for(client, server):
    await client.request("GET", PIECES, headers={"range": "bytes=0-1499"})
    assert server.blobs.sent == 2


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize("asked", ["bytes=0-1,3-4", "items=0-1", "bytes=5-3", "nonsense"])
async def test_several_ranges_and_nonsense_get_the_whole_file(client, target, asked):
    answer = await client.request("GET", target, headers={"range": asked})
    assert (answer.status, answer.body) == (200, DATA)


@pytest.mark.parametrize("target", ALL)
async def test_a_range_behind_the_end_is_refused(client, target):
    answer = await client.request("GET", target, headers={"range": f"bytes={SIZE}-"})
    assert (answer.status, answer.reason) == (416, "RANGE_NOT_SATISFIABLE")
    assert answer.header("content-range") == f"bytes */{SIZE}"
    assert answer.header("content-type") == "application/json"
    assert answer.header("content-disposition") is None


async def test_a_head_has_no_ranges(client):
    answer = await client.request("HEAD", PIECES, headers={"range": "bytes=0-1"})
    assert (answer.status, answer.header("content-length")) == (200, str(SIZE))


async def test_without_a_size_there_are_no_ranges(client, blob):
    del blob.metadata["x-content-length"]
    answer = await client.request("GET", PIECES, headers={"range": "bytes=5-"})
    assert (answer.status, answer.body) == (200, DATA)
    assert answer.header("content-length") is answer.header("accept-ranges") is None


@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize(
    ("if_range", "status"),
    [('"v1"', 206), (MONDAY, 206), ('"v0"', 200), ('W/"v1"', 200), ("nonsense", 200)],
)
async def test_a_range_of_an_older_file_gets_the_whole_new_one(client, target, if_range, status):
    headers = {"range": "bytes=5-", "if-range": if_range}
    answer = await client.request("GET", target, headers=headers)
    assert answer.status == status
    assert answer.body == (DATA[5:] if status == 206 else DATA)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", ALL)
@pytest.mark.parametrize(
    "headers",
    [
        {"if-none-match": '"v1"'},
        {"if-none-match": '"v0", W/"v1"', "range": "bytes=0-1"},
        {"if-none-match": "*"},
        {"if-modified-since": MONDAY},
    ],
)
async def test_a_file_that_the_client_has_is_not_sent(client, server, method, target, headers):
    answer = await client.request(method, target, headers=headers)
    assert (answer.status, answer.body) == (304, b"")
    shown = {name for name, _ in answer.headers}
    assert shown == {"etag", "last-modified", "cache-control", "x-request-id"}
    assert server.blobs.sent <= 1


@pytest.mark.parametrize(
    "headers",
    [
        {"if-none-match": '"v0"'},
        {"if-none-match": '"v0"', "if-modified-since": MONDAY},
        {"if-modified-since": "Sun, 04 Jan 2026 10:00:00 GMT"},
    ],
)
async def test_a_file_that_the_client_does_not_have_is_sent(client, headers):
    assert (await client.request("GET", PIECES, headers=headers)).status == 200


async def test_a_service_may_serve_the_range_itself(client, server, blob):
    blob.metadata["content-range"] = f"bytes 100-{SIZE + 99}/20000"
    headers = {"range": "bytes=100-", "if-range": '"v1"', "if-none-match": '"v0"'}
    answer = await client.request("GET", PIECES, headers=headers)
    assert (answer.status, answer.body) == (206, DATA)
    assert answer.header("content-range") == f"bytes 100-{SIZE + 99}/20000"
    assert answer.header("content-length") == str(SIZE)
    assert answer.header("content-digest") == "sha-256=:AA==:"
    call = server.blobs.calls[0]
    assert {name: call.first(name) for name in headers} == headers


async def test_only_a_get_of_a_file_hands_its_conditions_on(client, server):
    headers = {"range": "bytes=0-", "if-none-match": '"v1"'}
    answer = await client.request("POST", "/v1/echo", b"x", headers)
    assert (answer.status, answer.body) == (200, b"x")
    assert not {"range", "if-none-match"} & server.blobs.calls[0].metadata.keys()


@pytest.mark.parametrize("odd", ["bytes=\xe9", 'a"\t"'])
async def test_conditions_that_no_metadata_can_hold_are_none(client, server, odd):
    names = ("range", "if-none-match", "if-modified-since")
    for asked in (dict.fromkeys(names, odd), {"range": "bytes=0-9", "if-range": odd}):
        answer = await client.request("GET", PIECES, headers=asked)
        assert (answer.status, answer.body) == (200, DATA)
        assert not asked.keys() & server.blobs.calls[-1].metadata.keys()


@pytest.mark.parametrize("name", ["etag", "content-range"])
async def test_what_no_service_can_mean_is_an_internal_error(client, blob, name, caplog):
    blob.metadata[name] = "nonsense"
    answer = await client.request("GET", PIECES, headers={"range": "bytes=0-"})
    assert (answer.status, answer.reason) == (500, "INTERNAL")
    assert answer.header("content-disposition") is None
    assert "nonsense" in caplog.text


async def test_a_range_that_nobody_asked_for_is_an_internal_error(client, blob):
    blob.metadata["content-range"] = "bytes 0-9/10"
    assert (await client.request("GET", PIECES)).status == 500


@pytest.mark.parametrize("target", [WHOLE, PIECES])
@pytest.mark.parametrize("content_type", ["", "nonsense", "a/b\r\nc: d", "ä/b"])
async def test_a_type_that_is_none_is_bytes(client, blob, target, content_type):
    blob.content_type = content_type
    answer = await client.request("GET", target)
    assert answer.header("content-type") == "application/octet-stream"


@pytest.mark.parametrize("target", ALL)
async def test_an_empty_file(client, blob, target):
    blob.data, blob.metadata = b"", {"x-content-length": "0"}
    answer = await client.request("GET", target)
    assert (answer.status, answer.body, answer.header("content-length")) == (200, b"", "0")
    assert (await client.request("GET", target, headers={"range": "bytes=0-"})).status == 416


async def test_a_failure_before_the_first_byte_is_an_error(client):
    answer = await client.request("GET", "/v1/blobs/none")
    assert (answer.status, answer.reason) == (404, "BLOB_NOT_FOUND")


async def test_a_file_shorter_than_it_says_is_cut_off(client, blob, caplog):
    blob.metadata["x-content-length"] = str(SIZE + 1)
    with pytest.raises(AnswerBroken):
        await client.request("GET", PIECES)
    assert "ends 1 bytes before it should" in caplog.text


async def test_a_file_longer_than_it_says_is_cut_to_its_length(client, blob):
    blob.metadata["x-content-length"] = "1500"
    assert (await client.request("GET", PIECES)).body == DATA[:1500]


async def test_a_client_that_leaves_ends_the_call(client, server):
    client.on_chunk = lambda _: client.gone.set()
    server.blobs.piece = 1
    async with asyncio.timeout(5):
        await client.request("GET", PIECES)
    assert server.blobs.sent < 100


async def test_a_file_ends_well_though_the_server_stops(server):
    gateway = server.gateway()
    client = AsgiClient(gateway)
    client.on_chunk = lambda _: gateway.drain()
    assert (await client.request("GET", PIECES)).body == DATA
