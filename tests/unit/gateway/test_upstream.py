"""The dispatcher that calls a gRPC server, against a real one."""

import asyncio
import logging

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from tests.support.upstream import Upstream
from windlass_server.gateway import upstream as module
from windlass_server.gateway.dispatch import OutgoingCall, RpcFailure
from windlass_server.gateway.upstream import UpstreamDispatcher

METHOD = "/pkg.Service/Method"
DETAILS = "grpc-status-details-bin"


@pytest.fixture
async def upstream():
    server = Upstream()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def dispatcher(upstream):
    made = UpstreamDispatcher(upstream.address, domain="here")
    yield made
    await made.close()


def call(timeout=5.0, **metadata):
    return OutgoingCall(METHOD, metadata, "192.0.2.7:5555", timeout)


def failing(code, text="", details=None):
    async def fail(_request, context):
        trailing = () if details is None else ((DETAILS, details),)
        await context.abort(code, text, trailing)

    return fail


def status_of(failure):
    status = status_pb2.Status.FromString(failure.value.status)
    assert (status.code, status.message) == (failure.value.code, failure.value.message)
    return status


def error_info(failure):
    infos = [each for each in status_of(failure).details if each.Is(ERROR_INFO.DESCRIPTOR)]
    assert len(infos) == 1
    info = error_details_pb2.ErrorInfo()
    infos[0].Unpack(info)
    return info


ERROR_INFO = error_details_pb2.ErrorInfo


async def answers_of(stream):
    return [answer async for answer in stream]


async def requests_of(*steps):
    """Bytes are sent, exceptions raised, events waited for."""
    for step in steps:
        if isinstance(step, asyncio.Event):
            await step.wait()
        elif isinstance(step, Exception):
            raise step
        else:
            yield step


async def test_bytes_pass_as_they_are_in_every_shape(upstream, dispatcher):
    async def echo(request, _context):
        return request

    async def twice(request, _context):
        yield request
        yield request

    async def joined(requests, _context):
        return b"".join([each async for each in requests])

    async def echoes(requests, _context):
        async for each in requests:
            yield each

    bytes_of_no_message = b"\xff\x00\xfe"
    upstream.unary(METHOD, echo)
    assert await dispatcher.unary(call(), bytes_of_no_message) == bytes_of_no_message
    upstream.stream("/pkg.Service/Stream", twice)
    streaming = OutgoingCall("/pkg.Service/Stream", {})
    assert await answers_of(dispatcher.stream(streaming, b"\xff")) == [b"\xff", b"\xff"]
    upstream.client_stream("/pkg.Service/Client", joined)
    sending = OutgoingCall("/pkg.Service/Client", {})
    assert await dispatcher.client_stream(sending, requests_of(b"a", b"", b"\xff")) == b"a\xff"
    upstream.bidi_stream("/pkg.Service/Bidi", echoes)
    both = OutgoingCall("/pkg.Service/Bidi", {})
    assert await answers_of(dispatcher.bidi_stream(both, requests_of(b"a", b"b"))) == [b"a", b"b"]


async def test_metadata_goes_along_with_the_callers_address(upstream, dispatcher):
    async def echo(request, _context):
        return request

    upstream.unary(METHOD, echo)
    sent = {"authorization": "Bearer t", "trace-bin": b"\x00\xff", "user-agent": "curl/8"}
    await dispatcher.unary(call(**sent), b"")
    assert upstream.metadata["authorization"] == "Bearer t"
    assert upstream.metadata["trace-bin"] == b"\x00\xff"
    assert upstream.metadata["x-forwarded-user-agent"] == "curl/8"
    assert upstream.metadata["x-forwarded-for"] == "192.0.2.7"
    await dispatcher.unary(call(**{"x-forwarded-for": "198.51.100.1"}), b"")
    assert upstream.metadata["x-forwarded-for"] == "198.51.100.1, 192.0.2.7"


async def test_initial_and_trailing_metadata_come_back(upstream, dispatcher):
    async def answer(_request, context):
        await context.send_initial_metadata((("x-a", "1"), ("x-a", "2"), ("x-bin", b"\x00")))
        context.set_trailing_metadata((("x-trailing", "3"),))
        return b""

    upstream.unary(METHOD, answer)
    asked = call()
    await dispatcher.unary(asked, b"")
    assert asked.response_metadata == {"x-a": "1, 2", "x-bin": b"\x00", "x-trailing": "3"}


@pytest.mark.parametrize("shape", ["stream", "bidi_stream"])
async def test_metadata_of_a_stream_comes_with_its_first_message_and_at_its_end(
    upstream, dispatcher, shape
):
    async def answers(_request, context):
        await context.send_initial_metadata((("x-a", "1"),))
        context.set_trailing_metadata((("x-trailing", "2"), ("x-bin", b"\x00")))
        yield b"1"

    served(upstream, shape, None, answers)
    asked = call()
    stream = (
        dispatcher.stream(asked, b"")
        if shape == "stream"
        else dispatcher.bidi_stream(asked, requests_of())
    )
    await anext(stream)
    assert (asked.response_metadata, asked.trailing_metadata) == ({"x-a": "1"}, {})
    assert await anext(stream, None) is None
    assert asked.response_metadata == {"x-a": "1"}
    assert asked.trailing_metadata == {"x-trailing": "2", "x-bin": b"\x00"}


