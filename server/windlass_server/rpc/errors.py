"""The one place where domain errors become gRPC statuses."""

import logging
import uuid

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from windlass_server import errors

DOMAIN = "windlass"

CODES: dict[type[errors.WindlassError], StatusCode] = {
    errors.Cancelled: StatusCode.CANCELLED,
    errors.InvalidInput: StatusCode.INVALID_ARGUMENT,
    errors.Unauthenticated: StatusCode.UNAUTHENTICATED,
    errors.Denied: StatusCode.PERMISSION_DENIED,
    errors.NotFound: StatusCode.NOT_FOUND,
    errors.AlreadyExists: StatusCode.ALREADY_EXISTS,
    errors.WrongState: StatusCode.FAILED_PRECONDITION,
    errors.Conflict: StatusCode.ABORTED,
    errors.Exhausted: StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: StatusCode.UNAVAILABLE,
    errors.DeadlinePassed: StatusCode.DEADLINE_EXCEEDED,
    errors.Unimplemented: StatusCode.UNIMPLEMENTED,
}

# In base64, and beside the message, which trailers carry a second time.
_MAX_TRAILER_BYTES = 3584

_log = logging.getLogger(__name__)


def to_status(error: BaseException, request_id: str) -> status_pb2.Status:
    """The status that a caller sees for whatever a call raised. Never raises itself.

    The text of an unexpected exception stays here: the caller gets INTERNAL and an id under which
    the log has the traceback.
    """
    if isinstance(error, errors.WindlassError):
        return _domain_status(error, request_id)
    if isinstance(error, TimeoutError):
        passed = errors.DeadlinePassed("the call took too long", reason="DEADLINE_EXCEEDED")
        return _domain_status(passed, request_id)
    incident = uuid.uuid4().hex
    _log.error("unexpected error, incident %s", incident, exc_info=error)
    details = [_error_info("INTERNAL", {"incident": incident}), _request_info(request_id)]
    return _status(StatusCode.INTERNAL, f"internal error, incident {incident}", details)


def code_of(error: errors.WindlassError) -> StatusCode:
    """The gRPC code of a domain error, by its class or the nearest base that has one."""
    return next(CODES[base] for base in type(error).__mro__ if base in CODES)


def fit_for_trailers(status: status_pb2.Status) -> status_pb2.Status:
    """The status as gRPC can carry it: with the first of its field violations when it has many.

    Clients take 8 KiB of trailing metadata, and refuse the whole answer when there is more. The last
    violation then says how many are not told.
    """
    bad = error_details_pb2.BadRequest()
    place = next((at for at, detail in enumerate(status.details) if detail.Unpack(bad)), None)
    if place is None or status.ByteSize() <= _MAX_TRAILER_BYTES:
        return status
    fitting = status_pb2.Status()
    fitting.CopyFrom(status)
    told = len(bad.field_violations)
    while told and fitting.ByteSize() > _MAX_TRAILER_BYTES:
        told //= 2
        left_out = f"and {len(bad.field_violations) - told} more violations"
        fitting.details[place].Pack(
            error_details_pb2.BadRequest(
                field_violations=[
                    *bad.field_violations[:told],
                    error_details_pb2.BadRequest.FieldViolation(description=left_out),
                ]
            )
        )
    return fitting


def _domain_status(error: errors.WindlassError, request_id: str) -> status_pb2.Status:
    details: list[Message] = [_error_info(error.reason, error.metadata)]
    if isinstance(error, errors.InvalidInput) and error.violations:
        details.append(_bad_request(error.violations))
    if isinstance(error, errors.QuotaExceeded):
        details.append(_quota_failure(error.violations))
    if isinstance(error, errors.Exhausted | errors.Unavailable):
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(error.retry_seconds * 1e9))
        details.append(retry)
    if isinstance(error, errors.WrongState):
        details.append(
            error_details_pb2.PreconditionFailure(
                violations=[
                    error_details_pb2.PreconditionFailure.Violation(
                        type=error.reason, subject=error.subject, description=error.message
                    )
                ]
            )
        )
    # Absent and foreign objects must not differ in a byte.
    if request_id and not isinstance(error, errors.NotFound):
        details.append(_request_info(request_id))
    return _status(code_of(error), error.message, details)


def _bad_request(violations: tuple[errors.FieldViolation, ...]) -> error_details_pb2.BadRequest:
    return error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(
                field=violation.field, description=violation.description, reason=violation.reason
            )
            for violation in violations
        ]
    )


def _quota_failure(violations: tuple[errors.QuotaViolation, ...]) -> error_details_pb2.QuotaFailure:
    return error_details_pb2.QuotaFailure(
        violations=[
            error_details_pb2.QuotaFailure.Violation(
                subject=violation.subject,
                description=violation.description,
                quota_metric=violation.metric,
                quota_id=violation.quota_id,
                quota_value=violation.bound,
            )
            for violation in violations
        ]
    )


def _error_info(reason: str, metadata: dict[str, str]) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=metadata)


def _request_info(request_id: str) -> error_details_pb2.RequestInfo:
    return error_details_pb2.RequestInfo(request_id=request_id)


def _status(code: StatusCode, message: str, details: list[Message]) -> status_pb2.Status:
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status
