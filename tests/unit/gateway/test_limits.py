"""What a method's options and the gateway's defaults let a call cost."""

import json

import pytest

from tests.support.gateway import AsgiClient, FakeDispatcher, sample_gateway
from windlass_server.gateway.limits import MethodLimits

LARGE, SMALL, PLAIN = "/v1/large/n", "/v1/small/n", "/v1/things/n"


@pytest.fixture
def put(sample_set):
    """PUTs a text of some length; the answer, and the seconds that the call got."""

    async def put(path, length=1, *, timeout=None, default=None):
        dispatcher = FakeDispatcher()
        gateway = sample_gateway(
            sample_set, dispatcher, max_body_bytes=4096, default_timeout=default
        )
        headers = {} if timeout is None else {"x-request-timeout": timeout}
        body = json.dumps({"text": "a" * length})
        answer = await AsgiClient(gateway).request("PUT", path, body, headers)
        return answer, dispatcher.calls[0][0].timeout if dispatcher.calls else None

    return put


@pytest.mark.parametrize(
    ("path", "length", "status"),
    [
        (PLAIN, 4000, 200),
        (PLAIN, 4096, 413),
        (LARGE, 8100, 200),
        (LARGE, 8192, 413),
        (SMALL, 80, 200),
        (SMALL, 100, 413),
        (SMALL, 5000, 413),
    ],
)
async def test_a_request_is_as_large_as_its_method_takes(put, path, length, status):
    answer, _ = await put(path, length)
    assert answer.status == status
    if status == 413:
        assert (answer.reason, answer.json["code"]) == ("BODY_TOO_LARGE", 8)


async def test_json_that_is_smaller_than_its_message_is_measured_as_the_message(sample_set):
    gateway = sample_gateway(sample_set, FakeDispatcher(), max_body_bytes=4096)
    body = '{"numbers":[' + ",".join(["-1"] * 1000) + "]}"  # 3 bytes each, and 10 in the message
    answer = await AsgiClient(gateway).request("PUT", PLAIN, body)
    assert answer.status == 413


@pytest.mark.parametrize(
    ("path", "given", "default", "seconds"),
    [
        (PLAIN, None, None, None),
        (PLAIN, None, 60.0, 60.0),
        (PLAIN, "90", 60.0, 90.0),
        (LARGE, None, None, 2.0),
        (LARGE, None, 60.0, 2.0),
        (LARGE, "1", 60.0, 1.0),
        (LARGE, "90", 60.0, 2.0),
        (SMALL, None, 60.0, 60.0),
    ],
)
async def test_a_call_gets_the_time_that_it_asks_for_within_its_methods_cap(
    put, path, given, default, seconds
):
    got = (await put(path, timeout=given, default=default))[1]
    # What the body took to come has been used up.
    assert got == (seconds if seconds is None else pytest.approx(seconds, abs=0.5))


async def test_a_stream_has_no_deadline_but_its_callers(sample_set):
    dispatcher = FakeDispatcher()
    client = AsgiClient(sample_gateway(sample_set, dispatcher, default_timeout=60.0))
    await client.request("GET", "/v1/watch/t")
    await client.request("GET", "/v1/watch/t", headers={"grpc-timeout": "5S"})
    assert [call.timeout for call, _ in dispatcher.calls] == [None, 5.0]


def test_limits_that_are_not_set_bound_nothing():
    assert MethodLimits().seconds(None, None) is None
    assert MethodLimits().body_bytes(7) == 7
