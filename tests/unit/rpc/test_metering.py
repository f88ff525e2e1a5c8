"""Every call is counted once, by how it ended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.message import Message

from windlass.system.v1 import system_service_pb2 as pb
from windlass_server.controllers.loop import Loop
from windlass_server.errors import NotFound
from windlass_server.meters import Meters
from windlass_server.rpc.call import Call, Method
from windlass_server.rpc.draining import Draining
from windlass_server.rpc.metering import Metering
from windlass_server.rpc.methods import served_methods
from windlass_server.rpc.pipeline import CallFailed, Pipeline
from windlass_server.rpc.validation import Validation
from windlass_server.storage.guard import decide

PATH = "/windlass.system.v1.SystemService/"


class Servicer:
    """Answers, fails, or waits, as the test says."""

    async def GetHealth(self, request: Message, call: Call) -> pb.Health:
        if call.first("how") == "fail":
            raise NotFound("there is none", reason="NONE")
        if call.first("how") == "break":
            raise ZeroDivisionError
        if call.first("how") == "wait":
            await asyncio.Event().wait()
        return pb.Health(status="ok")

    async def GetSystemInfo(self, request: Message, call: Call) -> pb.SystemInfo:
        raise AssertionError

    async def ExportMetrics(self, request: Message, call: Call) -> AsyncIterator[Any]:
        yield pb.Health()
        if call.first("how") == "fail":
            raise NotFound("there is none", reason="NONE")
        yield pb.Health()


def allowed(call: Call, request: Message | None) -> None:
    decide("test")


def refuse(call: Call, request: Message | None) -> None:
    if call.first("how") == "stranger":
        raise NotFound("who are you", reason="WHO")


@pytest.fixture
def meters() -> Meters:
    return Meters("1.2.3", "sqlite")


@pytest.fixture
def pipeline(meters: Meters) -> Pipeline:
    return Pipeline(
        served_methods({"windlass.system.v1.SystemService": Servicer()}),
        before_parsing=[refuse, allowed],
        after_parsing=[],
        validation=Validation(),
        draining=Draining(),
        observers=[Metering(meters)],
    )


def a_call(pipeline: Pipeline, method: str, how: str) -> Call:
    served: Method = pipeline.methods[PATH + method]
    return Call(method=replace(served), metadata={"how": [how]}, timeout=None)


def shown(meters: Meters, name: str) -> dict[str, float]:
    """The samples of a metric by what stands between its braces."""
    found = {}
    for line in meters.text().decode().splitlines():
        if line.startswith(name + "{"):
            labels, _, value = line.removeprefix(name + "{").rpartition("} ")
            found[labels] = float(value)
    return found


@pytest.mark.parametrize(
    ("how", "code"),
    [("answer", "OK"), ("fail", "NOT_FOUND"), ("break", "INTERNAL"), ("stranger", "NOT_FOUND")],
)
async def test_a_call_counts_by_its_code(
    pipeline: Pipeline, meters: Meters, how: str, code: str
) -> None:
    with suppress(CallFailed):
        await pipeline.unary(a_call(pipeline, "GetHealth", how), b"")
    labels = f'code="{code}",method="{PATH}GetHealth"'
    assert shown(meters, "windlass_requests_total") == {labels: 1}
    seconds = shown(meters, "windlass_request_duration_seconds_count")
    assert seconds == {f'method="{PATH}GetHealth"': 1}


async def test_a_call_that_is_given_up_is_cancelled(pipeline: Pipeline, meters: Meters) -> None:
    call = asyncio.ensure_future(pipeline.unary(a_call(pipeline, "GetHealth", "wait"), b""))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    (labels,) = shown(meters, "windlass_requests_total")
    assert 'code="CANCELLED"' in labels


@pytest.mark.parametrize(("how", "code"), [("answer", "OK"), ("fail", "NOT_FOUND")])
async def test_a_stream_is_open_until_it_ends_and_counts_then(
    pipeline: Pipeline, meters: Meters, how: str, code: str
) -> None:
    stream = pipeline.server_stream(a_call(pipeline, "ExportMetrics", how), b"")
    await anext(stream)
    labels = f'method="{PATH}ExportMetrics"'
    assert shown(meters, "windlass_streams_open") == {labels: 1}
    assert shown(meters, "windlass_requests_total") == {}
    try:
        async for _ in stream:
            pass
    except CallFailed:
        pass
    assert shown(meters, "windlass_streams_open") == {labels: 0}
    assert shown(meters, "windlass_requests_total") == {f'code="{code}",{labels}': 1}
    assert shown(meters, "windlass_request_duration_seconds_count") == {}


async def test_a_stream_that_is_left_is_cancelled(pipeline: Pipeline, meters: Meters) -> None:
    stream = pipeline.server_stream(a_call(pipeline, "ExportMetrics", "answer"), b"")
    await anext(stream)
    await stream.aclose()
    (labels,) = shown(meters, "windlass_requests_total")
    assert 'code="CANCELLED"' in labels


async def test_what_is_only_looked_at_does_not_count_unless_it_is_refused(
    pipeline: Pipeline, meters: Meters
) -> None:
    await pipeline.authenticate(a_call(pipeline, "GetHealth", "answer"))
    await pipeline.find_violations(a_call(pipeline, "GetHealth", "answer"), b"")
    assert shown(meters, "windlass_requests_total") == {}
    with pytest.raises(CallFailed):
        await pipeline.authenticate(a_call(pipeline, "GetHealth", "stranger"))
    assert len(shown(meters, "windlass_requests_total")) == 1


async def test_the_duties_of_the_server_are_measured(meters: Meters) -> None:
    turns, enough = [0], asyncio.Event()

    async def cycle() -> None:
        turns[0] += 1
        if turns[0] == 1:
            raise ZeroDivisionError
        if turns[0] == 3:
            enough.set()

    loop = Loop("cleaning", cycle, interval_seconds=0.001)
    loop.start(meters.cycle_ended)
    await enough.wait()
    await loop.stop()
    cycles = shown(meters, "windlass_duty_cycle_duration_seconds_count")['duty="cleaning"']
    assert cycles >= 3
    assert shown(meters, "windlass_duty_failures_total") == {'duty="cleaning"': 1}
