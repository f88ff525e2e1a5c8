"""A link between two servers that tests cut, stall and mend."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class TcpProxy:
    """Passes bytes on to another address, as long as the link is whole.

    Attributes:
        address: `host:port` where it listens.
        bytes_passed: how many have gone through it towards the target.
    """

    def __init__(self, target: str, tls: ssl.SSLContext | None = None) -> None:
        self.target = target
        self.address = ""
        self.bytes_passed = 0
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._whole = asyncio.Event()
        self._answers = asyncio.Event()
        self._refuses = False
        self._marker = b""
        self._whole.set()
        self._answers.set()

    async def start(self) -> None:
        """Listen on a free port of loopback."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        host, port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{port}"

    def cut(self) -> None:
        """Break every connection, and refuse new ones."""
        self._refuses = True
        for writer in self._writers:
            writer.transport.abort()

    def stall(self) -> None:
        """Pass nothing on any more, either way, and break nothing."""
        self._whole.clear()

    def hold_answers_after(self, marker: bytes) -> None:
        """Pass on everything that is asked, and nothing that is answered to what has these bytes."""
        self._marker = marker

    def mend(self) -> None:
        """Be a whole link again."""
        self._refuses = False
        self._marker = b""
        self._whole.set()
        self._answers.set()

    async def close(self) -> None:
        """Stop, with all connections."""
        self.cut()
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        host, _, port = self.target.rpartition(":")
        try:
            there, back = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        for source, sink, gate in ((reader, back, None), (there, writer, self._answers)):
            task = asyncio.create_task(self._pass(source, sink, gate))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, gate: asyncio.Event | None
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await self._whole.wait()
                if gate is not None:
                    await gate.wait()
                else:
                    self.bytes_passed += len(data)
                if gate is None and self._marker and self._marker in data:
                    self._answers.clear()
                sink.write(data)
                await sink.drain()
        sink.transport.abort()
        self._writers.discard(sink)


@asynccontextmanager
async def proxied(target: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[TcpProxy]:
    """A started proxy, stopped at the end."""
    proxy = TcpProxy(target, tls)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()
