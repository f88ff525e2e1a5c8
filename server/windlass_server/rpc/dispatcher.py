"""The gateway's way to our own services: the same pipeline, in the same process."""

from collections.abc import AsyncIterator

from windlass_server.gateway.dispatch import OutgoingCall, RpcFailure
from windlass_server.rpc.call import Call, Method
from windlass_server.rpc.pipeline import CallFailed, Pipeline


class InProcessDispatcher:
    """Answers the gateway's calls through the pipeline."""

    def __init__(self, pipeline: Pipeline, unrouted: Method) -> None:
        self._pipeline = pipeline
        self._unrouted = unrouted

    async def unary(self, call: OutgoingCall, request: bytes) -> bytes:
        """Answer a unary call; raises `RpcFailure`."""
        ours = _call(self._pipeline.methods[call.method], call)
        try:
            return await self._pipeline.unary(ours, request)
        except CallFailed as failure:
            raise _failure(failure) from None
        finally:
            call.response_metadata.update(ours.response_metadata)

    async def stream(self, call: OutgoingCall, request: bytes) -> AsyncIterator[bytes]:
        """Answer a server-streaming call; raises `RpcFailure`."""
        ours = _call(self._pipeline.methods[call.method], call)
        # Shared, so that the request id is known when the first message is.
        ours.response_metadata = call.response_metadata
        try:
            async for answer in self._pipeline.server_stream(ours, request):
                yield answer
        except CallFailed as failure:
            raise _failure(failure) from None

    async def authenticate(self, call: OutgoingCall) -> None:
        """Find out who calls, also where no method is; raises `RpcFailure` for a stranger."""
        ours = _call(self._pipeline.methods.get(call.method, self._unrouted), call)
        try:
            await self._pipeline.authenticate(ours)
        except CallFailed as failure:
            raise _failure(failure) from None
        finally:
            call.response_metadata.update(ours.response_metadata)


def _call(method: Method, call: OutgoingCall) -> Call:
    metadata = {name: (value,) for name, value in call.metadata.items()}
    return Call(method=method, metadata=metadata, peer=call.peer, timeout=call.timeout)


def _failure(failure: CallFailed) -> RpcFailure:
    status = failure.status
    return RpcFailure(status.code, status.message, status.SerializeToString())
