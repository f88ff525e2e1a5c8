"""Files that the gateway answers with by itself: made once when they are first asked for, then kept."""

import asyncio
import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from windlass_server.gateway.body import read_body
from windlass_server.gateway.errors import bad_field, bad_request
from windlass_server.gateway.exchange import Exchange
from windlass_server.gateway.headers import RequestHeaders
from windlass_server.gateway.negotiation import accepts_gzip

_GZIP_LEVEL = 9
# No page takes a body; what is longer than this is refused as too large instead.
_BODY_LIMIT = 4096
_BODY_SECONDS = 10.0

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A file under a path of its own.

    Attributes:
        path: its path, without any variable.
        content_type: its media type.
        load: makes its bytes; runs in another thread.
        public: whether it is answered to callers without a credential, too.
        headers: further headers of its answers.
    """

    path: str
    content_type: bytes
    load: Callable[[], bytes]
    public: bool
    headers: Headers = ()

    def __str__(self) -> str:
        """How messages name it."""
        return f"the gateway's own {self.path}"


@dataclass(frozen=True, slots=True)
class _Content:
    """The bytes of a page, plain and as gzip, and a tag of them."""

    plain: bytes
    packed: bytes
    tag: str


class Pages:
    """Answers requests for pages, by `GET` and `HEAD`, with `ETag` and gzip."""

    def __init__(self) -> None:
        self._contents: dict[str, _Content] = {}
        self._loading = asyncio.Lock()

    async def answer(self, exchange: Exchange, headers: RequestHeaders, page: Page) -> None:
        """Answer a request for a page.

        Raises:
            Refusal: INVALID_ARGUMENT for a query or a body, which no page takes.
        """
        await _refuse_input(exchange, headers)
        content = await self._content(page)
        packed = accepts_gzip(headers.others.get("accept_encoding", ""))
        tag = f'"{content.tag}-gzip"' if packed else f'"{content.tag}"'
        head = [
            (b"etag", tag.encode("ascii")),
            (b"cache-control", b"no-cache" if page.public else b"private, no-cache"),
            (b"vary", b"accept-encoding" if page.public else b"accept-encoding, authorization"),
            (b"x-content-type-options", b"nosniff"),
            *page.headers,
        ]
        if _is_current(headers.others.get("if_none_match", ""), content.tag):
            await exchange.start_file(304, head)
            await exchange.end_stream()
            return
        body = content.packed if packed else content.plain
        head += [(b"content-type", page.content_type), (b"content-length", b"%d" % len(body))]
        if packed:
            head.append((b"content-encoding", b"gzip"))
        await exchange.start_file(200, head)
        await exchange.send_chunk(body)
        await exchange.end_stream()

    async def _content(self, page: Page) -> _Content:
        async with self._loading:
            content = self._contents.get(page.path)
            if content is None:
                content = await asyncio.to_thread(_make, page)
                self._contents[page.path] = content
            return content


def _make(page: Page) -> _Content:
    plain = page.load()
    packed = gzip.compress(plain, _GZIP_LEVEL, mtime=0)
    return _Content(plain, packed, hashlib.sha256(plain).hexdigest()[:32])


async def _refuse_input(exchange: Exchange, headers: RequestHeaders) -> None:
    if exchange.query:
        name = exchange.query.partition("&")[0].partition("=")[0]
        raise bad_field("UNKNOWN_PARAMETER", name, "there is no such parameter")
    version = exchange.scope["http_version"]
    if await read_body(exchange.receive, headers, version, _BODY_LIMIT, _BODY_SECONDS):
        raise bad_request("BODY_NOT_ALLOWED", "this path takes no body")


def _is_current(if_none_match: str, tag: str) -> bool:
    """Whether the caller has the page already, in either encoding."""
    known = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return bool(known & {"*", f'"{tag}"', f'"{tag}-gzip"'})
