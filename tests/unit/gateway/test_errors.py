import base64
import json

import pytest
from google.protobuf import any_pb2, descriptor_pb2, duration_pb2, json_format
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2

from tests.support.gateway import compile_protos, failure
from windlass_server.gateway.dispatch import RpcFailure
from windlass_server.gateway.errors import ErrorRenderer, Refusal
from windlass_server.gateway.transcoder import Transcoder

STATUSES = {
    "CANCELLED": (1, 499),
    "UNKNOWN": (2, 500),
    "INVALID_ARGUMENT": (3, 400),
    "DEADLINE_EXCEEDED": (4, 504),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "OUT_OF_RANGE": (11, 400),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "DATA_LOSS": (15, 500),
    "UNAUTHENTICATED": (16, 401),
    "no code of gRPC's": (99, 500),
    "OK, which is no error": (0, 500),
}
INFO = details.ErrorInfo(reason="GONE", domain="sample", metadata={"a": "b"})


@pytest.fixture(scope="module")
def errors(sample_transcoder):
    return ErrorRenderer(sample_transcoder.registry, "sample")


@pytest.mark.parametrize(("code", "status"), STATUSES.values(), ids=STATUSES)
def test_each_code_has_its_http_status(errors, code, status):
    answer = errors.failure(failure(code, "no"))
    assert answer.status == status
    assert json.loads(answer.body) == {"code": code, "message": "no", "details": []}


def test_details_are_shown_with_their_type_and_proto_names(errors):
    answer = errors.failure(failure(9, "gone", INFO))
    assert json.loads(answer.body)["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "GONE",
            "domain": "sample",
            "metadata": {"a": "b"},
        }
    ]


@pytest.mark.parametrize(
    "odd",
    [
        any_pb2.Any(type_url="type.googleapis.com/nope.v1.Nope", value=b"\x08\x01"),
        any_pb2.Any(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff"),
        any_pb2.Any(type_url="nonsense", value=b"x"),
    ],
)
def test_a_detail_that_cannot_be_read_survives_as_bytes_beside_the_others(errors, odd):
    body = json.loads(errors.failure(failure(9, "gone", odd, INFO)).body)
    assert (body["code"], body["message"]) == (9, "gone")
    assert body["details"][0] == {
        "@type": odd.type_url,
        "value": base64.b64encode(odd.value).decode(),
    }
    assert body["details"][1]["reason"] == "GONE"


@pytest.mark.parametrize("status", [b"", b"\xff\xff\xff", b"\x08"])
def test_a_failure_without_a_readable_status_shows_its_code_and_message(errors, status):
    answer = errors.failure(RpcFailure(5, "no such job", status))
    assert answer.status == 404
    assert json.loads(answer.body) == {"code": 5, "message": "no such job", "details": []}


@pytest.mark.parametrize(
    ("seconds", "nanos", "header"),
    [(0, 1, b"1"), (3, 0, b"3"), (3, 500_000_000, b"4"), (0, 0, b"0"), (-5, 0, b"0")],
)
def test_retry_info_becomes_retry_after_in_whole_seconds(errors, seconds, nanos, header):
    delay = duration_pb2.Duration(seconds=seconds, nanos=nanos)
    answer = errors.failure(failure(14, "later", INFO, details.RetryInfo(retry_delay=delay)))
    assert (b"retry-after", header) in answer.headers


@pytest.mark.parametrize(
    "detail",
    [
        details.RetryInfo(),
        any_pb2.Any(type_url="type.googleapis.com/google.rpc.RetryInfo", value=b"\xff"),
    ],
)
def test_a_retry_info_that_says_nothing_sets_no_header(errors, detail):
    assert errors.failure(failure(14, "later", detail)).headers == []


def test_unauthenticated_asks_for_a_bearer_token(errors):
    for answer in (errors.failure(failure(16, "who")), errors.refusal(Refusal(16, "WHO", "who"))):
        assert answer.status == 401
        assert (b"www-authenticate", b"Bearer") in answer.headers


def test_a_refusal_has_exactly_one_error_info_of_the_domain(errors):
    refusal = Refusal(5, "ROUTE_NOT_FOUND", "nothing", metadata={"a": "b"})
    assert json.loads(errors.refusal(refusal).body) == {
        "code": 5,
        "message": "nothing",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "ROUTE_NOT_FOUND",
                "domain": "sample",
                "metadata": {"a": "b"},
            }
        ],
    }


def test_a_refusal_shows_text_that_utf_8_cannot_hold(errors):
    answer = errors.refusal(Refusal(3, "ODD", "a\ud800b", metadata={"x": "\udfff"}))
    assert json.loads(answer.body)["message"] == "a?b"


def test_a_status_is_read_as_the_peer_reads_it(errors):
    shown = errors.failure(failure(3, "bad", INFO)).body
    assert json_format.Parse(shown, status_pb2.Status()).code == 3


def test_a_descriptor_set_without_the_error_model_stops_the_start(tmp_path):
    (tmp_path / "lone.proto").write_text('syntax = "proto3"; package lone; message A {}')
    whole = compile_protos(tmp_path, "lone.proto", path=tmp_path)
    files = descriptor_pb2.FileDescriptorSet.FromString(whole)
    alone = descriptor_pb2.FileDescriptorSet(file=[f for f in files.file if f.package == "lone"])
    registry = Transcoder(alone.SerializeToString()).registry
    with pytest.raises(LookupError, match=r"google\.rpc\.Status"):
        ErrorRenderer(registry, "sample")
