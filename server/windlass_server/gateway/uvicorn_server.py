"""Serves an ASGI application through uvicorn, embedded in the running event loop: HTTP/1.1 only."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from windlass_server.gateway.serving import (
    DEFAULT_HEAD_TIMEOUT_S,
    DEFAULT_WRITE_TIMEOUT_S,
    Address,
    App,
    address_of,
    listen,
)


class _Embedded(uvicorn.Server):
    """uvicorn's server that leaves signals to the process and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        try:
            await super().startup(sockets)  # type: ignore[arg-type]
        except SystemExit as error:  # which would end the whole process, through the loop
            raise RuntimeError("the application did not start") from error
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _protocol(head_timeout_s: float) -> type[HttpToolsProtocol]:
    """Uvicorn's HTTP protocol, mended.

    uvicorn waits for the head of a request for ever, and adds the trailers of a chunked body to the
    headers that the request began with, where no proxy has seen them.

    Args:
        head_timeout_s: seconds that the head of a request may take.
    """

    class Mended(HttpToolsProtocol):
        _head_timer: asyncio.TimerHandle | None = None

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._head_timer = self.loop.call_later(head_timeout_s, self.transport.close)

        def on_headers_complete(self) -> None:
            self._stop_timer()
            super().on_headers_complete()
            self.headers = []  # what comes from here on is no header; the scope keeps its own list

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def _stop_timer(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()

    return Mended


class UvicornServer:
    """An HTTP/1.1 server with the interface of `GranianServer`.

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
        self._listener = listen(address, backlog, write_timeout_s)
        self.address = address_of(self._listener)
        config = uvicorn.Config(
            app,
            interface="asgi3",
            http=_protocol(head_timeout_s),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            backlog=backlog,
        )
        self._server = _Embedded(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start serving; returns when the application is ready."""
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait({self._serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not self._server.ready.is_set():
            ready.cancel()
            self._listener.close()
            raise RuntimeError("the HTTP server ended before it was ready") from (
                self._serving.exception()
            )

    async def stop(self, grace_s: float) -> None:
        """Let requests end for `grace_s` seconds, then cut them off; harmless before `start`."""
        if self._serving is not None:
            # Read when the stop begins; a float serves, though the annotation says int.
            self._server.config.timeout_graceful_shutdown = grace_s  # type: ignore[assignment]
            self._server.should_exit = True
            await self._serving
        self._listener.close()
