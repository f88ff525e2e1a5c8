import gzip
import json

import pytest

from tests.support.gateway import AsgiClient, failure, sample_gateway
from windlass_server.gateway.negotiation import accepts_gzip, qualities

GZIP = {"accept-encoding": "gzip"}
LARGE = "/v1/things/" + "n" * 2000


@pytest.fixture
def client(sample_set, dispatcher):
    return AsgiClient(sample_gateway(sample_set, dispatcher))


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", {}),
        (" , ;q=1", {}),
        ("a", {"a": 1.0}),
        ("A/B ; charset=x; q=0.5 , c", {"a/b": 0.5, "c": 1.0}),
        ("a;q=0.123", {"a": 0.123}),
        ("a;q=1.000", {"a": 1.0}),
        ("a;q=0.1, a;q=0.2", {"a": 0.2}),
        *((f"a;q={text}", {"a": 0.0}) for text in ("", "x", "nan", "inf", "2", "-1", "1e0", "0.1234")),
        ("a;quality=3", {"a": 1.0}),
    ],
)  # fmt: skip
def test_qualities_are_read(header, found):
    assert qualities(header) == found


@pytest.mark.parametrize(
    ("header", "accepts"),
    [
        ("gzip", True),
        ("GZIP;q=0.1", True),
        ("deflate, gzip, br, zstd", True),
        ("x-gzip", True),
        ("*", True),
        ("br, *;q=0.1", True),
        ("gzip;q=0.5, identity;q=0.5", True),
        ("identity;q=0, gzip", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*;q=0", False),
        ("identity", False),
        ("gzip;q=0.5, identity", False),
    ],
)
def test_gzip_is_chosen_by_quality(header, accepts):
    assert accepts_gzip(header) is accepts


async def test_a_large_answer_is_compressed_for_who_takes_it(client):
    plain, packed = [await client.request("GET", LARGE, headers=h) for h in ({}, GZIP)]
    assert plain.header("content-encoding") is None
    assert packed.header("content-encoding") == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert plain.header("vary") == packed.header("vary") == "accept-encoding"
    for answer in (plain, packed):
        assert answer.header("content-length") == str(len(answer.body))
    assert len(packed.body) < len(plain.body) / 4


async def test_several_headers_are_one_list(client):
    headers = [("accept-encoding", "br"), ("accept-encoding", "gzip")]
    answer = await client.request("GET", LARGE, headers=headers)
    assert answer.header("content-encoding") == "gzip"


async def test_a_small_answer_is_not(client):
    answer = await client.request("GET", "/v1/things/n", headers=GZIP)
    assert answer.header("content-encoding") is answer.header("vary") is None
    assert answer.json["name"] == "n"


async def test_an_answer_of_many_pieces_of_work_is_compressed_elsewhere(
    client, dispatcher, sample_type
):
    dispatcher.reply = sample_type("Thing")(text="x" * 1_000_000).SerializeToString()
    answer = await client.request("GET", "/v1/things/n", headers=GZIP)
    assert len(json.loads(gzip.decompress(answer.body))["text"]) == 1_000_000


async def test_an_error_is_compressed_too(client, dispatcher):
    dispatcher.reply = failure(5, "none " * 500)
    answer = await client.request("GET", "/v1/things/n", headers=GZIP)
    assert (answer.status, answer.header("content-encoding")) == (404, "gzip")
    assert json.loads(gzip.decompress(answer.body))["code"] == 5


async def test_head_says_the_same_without_the_body(client):
    headers = {**GZIP, "x-request-id": "r-1"}
    get, head = [await client.request(method, LARGE, headers=headers) for method in ("GET", "HEAD")]
    assert (head.headers, head.body) == (get.headers, b"")


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson", ""])
async def test_a_stream_is_sent_as_it_is(client, dispatcher, sample_type, accept):
    message = sample_type("WatchThingsResponse")(cursor="c" * 2000).SerializeToString()
    dispatcher.stream_script = [message, message]
    answer = await client.request("GET", "/v1/watch/t", headers={**GZIP, "accept": accept})
    assert answer.header("content-encoding") is None
    assert answer.body.count(b"c" * 2000) >= 2
