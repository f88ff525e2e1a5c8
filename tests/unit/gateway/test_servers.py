"""The gateway behind real HTTP servers on loopback, both of them by the same tests."""

import asyncio
import json

import httpx
import pytest

from tests.support.gateway import failure, sample_gateway
from windlass_server.gateway.granian_server import GranianServer
from windlass_server.gateway.serving import Address
from windlass_server.gateway.uvicorn_server import UvicornServer

LOOPBACK = Address("127.0.0.1", 0)


@pytest.fixture(params=[GranianServer, UvicornServer])
def server_class(request):
    return request.param


@pytest.fixture
def gateway(sample_set, dispatcher):
    return sample_gateway(sample_set, dispatcher, max_body_bytes=100_000)


@pytest.fixture
async def base(server_class, gateway):
    server = server_class(gateway, LOOPBACK)
    await server.start()
    yield f"http://127.0.0.1:{server.address.port}"
    gateway.drain()
    await server.stop(5)


@pytest.fixture
async def http():
    async with httpx.AsyncClient(timeout=5) as client:
        yield client


async def test_a_call_is_answered(base, http):
    answer = await http.get(f"{base}/v1/things/a%2Fb%20c?text=x+y")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert (answer.json()["name"], answer.json()["text"]) == ("a/b c", "x y")


async def test_the_peer_is_known(base, http, dispatcher):
    await http.get(f"{base}/v1/things/a")
    assert dispatcher.calls[0][0].peer.startswith("127.0.0.1:")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/things/%FF", 400),
        ("GET", "/v1/things/%zz", 400),
        ("GET", "/v1/things/", 404),
        ("DELETE", "/v1/things/a", 405),
        ("OPTIONS", "/v1/things/a", 204),
        ("HEAD", "/v1/things/a", 200),
    ],
)
async def test_odd_requests_get_their_status(base, http, method, path, status):
    answer = await http.request(method, f"{base}{path}")
    assert answer.status_code == status


@pytest.mark.parametrize("chunked", [True, False])
async def test_bodies_are_read_and_limited(base, http, chunked):
    async def parts(size):
        yield b'{"text":"'
        yield b"a" * size
        yield b'"}'

    for size, status in ((90_000, 200), (200_000, 413)):
        body = parts(size) if chunked else b'{"text":"' + b"a" * size + b'"}'
        answer = await http.put(f"{base}/v1/things/n", content=body)
        assert answer.status_code == status


@pytest.mark.parametrize("body", [b"zz\r\n{}\r\n", b"-1\r\n\r\n"])
async def test_malformed_chunks_are_refused(base, body):
    host, port = base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = "PUT /v1/things/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode() + body)
    async with asyncio.timeout(5):
        status_line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert status_line.split()[1] == b"400"


async def test_a_client_that_leaves_does_not_hurt_the_next(base, http):
    host, port = base.removeprefix("http://").split(":")
    for sent in (b"", b"{}"):
        _, writer = await asyncio.open_connection(host, int(port))
        head = b"PUT /v1/things/a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
        writer.write(head + sent)
        writer.close()
        await writer.wait_closed()
    assert (await http.get(f"{base}/v1/things/a")).status_code == 200


async def test_two_credentials_are_refused(base, http):
    headers = [("authorization", "Bearer a"), ("authorization", "Bearer b")]
    answer = await http.get(f"{base}/v1/things/a", headers=headers)
    assert answer.status_code == 401


async def test_a_failure_has_its_status(base, http, dispatcher):
    dispatcher.reply = failure(14, "later")
    assert (await http.get(f"{base}/v1/things/a")).status_code == 503


async def test_messages_of_a_stream_arrive_one_by_one(base, http, dispatcher, sample_type):
    more = asyncio.Event()
    one = sample_type("WatchThingsResponse")(cursor="1").SerializeToString()
    dispatcher.stream_script = [one, more, one]
    headers = {"accept": "application/x-ndjson"}
    async with http.stream("GET", f"{base}/v1/watch/t", headers=headers) as answer:
        lines = answer.aiter_lines()
        assert json.loads(await anext(lines))["cursor"] == "1"
        more.set()
        assert json.loads(await anext(lines))["cursor"] == "1"
        assert [line async for line in lines] == []


async def test_a_client_that_hangs_up_closes_the_dispatchers_stream(
    base, http, dispatcher, sample_type
):
    one = sample_type("WatchThingsResponse")(cursor="1").SerializeToString()
    dispatcher.stream_script = [one, asyncio.Event()]
    headers = {"accept": "text/event-stream"}
    async with http.stream("GET", f"{base}/v1/watch/t", headers=headers) as answer:
        lines = answer.aiter_lines()  # collecting it would close the connection
        assert await anext(lines) == "retry: 2000"
        assert not dispatcher.closed.is_set()
    async with asyncio.timeout(5):
        await dispatcher.closed.wait()


def test_a_port_in_use_is_an_error_that_names_it_before_anything_starts(server_class, gateway):
    first = server_class(gateway, LOOPBACK)
    assert first.address.port > 0
    with pytest.raises(OSError, match=str(first.address.port)):
        server_class(gateway, first.address)
    asyncio.run(first.stop(0))
    asyncio.run(server_class(gateway, first.address).stop(0))


async def test_a_stop_lets_a_request_end(server_class, gateway, dispatcher, http):
    started, finish = asyncio.Event(), asyncio.Event()

    async def slow(_call, request):
        started.set()
        await finish.wait()
        return request

    dispatcher.unary = slow
    server = server_class(gateway, LOOPBACK)
    await server.start()
    url = f"http://127.0.0.1:{server.address.port}/v1/things/a"
    call = asyncio.create_task(http.get(url))
    await started.wait()
    stopping = asyncio.create_task(server.stop(5))
    asyncio.get_running_loop().call_later(0.05, finish.set)
    assert (await call).status_code == 200
    await stopping
    with pytest.raises(httpx.ConnectError):
        await http.get(url)


async def test_a_stop_ends_after_its_grace_whatever_goes_on(
    server_class, gateway, dispatcher, http, sample_type
):
    one = sample_type("WatchThingsResponse")(cursor="1").SerializeToString()
    dispatcher.stream_script = [one, asyncio.Event()]
    server = server_class(gateway, LOOPBACK)
    await server.start()
    url = f"http://127.0.0.1:{server.address.port}/v1/watch/t"
    async with http.stream("GET", url, headers={"accept": "text/event-stream"}) as answer:
        lines = answer.aiter_lines()  # collecting it would close the connection
        assert await anext(lines) == "retry: 2000"
        async with asyncio.timeout(5):
            await server.stop(0.05)
            await dispatcher.closed.wait()


async def test_an_application_that_does_not_start_is_an_error(server_class):
    async def broken(_scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    server = server_class(broken, LOOPBACK)
    async with asyncio.timeout(5):
        with pytest.raises(RuntimeError, match="before it was ready"):
            await server.start()
