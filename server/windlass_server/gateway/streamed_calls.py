"""Calls that stream or carry files: what the body gives goes in, what comes goes out."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from windlass_server.gateway.body import Receive, read_body
from windlass_server.gateway.body_stream import BodyStream
from windlass_server.gateway.dispatch import Dispatcher
from windlass_server.gateway.downloads import conditions
from windlass_server.gateway.exchange import Exchange
from windlass_server.gateway.file_answers import send_file
from windlass_server.gateway.file_uploads import (
    IncomingFile,
    file_messages,
    file_request,
    open_file,
)
from windlass_server.gateway.headers import RequestHeaders
from windlass_server.gateway.inbox import Inbox
from windlass_server.gateway.pump import Pump, Sink
from windlass_server.gateway.request_streams import json_messages
from windlass_server.gateway.streams import Format, ServerSentEvents, choose_format, last_event_id
from windlass_server.gateway.transcoder import Binding
from windlass_server.gateway.watched import Watched, unless_gone


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What bounds a stream.

    Attributes:
        max_message_bytes: largest message of a client's stream, as JSON and serialized; largest body
            of a call that does not stream its request. More where a method says so.
        max_upload_bytes: most bytes of a client's stream, all of it together; None means any number.
            Where a method says how many, that counts.
        heartbeat_s: seconds of silence after which a server's stream gives a sign of life.
        read_timeout_s: seconds that a client may take for each piece of its body.
        write_timeout_s: seconds that a client may take to make room for what it is sent.
    """

    max_message_bytes: int
    max_upload_bytes: int | None
    heartbeat_s: float
    read_timeout_s: float
    write_timeout_s: float


@dataclass(frozen=True, slots=True)
class _Request:
    """A routed request: who asks, for what, and with which parameters."""

    exchange: Exchange
    headers: RequestHeaders
    binding: Binding
    values: Sequence[str]
    query: str


class StreamedCalls:
    """Answers the calls that stream or carry files.

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
        call, receive = exchange.call, exchange.receive
        if binding.file_out is not None:
            call.metadata = {**call.metadata, **conditions(exchange.scope["method"], headers)}
        if binding.streaming and binding.client_streams:
            await self._both_ways(request)
        elif binding.streaming:
            message = await self._message(request)
            await self._send(request, self._dispatcher.stream(call, message), receive)
            await exchange.end_stream()
        elif binding.client_streams:
            await self._answer(request, await self._collected(request))
        else:
            message = await self._message(request)
            reply = await unless_gone(receive, self._dispatcher.unary(call, message))
            await self._answer(request, reply)

    async def _collected(self, request: _Request) -> bytes:
        """The answer to a client's stream; who leaves behind its end is noticed, too."""
        exchange = request.exchange
        async with AsyncExitStack() as stack:
            incoming = await self._messages(request, exchange.receive)
            messages = await stack.enter_async_context(aclosing(incoming))
            watched = await stack.enter_async_context(Watched(exchange.receive, after_s=None))
            read = _and_then(messages, watched.begin)
            return await self._dispatcher.client_stream(exchange.call, read)

    async def _both_ways(self, request: _Request) -> None:
        exchange = request.exchange
        async with AsyncExitStack() as stack:
            inbox = await stack.enter_async_context(Inbox(exchange.receive))
            incoming = await self._messages(request, inbox.receive_body)
            messages = await stack.enter_async_context(aclosing(incoming))
            answers = self._dispatcher.bidi_stream(exchange.call, messages)
            await self._send(request, answers, inbox.receive_end)
        await exchange.end_stream()

    async def _message(self, request: _Request) -> bytes:
        """The one message of a request."""
        exchange, headers, binding = request.exchange, request.headers, request.binding
        limit = binding.limits.body_bytes(self._limits.max_message_bytes)
        if binding.file_in is not None:
            file = await self._open_file(request, exchange.receive, limit)
            message_limit = binding.limits.message_bytes(self._limits.max_message_bytes)
            return await file_request(binding, request.values, request.query, file, message_limit)
        version = exchange.scope["http_version"]
        timeout_s = self._limits.read_timeout_s
        body = await read_body(exchange.receive, headers, version, limit, timeout_s)
        resumes = isinstance(_form(request), ServerSentEvents)
        resume_after = last_event_id(headers) if resumes else ""
        message = binding.request(request.values, request.query, body, resume_after=resume_after)
        binding.limits.check_size(message, self._limits.max_message_bytes)
        return message

    async def _messages(self, request: _Request, receive: Receive) -> AsyncGenerator[bytes]:
        """The messages of a client's stream."""
        limits, own = self._limits, request.binding.limits
        stream_limit = own.stream_bytes(limits.max_upload_bytes)
        message_limit = own.message_bytes(limits.max_message_bytes)
        if request.binding.file_in is not None:
            file = await self._open_file(request, receive, stream_limit)
            return file_messages(
                request.binding, request.values, request.query, file, message_limit
            )
        body = self._body(request, receive, stream_limit)
        return json_messages(
            request.binding,
            request.values,
            request.query,
            request.headers,
            body,
            element_limit=own.body_bytes(limits.max_message_bytes),
            message_limit=message_limit,
        )

    async def _answer(self, request: _Request, reply: bytes) -> None:
        """Send the one message of an answer."""
        exchange, headers, binding = request.exchange, request.headers, request.binding
        if binding.file_out is None:
            await exchange.answer(200, (), binding.response(reply))
            return
        await send_file(
            exchange,
            headers,
            binding,
            _only(reply),
            exchange.receive,
            whole=True,
            write_timeout_s=self._limits.write_timeout_s,
        )
        await exchange.end_stream()

    async def _send(
        self, request: _Request, answers: AsyncIterator[bytes], receive: Receive
    ) -> None:
        """Send the messages of an answer: a file, or in the form that the client asked for."""
        exchange, headers, binding = request.exchange, request.headers, request.binding
        if binding.file_out is not None:
            await send_file(
                exchange,
                headers,
                binding,
                answers,
                receive,
                whole=False,
                write_timeout_s=self._limits.write_timeout_s,
            )
            return
        form = _form(request)
        pump = Pump(
            answers,
            binding.item,
            form,
            self._show,
            heartbeat_s=self._limits.heartbeat_s,
            stopping=self._stopping,
            trailers=exchange.trailers,
        )

        async def start() -> None:
            await exchange.start_stream(form.content_type)

        sink = Sink(start, exchange.send_chunk, receive, self._limits.write_timeout_s)
        await pump.run(sink, body=not exchange.is_head)

    async def _open_file(
        self, request: _Request, receive: Receive, limit: int | None
    ) -> IncomingFile:
        """Find the file in the body, and let the call say what is known of it."""
        call = request.exchange.call
        file = await open_file(request.headers, self._body(request, receive, limit))
        call.metadata = {**call.metadata, **file.metadata}
        return file

    def _body(self, request: _Request, receive: Receive, limit: int | None) -> BodyStream:
        version = request.exchange.scope["http_version"]
        # Who talks both ways may wait for an answer, or for something to say.
        talks = request.binding.streaming and request.binding.client_streams
        timeout_s = None if talks else self._limits.read_timeout_s
        return BodyStream(receive, request.headers, version, limit, timeout_s)


def _form(request: _Request) -> Format:
    return choose_format(request.headers.others.get("accept", ""))


async def _and_then(
    messages: AsyncIterator[bytes], whole: Callable[[], None]
) -> AsyncIterator[bytes]:
    """The messages; calls `whole` behind the last of them."""
    async for message in messages:
        yield message
    whole()


async def _only(message: bytes) -> AsyncIterator[bytes]:
    yield message
