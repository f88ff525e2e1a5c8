"""HTTP/1.1 requests as they are written, byte for byte: no client that tidies them up."""

import asyncio
import gzip
import http.client
import select
import socket
from dataclasses import dataclass

_SECONDS = 10
_PIECE = 64 << 10


@dataclass(frozen=True)
class Reply:
    """An answer.

    Attributes:
        headers: lower-case names and their values; those given twice joined by commas.
        broken: whether the connection ended before the answer did.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    broken: bool

    @property
    def content(self) -> bytes:
        """The body, inflated when it came compressed."""
        if self.headers.get("content-encoding") == "gzip":
            return gzip.decompress(self.body)
        return self.body


async def send(
    address: str,
    method: str,
    target: str,
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes | None = None,
    *,
    chunked: bool = False,
) -> Reply:
    """Send one request on a connection of its own and read the whole answer."""
    return await asyncio.to_thread(_send, address, method, target, headers, body, chunked)


def _send(
    address: str,
    method: str,
    target: str,
    headers: tuple[tuple[str, str], ...],
    body: bytes | None,
    chunked: bool,
) -> Reply:
    connection = http.client.HTTPConnection(address, timeout=_SECONDS)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None and chunked:
            connection.putheader("transfer-encoding", "chunked")
        elif body is not None and not any(name == "content-length" for name, _ in headers):
            connection.putheader("content-length", str(len(body)))
        connection.endheaders()
        if body is not None:
            _send_body(connection.sock, body, chunked=chunked)
        return _read(connection.getresponse())
    finally:
        connection.close()


def _send_body(sock: socket.socket, body: bytes, *, chunked: bool) -> None:
    """Send the body until there is an answer: who refuses a body need not read all of it."""
    pieces = [body[at : at + _PIECE] for at in range(0, len(body), _PIECE)]
    for piece in pieces:
        if select.select([sock], [], [], 0)[0]:
            return
        sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
    if chunked:
        sock.sendall(b"0\r\n\r\n")


def _read(response: http.client.HTTPResponse) -> Reply:
    headers: dict[str, str] = {}
    for name, value in response.getheaders():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    try:
        return Reply(response.status, headers, response.read(), broken=False)
    except http.client.IncompleteRead as error:
        return Reply(response.status, headers, error.partial, broken=True)
