"""What can go wrong, as domain classes with a stable reason. `rpc/errors.py` maps them to codes."""

from dataclasses import dataclass


class WindlassError(Exception):
    """An error that a caller may see.

    Args:
        message: a sentence for people.
        reason: an UPPER_SNAKE word for programs; never changes its meaning.
        metadata: what varies in the message, for programs.
    """

    def __init__(self, message: str, *, reason: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.metadata = metadata


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one request field, named by its dotted path."""

    field: str
    description: str
    reason: str = ""


class InvalidInput(WindlassError):
    """The request itself is wrong, whatever the state of the system."""

    def __init__(
        self,
        message: str,
        *,
        reason: str = "INVALID_INPUT",
        violations: tuple[FieldViolation, ...] = (),
        **metadata: str,
    ) -> None:
        super().__init__(message, reason=reason, **metadata)
        self.violations = violations


class Cancelled(WindlassError):
    """Whoever called does not want the answer any more."""


class Unauthenticated(WindlassError):
    """There is no credential, or it is not good."""


class Denied(WindlassError):
    """The caller is known and may not do this."""


class NotFound(WindlassError):
    """The object does not exist, or the caller may not know that it does."""


class AlreadyExists(WindlassError):
    """An object of that name exists."""


class WrongState(WindlassError):
    """The object's state does not allow this; `subject` is its id, or what it is called."""

    def __init__(self, message: str, *, reason: str, subject: str, **metadata: str) -> None:
        super().__init__(message, reason=reason, **metadata)
        self.subject = subject


class Conflict(WindlassError):
    """Someone else changed the object first; read it again and decide anew."""


class LostRace(Conflict):
    """As Conflict, inside one transaction: running that again settles it."""


class Exhausted(WindlassError):
    """A limit is reached; `retry_seconds` says when to try again."""

    def __init__(
        self, message: str, *, reason: str, retry_seconds: float = 1.0, **metadata: str
    ) -> None:
        super().__init__(message, reason=reason, **metadata)
        self.retry_seconds = retry_seconds


@dataclass(frozen=True, slots=True)
class QuotaViolation:
    """A quota that a request would exceed.

    Attributes:
        subject: whose it is, as in `project:vision/user:ann`.
        description: a sentence with the numbers.
        metric: what is counted, such as `gpu_millis`.
        quota_id: the quota.
        bound: the most that its owner may have of that.
    """

    subject: str
    description: str
    metric: str
    quota_id: str
    bound: int


class QuotaExceeded(Exhausted):
    """A quota does not allow it while so much is held."""

    def __init__(
        self, message: str, *, violations: tuple[QuotaViolation, ...], **metadata: str
    ) -> None:
        # It ends when something else does, of which nothing is known.
        super().__init__(message, reason="QUOTA", retry_seconds=60.0, **metadata)
        self.violations = violations


class Unavailable(WindlassError):
    """The server cannot answer now; `retry_seconds` says when to try again."""

    def __init__(
        self, message: str, *, reason: str, retry_seconds: float = 1.0, **metadata: str
    ) -> None:
        super().__init__(message, reason=reason, **metadata)
        self.retry_seconds = retry_seconds


class DeadlinePassed(WindlassError):
    """The call took longer than its deadline."""


class Unimplemented(WindlassError):
    """There is no such method, or it is promised and not served yet."""


class BadConfiguration(Exception):
    """The process cannot start as configured; the text is the one line that the operator sees."""
