"""Clients that do not read, over real sockets: what is held for them, and for how long."""

import asyncio
import socket
import struct
from pathlib import Path

import pytest

from tests.support.sample_services import StoredBlob
from windlass_server.gateway.granian_server import GranianServer
from windlass_server.gateway.serving import Address
from windlass_server.gateway.uvicorn_server import UvicornServer

MIB = 1 << 20
# What the system and both servers hold for one connection; measured: 3 to 4 MiB.
MOST_HELD = 12 * MIB
# How a servicer sees it, waiting for something or not.
CUT_OFF = ("CancelledError", "GeneratorExit")


@pytest.fixture(params=[GranianServer, UvicornServer])
def server_class(request):
    return request.param


@pytest.fixture
async def serve(server_class, server):
    running = []

    async def start(write_timeout_s):
        gateway = server.gateway(write_timeout_s=write_timeout_s)
        http = server_class(gateway, Address("127.0.0.1", 0), write_timeout_s=write_timeout_s)
        await http.start()
        running.append((gateway, http))
        return http.address.port

    yield start
    for gateway, http in running:
        gateway.drain()
        await http.stop(1)


@pytest.fixture
def ask():
    """Send a request over a connection that buffers little."""
    connections = []

    async def request(port, target, accept="application/x-ndjson"):
        connection = socket.socket()
        connections.append(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, ("127.0.0.1", port))
        head = f"GET {target} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n"
        await loop.sock_sendall(connection, head.encode())
        return connection

    yield request
    for connection in connections:
        connection.close()


async def read_all(connection):
    """All that still comes; whether the end was a proper one is not told."""
    received = bytearray()
    loop = asyncio.get_running_loop()
    try:
        while piece := await loop.sock_recv(connection, 1 << 16):
            received += piece
    except ConnectionError:
        pass
    return bytes(received)


async def until(condition):
    """Wait until something is so that nobody tells of."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never was")


def server_has(connection):
    """Whether the server's end of a connection is still there, in whichever state."""
    server, client = (
        f":{name[1]:04X}" for name in (connection.getpeername(), connection.getsockname())
    )
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(line[1].endswith(server) and line[2].endswith(client) for line in lines)


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson", "*/*"])
async def test_a_client_that_does_not_read_is_cut_off_and_little_is_held_for_it(
    serve, ask, server, accept
):
    port = await serve(0.5)
    connection = await ask(port, "/v1/rooms/r:follow?count=100000&size=10000", accept)
    await until(lambda: server.streams.ended)
    assert server.streams.ended[0] in CUT_OFF
    assert server.streams.given * 10_000 < MOST_HELD
    async with asyncio.timeout(20):
        received = await read_all(connection)
    assert len(received) < MOST_HELD, "the connection is closed, what was held is all that comes"
    assert not received.endswith((b"0\r\n\r\n", b"]\n")), "a part is not taken for the whole"


async def test_a_download_that_nobody_reads_is_cut_off_too(serve, ask, server):
    server.blobs.blobs["b"] = StoredBlob(bytes(64 * MIB))
    port = await serve(0.5)
    await ask(port, "/v1/blobs/b")
    await until(lambda: server.blobs.ended)
    assert server.blobs.ended[0] in CUT_OFF
    assert server.blobs.sent * server.blobs.piece < MOST_HELD


async def test_a_connection_whose_client_takes_nothing_is_closed_by_the_system(serve, ask, server):
    port = await serve(0.5)
    connection = await ask(port, "/v1/rooms/r:follow?count=100000&size=10000")
    await until(lambda: server.streams.ended)
    await until(lambda: not server_has(connection))


async def test_a_client_that_reads_slowly_is_served_to_the_end(serve, server):
    port = await serve(2.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    target = "/v1/rooms/r:follow?count=400&size=20000"
    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    size = 0
    async with asyncio.timeout(60):
        while piece := await reader.read(100_000):
            size += len(piece)
            await asyncio.sleep(0.005)  # slower than the server sends
    writer.close()
    assert server.streams.ended == ["end"]
    assert size > 400 * 20_000


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_client_that_leaves_while_it_does_not_read_ends_the_call_at_once(
    serve, ask, server, how
):
    port = await serve(60.0)
    connection = await ask(port, "/v1/rooms/r:follow?count=100000&size=10000")
    given = 0

    def stands_still():
        nonlocal given
        before, given = given, server.streams.given
        return given == before > 0

    await until(stands_still)
    if how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    await until(lambda: server.streams.ended)
    assert server.streams.ended[0] in CUT_OFF


async def test_a_client_that_leaves_a_silent_stream_ends_the_call_at_once(serve, ask, server):
    port = await serve(60.0)
    connection = await ask(port, "/v1/rooms/r:follow?count=3&size=1&cursor=-1")
    await until(lambda: server.streams.waiting)
    connection.close()
    await until(lambda: server.streams.ended)
    assert server.streams.ended[0] in CUT_OFF
