"""Lets pages of other origins use the API (the Fetch standard's CORS protocol).

Around the gateway as an ASGI application of its own. Credentials in the sense of that protocol are never
allowed: a page sends its token in `Authorization`, which any page that has one may; cookies stay at home.
"""

import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from windlass_server.gateway.origins import ANY_ORIGIN

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_TOKENS = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z, \t-]{1,2048}")
# How long a browser may remember a preflight's answer.
_MAX_AGE_SECONDS = b"600"
# What a page sees of an answer without being allowed to.
_SAFELISTED = frozenset(
    {b"cache-control", b"content-language", b"content-length", b"content-type", b"expires"}
    | {b"last-modified", b"pragma", b"vary"}
)
_VARY = (b"vary", b"origin")


class Cors:
    """Answers preflights, and lets pages of the named origins read answers.

    Args:
        app: the application.
        origins: whose pages may use it, such as `https://console.example`; `*` for any.
    """

    def __init__(self, app: App, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = frozenset(origin.encode("ascii") for origin in origins)
        self._any = ANY_ORIGIN in origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's entry."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = self._allowed_origin(scope)
        wanted = _header(scope, b"access-control-request-method")
        if origin is None or wanted is None or scope["method"] != "OPTIONS":
            await self._app(scope, receive, self._sharing(send, origin))
            return
        asked = _header(scope, b"access-control-request-headers")
        headers = _preflight_headers(origin, wanted, asked)
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _allowed_origin(self, scope: Scope) -> bytes | None:
        """The origin to allow, as the answer names it; None for none."""
        origin = _header(scope, b"origin")
        if origin is None:
            return None
        if self._any:
            return b"*"
        return origin if origin in self._origins else None

    def _sharing(self, send: Send, origin: bytes | None) -> Send:
        """ASGI's `send`, which adds to the head of an answer who may read it."""

        async def share(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                added = [] if self._any else [_VARY]
                if origin is not None:
                    exposed = {name for name, _ in headers} - _SAFELISTED
                    added.append((b"access-control-allow-origin", origin))
                    added.append((b"access-control-expose-headers", b", ".join(sorted(exposed))))
                message["headers"] = [*headers, *added]
            await send(message)

        return share


def _preflight_headers(
    origin: bytes, wanted: bytes, asked: bytes | None
) -> list[tuple[bytes, bytes]]:
    """What a page may do: all that it asks for.

    Browsers ask without a credential, and who has none learns nothing of what there is. Whether the
    method is served the answer to the request itself says, which the page gets to see.
    """
    headers = [
        (b"access-control-allow-origin", origin),
        (b"access-control-max-age", _MAX_AGE_SECONDS),
        (b"vary", b"origin, access-control-request-method, access-control-request-headers"),
    ]
    if _TOKEN.fullmatch(wanted):
        headers.append((b"access-control-allow-methods", wanted))
    if asked is not None and _TOKENS.fullmatch(asked):
        headers.append((b"access-control-allow-headers", asked))
    return headers


def _header(scope: Scope, wanted: bytes) -> bytes | None:
    """A header that is given once; None when it is absent or given more than once."""
    values = [value for name, value in scope["headers"] if name == wanted]
    return values[0] if len(values) == 1 else None
