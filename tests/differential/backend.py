"""A real gRPC server of the sample contract that does as it is told and remembers what it got."""

# grpc's classes are generic for the type checker alone.
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, json_format, message_factory
from google.rpc import status_pb2
from grpc import aio

CODES = {code.value[0]: code for code in grpc.StatusCode}


class Types:
    """Message classes and methods of a descriptor set, in a pool of their own."""

    def __init__(self, descriptor_set: bytes) -> None:
        self.pool = descriptor_pool.DescriptorPool()
        files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
        for file in files.file:
            self.pool.Add(file)
        self.methods = {
            f"/{service.full_name}/{method.name}": method
            for file in files.file
            for name in [f"{file.package}.{each.name}" for each in file.service]
            for service in [self.pool.FindServiceByName(name)]
            for method in service.methods
        }

    def message(self, name: str) -> Any:
        """The class of a message by its full name."""
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))

    def read(self, name: str, value: object) -> Any:
        """A message of its JSON, by protobuf's own reader."""
        return json_format.ParseDict(value, self.message(name)(), descriptor_pool=self.pool)

    def written(self, message: Any) -> Any:
        """The JSON of a message, by protobuf's own writer, as both front ends print it."""
        return json_format.MessageToDict(
            message,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
            descriptor_pool=self.pool,
        )


@dataclass(frozen=True)
class Failure:
    """How a call fails: details are JSON of `Any`s, or ready ones of types that nobody knows."""

    code: int
    message: str = "it failed"
    details: tuple[dict[str, Any] | any_pb2.Any, ...] | None = None


@dataclass(frozen=True)
class Script:
    """What the backend does with a call.

    Attributes:
        reply: JSON of the unary answer; None answers the request itself, or an empty message.
        items: JSON of the messages of a streamed answer.
        failure: how the call ends, behind the items.
        headers: initial metadata.
        trailers: trailing metadata.
        delay: seconds before anything is answered.
    """

    reply: Any = None
    items: tuple[Any, ...] = ()
    failure: Failure | None = None
    headers: tuple[tuple[str, str], ...] = ()
    trailers: tuple[tuple[str, str], ...] = ()
    delay: float = 0


@dataclass
class Received:
    """One call as it arrived, once its request was read to the end."""

    method: str
    messages: list[Any]
    metadata: dict[str, Any]
    remaining: float | None


class Backend:
    """The server.

    Attributes:
        script: for the calls that come next.
        received: the calls since the last `expect`.

    Args:
        types: of the contract.
        credentials: of TLS; None: plain text.
    """

    def __init__(self, types: Types, credentials: grpc.ServerCredentials | None = None) -> None:
        self.types = types
        self.script = Script()
        self.received: list[Received] = []
        self._active = 0
        self._idle = asyncio.Condition()
        self._server = aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((_Handlers(self),))
        self.port = (
            self._server.add_insecure_port("127.0.0.1:0")
            if credentials is None
            else self._server.add_secure_port("localhost:0", credentials)
        )

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(None)

    def expect(self, script: Script) -> None:
        """Do this from now on, and forget what came before."""
        self.script = script
        self.received = []

    async def settled(self) -> None:
        """Wait until no call is being answered."""
        async with self._idle:
            await self._idle.wait_for(lambda: self._active == 0)

    async def answer(
        self, method: Any, requests: AsyncIterator[Any] | Any, context: Any
    ) -> AsyncIterator[Any]:
        """Answer a call of any shape; a unary answer is the only message."""
        self._active += 1
        try:
            async for answer in self._play(method, requests, context):
                yield answer
        finally:
            async with self._idle:
                self._active -= 1
                self._idle.notify_all()

    async def _play(
        self, method: Any, requests: AsyncIterator[Any] | Any, context: Any
    ) -> AsyncIterator[Any]:
        script = self.script
        messages = [each async for each in requests] if method.client_streaming else [requests]
        if context.cancelled():
            return  # the request broke off
        path = f"/{method.containing_service.full_name}/{method.name}"
        metadata = dict(context.invocation_metadata())
        self.received.append(Received(path, messages, metadata, context.time_remaining()))
        if script.delay:
            await asyncio.sleep(script.delay)
        if script.headers:
            await context.send_initial_metadata(script.headers)
        context.set_trailing_metadata(script.trailers)
        for answer in self._answers(method, messages):
            yield answer
        if script.failure is not None:
            await self._abort(context, script)

    def _answers(self, method: Any, messages: Sequence[Any]) -> Sequence[Any]:
        script, kind = self.script, method.output_type.full_name
        if method.server_streaming:
            items = [self.types.read(kind, item) for item in script.items]
            return items or list(messages if method.client_streaming else ())
        if script.failure is not None:
            return []
        if script.reply is not None:
            return [self.types.read(kind, script.reply)]
        if messages and method.output_type is method.input_type:
            return [messages[-1]]
        return [self.types.message(kind)()]

    async def _abort(self, context: Any, script: Script) -> None:
        failure = script.failure
        assert failure is not None
        trailers = list(script.trailers)
        if failure.details is not None:
            status = status_pb2.Status(code=failure.code, message=failure.message)
            for detail in failure.details:
                if isinstance(detail, dict):
                    packed = self.types.read("google.protobuf.Any", detail)
                    status.details.add().ParseFromString(packed.SerializeToString())
                else:
                    status.details.append(detail)
            trailers.append(("grpc-status-details-bin", status.SerializeToString()))
        await context.abort(CODES[failure.code], failure.message, tuple(trailers))


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, backend: Backend) -> None:
        self._handlers = {
            path: _handler(backend, method) for path, method in backend.types.methods.items()
        }

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        return self._handlers.get(details.method)


def _handler(backend: Backend, method: Any) -> grpc.RpcMethodHandler[Any, Any]:
    async def one(requests: Any, context: Any) -> Any:
        async for answer in backend.answer(method, requests, context):
            return answer
        return None

    async def many(requests: Any, context: Any) -> AsyncIterator[Any]:
        async for answer in backend.answer(method, requests, context):
            yield answer

    shapes = {
        (False, False): (grpc.unary_unary_rpc_method_handler, one),
        (False, True): (grpc.unary_stream_rpc_method_handler, many),
        (True, False): (grpc.stream_unary_rpc_method_handler, one),
        (True, True): (grpc.stream_stream_rpc_method_handler, many),
    }
    make, handle = shapes[method.client_streaming, method.server_streaming]
    request = message_factory.GetMessageClass(method.input_type)
    return make(
        handle,
        request_deserializer=request.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )
