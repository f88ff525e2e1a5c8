"""The same streams through gRPC and through HTTP: the same servicers, the same answers."""

import asyncio
import json
from collections.abc import AsyncIterator

import grpc
import httpx
import pytest
from google.protobuf import json_format
from grpc import aio

from windlass_server.gateway.granian_server import GranianServer
from windlass_server.gateway.serving import Address
from windlass_server.gateway.uvicorn_server import UvicornServer
from windlass_server.rpc.server import GrpcServer

SERVICE = "sample.v1.StreamService"
CODES = {404: grpc.StatusCode.NOT_FOUND, 400: grpc.StatusCode.INVALID_ARGUMENT}


@pytest.fixture
async def port(server) -> AsyncIterator[int]:
    unrouted = next(iter(server.pipeline.methods.values()))
    grpc_server = GrpcServer(
        server.pipeline, "127.0.0.1:0", unrouted=unrouted, add_others=lambda _: None
    )
    await grpc_server.start()
    yield grpc_server.port
    await grpc_server.stop(0)


@pytest.fixture
async def channel(port) -> AsyncIterator[aio.Channel]:
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel


@pytest.fixture(params=[GranianServer, UvicornServer])
async def http(request, server):
    gateway = server.gateway()
    http_server = request.param(gateway, Address("127.0.0.1", 0))
    await http_server.start()
    base = f"http://127.0.0.1:{http_server.address.port}"
    async with httpx.AsyncClient(base_url=base, timeout=10) as client:
        yield client
    gateway.drain()
    await http_server.stop(5)


def stub(channel, types, shape, method, answer):
    return getattr(channel, shape)(
        f"/{SERVICE}/{method}",
        request_serializer=types.Note.SerializeToString,
        response_deserializer=getattr(types, answer).FromString,
    )


def notes(types, texts):
    return [types.Note(room="r" if index == 0 else "", text=t) for index, t in enumerate(texts)]


@pytest.mark.parametrize("texts", [["a", "b", "c"], [], ["enough", "b"]])
async def test_a_clients_stream_has_the_same_answer(channel, http, types, texts):
    collect = stub(channel, types, "stream_unary", "Collect", "Collected")
    expected = json_format.MessageToDict(
        await collect(notes(types, texts)),
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
    body = json.dumps([{"text": text} for text in texts])
    answer = await http.post("/v1/rooms/r/notes:collect", content=body)
    assert (answer.status_code, answer.json()) == (200, expected)


async def test_a_failure_in_a_clients_stream_is_the_same(channel, http, types, server):
    texts = ["a", "no more", "b"]
    collect = stub(channel, types, "stream_unary", "Collect", "Collected")
    with pytest.raises(aio.AioRpcError) as failed:
        await collect(notes(types, texts))
    body = json.dumps([{"text": text} for text in texts])
    answer = await http.post("/v1/rooms/r/notes:collect", content=body)
    assert failed.value.code() is CODES[answer.status_code]
    assert failed.value.details() == answer.json()["message"]
    assert server.streams.committed == []


async def test_both_ways_have_the_same_answers(channel, http, types):
    chat = stub(channel, types, "stream_stream", "Chat", "Note")
    expected = [note.text async for note in chat(notes(types, ["a", "b"]))]
    answer = await http.post("/v1/rooms/r:chat", content='[{"text":"a"},{"text":"b"}]')
    assert [note["text"] for note in answer.json()] == expected == ["a", "b"]


@pytest.mark.parametrize("length", [10, 20_000])
async def test_an_early_answer_reaches_a_client_that_is_still_sending(http, server, length):
    async def body():
        yield b'[{"text":"no more"}'
        for _ in range(length):
            yield b',{"text":"' + b"x" * 500 + b'"}'
        yield b"]"

    answer = await http.post("/v1/rooms/r/notes:collect", content=body())
    assert (answer.status_code, answer.json()["message"]) == (404, "the room is closed")
    assert server.streams.taken == 1


async def test_a_client_that_leaves_in_the_middle_of_its_body_commits_nothing(http, server):
    class LeavesError(Exception):
        pass

    async def body():
        yield b'[{"text":"a"},'
        raise LeavesError

    with pytest.raises(LeavesError):
        await http.post("/v1/rooms/r/notes:collect", content=body())
    assert (await http.post("/v1/rooms/r/notes:collect", content="[]")).status_code == 200
    assert server.streams.committed == [[]]


@pytest.mark.parametrize("pause", [0, 0.001])
@pytest.mark.parametrize("how", ["cancel", "close"])
async def test_a_stream_that_a_client_gives_up_is_never_taken_for_whole(
    server, types, port, how, pause
):
    # Some of these would be committed in every run: grpc.aio ends the iterator before it cancels.
    count = 60 if how == "cancel" else 10
    for number in range(count):
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            upload = channel.stream_unary(
                "/sample.v1.BlobService/Upload",
                request_serializer=types.UploadRequest.SerializeToString,
                response_deserializer=types.Blob.FromString,
            )
            call = upload()
            await call.write(types.UploadRequest(name=f"b{number}"))
            await asyncio.sleep(pause)
            if how == "cancel":
                call.cancel()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        whole = stub(channel, types, "stream_unary", "Collect", "Collected")
        assert (await whole(notes(types, ["a"]))).count == 1
    await asyncio.sleep(0.05)  # what would be committed is by now
    assert server.blobs.committed == {}


async def test_a_streams_metadata_goes_before_its_first_message(channel, types):
    chat = stub(channel, types, "stream_stream", "Chat", "Note")
    call = chat(notes(types, ["a"]))
    assert "x-request-id" in dict(await call.initial_metadata())
    assert [note.text async for note in call] == ["a"]


async def test_a_stream_over_grpc_has_the_limit_of_its_method(channel, types, server):
    upload = channel.stream_unary(
        "/sample.v1.BlobService/UploadSmall",
        request_serializer=types.UploadRequest.SerializeToString,
        response_deserializer=types.Blob.FromString,
    )
    piece = types.UploadRequest(content=types.HttpBody(data=bytes(60_000)))
    assert (await upload([piece] * 16)).size == 960_000
    with pytest.raises(aio.AioRpcError) as refused:
        await upload([piece] * 17)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "1000000 bytes" in refused.value.details()
    assert len(server.blobs.calls) == 2
