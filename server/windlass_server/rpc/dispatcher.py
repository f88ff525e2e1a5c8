"""The gateway's way to our own services: the same pipeline, in the same process."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from windlass_server.errors import Cancelled
from windlass_server.gateway.dispatch import OutgoingCall, RpcFailure
from windlass_server.gateway.errors import Violation
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
            # Closed with us: what the call holds is given back then, and not when it is collected.
            async with aclosing(self._pipeline.server_stream(ours, request)) as answers:
                async for answer in answers:
                    yield answer
        except CallFailed as failure:
            raise _failure(failure) from None

    async def client_stream(self, call: OutgoingCall, requests: AsyncIterator[bytes]) -> bytes:
        """Answer a client-streaming call; raises `RpcFailure`, or what `requests` raised."""
        ours = _call(self._pipeline.methods[call.method], call)
        source = _Source(requests)
        try:
            return await self._pipeline.client_stream(ours, source.messages())
        except CallFailed as failure:
            raise source.failed or _failure(failure) from None
        finally:
            call.response_metadata.update(ours.response_metadata)

    async def bidi_stream(
        self, call: OutgoingCall, requests: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Answer a stream with a stream; raises `RpcFailure`, or what `requests` raised."""
        ours = _call(self._pipeline.methods[call.method], call)
        ours.response_metadata = call.response_metadata
        source = _Source(requests)
        try:
            async with aclosing(self._pipeline.bidi_stream(ours, source.messages())) as answers:
                async for answer in answers:
                    yield answer
        except CallFailed as failure:
            raise source.failed or _failure(failure) from None

    async def find_violations(self, call: OutgoingCall, request: bytes) -> Sequence[Violation]:
        """What is wrong with the fields of a request that is not served; raises `RpcFailure`."""
        ours = _call(self._pipeline.methods[call.method], call)
        try:
            found = await self._pipeline.find_violations(ours, request)
        except CallFailed as failure:
            raise _failure(failure) from None
        finally:
            call.response_metadata.update(ours.response_metadata)
        return [Violation(each.field, each.description, each.reason) for each in found]

    async def authenticate(self, call: OutgoingCall) -> None:
        """Find out who calls, also where no method is; raises `RpcFailure` for a stranger."""
        ours = _call(self._pipeline.methods.get(call.method, self._unrouted), call)
        try:
            await self._pipeline.authenticate(ours)
        except CallFailed as failure:
            raise _failure(failure) from None
        finally:
            call.response_metadata.update(ours.response_metadata)


class _Source:
    """A client's stream that remembers why it broke off: the gateway's refusal, not our failure."""

    def __init__(self, requests: AsyncIterator[bytes]) -> None:
        self._requests = requests
        self.failed: Exception | None = None

    async def messages(self) -> AsyncIterator[bytes]:
        """The messages; a failure of the client's becomes an error of ours."""
        try:
            async for request in self._requests:
                yield request
        except Exception as error:
            self.failed = error
            raise Cancelled("the request breaks off", reason="REQUEST_BROKE_OFF") from None


def _call(method: Method, call: OutgoingCall) -> Call:
    metadata = {name: (value,) for name, value in call.metadata.items() if isinstance(value, str)}
    return Call(method=method, metadata=metadata, timeout=call.timeout)


def _failure(failure: CallFailed) -> RpcFailure:
    status = failure.status
    return RpcFailure(status.code, status.message, status.SerializeToString())
