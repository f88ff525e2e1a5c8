"""What both HTTP servers have in common: their interface, and the listening socket."""

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Protocol

App = Callable[..., Awaitable[None]]
ServerName = Literal["granian", "uvicorn"]

DEFAULT_WRITE_TIMEOUT_S = 60.0
DEFAULT_HEAD_TIMEOUT_S = 30.0
_KEEPALIVE_S = 30


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens; port 0 lets the system choose."""

    host: str
    port: int


class HttpServer(Protocol):
    """An HTTP server in the running event loop, for one ASGI application."""

    @property
    def address(self) -> Address:
        """Where it listens, with the real port; known before `start`."""
        ...

    async def start(self) -> None:
        """Start serving; returns when the application is ready. Raises RuntimeError if it fails."""
        ...

    async def stop(self, grace_s: float) -> None:
        """Take no new connections, let requests end for `grace_s` seconds, then cut them off."""
        ...


def http_server(
    name: ServerName,
    app: App,
    address: Address,
    write_timeout_s: float = DEFAULT_WRITE_TIMEOUT_S,
) -> HttpServer:
    """The HTTP server of that name, listening already; raises OSError as `listen` does."""
    if name == "uvicorn":
        from windlass_server.gateway.uvicorn_server import UvicornServer

        return UvicornServer(app, address, write_timeout_s=write_timeout_s)
    from windlass_server.gateway.granian_server import GranianServer

    return GranianServer(app, address, write_timeout_s=write_timeout_s)


def listen(address: Address, backlog: int, write_timeout_s: float) -> socket.socket:
    """Open the listening socket, before anything else is started.

    Without SO_REUSEPORT, so that a port in use is an error and not a second listener that gets half
    of the connections.

    Args:
        address: where.
        backlog: connections that may wait to be accepted.
        write_timeout_s: after how long the system closes a connection whose client takes nothing of
            what it is sent. Neither HTTP server can do that by itself.

    Raises:
        OSError: the address cannot be had; the message names it.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Handed on to the connections that are accepted.
        milliseconds = max(int(write_timeout_s * 1000), 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        # A client that is gone without a word, its cable cut, is noticed though nothing is sent to it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_S)
        listener.bind((address.host, address.port))
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        where = f"{address.host} port {address.port}"
        raise OSError(error.errno, f"cannot listen on {where}: {error.strerror}") from error
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket) -> Address:
    """Where a listening socket listens."""
    host, port = listener.getsockname()[:2]
    return Address(host, port)
