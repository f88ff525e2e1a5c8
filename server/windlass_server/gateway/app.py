"""The gateway: an ASGI 3 application that serves a gRPC contract as HTTP and JSON.

A request is routed, read as its request message, handed to the dispatcher as bytes and answered
with its response message as JSON. What the gateway refuses by itself and what the dispatcher
refuses look alike: `google.rpc.Status` as JSON.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from windlass_server.gateway.body import Receive, has_body, read_body
from windlass_server.gateway.cookies import cookie_token
from windlass_server.gateway.discovery import Discovery, discovery_pages
from windlass_server.gateway.dispatch import Dispatcher, OutgoingCall, RpcFailure
from windlass_server.gateway.errors import (
    DEADLINE_EXCEEDED,
    INTERNAL,
    NOT_FOUND,
    UNIMPLEMENTED,
    ErrorAnswer,
    ErrorRenderer,
    Refusal,
    Violation,
    bad_request,
    with_more,
)
from windlass_server.gateway.exchange import Exchange
from windlass_server.gateway.forwarding import REQUEST_ID, Forwarding
from windlass_server.gateway.headers import RequestHeaders, read_headers, timeout
from windlass_server.gateway.json_print import DEFAULT_STYLE, JsonStyle
from windlass_server.gateway.pages import Page, Pages
from windlass_server.gateway.percent import MalformedEscape
from windlass_server.gateway.routes import Match, Miss, allow_header
from windlass_server.gateway.serving import DEFAULT_WRITE_TIMEOUT_S
from windlass_server.gateway.streamed_calls import StreamedCalls, StreamLimits
from windlass_server.gateway.table import Planned, Target, build_table
from windlass_server.gateway.transcoder import Binding, Transcoder
from windlass_server.gateway.watched import ClientGone, ReaderStalled, unless_gone

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Authenticate = Callable[[OutgoingCall], Awaitable[None]]
FindViolations = Callable[[OutgoingCall, bytes], Awaitable[Sequence[Violation]]]

DEFAULT_MAX_BODY_BYTES = 4 << 20
# What takes long to be read or printed, so that others shall have their turns.
_LARGE_BYTES = 256 << 10
DEFAULT_HEARTBEAT_S = 15.0
DEFAULT_READ_TIMEOUT_S = 60.0

logger = logging.getLogger(__name__)
# Ids are no secrets; the system's own source is a system call for each of them.
_random = random.Random()  # noqa: S311


class AnswerBroken(Exception):
    """An answer broke off behind its head; its reason is in the log, if it was unexpected."""


class Gateway:
    """Serves the HTTP rules of a contract.

    Args:
        descriptor_set: a serialized `FileDescriptorSet` with all imports, with `google.rpc.Status`
            and the error details.
        services: full names of the services that are served.
        dispatcher: answers the calls.
        planned_extension: full name of the service option that lists planned routes; they answer
            501 by the name of their RPC.
        limits_extension: full name of the method option that holds its limits; see `limits`.
        domain: domain of the `ErrorInfo` in the gateway's own errors.
        json_style: how answers and errors look as JSON.
        discovery: how the contract is told of at `/docs` and beside it; None: not at all.
        authenticate: called for every request as soon as its method is known, or known to be none,
            so that nothing of a caller without credentials is read, and it learns nothing of what
            there is; refuses by `RpcFailure`. Not called where there is nothing to read, as of most
            gets: the dispatcher's call refuses a stranger, too.
        find_violations: asked about requests some of whose fields cannot be read, with the rest of
            them: what else is wrong, so that a caller learns all of it at once. Refuses by
            `RpcFailure` whoever may not make the call.
        forward_headers: names of request headers that become metadata besides the usual ones.
        max_body_bytes: largest request body, as sent and as inflated; of a client's stream, its
            largest message. More where a method says so.
        max_upload_bytes: most bytes of a client's stream; None means any number.
        default_timeout: seconds for a call without a deadline, unless its method caps them or has a
            stream; None: for ever.
        heartbeat_s: seconds of silence after which a stream gives a sign of life.
        read_timeout_s: seconds that a client may take to send its body, beyond what its bytes take at
            16 KiB/s; of a stream or a file, to send the next piece of it.
        write_timeout_s: seconds that the client of a stream or a file may take to make room for what
            it is sent; it is then cut off.
        token_cookies: whether a credential may come in a cookie; see `cookies`.
        new_id: makes ids of requests that come without one, and of errors whose text must not leave
            the process.

    Raises:
        ValueError: a header to forward is none that can be.
        RuleError: the contract cannot be served: a bad template, an ambiguous route.
        LookupError: the descriptor set lacks a message of the error model.
    """

    def __init__(
        self,
        *,
        descriptor_set: bytes,
        services: Sequence[str],
        dispatcher: Dispatcher,
        planned_extension: str | None = None,
        limits_extension: str | None = None,
        domain: str = "windlass",
        json_style: JsonStyle = DEFAULT_STYLE,
        discovery: Discovery | None = None,
        authenticate: Authenticate | None = None,
        find_violations: FindViolations | None = None,
        forward_headers: Sequence[str] = (),
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
        max_upload_bytes: int | None = None,
        default_timeout: float | None = None,
        heartbeat_s: float = DEFAULT_HEARTBEAT_S,
        read_timeout_s: float = DEFAULT_READ_TIMEOUT_S,
        write_timeout_s: float = DEFAULT_WRITE_TIMEOUT_S,
        token_cookies: bool = False,
        new_id: Callable[[], str] = lambda: f"{_random.getrandbits(64):016x}",
    ) -> None:
        transcoder = Transcoder(descriptor_set, json_style, limits_extension)
        pages = discovery_pages(
            discovery,
            transcoder.registry,
            descriptor_set,
            services,
            planned_extension=planned_extension,
            style=json_style,
        )
        table = build_table(transcoder, services, planned_extension, pages)
        self._router = table.router
        self._errors = ErrorRenderer(transcoder.registry, domain, json_style)
        self._pages = Pages()
        self._dispatcher = dispatcher
        self._authenticate_caller = authenticate
        self._find_violations = find_violations
        self._forwarding = Forwarding(forward_headers)
        self._max_body_bytes = max_body_bytes
        self._read_timeout_s = read_timeout_s
        self._default_timeout = default_timeout
        self._new_id = new_id
        self._token_cookies = token_cookies
        self._stopping = asyncio.Event()
        self._streamed = StreamedCalls(
            dispatcher,
            lambda error: self._failed(error).body,
            StreamLimits(
                max_body_bytes, max_upload_bytes, heartbeat_s, read_timeout_s, write_timeout_s
            ),
            self._stopping,
        )
        self.routes = table.lines

    def serves(self, method: str, path: str) -> bool:
        """Whether a route answers requests of that method and raw path."""
        return isinstance(self._router.match(method, path), Match)

    def drain(self) -> None:
        """End the open streams, as part of a graceful stop; their clients reconnect elsewhere."""
        self._stopping.set()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """ASGI's entry."""
        if scope["type"] == "http":
            return self._http(Exchange(scope, receive, send))
        return _lifespan(receive, send) if scope["type"] == "lifespan" else _refuse_websocket(send)

    async def _http(self, exchange: Exchange) -> None:
        """Serve one request; whatever happens, it is answered once."""
        try:
            await self._serve(exchange)
        except ReaderStalled:
            logger.info("a client of %s was cut off: it does not read", exchange.call.method)
            raise AnswerBroken from None
        except ClientGone:
            return
        except Exception as error:
            if exchange.started:
                self._failed(error)  # logs it
                # The server then cuts the connection, so that the answer is not taken for whole.
                raise AnswerBroken from None
            answer = self._failed(await self._whole(exchange.call, error))
            with contextlib.suppress(OSError):  # when the client is gone
                await exchange.answer(answer.status, answer.headers, answer.body)

    async def _serve(self, exchange: Exchange) -> None:
        scope, call = exchange.scope, exchange.call
        headers = read_headers(scope["headers"], self._forwarding)
        metadata = call.metadata = headers.metadata
        if self._token_cookies and (token := cookie_token(scope["method"], scope["headers"])):
            metadata["authorization"] = f"Bearer {token}"
        if REQUEST_ID not in metadata:
            metadata[REQUEST_ID] = f"req-{self._new_id()}"
        if headers.refused is not None:
            raise headers.refused
        try:
            found = self._router.match(scope["method"], exchange.path)
        except (MalformedEscape, UnicodeDecodeError) as error:
            await self._authenticate(exchange)
            raise bad_request("MALFORMED_PATH", f"the path cannot be read: {error}") from None
        if isinstance(found, Match) and isinstance(found.target, Binding):
            await self._call(exchange, headers, found.target, found.values)
        else:
            await self._answer_without_call(exchange, headers, found)

    async def _call(
        self, exchange: Exchange, headers: RequestHeaders, binding: Binding, values: list[str]
    ) -> None:
        """Make a call of the request, and answer what that answers."""
        call = exchange.call
        call.method = binding.grpc_method
        request = _at_once(exchange, headers, binding, values)
        if request is None:
            # Before the body is read: nothing of an anonymous caller's is held or parsed.
            await self._authenticate(exchange)
            asked_timeout = timeout(headers)
            default_timeout = self._default_timeout if binding.one_each_way else None
            call.timeout = binding.limits.seconds(asked_timeout, default_timeout)
            if not binding.plain:
                await self._streamed.run(exchange, headers, binding, values, exchange.query)
                return
            request = await self._request(exchange, headers, binding, values, asked_timeout)
        else:
            # There is nothing to read: the call itself finds out who calls.
            call.timeout = binding.limits.seconds(None, self._default_timeout)
        binding.limits.check_size(request, self._max_body_bytes)
        reply = await unless_gone(exchange.receive, self._dispatcher.unary(call, request))
        long = len(reply) > _LARGE_BYTES
        body = await binding.long_response(reply) if long else binding.response(reply)
        await exchange.answer(200, (), body)

    async def _request(
        self,
        exchange: Exchange,
        headers: RequestHeaders,
        binding: Binding,
        values: list[str],
        asked_timeout: float | None,
    ) -> bytes:
        """Read the request message of a call that takes one and answers one."""
        query, body = exchange.query, b""
        if has_body(headers, exchange.scope["http_version"]):
            body = await self._body(exchange, headers, binding, deadline=asked_timeout is not None)
        if len(body) > _LARGE_BYTES:
            return await asyncio.to_thread(binding.request, values, query, body)
        return binding.request(values, query, body)

    async def _body(
        self, exchange: Exchange, headers: RequestHeaders, binding: Binding, *, deadline: bool
    ) -> bytes:
        """The body of a call; a deadline of the caller's holds for it, too."""
        call, version = exchange.call, exchange.scope["http_version"]
        limit = binding.limits.body_bytes(self._max_body_bytes)
        if not deadline:
            return await read_body(exchange.receive, headers, version, limit, self._read_timeout_s)
        began = time.monotonic()
        try:
            async with asyncio.timeout(call.timeout):
                body = await read_body(
                    exchange.receive, headers, version, limit, self._read_timeout_s
                )
        except TimeoutError:
            raise _deadline_passed() from None
        if body and call.timeout is not None:
            call.timeout = max(call.timeout - (time.monotonic() - began), 0.001)
        return body

    async def _answer_without_call(
        self, exchange: Exchange, headers: RequestHeaders, found: Match[Target] | Miss
    ) -> None:
        """Answer what leads to no call: a page, what a path takes, or why there is nothing."""
        page = found.target if isinstance(found, Match) else None
        if not (isinstance(page, Page) and page.public):
            await self._authenticate(exchange)
        if isinstance(page, Page):
            await self._pages.answer(exchange, headers, page)
            return
        if isinstance(page, Planned):
            raise _planned(page.rpc)
        assert isinstance(found, Miss)
        if exchange.scope["method"] == "OPTIONS" and found.allowed:
            await exchange.answer_options(allow_header(found.allowed))
            return
        raise _missed(exchange.scope["method"], found)

    async def _authenticate(self, exchange: Exchange) -> None:
        if self._authenticate_caller is not None:
            await self._authenticate_caller(exchange.call)

    async def _whole(self, call: OutgoingCall, error: Exception) -> Exception:
        """The error; of a refusal of some fields, with what is wrong with the others."""
        if not isinstance(error, Refusal) or error.rest is None or self._find_violations is None:
            return error
        try:
            return with_more(error, await self._find_violations(call, error.rest))
        except Exception as other:
            return other

    def _failed(self, error: Exception) -> ErrorAnswer:
        """The answer for an error. The text of an unexpected one is logged and stays here."""
        if isinstance(error, RpcFailure):
            return self._errors.failure(error)
        if isinstance(error, Refusal):
            return self._errors.refusal(error)
        correlation = self._new_id()
        logger.error("unexpected error %s in the gateway", correlation, exc_info=error)
        message = f"internal error; the server's log has it as {correlation}"
        metadata = {"correlation_id": correlation}
        return self._errors.refusal(Refusal(INTERNAL, "INTERNAL", message, metadata=metadata))


