"""Clients of gRPC at Envoy's port: their calls pass as they are."""

import asyncio
from typing import Any

import grpc
import pytest
from grpc import aio

from tests.differential.backend import Failure, Script
from tests.differential.lab import Lab
from tests.differential.tables.answers import INFO

THING = "sample.v1.Thing"
GET_THING = "/sample.v1.ShelfService/GetThing"


async def call(lab: Lab, method: str = GET_THING, **more: Any) -> Any:
    """A unary call at Envoy's port, with everything that gRPC tells of its answer."""
    async with aio.insecure_channel(lab.envoy) as channel:
        start = channel.unary_unary(
            method,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=lab.types.message(THING).FromString,
        )
        return await start(lab.types.read(THING, {"name": "x"}), **more)


@pytest.mark.asyncio(loop_scope="session")
async def test_a_unary_call_passes_with_its_metadata(lab: Lab):
    lab.backend.expect(Script(reply={"name": "y"}))
    answer = await call(lab, metadata=(("x-custom", "1"), ("thing-bin", b"\0")), timeout=5)
    assert answer.name == "y"
    (received,) = lab.backend.received
    assert received.messages[0].name == "x"
    assert (received.metadata["x-custom"], received.metadata["thing-bin"]) == ("1", b"\0")
    assert received.remaining is not None and 3 < received.remaining < 6  # noqa: PT018


@pytest.mark.asyncio(loop_scope="session")
async def test_a_stream_passes_message_by_message(lab: Lab):
    lab.backend.expect(Script(items=({"cursor": "1"}, {"cursor": "2"})))
    async with aio.insecure_channel(lab.envoy) as channel:
        start = channel.unary_stream(
            "/sample.v1.ShelfService/WatchThings",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=lab.types.message("sample.v1.WatchThingsResponse").FromString,
        )
        request = lab.types.read("sample.v1.WatchThingsRequest", {"topic": "t"})
        assert [each.cursor async for each in start(request)] == ["1", "2"]


@pytest.mark.asyncio(loop_scope="session")
async def test_an_error_passes_with_its_details(lab: Lab):
    lab.backend.expect(Script(failure=Failure(5, "no shelf", (INFO,))))
    with pytest.raises(aio.AioRpcError) as failed:
        await call(lab)
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.NOT_FOUND, "no shelf")
    assert b"NO_SHELF" in dict(failed.value.trailing_metadata())["grpc-status-details-bin"]


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("script", "method", "code"),
    [
        (Script(delay=3), GET_THING, grpc.StatusCode.DEADLINE_EXCEEDED),
        (Script(), "/sample.v1.ShelfService/NoSuch", grpc.StatusCode.UNIMPLEMENTED),
        (Script(), "/no.Such/Method", grpc.StatusCode.UNIMPLEMENTED),
    ],
)
async def test_what_envoy_says_itself_it_says_in_grpc(lab: Lab, script, method, code):
    lab.backend.expect(script)
    with pytest.raises(aio.AioRpcError) as failed:
        await call(lab, method, metadata=(("grpc-timeout", "200m"),) if script.delay else ())
    assert failed.value.code() is code
    assert "{" not in (failed.value.details() or "")
    await asyncio.wait_for(lab.backend.settled(), 10)