async def test_the_deadline_reaches_the_upstream(upstream, dispatcher):
    async def echo(request, _context):
        return request

    upstream.unary(METHOD, echo)
    await dispatcher.unary(call(timeout=7.0), b"")
    assert 0 < upstream.remaining <= 7.5


def hanging():
    """A handler of each shape that never answers, and an event set when it was cancelled."""
    cancelled = asyncio.Event()

    async def hang():
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def unary(_request, _context):
        await hang()

    async def stream(_request, _context):
        await hang()
        yield b""

    return unary, stream, cancelled


SHAPES = ["unary", "stream", "client_stream", "bidi_stream"]


def served(upstream, shape, unary, stream):
    getattr(upstream, shape)(METHOD, stream if shape in ("stream", "bidi_stream") else unary)


async def call_of(dispatcher, shape, asked, *steps):
    """Call in a shape; a client's stream sends a message and then takes the steps."""
    requests = requests_of(b"", *steps)
    if shape == "unary":
        return await dispatcher.unary(asked, b"")
    if shape == "stream":
        return await answers_of(dispatcher.stream(asked, b""))
    if shape == "client_stream":
        return await dispatcher.client_stream(asked, requests)
    return await answers_of(dispatcher.bidi_stream(asked, requests))


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_upstream_that_hangs_meets_the_deadline(upstream, dispatcher, shape):
    unary, stream, cancelled = hanging()
    served(upstream, shape, unary, stream)
    with pytest.raises(RpcFailure) as failure:
        await call_of(dispatcher, shape, call(timeout=0.2), asyncio.Event())
    assert failure.value.code == 4
    assert error_info(failure).reason == "DEADLINE_EXCEEDED"
    await cancelled.wait()


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_cancelled_call_is_cancelled_upstream(upstream, dispatcher, shape):
    unary, stream, cancelled = hanging()
    begun = asyncio.Event()

    async def noted(request, context):
        begun.set()
        return await unary(request, context)

    async def noted_stream(request, context):
        begun.set()
        async for each in stream(request, context):
            yield each

    served(upstream, shape, noted, noted_stream)
    task = asyncio.create_task(call_of(dispatcher, shape, call(), asyncio.Event()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await cancelled.wait()


@pytest.mark.parametrize("shape", ["stream", "bidi_stream"])
async def test_a_stream_that_is_closed_is_cancelled_upstream(upstream, dispatcher, shape):
    cancelled = asyncio.Event()

    async def one_then_hangs(_request, _context):
        try:
            yield b"1"
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    served(upstream, shape, None, one_then_hangs)
    waiting = requests_of(b"", asyncio.Event())
    answers = (
        dispatcher.stream(call(), b"")
        if shape == "stream"
        else dispatcher.bidi_stream(call(), waiting)
    )
    assert await anext(answers) == b"1"
    await answers.aclose()
    await cancelled.wait()


@pytest.mark.parametrize("shape", ["client_stream", "bidi_stream"])
async def test_what_a_clients_stream_raises_is_raised_and_cancels(upstream, dispatcher, shape):
    cancelled = asyncio.Event()

    async def read_all(requests, _context):
        try:
            async for _ in requests:
                pass
        finally:
            cancelled.set()
        return b""

    async def read_all_stream(requests, context):
        yield await read_all(requests, context)

    served(upstream, shape, read_all, read_all_stream)
    with pytest.raises(LookupError, match="mine"):
        await call_of(dispatcher, shape, call(), LookupError("mine"))
    await cancelled.wait()


@pytest.mark.parametrize("shape", ["client_stream", "bidi_stream"])
async def test_an_upstream_may_answer_before_the_clients_stream_ends(upstream, dispatcher, shape):
    async def refuse(_requests, context):
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "enough")

    async def refuse_stream(requests, context):
        await refuse(requests, context)
        yield b""

    served(upstream, shape, refuse, refuse_stream)
    with pytest.raises(RpcFailure) as failure:
        await call_of(dispatcher, shape, call(), asyncio.Event())
    assert (failure.value.code, failure.value.message) == (3, "enough")


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code.value[0]])
async def test_a_code_without_details_gets_them(upstream, dispatcher, code):
    upstream.unary(METHOD, failing(code, "so it is"))
    with pytest.raises(RpcFailure) as failure:
        await dispatcher.unary(call(), b"")
    assert failure.value.code == code.value[0]
    info = error_info(failure)
    assert (info.reason, info.domain) == (code.name, "here")
    if code is not grpc.StatusCode.DEADLINE_EXCEEDED:
        assert failure.value.message == "so it is"


