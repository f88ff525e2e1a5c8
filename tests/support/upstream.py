"""A real gRPC server on loopback that answers by script, for whatever calls it as an upstream."""

from __future__ import annotations

from typing import Any

import grpc
from grpc import aio


class Upstream:
    """Serves the handlers that a test gives it, as bytes.

    Attributes:
        handlers: by full method name; may change while it runs.
        address: `127.0.0.1:port`, the same after a restart.
        metadata: that of the newest call.
        remaining: seconds that the newest call had left; None without a deadline.
    """

    def __init__(self) -> None:
        self.handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        self.address = ""
        self.metadata: dict[str, Any] = {}
        self.remaining: float | None = None
        self._server: aio.Server | None = None

    async def start(self) -> None:
        self._server = aio.server(
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)]
        )
        self._server.add_generic_rpc_handlers((_Handlers(self.handlers),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port(self.address or '127.0.0.1:0')}"
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)

    def unary(self, method: str, answer: Any) -> None:
        """Answer with what `answer(request, context)` returns."""

        async def handle(request: bytes, context: Any) -> bytes:
            self._note(context)
            answered: bytes = await answer(request, context)
            return answered

        self.handlers[method] = grpc.unary_unary_rpc_method_handler(handle)

    def stream(self, method: str, answers: Any) -> None:
        """Answer with what `answers(request, context)` yields."""

        async def handle(request: bytes, context: Any) -> Any:
            self._note(context)
            async for answer in answers(request, context):
                yield answer

        self.handlers[method] = grpc.unary_stream_rpc_method_handler(handle)

    def client_stream(self, method: str, answer: Any) -> None:
        self.handlers[method] = grpc.stream_unary_rpc_method_handler(answer)

    def bidi_stream(self, method: str, answers: Any) -> None:
        self.handlers[method] = grpc.stream_stream_rpc_method_handler(answers)

    def _note(self, context: Any) -> None:
        self.metadata = dict(context.invocation_metadata())
        self.remaining = context.time_remaining()


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, handlers: dict[str, grpc.RpcMethodHandler[Any, Any]]) -> None:
        self._handlers = handlers

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        return self._handlers.get(details.method)
