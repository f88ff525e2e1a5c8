"""The chain that every call takes, whichever front end it came through."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol

from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, status_pb2

from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.rpc.call import Call, Method
from windlass_server.rpc.deadline import within
from windlass_server.rpc.draining import Draining
from windlass_server.rpc.errors import to_status
from windlass_server.rpc.request_id import current_request_id
from windlass_server.rpc.validation import Validation
from windlass_server.storage import guard

# Of a client's stream: tags and lengths around each message's bytes, and parameters of the first one.
_FRAMING_BYTES = 64
_ALLOWANCE_BYTES = 4096


class Interceptor(Protocol):
    """One thing that is done before a servicer runs; refuses a call by raising.

    `request` is None before the request is parsed, and for a client's stream. What has to wait
    answers an awaitable; few have to, and a coroutine takes longer than what most of them do.
    """

    def __call__(self, call: Call, request: Message | None) -> Awaitable[None] | None: ...


class Observer(Protocol):
    """Sees calls begin and, by their finalizers, end."""

    def began(self, call: Call) -> None: ...


class CallFailed(Exception):
    """A call ended with this status."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = status


class Pipeline:
    """Runs calls: interceptors in reading order, the servicer, and errors turned into statuses.

    Args:
        methods: what is served, by gRPC path.
        before_parsing: run first, in this order: nothing of an anonymous caller's is parsed.
        after_parsing: run on the parsed request, in this order.
        validation: looks at the request after that, and at each message of a client's stream.
        draining: ends streams when the server stops.
        observers: told of each call that begins, and of none that is only looked at.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        *,
        before_parsing: Sequence[Interceptor],
        after_parsing: Sequence[Interceptor],
        validation: Validation,
        draining: Draining,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.methods = methods
        self._before_parsing = tuple(before_parsing)
        self._after_parsing = tuple(after_parsing)
        self._validation = validation
        self._draining = draining
        self._observers = tuple(observers)

    async def unary(self, call: Call, request: bytes) -> bytes:
        """Answer a unary call; raises `CallFailed`."""
        self._begin(call)
        try:
            message = await self._admit(call, request)
            answer: Message | bytes = await within(call.timeout, call.method.handler(message, call))
            serialized = answer if isinstance(answer, bytes) else answer.SerializeToString()
            call.code = code_pb2.OK
            return serialized
        except Exception as error:
            raise _failed(call, error) from None
        finally:
            for finalize in call.finalizers:
                finalize()

    async def server_stream(self, call: Call, request: bytes) -> AsyncGenerator[bytes]:
        """Answer a call with a stream; raises `CallFailed`."""
        self._begin(call)
        try:
            message = await self._admit(call, request)
            async with aclosing(self._answers(call, message)) as answers:
                async for answer in answers:
                    yield answer
            call.code = code_pb2.OK
        except Exception as error:
            raise _failed(call, error) from None
        finally:
            for finalize in call.finalizers:
                finalize()

    async def client_stream(self, call: Call, requests: AsyncIterator[bytes]) -> bytes:
        """Answer a client's stream; raises `CallFailed`."""
        self._begin(call)
        try:
            await self._admit_stream(call)
            messages = self._messages(call.method, requests)
            answer: Message = await within(call.timeout, call.method.handler(messages, call))
            serialized = answer.SerializeToString()
            call.code = code_pb2.OK
            return serialized
        except Exception as error:
            raise _failed(call, error) from None
        finally:
            for finalize in call.finalizers:
                finalize()

    async def bidi_stream(
        self, call: Call, requests: AsyncIterator[bytes]
    ) -> AsyncGenerator[bytes]:
        """Answer a stream with a stream; raises `CallFailed`."""
        self._begin(call)
        try:
            await self._admit_stream(call)
            if call.let_in is not None:
                await call.let_in()
            messages = self._messages(call.method, requests)
            async with aclosing(self._answers(call, messages)) as answers:
                async for answer in answers:
                    yield answer
            call.code = code_pb2.OK
        except Exception as error:
            raise _failed(call, error) from None
        finally:
            for finalize in call.finalizers:
                finalize()

    async def authenticate(self, call: Call) -> None:
        """Do what comes before parsing, and nothing else; raises `CallFailed`."""
        try:
            if (waits := _intercept(self._before_parsing, call, None)) is not None:
                await waits
        except Exception as error:
            self._begin(call)
            raise _failed(call, error) from None
        finally:
            for finalize in call.finalizers:
                finalize()

    async def find_violations(self, call: Call, request: bytes) -> Sequence[FieldViolation]:
        """Do all that comes before the servicer; returns which fields are refused.

        Raises:
            CallFailed: the caller may not make this call.
        """
        try:
            await self._admit(call, request)
        except InvalidInput as error:
            return error.violations
        except Exception as error:
            raise _failed(call, error) from None
        finally:
            for finalize in call.finalizers:
                finalize()
        return ()

    def _begin(self, call: Call) -> None:
        for observer in self._observers:
            observer.began(call)

    async def _admit(self, call: Call, request: bytes) -> Message:
        if (waits := _intercept(self._before_parsing, call, None)) is not None:
            await waits
        message = parse(call.method, request)
        if (waits := _intercept(self._after_parsing, call, message)) is not None:
            await waits
        self._validation.check_request(call.method.path, request, message)
        return message

    async def _admit_stream(self, call: Call) -> None:
        both = (*self._before_parsing, *self._after_parsing)
        if (waits := _intercept(both, call, None)) is not None:
            await waits

    async def _answers(self, call: Call, request: object) -> AsyncGenerator[bytes]:
        decision = guard.require_decision()
        now = asyncio.get_running_loop().time()
        deadline = None if call.timeout is None else now + call.timeout
        async with aclosing(call.method.handler(request, call)) as answers:
            while (answer := await self._next(answers, deadline)) is not None:
                yield answer.SerializeToString()
                guard.resume(decision)
                current_request_id.set(call.request_id)

    def _next(
        self, answers: AsyncGenerator[Message], deadline: float | None
    ) -> Awaitable[Message | None]:
        """The next answer, None at the end; around each, as another task may ask for the next one."""
        answer = self._draining.unless_begun(_next_or_none(answers))
        return answer if deadline is None else _by(deadline, answer)

    async def _messages(
        self, method: Method, requests: AsyncIterator[bytes]
    ) -> AsyncIterator[object]:
        def checked(request: bytes) -> Message:
            message = parse(method, request)
            self._validation.check(message)
            return message

        read = checked if method.reader is None else method.reader(checked)
        # What is around the bytes of a file does not count: the gateway counts the file alone.
        size = -_ALLOWANCE_BYTES
        async for request in requests:
            size += max(len(request) - _FRAMING_BYTES, 0)
            if method.max_stream_bytes is not None and size > method.max_stream_bytes:
                text = f"the stream has more than {method.max_stream_bytes} bytes"
                raise InvalidInput(text, reason="STREAM_TOO_LARGE")
            yield read(request)


