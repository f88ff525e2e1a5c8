"""Requests as bytes, over real sockets: what both HTTP servers make of odd ones, and what is answered."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from tests.support.gateway import sample_gateway
from windlass_server.gateway.granian_server import GranianServer
from windlass_server.gateway.serving import Address
from windlass_server.gateway.uvicorn_server import UvicornServer

HOST = b"Host: x\r\n"
END = b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LIMIT = 4096


@pytest.fixture(params=[GranianServer, UvicornServer])
async def port(request, sample_set, dispatcher):
    gateway = sample_gateway(sample_set, dispatcher, max_body_bytes=LIMIT, read_timeout_s=0.2)
    server = request.param(gateway, Address("127.0.0.1", 0), head_timeout_s=0.3)
    await server.start()
    yield server.address.port
    await server.stop(1)


@asynccontextmanager
async def connected(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.close()


async def answer(reader):
    """The next answer's status, headers and body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split(" ")[1])
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    return status, headers, await reader.readexactly(int(headers.get("content-length", 0)))


async def asked(port, *pieces):
    """The answer to these bytes."""
    async with connected(port) as (reader, writer):
        writer.writelines(pieces)
        return await answer(reader)


def get(target, *headers):
    return b"".join((b"GET ", target, b" HTTP/1.1\r\n", HOST, *headers, END))


def put(*parts):
    return b"".join((b"PUT /v1/things/a HTTP/1.1\r\n", HOST, *parts))


@pytest.mark.parametrize(
    ("target", "name", "text"),
    [
        (b"/v1/things/a?text=b", "a", "b"),
        (b"http://x/v1/things/a?text=b", "a", "b"),
        (b"http://user@elsewhere:80/v1/things/a?text=b", "a", "b"),
        (b"/v1/things/a?text=?b", "a", "?b"),
        (b"/v1/things/a#c", "a", ""),
        (b"/v1/things/a%2F..%2Fb", "a/../b", ""),
        (b"/v1/things/..", "..", ""),
        (b"/v1/things/a\\b", "a\\b", ""),
        (b"/v1/things/%00", "\0", ""),
        (b"/v1/files/a/../b", "a/../b", ""),
    ],
)
async def test_a_target_is_taken_as_it_is_and_never_resolved(port, target, name, text):
    status, _, body = await asked(port, get(target))
    assert status == 200
    assert (json.loads(body)["name"], json.loads(body)["text"]) == (name, text)


@pytest.mark.parametrize(
    "target",
    [
        b"/v1/x/../things/a",
        b"/v1/x/%2e%2e/things/a",
        b"/v1/./things/a",
        b"//v1/things/a",
        b"/v1//things/a",
        b"/%2Fv1/things/a",
        b"/v1%2Fthings/a",
        b"http://x//v1/things/a",
    ],
)
async def test_a_path_that_only_looks_like_another_is_not_found(port, target):
    status, _, body = await asked(port, get(target))
    assert (status, json.loads(body)["code"]) == (404, 5)


