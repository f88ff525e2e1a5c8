"""Serves an ASGI application through granian, embedded in the running event loop.

granian's embedding calls itself experimental and has no hook for a socket of ours, so the one
private method that opens its socket is overridden here, and nowhere else. `uvicorn_server` takes
this module's place by configuration.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, MutableMapping
from typing import Any

from granian import _futures, net
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings, HTTP2Settings
from granian.server.embed import Server

from windlass_server.gateway.serving import (
    DEFAULT_HEAD_TIMEOUT_S,
    DEFAULT_WRITE_TIMEOUT_S,
    Address,
    App,
    address_of,
    listen,
)

# Seconds for cancelled requests to unwind.
_CUT_OFF_S = 1.0
# Beyond what the gateway takes, so that it is the one who refuses in words.
_HTTP2_HEADERS_BYTES = 128 << 10


def _is_request(task: asyncio.Task[Any]) -> bool:
    """Whether granian made the task, for a request; to note each of them would cost each of them."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_filename == _futures.__file__


class _Embedded(Server):
    """granian's embedded server on a socket that is already open."""

    def __init__(
        self, target: Any, listener: socket.socket, backlog: int, head_timeout_s: float
    ) -> None:
        super().__init__(
            target,
            interface=Interfaces.ASGI,
            http=HTTPModes.auto,
            websockets=False,
            backlog=backlog,
            http1_settings=HTTP1Settings(header_read_timeout=int(head_timeout_s * 1000)),
            # By default 16 MiB, of each of 200 requests at a time.
            http2_settings=HTTP2Settings(max_headers_size=_HTTP2_HEADERS_BYTES),
            log_enabled=False,
        )
        self._listener = listener

    def _init_shared_socket(self) -> None:
        # granian's stubs lack the holder's constructor. The holder owns the descriptor from here
        # on and closes it.
        holder: Any = net.SocketHolder  # type: ignore[attr-defined]
        self._ssp = None
        self._shd = holder(self._listener.detach(), False, self.backlog)


class GranianServer:
    """An HTTP/1.1 and HTTP/2 (without TLS) server.

    Args:
        app: the ASGI application.
        address: where to listen.
        backlog: connections that may wait to be accepted.
        write_timeout_s: seconds after which a connection whose client does not read is closed.
        head_timeout_s: seconds that a client may take for the head of a request.

    Raises:
        OSError: the address cannot be had.
    """

    def __init__(
        self,
        app: App,
        address: Address,
        *,
        backlog: int = 1024,
        write_timeout_s: float = DEFAULT_WRITE_TIMEOUT_S,
        head_timeout_s: float = DEFAULT_HEAD_TIMEOUT_S,
    ) -> None:
        self._app = app
        self._head_timeout_s = head_timeout_s
        self._backlog = backlog
        self._listener = listen(address, backlog, write_timeout_s)
        self.address = address_of(self._listener)
        self._server: _Embedded | None = None
        self._serving: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    async def start(self) -> None:
        """Start serving; returns when the application is ready."""
        self._server = _Embedded(self._watched, self._listener, self._backlog, self._head_timeout_s)
        self._serving = asyncio.create_task(self._server.serve())
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({self._serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.is_set():
            ready.cancel()
            raise RuntimeError("the HTTP server ended before it was ready")

    async def stop(self, grace_s: float) -> None:
        """Let requests end for `grace_s` seconds, then cut them off; harmless before `start`."""
        if self._server is None or self._serving is None:
            self._listener.close()
            return
        self._server.stop()  # type: ignore[no-untyped-call]
        await asyncio.wait({self._serving}, timeout=grace_s)
        # granian itself would wait for its connections for ever.
        for task in asyncio.all_tasks():
            if _is_request(task):
                task.cancel()
        await asyncio.wait({self._serving}, timeout=_CUT_OFF_S)
        self._serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._serving

    def _watched(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> Awaitable[None]:
        """The application, watched for the end of its start."""
        if scope["type"] == "lifespan":
            send = self._noticing_ready(send)
        return self._app(scope, receive, send)

    def _noticing_ready(self, send: Any) -> Any:
        async def sent(message: MutableMapping[str, Any]) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                self._ready.set()

        return sent
