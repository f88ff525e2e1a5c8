"""What a call can fail with: one class per kind of failure, all of them `WindlassError`.

Nothing here imports grpc; `rpc_errors` makes these out of what grpc raises.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One thing that is wrong with a request.

    Attributes:
        field: path of the field, such as `job.resources.gpu_count`.
        description: what is wrong with it, in a sentence.
    """

    field: str
    description: str


class WindlassError(Exception):
    """A call failed.

    Attributes:
        code: canonical name of the gRPC status code, such as `NOT_FOUND`.
        reason: stable UPPER_SNAKE word to branch on; empty when the server gave none.
        message: a sentence for people.
        field_violations: everything that is wrong with the request.
        metadata: the values that vary in `message`, by name.
        retry_after: seconds after which the server asks to try again; None when it did not ask.
    """

    code: str = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        field_violations: Sequence[FieldViolation] = (),
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.field_violations = tuple(field_violations)
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        details = "".join(f"\n  {v.field}: {v.description}" for v in self.field_violations)
        return f"{self.message}{reason}{details}"


class InvalidArgument(WindlassError, ValueError):
    """The request is wrong in itself; `field_violations` lists every fault."""

    code = "INVALID_ARGUMENT"


class NotFound(WindlassError):
    """The object does not exist, or belongs to a project that the caller may not see."""

    code = "NOT_FOUND"


class Unauthenticated(WindlassError):
    """The server needs a credential, or the one that was sent is not good."""

    code = "UNAUTHENTICATED"


class PermissionDenied(WindlassError):
    """The caller is known and may not do this."""

    code = "PERMISSION_DENIED"


class Conflict(WindlassError):
    """The request collides with what exists or with another change."""

    code = "ABORTED"


class AlreadyExists(Conflict):
    """The name is taken."""

    code = "ALREADY_EXISTS"


class Aborted(Conflict):
    """Another change was faster, or a `request_id` was used for another request."""

    code = "ABORTED"


class FailedPrecondition(WindlassError):
    """The object is not in a state in which this can be done."""

    code = "FAILED_PRECONDITION"


class ResourceExhausted(WindlassError):
    """A quota or a rate limit was reached; `retry_after` says when to try again, where known."""

    code = "RESOURCE_EXHAUSTED"


class Unavailable(WindlassError):
    """The server cannot be reached, or cannot answer at present."""

    code = "UNAVAILABLE"


class DeadlineExceeded(WindlassError, TimeoutError):
    """No answer came within the deadline; the call may have had its effect."""

    code = "DEADLINE_EXCEEDED"


class Cancelled(WindlassError):
    """The call was cancelled before it ended."""

    code = "CANCELLED"


class Unimplemented(WindlassError):
    """The server does not have this method: it is older than the client, or differently set up."""

    code = "UNIMPLEMENTED"


class Internal(WindlassError):
    """The server failed; its message carries the correlation id to look for in its log."""

    code = "INTERNAL"


BY_CODE: Mapping[str, type[WindlassError]] = {
    error.code: error
    for error in (
        AlreadyExists,
        Aborted,
        Cancelled,
        DeadlineExceeded,
        FailedPrecondition,
        Internal,
        InvalidArgument,
        NotFound,
        PermissionDenied,
        ResourceExhausted,
        Unauthenticated,
        Unavailable,
        Unimplemented,
    )
} | {"OUT_OF_RANGE": InvalidArgument, "DATA_LOSS": Internal}
