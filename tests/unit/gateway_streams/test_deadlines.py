"""A caller's deadline ends every stream that our own services answer, before and after its begin."""

import json

import pytest

from tests.support.gateway import AsgiClient
from tests.support.sample_services import HangingStreams, sample_server

SOON = {"x-request-timeout": "0.05"}


@pytest.fixture
def servicer(types):
    return HangingStreams(types)


@pytest.fixture
def client(streams_set, types, servicer):
    return AsgiClient(sample_server(streams_set, types, servicer).gateway())


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/v1/rooms/r:follow", None),
        ("POST", "/v1/rooms/r:chat", "[]"),
        ("POST", "/v1/rooms/r/notes:collect", '[{"text":"a"}]'),
    ],
)
@pytest.mark.parametrize(
    "accept", ["text/event-stream", "application/x-ndjson", "application/json"]
)
async def test_a_deadline_before_the_first_answer_is_504(
    client, servicer, method, target, body, accept
):
    answer = await client.request(method, target, body, SOON | {"accept": accept})
    assert (answer.status, answer.json["code"], answer.reason) == (504, 4, "DEADLINE_EXCEEDED")
    assert servicer.ended == ["CancelledError"]


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/v1/rooms/r:follow?count=1", None),
        ("POST", "/v1/rooms/r:chat", '[{"text":"a"}]'),
    ],
)
async def test_a_deadline_behind_it_is_told_in_the_stream(client, servicer, method, target, body):
    answer = await client.request(method, target, body, SOON | {"accept": "text/event-stream"})
    assert answer.status == 200
    event, data = answer.body.decode().strip().splitlines()[-2:]
    assert event == "event: error"
    assert json.loads(data.removeprefix("data: "))["code"] == 4
    assert servicer.ended == ["CancelledError"]