@pytest.mark.parametrize(
    "request_bytes",
    [
        get(b"/v1/things/\xff"),
        get(b"/v1/things/a?text=\xff"),
        get(b"/v1/things/a b"),
        get(b"/v1/things/a\x01"),
        get(b"/v1/things/a", b"x-a: b\r\n c\r\n"),
        get(b"/v1/things/a", b"x-a : b\r\n"),
        get(b"/v1/things/a", b"x-request-id: a\rb\r\n"),
        get(b"/v1/things/a", b"x-request-id: a\0b\r\n"),
        put(b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        put(b"Content-Length: -2\r\n\r\n{}"),
        put(b"Content-Length: +2\r\n\r\n{}"),
        put(b"Content-Length: 99999999999999999999999\r\n\r\n{}"),
        put(b"Transfer-Encoding: gzip\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
        put(b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
        put(b"Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
        put(CHUNKED, b"\r\n2\n{}\n0\n\n"),
        put(CHUNKED, b"\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        put(CHUNKED, b"\r\n2\r\n{}xx0\r\n\r\n"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_what_is_no_clear_request_is_refused(port, request_bytes):
    async with connected(port) as (reader, writer):
        writer.write(request_bytes)
        assert (await reader.readline()).split(b" ")[1] == b"400"


@pytest.mark.parametrize(
    ("request_bytes", "statuses"),
    [
        (get(b"/v1/things/" + b"a" * 100_000), {400, 414, 431}),
        (get(b"/v1/things/a", b"x-a: " + b"a" * 200_000 + END), {431}),
        (get(b"/v1/things/a", *(b"x-%d: a\r\n" % number for number in range(3000))), {431}),
    ],
)
async def test_heads_are_bounded(port, request_bytes, statuses):
    async with connected(port) as (reader, writer):
        writer.write(request_bytes)
        assert int((await reader.readline()).split(b" ")[1]) in statuses


async def test_two_lengths_never_leave_a_second_request_behind(port):
    smuggled = get(b"/v1/things/smuggled")
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (2, b"{}")
    async with connected(port) as (reader, writer):
        writer.write(put(b"Content-Length: 3\r\n", CHUNKED, END, body, smuggled))
        told = await reader.read()
    assert b"smuggled" not in told
    assert told.split(b" ")[1] in (b"200", b"400")


async def test_trailers_of_a_body_are_no_headers(port, dispatcher):
    body = b"2\r\n{}\r\n0\r\nAuthorization: Bearer b\r\nX-Request-Id: trailer\r\n\r\n"
    status, _, _ = await asked(port, put(CHUNKED, b"X-Request-Id: head\r\n\r\n", body))
    assert status == 200
    metadata = dispatcher.calls[0][0].metadata
    assert metadata["x-request-id"] == "head"
    assert "authorization" not in metadata


async def test_requests_behind_each_other_are_answered_in_their_order(port):
    async with connected(port) as (reader, writer):
        for name in (b"a", b"b", b"c"):
            writer.write(get(b"/v1/things/" + name))
        names = [json.loads((await answer(reader))[2])["name"] for _ in range(3)]
    assert names == ["a", "b", "c"]


async def test_behind_a_refused_body_the_connection_goes_on(port):
    async with connected(port) as (reader, writer):
        size = LIMIT + 1000
        writer.write(put(b"Content-Length: %d\r\n\r\n" % size, b"a" * size))
        assert (await answer(reader))[0] == 413
        writer.write(get(b"/v1/things/next"))
        assert json.loads((await answer(reader))[2])["name"] == "next"


async def test_a_client_that_waits_is_told_to_go_on(port):
    async with connected(port) as (reader, writer):
        writer.write(put(b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(b"{}")
        assert (await answer(reader))[0] == 200


async def test_a_client_that_waits_is_refused_before_it_sends(port):
    head = b"PUT /nope HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    async with connected(port) as (reader, writer):
        writer.write(head)
        assert (await reader.readline()).split(b" ")[1] == b"404"


@pytest.mark.parametrize("upgrade", [b"websocket", b"h2c"])
async def test_an_upgrade_is_not_taken(port, upgrade):
    headers = b"Connection: Upgrade\r\nUpgrade: %s\r\nSec-WebSocket-Version: 13\r\n" % upgrade
    status, _, _ = await asked(port, get(b"/v1/things/a", headers))
    assert status == 200


@pytest.mark.parametrize("sent", [b"", b'{"text":'])
async def test_a_body_that_does_not_come_is_given_up(port, sent):
    async with connected(port) as (reader, writer):
        writer.write(put(b"Content-Length: 50\r\n\r\n", sent))
        status, _, body = await answer(reader)
    assert status == 408
    assert json.loads(body)["details"][0]["reason"] == "BODY_TIMEOUT"


async def test_metadata_cannot_split_an_answer(port, dispatcher):
    dispatcher.response_metadata = {"x-a": "b\r\nx-injected: c", "x-b\r\nx-c": "d", "x-ok": "e"}
    _, headers, _ = await asked(port, get(b"/v1/things/a"))
    assert "x-ok" in headers
    assert not {"x-injected", "x-a", "x-c"} & set(headers)


@pytest.mark.parametrize("behind", [b"", get(b"/v1/things/a")])
async def test_a_head_that_does_not_come_is_given_up(port, behind):
    async with connected(port) as (reader, writer):
        writer.write(behind)
        if behind:
            assert (await answer(reader))[0] == 200
        writer.write(b"GET /v1/things/a HTTP/1.1\r\nHost: x\r\nX-")
        assert await reader.read() == b""
