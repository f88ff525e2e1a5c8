"""A receiver of webhooks on loopback: it keeps what it is sent, and answers as it is told to."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Received:
    """One request."""

    target: str
    headers: dict[str, str]
    body: bytes


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An answer with these headers, whose underscores are dashes."""
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, "", "")).encode() + body


@dataclass
class Receiver:
    """What was received, and what is answered: by default 200; None: nothing, ever."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    respond: Callable[[Received], bytes | None] = lambda _request: OK
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    def url(self, path: str = "/hook", host: str = "127.0.0.1", scheme: str = "http") -> str:
        """Its URL."""
        return f"{scheme}://{host}:{self.port}{path}"

    async def has(self, count: int) -> list[Received]:
        """What was received, as soon as there is so much of it."""
        async with asyncio.timeout(30), self._news:
            await self._news.wait_for(lambda: len(self.received) >= count)
            return self.received

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            # Signatures are the one value in which case matters.
            headers |= {
                name.lower(): value
                for name, value in (line.split(": ", 1) for line in lines)
                if name.lower().startswith("webhook-")
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            request = Received(first.split()[1], headers, body)
            response = self.respond(request)
            async with self._news:
                self.received.append(request)
                self._news.notify_all()
            if response is None:
                await reader.read()
            else:
                writer.write(response)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver that listens."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