def _at_once(
    exchange: Exchange, headers: RequestHeaders, binding: Binding, values: list[str]
) -> bytes | None:
    """The request message of a call for which nothing but its path has to be read; None of others."""
    if not binding.plain or exchange.scope["query_string"] or exchange.may_have_body:
        return None
    others = headers.others
    if "grpc_timeout" in others or "request_timeout" in others:
        return None
    return binding.request_of_path(values)


def _deadline_passed() -> Refusal:
    message = "the deadline passed before the body had come"
    return Refusal(DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", message)


def _planned(rpc: str) -> Refusal:
    message = f"{rpc} is planned and not served by this version"
    return Refusal(UNIMPLEMENTED, "METHOD_NOT_SERVED", message, metadata={"rpc": rpc})


def _missed(method: str, miss: Miss) -> Refusal:
    if not miss.allowed:
        return Refusal(NOT_FOUND, "ROUTE_NOT_FOUND", "there is nothing at this path")
    allow = allow_header(miss.allowed)
    return Refusal(
        UNIMPLEMENTED,
        "METHOD_NOT_ALLOWED",
        f"this path takes {allow}, not {method}",
        http_status=405,
        headers=((b"allow", allow.encode("ascii")),),
        metadata={"allow": allow},
    )


async def _refuse_websocket(send: Send) -> None:
    await send({"type": "websocket.close", "code": 1003})


async def _lifespan(receive: Receive, send: Send) -> None:
    """Nothing is to be started or stopped here: who builds the gateway owns its parts."""
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
