import grpc
import pytest
from google.rpc import code_pb2

from tests.support.fake_api import Failure
from windlass_client import errors
from windlass_client.errors import BY_CODE, FieldViolation, WindlassError
from windlass_client.rpc_errors import from_rpc_error


class FailedCall:
    """The side of grpc's errors that tells what went wrong."""

    def __init__(self, failure: Failure, trailers=None) -> None:
        self._failure = failure
        rich = (("grpc-status-details-bin", failure.status().SerializeToString()),)
        self._trailers = rich if trailers is None else trailers

    def code(self):
        return self._failure.code

    def details(self):
        return self._failure.message

    def trailing_metadata(self):
        return self._trailers


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.NOT_FOUND, errors.NotFound),
        (grpc.StatusCode.PERMISSION_DENIED, errors.PermissionDenied),
        (grpc.StatusCode.UNAUTHENTICATED, errors.Unauthenticated),
        (grpc.StatusCode.INVALID_ARGUMENT, errors.InvalidArgument),
        (grpc.StatusCode.OUT_OF_RANGE, errors.InvalidArgument),
        (grpc.StatusCode.ALREADY_EXISTS, errors.AlreadyExists),
        (grpc.StatusCode.ABORTED, errors.Aborted),
        (grpc.StatusCode.FAILED_PRECONDITION, errors.FailedPrecondition),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.ResourceExhausted),
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (grpc.StatusCode.CANCELLED, errors.Cancelled),
        (grpc.StatusCode.UNIMPLEMENTED, errors.Unimplemented),
        (grpc.StatusCode.INTERNAL, errors.Internal),
        (grpc.StatusCode.DATA_LOSS, errors.Internal),
        (grpc.StatusCode.UNKNOWN, WindlassError),
    ],
)
def test_every_code_has_its_exception(code, kind):
    error = from_rpc_error(FailedCall(Failure(code, "why", "A_REASON")), server="s")
    assert type(error) is kind
    assert (error.code, error.reason, error.message) == (code.name, "A_REASON", "why")


def test_no_code_is_forgotten():
    assert set(BY_CODE) | {"OK", "UNKNOWN"} == set(code_pb2.Code.keys())


def test_details_are_read():
    failure = Failure(
        grpc.StatusCode.INVALID_ARGUMENT,
        "bad job",
        "INVALID",
        violations=[("job.command", "is empty"), ("job.name", "is too long")],
        retry_after=1.5,
    )
    error = from_rpc_error(FailedCall(failure), server="s")
    assert error.field_violations == (
        FieldViolation("job.command", "is empty"),
        FieldViolation("job.name", "is too long"),
    )
    assert error.metadata == {"why": "scripted"}
    assert error.retry_after == 1.5
    assert isinstance(error, ValueError)
    assert str(error) == ("bad job (INVALID)\n  job.command: is empty\n  job.name: is too long")


@pytest.mark.parametrize("trailers", [(), (("grpc-status-details-bin", b"\xff\xff"),)])
def test_an_error_without_readable_details_still_has_code_and_message(trailers):
    failure = Failure(grpc.StatusCode.PERMISSION_DENIED, "no")
    error = from_rpc_error(FailedCall(failure, trailers), server="s")
    assert type(error) is errors.PermissionDenied
    assert (error.message, error.reason, error.field_violations) == ("no", "", ())


def test_a_server_that_is_not_there_is_named():
    text = "failed to connect to all addresses; last error: UNKNOWN: ipv4:1.2.3.4:5: Connection refused"
    failure = Failure(grpc.StatusCode.UNAVAILABLE, text)
    error = from_rpc_error(FailedCall(failure, ()), server="1.2.3.4:5")
    assert error.message == "cannot reach the server at 1.2.3.4:5: Connection refused"
