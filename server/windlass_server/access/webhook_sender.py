"""Tells a webhook once: one request to an address that was checked, bounded in time and in what is read."""

import asyncio
import email.utils
import ssl
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass

import httpcore

from windlass_server.access.webhook_addresses import Refused, Target, WebhookAddresses
from windlass_server.clock import MICROS_PER_SECOND, Clock

ATTEMPT_SECONDS = 15.0
"""How long an attempt lasts at most, with all that belongs to it."""
_CONNECT_SECONDS = 5.0
ANSWER_BYTES = 512
"""So much of an answer is read."""
_ADDRESSES = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt.

    Attributes:
        http_status: of the answer; 0 without one.
        error: as access.v1.WebhookAttempt; empty: the receiver has it.
        message: the same in a sentence.
        answer: the beginning of the answer's body.
        retry_after: in how many seconds the receiver wants to be tried again, if it has said.
    """

    http_status: int = 0
    error: str = ""
    message: str = ""
    answer: bytes = b""
    retry_after: float | None = None


class WebhookSender:
    """Sends to receivers; follows no redirect, keeps no cookie and no connection, uses no proxy.

    Args:
        addresses: where it may send.
        tls: whom it trusts; the system's authorities by default.
    """

    def __init__(
        self, addresses: WebhookAddresses, clock: Clock, tls: ssl.SSLContext | None = None
    ) -> None:
        self._addresses = addresses
        self._clock = clock
        self._tls = tls
        self._pool: httpcore.AsyncConnectionPool | None = None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Post a body; whatever goes wrong is the outcome.

        Raises:
            Unavailable: nothing was begun, for lack of this server's means.
        """
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                target = await self._addresses.target(url)
                return await self._post_to_first(target, headers, body)
        except Refused as refused:
            return Outcome(error=refused.reason, message=f"the URL {refused}")
        except (TimeoutError, httpcore.TimeoutException):
            message = f"there was no whole answer within {ATTEMPT_SECONDS:g} s"
            return Outcome(error="TIMEOUT", message=message)
        except httpcore.ConnectError as error:
            return _not_connected(error)
        except (httpcore.NetworkError, httpcore.ProtocolError, ValueError) as error:
            message = f"what came is no answer in HTTP: {error}"[:256]
            return Outcome(error="BAD_ANSWER", message=message)

    async def _post_to_first(
        self, target: Target, headers: Mapping[str, str], body: bytes
    ) -> Outcome:
        """To the first address that can be connected to."""
        *others, last = target.addresses[:_ADDRESSES]
        for address in others:
            try:
                return await self._post(target, address, headers, body)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._post(target, last, headers, body)

    async def _post(
        self, target: Target, address: str, headers: Mapping[str, str], body: bytes
    ) -> Outcome:
        timeouts = {"connect": _CONNECT_SECONDS, "read": ATTEMPT_SECONDS, "write": ATTEMPT_SECONDS}
        length = str(len(body))
        sent = {"host": target.authority, "content-length": length, **headers}
        async with self._connections().stream(
            "POST",
            httpcore.URL(scheme=target.scheme, host=address, port=target.port, target=target.path),
            headers=list(sent.items()),
            content=body,
            # Which name the certificate must be for.
            extensions={"timeout": timeouts, "sni_hostname": target.host},
        ) as response:
            answer = await _beginning(response.aiter_stream())
            return _answered(response, answer, self._clock.now() / MICROS_PER_SECOND)

    def _connections(self) -> httpcore.AsyncConnectionPool:
        """What makes connections; with the first one, as reading the authorities takes a while."""
        if self._pool is None:
            # None is kept: it could be to the same address for another name.
            self._pool = httpcore.AsyncConnectionPool(
                self._tls or ssl.create_default_context(),
                max_connections=None,
                max_keepalive_connections=0,
            )
        return self._pool

    async def close(self) -> None:
        """Close what is open."""
        if self._pool is not None:
            await self._pool.aclose()
        self._addresses.close()


async def _beginning(stream: AsyncIterable[bytes]) -> bytes:
    found = b""
    async for piece in stream:
        found += piece
        if len(found) >= ANSWER_BYTES:
            break
    return found[:ANSWER_BYTES]


def _answered(response: httpcore.Response, answer: bytes, now: float) -> Outcome:
    status = response.status
    if 200 <= status < 300:
        return Outcome(http_status=status, answer=answer)
    message = f"the receiver answered {status}"
    if 300 <= status < 400:
        message += "; redirects are not followed"
    headers = {name.lower(): value for name, value in response.headers}
    retry_after = _retry_after(headers.get(b"retry-after", b"").decode("latin-1"), now)
    return Outcome(status, "HTTP_STATUS", message, answer, retry_after)


def _retry_after(text: str, now: float) -> float | None:
    """The seconds from now, since 1970, of a header that says them or a time (RFC 9110, 10.2.3)."""
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = email.utils.parsedate_to_datetime(text)
        return max(at.timestamp() - now, 0.0)
    except (ValueError, OverflowError):
        return None


def _not_connected(error: httpcore.ConnectError) -> Outcome:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            message = f"TLS: {cause.reason or cause}"
            if isinstance(cause, ssl.SSLCertVerificationError):
                message = f"TLS: {cause.verify_message}"
            return Outcome(error="TLS_FAILED", message=message)
        cause = cause.__cause__ or cause.__context__
    return Outcome(error="CONNECTION_FAILED", message="no connection could be made")
