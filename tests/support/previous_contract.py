"""The agents' contract as the release before had it, and a proxy that lets nothing else through.

`previous_agents_contract.binpb` is that contract, frozen. After a release it is made anew from the
release's own tag, where `gen/windlass.binpb` is the whole contract:

    python -m tests.support.previous_contract v0.1.0
"""

# The stubs are generic for the type checker alone.
from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import protovalidate
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from grpc import aio

FROZEN = Path(__file__).with_name("previous_agents_contract.binpb")
SERVICE = "windlass.agents.v1.AgentsService"
_FILE = "windlass/agents/v1/agents_service.proto"
_CREDENTIAL = "authorization"


class Narrow:
    """One kind of message as the previous release knew it."""

    def __init__(self, kind: type[Message], refused: Callable[[str], None]) -> None:
        self._kind = kind
        self._refused = refused
        self._validator = protovalidate.Validator()

    def request(self, data: bytes) -> bytes:
        """What a previous server would have understood of a request; rules that it breaks are told."""
        message = self._kind.FromString(data)
        for violation in self._validator.collect_violations(message):
            self._refused(f"{self._kind.DESCRIPTOR.name}: {violation.proto}")
        return self.response(data)

    def response(self, data: bytes) -> bytes:
        """What a previous agent would have understood of a response."""
        message = self._kind.FromString(data)
        message.DiscardUnknownFields()
        return message.SerializeToString()


class PreviousContract:
    """The frozen contract as a generic handler that forwards to a server of today.

    Attributes:
        refused: rules of the previous contract that requests broke.
        calls: the methods that were called, also those that the previous contract lacks.
    """

    def __init__(self, upstream: aio.Channel) -> None:
        self.refused: list[str] = []
        self.calls: list[str] = []
        self._upstream = upstream
        self._methods = _methods()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """The handler of a method; None, which is UNIMPLEMENTED, for what did not exist then."""
        name = details.method.rpartition("/")[2]
        self.calls.append(name)
        method = self._methods.get(name)
        if method is None:
            return None
        requests, responses = (
            Narrow(message_factory.GetMessageClass(kind), self.refused.append)
            for kind in (method.input_type, method.output_type)
        )
        if method.client_streaming:
            call: Any = self._upstream.stream_stream(details.method)
            return grpc.stream_stream_rpc_method_handler(_stream(call, requests, responses))
        unary: Any = self._upstream.unary_unary(details.method)
        return grpc.unary_unary_rpc_method_handler(_unary(unary, requests, responses))


def _unary(call: Any, requests: Narrow, responses: Narrow) -> Any:
    async def handle(request: bytes, context: Any) -> bytes:
        try:
            answer = await call(requests.request(request), metadata=_credential(context))
        except aio.AioRpcError as error:
            await context.abort(error.code(), error.details(), error.trailing_metadata())
        return responses.response(answer)

    return handle


def _stream(call: Any, requests: Narrow, responses: Narrow) -> Any:
    async def handle(incoming: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async def narrowed() -> AsyncIterator[bytes]:
            async for request in incoming:
                yield requests.request(request)

        forwarded = call(narrowed(), metadata=_credential(context))
        try:
            async for response in forwarded:
                yield responses.response(response)
        except aio.AioRpcError as error:
            await context.abort(error.code(), error.details(), error.trailing_metadata())
        finally:
            forwarded.cancel()

    return handle


def _credential(context: Any) -> tuple[tuple[str, str], ...]:
    metadata = dict(context.invocation_metadata())
    return ((_CREDENTIAL, metadata[_CREDENTIAL]),) if _CREDENTIAL in metadata else ()


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, contract: PreviousContract) -> None:
        self._contract = contract

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        return self._contract.service(details)


@asynccontextmanager
async def previous_contract(server: str) -> AsyncIterator[tuple[str, PreviousContract]]:
    """Run the proxy before a server (host:port); yields its own address, and what it has seen."""
    async with aio.insecure_channel(server) as upstream:
        contract = PreviousContract(upstream)
        proxy = aio.server()
        proxy.add_generic_rpc_handlers((_Handler(contract),))
        port = proxy.add_insecure_port("127.0.0.1:0")
        await proxy.start()
        try:
            yield f"127.0.0.1:{port}", contract
        finally:
            await proxy.stop(0)


def _methods() -> Mapping[str, MethodDescriptor]:
    """The methods of the frozen contract, in a pool of their own."""
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(FROZEN.read_bytes()).file:
        pool.AddSerializedFile(file.SerializeToString())
    return dict(pool.FindServiceByName(SERVICE).methods_by_name)


def freeze(ref: str) -> None:
    """Keep the agents' part of the contract of a commit."""
    shown = subprocess.run(
        ["git", "show", f"{ref}:gen/windlass.binpb"], capture_output=True, check=True
    )
    whole = {
        file.name: file for file in descriptor_pb2.FileDescriptorSet.FromString(shown.stdout).file
    }
    needed: dict[str, None] = {}

    def add(name: str) -> None:
        for dependency in whole[name].dependency:
            add(dependency)
        needed[name] = None

    add(_FILE)
    kept = descriptor_pb2.FileDescriptorSet(file=[whole[name] for name in needed])
    for file in kept.file:
        file.ClearField("source_code_info")
    FROZEN.write_bytes(kept.SerializeToString())


if __name__ == "__main__":
    freeze(sys.argv[1])
