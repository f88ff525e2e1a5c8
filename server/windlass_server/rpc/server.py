"""The gRPC front end: hands each call to the pipeline as bytes."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NoReturn

import grpc
from grpc import aio

from windlass_server.errors import BadConfiguration
from windlass_server.rpc.call import Call, Method
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
        self._unknown = _handler(pipeline, unrouted)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        return self._handlers.get(details.method, self._unknown)


class GrpcServer:
    """A grpc.aio server in front of a pipeline.

    Args:
        unrouted: stands for every method that there is not; its handler refuses.
        extra_handlers: of services that are not ours (health, reflection).
    """

    def __init__(
        self,
        pipeline: Pipeline,
        address: str,
        *,
        unrouted: Method,
        extra_handlers: Sequence[grpc.GenericRpcHandler] = (),
    ) -> None:
        self._server = aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers(
            (*extra_handlers, _Handlers(pipeline, unrouted)),
        )
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
    async def unary(request: bytes, context: aio.ServicerContext[bytes, bytes]) -> bytes:
        call = _call(method, context)
        try:
            answer = await pipeline.unary(call, request)
        except CallFailed as failure:
            await _abort(context, call, failure)
        context.set_trailing_metadata(tuple(call.response_metadata.items()))
        return answer

    async def server_stream(
        request: bytes, context: aio.ServicerContext[bytes, bytes]
    ) -> AsyncIterator[bytes]:
        call = _call(method, context)
        try:
            async for answer in pipeline.server_stream(call, request):
                yield answer
        except CallFailed as failure:
            await _abort(context, call, failure)

    async def bidi_stream(
        requests: AsyncIterator[bytes], context: aio.ServicerContext[bytes, bytes]
    ) -> AsyncIterator[bytes]:
        call = _call(method, context)
        try:
            async for answer in pipeline.bidi_stream(call, requests):
                yield answer
        except CallFailed as failure:
            await _abort(context, call, failure)

    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(bidi_stream)  # type: ignore[arg-type]
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(server_stream)  # type: ignore[arg-type]
    return grpc.unary_unary_rpc_method_handler(unary)  # type: ignore[arg-type]


def _call(method: Method, context: aio.ServicerContext[bytes, bytes]) -> Call:
    remaining = context.time_remaining()
    return Call(
        method=method,
        metadata=_metadata(context),
        peer=context.peer(),
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
    status = failure.status
    trailing = (
        *call.response_metadata.items(),
        ("grpc-status-details-bin", status.SerializeToString()),
    )
    await context.abort(_CODES[status.code], status.message, trailing)
    raise AssertionError