async def test_details_of_the_upstream_are_kept_byte_for_byte(upstream, dispatcher):
    status = status_pb2.Status(code=5, message="no such thing")
    status.details.add(type_url="type.googleapis.com/nobody.knows.This", value=b"\xff")
    sent = status.SerializeToString()
    upstream.unary(METHOD, failing(grpc.StatusCode.NOT_FOUND, "no such thing", sent))
    with pytest.raises(RpcFailure) as failure:
        await dispatcher.unary(call(), b"")
    assert failure.value.status == sent


@pytest.mark.parametrize(
    "details",
    [b"\xff\xff", status_pb2.Status(code=7, message="other").SerializeToString(), b""],
    ids=["no message", "another code", "empty"],
)
async def test_details_that_do_not_fit_the_code_are_not_believed(upstream, dispatcher, details):
    upstream.unary(METHOD, failing(grpc.StatusCode.NOT_FOUND, "gone", details))
    with pytest.raises(RpcFailure) as failure:
        await dispatcher.unary(call(), b"")
    assert (failure.value.code, failure.value.message) == (5, "gone")
    assert error_info(failure).reason == "NOT_FOUND"


async def test_a_code_that_nobody_knows_is_unknown(upstream, dispatcher):
    async def odd(_request, context):
        context.set_code(99)
        return b""

    upstream.unary(METHOD, odd)
    with pytest.raises(RpcFailure) as failure:
        await dispatcher.unary(call(), b"")
    assert failure.value.code == 2


@pytest.mark.parametrize("shape", ["unary", "stream"])
async def test_metadata_of_a_failure_comes_back_once(upstream, dispatcher, shape):
    async def fails(_request, context):
        await context.send_initial_metadata((("x-a", "1"),))
        await context.abort(grpc.StatusCode.ABORTED, "", (("x-b", "2"),))

    async def fails_late(request, context):
        await context.send_initial_metadata((("x-a", "1"),))
        yield b""
        await context.abort(grpc.StatusCode.ABORTED, "", (("x-b", "2"),))

    served(upstream, shape, fails, fails_late)
    asked = call()
    with pytest.raises(RpcFailure):
        await call_of(dispatcher, shape, asked)
    assert asked.response_metadata == {"x-a": "1", "x-b": "2"}


async def test_an_answer_beyond_the_limit_is_not_the_callers_fault(upstream, dispatcher):
    async def huge(_request, _context):
        return bytes(module.MAX_RESPONSE_BYTES + 1)

    upstream.unary(METHOD, huge)
    with pytest.raises(RpcFailure) as failure:
        await dispatcher.unary(call(), b"")
    assert (failure.value.code, error_info(failure).reason) == (13, "UPSTREAM_ANSWER_TOO_LARGE")


async def test_large_messages_pass_both_ways(upstream, dispatcher):
    async def echo(request, _context):
        return request

    upstream.unary(METHOD, echo)
    large = bytes(20 << 20)
    assert await dispatcher.unary(call(timeout=30), large) == large


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_upstream_that_is_down_is_unavailable_without_its_address(
    upstream, dispatcher, shape
):
    await upstream.stop()
    with pytest.raises(RpcFailure) as failure:
        await call_of(dispatcher, shape, call(), asyncio.Event())
    assert failure.value.code == 14
    assert error_info(failure).reason == "UPSTREAM_UNAVAILABLE"
    assert "127.0.0.1" not in str(status_of(failure))
    assert any(
        each.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for each in status_of(failure).details
    )


async def test_an_upstream_that_comes_back_is_found_and_logged_once(upstream, dispatcher, caplog):
    async def echo(request, _context):
        return request

    upstream.unary(METHOD, echo)
    await upstream.stop()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            with pytest.raises(RpcFailure):
                await dispatcher.unary(call(), b"")
        await upstream.start()
        async with asyncio.timeout(30):
            while True:
                try:
                    await dispatcher.unary(call(), b"")
                    break
                except RpcFailure:
                    continue
    said = [record.getMessage() for record in caplog.records if record.name.endswith("_failure")]
    assert ["cannot be reached" in said[0], "answers again" in said[-1], len(said)] == [
        True,
        True,
        2,
    ]


async def test_an_upstream_killed_under_a_stream_ends_it_with_unavailable(upstream, dispatcher):
    async def answers(_request, _context):
        yield b"1"
        await asyncio.Event().wait()

    upstream.stream(METHOD, answers)
    stream = dispatcher.stream(call(timeout=None), b"")
    assert await anext(stream) == b"1"
    await upstream.stop()
    with pytest.raises(RpcFailure) as failure:
        await anext(stream)
    assert failure.value.code in (1, 14)  # a graceful stop cancels, a crash breaks the connection


async def test_a_proxy_for_the_web_is_not_asked_for_the_upstream(upstream, monkeypatch):
    async def echo(request, _context):
        return request

    upstream.unary(METHOD, echo)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    dispatcher = UpstreamDispatcher(upstream.address)
    assert await dispatcher.unary(call(), b"a") == b"a"
    await dispatcher.close()
