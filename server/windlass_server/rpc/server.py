"""The gRPC front end: hands each call to the pipeline as bytes."""

# grpc's classes are generic for the type checker alone.
from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
from grpc import aio

from windlass_server.errors import BadConfiguration, Cancelled, Unimplemented
from windlass_server.rpc.call import Call, Method
from windlass_server.rpc.errors import fit_for_trailers, to_status
from windlass_server.rpc.pipeline import CallFailed, Pipeline

_CODES = {code.value[0]: code for code in grpc.StatusCode}

# Bounds on what one peer can make us hold; see docs/limits.md.
_OPTIONS = (
    ("grpc.max_receive_message_length", 8 * 1024 * 1024),
    ("grpc.max_concurrent_streams", 1024),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


class _Handlers(grpc.GenericRpcHandler):
    """Finds a method's handler; unknown methods are authenticated before they are refused."""

    def __init__(self, pipeline: Pipeline, unrouted: Method) -> None:
        self._handlers = {path: _handler(pipeline, m) for path, m in pipeline.methods.items()}
        self._unknown = _unknown_handler(pipeline, unrouted)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        return self._handlers.get(details.method, self._unknown)


class GrpcServer:
    """A grpc.aio server in front of a pipeline.

    Args:
        unrouted: any method that needs a credential; stands for every method that there is not.
        add_others: adds services that anyone may call and that are not ours (health).
    """

    def __init__(
        self,
        pipeline: Pipeline,
        address: str,
        *,
        unrouted: Method,
        add_others: Callable[[aio.Server], None],
    ) -> None:
        self._server = aio.server(options=_OPTIONS)
        add_others(self._server)
        self._server.add_generic_rpc_handlers((_Handlers(pipeline, unrouted),))
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError:
            self.port = 0
        if self.port == 0:
            message = f"cannot listen for gRPC on {address}: the address is in use or not ours"
            raise BadConfiguration(message)

    async def start(self) -> None:
        """Begin to answer."""
        await self._server.start()

    async def stop(self, grace_seconds: float) -> None:
        """Take no new calls, let those in flight end, then cut what is left."""
        await self._server.stop(grace_seconds)


def _handler(pipeline: Pipeline, method: Method) -> grpc.RpcMethodHandler[Any, Any]:
    if method.client_streaming and method.server_streaming:
        return _bidi_handler(pipeline, method)
    if method.client_streaming:
        return _client_stream_handler(pipeline, method)
    if method.server_streaming:
        return _server_stream_handler(pipeline, method)
    return _unary_handler(pipeline, method)


def _unary_handler(pipeline: Pipeline, method: Method) -> grpc.RpcMethodHandler[Any, Any]:
    async def answer(request: bytes, context: aio.ServicerContext[bytes, bytes]) -> bytes:
        call = _call(method, context)
        try:
            answer = await pipeline.unary(call, request)
        except CallFailed as failure:
            await _abort(context, call, failure)
        context.set_trailing_metadata(tuple(call.response_metadata.items()))
        return answer

    return grpc.unary_unary_rpc_method_handler(answer)


def _server_stream_handler(pipeline: Pipeline, method: Method) -> grpc.RpcMethodHandler[Any, Any]:
    async def answer(
        request: bytes, context: aio.ServicerContext[bytes, bytes]
    ) -> AsyncIterator[bytes]:
        call = _call(method, context)
        try:
            async with aclosing(pipeline.server_stream(call, request)) as answers:
                async for one in _behind_metadata(context, call, answers):
                    yield one
        except CallFailed as failure:
            await _abort(context, call, failure)

    return grpc.unary_stream_rpc_method_handler(answer)


async def _behind_metadata(
    context: aio.ServicerContext[bytes, bytes], call: Call, answers: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    """The answers; what the call says beside them, such as a file's size, goes before the first."""
    sent = False
    async for answer in answers:
        if not sent:
            sent = True
            await context.send_initial_metadata(tuple(call.response_metadata.items()))
        yield answer


async def _whole(
    context: aio.ServicerContext[bytes, bytes], requests: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    """A client's messages; their end is an end only when the client has said so.

    grpc.aio ends `requests` in the same way when the client is done and when it has left or given up,
    and cancels the handler only afterwards: a part of a stream would be taken for the whole and
    committed. To a client that is gone nothing can be sent, so an end is believed when something was.

    Raises:
        Cancelled: the stream broke off.
    """
    async for request in requests:
        yield request
    try:
        await context.send_initial_metadata(())
    except Exception:
        raise Cancelled("the stream breaks off", reason="REQUEST_BROKE_OFF") from None


def _client_stream_handler(pipeline: Pipeline, method: Method) -> grpc.RpcMethodHandler[Any, Any]:
    async def answer(
        requests: AsyncIterator[bytes], context: aio.ServicerContext[bytes, bytes]
    ) -> bytes:
        call = _call(method, context)
        try:
            answer = await pipeline.client_stream(call, _whole(context, requests))
        except CallFailed as failure:
            await _abort(context, call, failure)
        context.set_trailing_metadata(tuple(call.response_metadata.items()))
        return answer

    return grpc.stream_unary_rpc_method_handler(answer)


def _bidi_handler(pipeline: Pipeline, method: Method) -> grpc.RpcMethodHandler[Any, Any]:
    async def answer(
        requests: AsyncIterator[bytes], context: aio.ServicerContext[bytes, bytes]
    ) -> AsyncIterator[bytes]:
        call = _call(method, context)

        async def let_in() -> None:
            try:
                await context.send_initial_metadata(tuple(call.response_metadata.items()))
            except Exception:
                raise Cancelled("the stream breaks off", reason="REQUEST_BROKE_OFF") from None

        # grpc's client forgets why a call was refused when it writes to it before it has read that.
        # So who wants to know waits for this.
        call.let_in = let_in
        try:
            async with aclosing(pipeline.bidi_stream(call, requests)) as answers:
                async for one in answers:
                    yield one
        except CallFailed as failure:
            await _abort(context, call, failure)

    return grpc.stream_stream_rpc_method_handler(answer)


def _unknown_handler(pipeline: Pipeline, unrouted: Method) -> grpc.RpcMethodHandler[Any, Any]:
    async def refuse(_request: bytes, context: aio.ServicerContext[bytes, bytes]) -> bytes:
        call = _call(unrouted, context)
        try:
            await pipeline.authenticate(call)
        except CallFailed as failure:
            await _abort(context, call, failure)
        missing = Unimplemented("there is no such method", reason="METHOD_NOT_FOUND")
        await _abort(context, call, CallFailed(to_status(missing, call.request_id)))

    return grpc.unary_unary_rpc_method_handler(refuse)


def _call(method: Method, context: aio.ServicerContext[bytes, bytes]) -> Call:
    remaining = context.time_remaining()
    return Call(
        method=method,
        metadata=_metadata(context),
        # Without a deadline grpc answers with an absurdly large number or None.
        timeout=remaining if remaining is not None and remaining < 1e8 else None,
    )


def _metadata(context: aio.ServicerContext[bytes, bytes]) -> Mapping[str, Sequence[str]]:
    metadata: dict[str, list[str]] = {}
    for key, value in context.invocation_metadata() or ():
        if isinstance(value, str):
            metadata.setdefault(key, []).append(value)
    return metadata


async def _abort(
    context: aio.ServicerContext[bytes, bytes], call: Call, failure: CallFailed
) -> NoReturn:
    status = fit_for_trailers(failure.status)
    trailing = (
        *call.response_metadata.items(),
        ("grpc-status-details-bin", status.SerializeToString()),
    )
    await context.abort(_CODES[status.code], status.message, trailing)
    raise AssertionError
