"""Which headers become metadata, and which metadata become headers."""

import pytest

from tests.support.gateway import AsgiClient, FakeDispatcher, sample_gateway
from windlass_server.gateway.forwarding import Forwarding

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
MORE = ("X-Tenant", "x-proof-bin")


@pytest.fixture
def sent(sample_set):
    """Sends headers; the answer, and the metadata that reached the dispatcher, but for the id."""

    async def send(*headers, answered=()):
        dispatcher = FakeDispatcher(response_metadata=dict(answered))
        client = AsgiClient(sample_gateway(sample_set, dispatcher, forward_headers=MORE))
        answer = await client.request("GET", "/v1/things/a", headers=headers)
        metadata = dict(dispatcher.calls[0][0].metadata) if dispatcher.calls else {}
        metadata.pop("x-request-id", None)
        return answer, metadata

    return send


@pytest.mark.parametrize(
    ("headers", "metadata"),
    [
        ([("X-Tenant", "a")], {"x-tenant": "a"}),
        ([("x-tenant", "a"), ("x-tenant", "b")], {"x-tenant": "a, b"}),
        ([("x-tenant", "ä")], {}),
        ([("x-other", "a"), ("cookie", "a=b"), ("host", "a"), ("te", "trailers")], {}),
        ([("grpc-timeout", "1S"), ("grpc-encoding", "gzip"), ("grpc-metadata-a", "b")], {}),
        ([("x-forwarded-for", "10.0.0.1"), ("forwarded", "for=10.0.0.1")], {}),
        ([("x-proof-bin", "AP8=")], {"x-proof-bin": b"\x00\xff"}),
        ([("x-proof-bin", "AP8")], {"x-proof-bin": b"\x00\xff"}),
        ([("x-proof-bin", "")], {"x-proof-bin": b""}),
        ([("x-other-bin", "AP8=")], {}),
        ([("traceparent", TRACE)], {"traceparent": TRACE}),
        (
            [("traceparent", TRACE), ("tracestate", "a=1"), ("tracestate", "b=2")],
            {"traceparent": TRACE, "tracestate": "a=1, b=2"},
        ),
        (
            [("traceparent", "cc" + TRACE[2:] + "-more")],
            {"traceparent": "cc" + TRACE[2:] + "-more"},
        ),
        ([("tracestate", "a=1")], {}),
    ],
)
async def test_headers_on_the_list_become_metadata_and_no_others(sent, headers, metadata):
    assert (await sent(*headers))[1] == metadata


@pytest.mark.parametrize(
    "trace",
    [
        "",
        TRACE.upper(),
        TRACE + "-more",
        TRACE[:-1],
        "ff" + TRACE[2:],
        "00-" + "0" * 32 + TRACE[35:],
        TRACE[:36] + "0" * 16 + "-01",
        "cc" + TRACE[2:] + "more",
        TRACE.replace("-", "_"),
    ],
)
async def test_a_trace_that_is_none_is_dropped_with_its_state(sent, trace):
    answer, metadata = await sent(("traceparent", trace), ("tracestate", "a=1"))
    assert (answer.status, metadata) == (200, {})
    assert answer.header("traceparent") is None


async def test_two_traces_are_none(sent):
    assert (await sent(("traceparent", TRACE), ("traceparent", TRACE)))[1] == {}


async def test_the_answer_names_its_trace(sent):
    assert (await sent(("traceparent", TRACE)))[0].header("traceparent") == TRACE


@pytest.mark.parametrize(
    "values", [["***"], ["A"], ["AP8=,AP8="], ["AP 8="], ["AP8=", "AP8="], ["_-8"]]
)
async def test_bytes_that_are_not_base64_or_come_twice_are_refused(sent, values):
    answer, metadata = await sent(*(("x-proof-bin", value) for value in values))
    assert (answer.status, answer.reason, metadata) == (400, "INVALID_METADATA", {})
    assert list(answer.violations) == ["x-proof-bin"]


async def test_a_refusal_for_its_headers_has_the_requests_id(sent):
    answer, _ = await sent(("authorization", "a"), ("authorization", "b"), ("x-request-id", "r-1"))
    assert (answer.status, answer.header("x-request-id")) == (401, "r-1")


async def test_bytes_of_the_answers_metadata_are_base64(sent):
    answered = {"x-proof-bin": b"\x00\xff", "x-text": b"bytes", "x-other-bin": "text"}
    answer, _ = await sent(answered=answered)
    assert answer.header("x-proof-bin") == "AP8="
    assert answer.header("x-text") is None
    assert answer.header("x-other-bin") is None


@pytest.mark.parametrize(
    "name",
    [
        *(
            "content-type",
            "content-length",
            "transfer-encoding",
            "connection",
            "keep-alive",
            "date",
        ),
        *("te", "trailer", "upgrade", "server", "grpc-status", "proxy-authenticate", ":status"),
    ],
)
async def test_metadata_never_speaks_for_http(sent, name):
    answer, _ = await sent(answered={name: "x"})
    assert "x" not in [value for key, value in answer.headers if key == name]


@pytest.mark.parametrize(
    "name", ["grpc-timeout", "Connection", "host", "te", "content-type", "a b", "ä", "", "proxy-x"]
)
def test_a_header_that_is_not_the_calls_cannot_be_forwarded(name):
    with pytest.raises(ValueError, match=r"header|name"):
        Forwarding([name])
