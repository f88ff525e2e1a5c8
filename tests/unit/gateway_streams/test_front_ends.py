"""The same streams through gRPC and through HTTP: the same servicers, the same answers."""

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
async def channel(server) -> AsyncIterator[aio.Channel]:
    unrouted = next(iter(server.pipeline.methods.values()))
    grpc_server = GrpcServer(
        server.pipeline, "127.0.0.1:0", unrouted=unrouted, add_others=lambda _: None
    )
    await grpc_server.start()
    async with aio.insecure_channel(f"127.0.0.1:{grpc_server.port}") as channel:
        yield channel
    await grpc_server.stop(0)


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