def _failed(call: Call, error: Exception) -> CallFailed:
    """What a call failed with, which the call then knows, too."""
    status = to_status(error, call.request_id)
    call.code = status.code
    return CallFailed(status)


def _intercept(
    interceptors: Sequence[Interceptor], call: Call, request: Message | None
) -> Awaitable[None] | None:
    """Run them in order. From the first on that has to wait, the rest is left to be awaited."""
    for place, interceptor in enumerate(interceptors, 1):
        waits = interceptor(call, request)
        if waits is not None:
            return _go_on(waits, interceptors[place:], call, request)
    return None


async def _go_on(
    waits: Awaitable[None], rest: Sequence[Interceptor], call: Call, request: Message | None
) -> None:
    await waits
    if (left := _intercept(rest, call, request)) is not None:
        await left


async def _by(deadline: float, answer: Awaitable[Message | None]) -> Message | None:
    async with asyncio.timeout_at(deadline):
        return await answer


async def _next_or_none(answers: AsyncGenerator[Message]) -> Message | None:
    return await anext(answers, None)


def parse(method: Method, request: bytes) -> Message:
    """The request message; InvalidInput when the bytes are none, or too many."""
    if len(request) > method.max_request_bytes:
        text = f"the request has {len(request)} bytes; at most {method.max_request_bytes} are taken"
        raise InvalidInput(text, reason="REQUEST_TOO_LARGE")
    try:
        return method.request_class.FromString(request)
    except DecodeError:
        text = f"the request is not a valid {method.descriptor.input_type.full_name}"
        raise InvalidInput(text, reason="MALFORMED_MESSAGE") from None
