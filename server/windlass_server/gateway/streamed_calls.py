"""Calls whose request or answer is a stream: what the body gives goes in, what comes goes out."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from windlass_server.gateway.body import Receive, read_body
from windlass_server.gateway.body_stream import BodyStream
from windlass_server.gateway.dispatch import Dispatcher
from windlass_server.gateway.exchange import Exchange
from windlass_server.gateway.headers import RequestHeaders
from windlass_server.gateway.inbox import Inbox
from windlass_server.gateway.request_streams import json_messages
from windlass_server.gateway.streams import Pump, ServerSentEvents, Sink, choose_format
from windlass_server.gateway.transcoder import Binding


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What bounds a stream.

    Attributes:
        max_message_bytes: largest message of a client's stream, as JSON and serialized; largest body
            of a call that does not stream its request. More where a method says so.
        max_upload_bytes: most bytes of a client's stream, all of it together; None means any number.
        heartbeat_s: seconds of silence after which a server's stream gives a sign of life.
    """

    max_message_bytes: int
    max_upload_bytes: int | None
    heartbeat_s: float


@dataclass(frozen=True, slots=True)
class _Request:
    """A routed request: who asks, for what, and with which parameters."""

    exchange: Exchange
    headers: RequestHeaders
    binding: Binding
    values: Sequence[str]
    query: str


class StreamedCalls:
    """Answers the calls that stream.

    Args:
        dispatcher: answers them.
        show: an error as the JSON of its `google.rpc.Status`.
        limits: bounds of all streams.
        stopping: set when the server stops; open streams then end with UNAVAILABLE.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        show: Callable[[Exception], bytes],
        limits: StreamLimits,
        stopping: asyncio.Event,
    ) -> None:
        self._dispatcher = dispatcher
        self._show = show
        self._limits = limits
        self._stopping = stopping

    async def run(
        self,
        exchange: Exchange,
        headers: RequestHeaders,
        binding: Binding,
        values: Sequence[str],
        query: str,
    ) -> None:
        """Answer one call.

        Raises:
            ClientGone: the client left.
            Exception: what has to be answered as an error, as long as nothing was answered.
        """
        request = _Request(exchange, headers, binding, values, query)
        if binding.streaming and binding.client_streams:
            await self._both_ways(request)
        elif binding.client_streams:
            await self._in(request)
        else:
            await self._out(request)

    async def _in(self, request: _Request) -> None:
        exchange, binding = request.exchange, request.binding
        async with aclosing(self._messages(request, exchange.receive)) as messages:
            reply = await self._dispatcher.client_stream(exchange.call, messages)
        await exchange.answer(200, (), binding.response(reply).encode())

    async def _out(self, request: _Request) -> None:
        exchange, headers, binding = request.exchange, request.headers, request.binding
        limit = binding.limits.body_bytes(self._limits.max_message_bytes)
        body = await read_body(exchange.receive, headers, exchange.scope["http_version"], limit)
        last_id = headers.others.get("last_event_id", "")
        form = choose_format(headers.others.get("accept", ""))
        resume_after = last_id if isinstance(form, ServerSentEvents) else ""
        message = binding.request(request.values, request.query, body, resume_after=resume_after)
        await self._send(request, self._dispatcher.stream(exchange.call, message), exchange.receive)

    async def _both_ways(self, request: _Request) -> None:
        exchange = request.exchange
        async with AsyncExitStack() as stack:
            inbox = await stack.enter_async_context(Inbox(exchange.receive))
            incoming = self._messages(request, inbox.receive_body)
            messages = await stack.enter_async_context(aclosing(incoming))
            answers = self._dispatcher.bidi_stream(exchange.call, messages)
            await self._send(request, answers, inbox.receive_end)

    def _messages(self, request: _Request, receive: Receive) -> AsyncGenerator[bytes]:
        exchange, limits = request.exchange, self._limits
        version = exchange.scope["http_version"]
        body = BodyStream(receive, request.headers, version, limits.max_upload_bytes)
        return json_messages(
            request.binding,
            request.values,
            request.query,
            request.headers,
            body,
            request.binding.limits.body_bytes(limits.max_message_bytes),
        )

    async def _send(
        self, request: _Request, answers: AsyncIterator[bytes], receive: Receive
    ) -> None:
        """Send the answers in the form that the client asked for."""
        exchange = request.exchange
        form = choose_format(request.headers.others.get("accept", ""))
        pump = Pump(
            answers,
            request.binding.item,
            form,
            self._show,
            heartbeat_s=self._limits.heartbeat_s,
            stopping=self._stopping,
        )

        async def start() -> None:
            await exchange.start_stream(form.content_type)

        await pump.run(Sink(start, exchange.send_chunk, receive), body=not exchange.is_head)
        await exchange.end_stream()
