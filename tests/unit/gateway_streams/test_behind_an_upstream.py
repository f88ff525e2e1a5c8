"""Streams and files through two processes' worth of machinery: gateway, channel, gRPC server."""

import asyncio
import gzip
import hashlib
import json

import pytest

from tests.support.gateway import AsgiClient
from tests.support.sample_services import StoredBlob
from windlass_server.gateway.upstream import UpstreamDispatcher
from windlass_server.rpc.server import GrpcServer

DATA = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(DATA).hexdigest()
CHAT = "/v1/rooms/r:chat"
LINES = {"content-type": "application/x-ndjson"}


@pytest.fixture
async def client(server):
    unrouted = next(iter(server.pipeline.methods.values()))
    grpc_server = GrpcServer(
        server.pipeline, "127.0.0.1:0", unrouted=unrouted, add_others=lambda _: None
    )
    await grpc_server.start()
    upstream = UpstreamDispatcher(f"127.0.0.1:{grpc_server.port}")
    yield AsgiClient(server.gateway(upstream))
    await upstream.close()
    await grpc_server.stop(0)


async def committed_nothing(server):
    """Whether nothing is committed, when the server has seen the end of all calls."""
    await asyncio.wait_for(server.blobs.idle.wait(), 10)
    return not server.blobs.committed


async def pieces(data, size):
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def test_a_file_goes_up_in_pieces(client, server):
    headers = {"content-type": "image/png", "content-disposition": 'attachment; filename="a.bin"'}
    answer = await client.request("POST", "/v1/blobs/b?version=7", pieces(DATA, 100_000), headers)
    assert (answer.json["sha256"], answer.json["version"]) == (SHA256, 7)
    assert (answer.json["filename"], answer.json["content_type"]) == ("a.bin", "image/png")
    assert server.blobs.calls[0].first("content-disposition") == 'attachment; filename="a.bin"'


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (DATA, {"content-digest": "sha-256=:" + "A" * 43 + "=:"}, "DIGEST_MISMATCH"),
        (gzip.compress(DATA)[:-4], {"content-encoding": "gzip"}, "MALFORMED_BODY"),
    ],
    ids=["digest", "cut off"],
)
async def test_a_file_that_is_refused_at_its_end_is_not_committed(
    client, server, body, headers, reason
):
    answer = await client.request("POST", "/v1/blobs/b", pieces(body, 100_000), headers)
    assert (answer.status, answer.reason) == (400, reason)
    assert await committed_nothing(server)


@pytest.mark.parametrize("target", ["/v1/blobs/b", "/v1/whole/b"])
async def test_what_the_service_says_of_a_file_arrives(client, server, target):
    metadata = {"etag": '"v1"', "x-content-length": str(len(DATA)), "cache-control": "private"}
    server.blobs.blobs["b"] = StoredBlob(DATA, "image/png", metadata)
    whole = await client.request("GET", target)
    assert (whole.status, whole.body) == (200, DATA)
    assert whole.header("content-length") == str(len(DATA))
    assert whole.header("cache-control") == "private"
    part = await client.request("GET", target, headers={"range": "bytes=70000-"})
    assert (part.status, part.body) == (206, DATA[70000:])
    known = await client.request("GET", target, headers={"if-none-match": '"v1"'})
    assert known.status == 304
    assert server.blobs.calls[1].first("range") == "bytes=70000-"


async def test_a_clients_stream_is_carried_and_its_bad_element_named(client, server):
    good = await client.request("POST", "/v1/rooms/r/notes:collect", '[{"text":"a"},{}]')
    assert good.json == {"room": "r", "count": 2, "texts": ["a", ""]}
    bad = await client.request("POST", "/v1/rooms/r/notes:collect", '[{"text":"a"},{"txt":""}]')
    assert (bad.status, list(bad.violations)) == (400, ["[1].txt"])
    assert server.streams.committed == [["a", ""]]


async def test_both_ways_answer_while_the_body_is_under_way(client, server):
    answered = asyncio.Event()

    async def body():
        yield b'{"text":"a"}\n'
        await answered.wait()
        yield b'{"text":"b"}\n'

    client.on_chunk = lambda chunk: answered.set() if b'"a"' in chunk else None
    async with asyncio.timeout(10):
        answer = await client.request("POST", CHAT, body(), LINES)
    assert [note["text"] for note in json.loads(answer.body)] == ["a", "b"]
    assert answer.header("x-request-id") is not None


async def test_a_client_that_leaves_cancels_the_upstreams_call(client, server):
    async def body():
        yield DATA
        client.gone.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(10):
        answer = await client.request("POST", "/v1/blobs/b", body())
        assert (answer.status, answer.reason) == (400, "MALFORMED_BODY")
        await server.blobs.idle.wait()
    assert server.blobs.committed == {}


async def test_a_download_that_is_not_read_further_is_not_asked_for_further(client, server):
    server.blobs.blobs["b"] = StoredBlob(bytes(64 << 20), metadata={"x-content-length": "1000"})
    assert len((await client.request("GET", "/v1/blobs/b")).body) == 1000
    async with asyncio.timeout(10):
        await server.blobs.idle.wait()
    assert server.blobs.sent * server.blobs.piece < 32 << 20
