"""What a method's options say that a call of it may cost."""

from dataclasses import dataclass
from typing import Any

from protobuf import DescMethod, Registry

from windlass_server.gateway.body import too_large
from windlass_server.gateway.http_rules import option


@dataclass(frozen=True, slots=True)
class MethodLimits:
    """The limits of one method; None where it has none of its own.

    Attributes:
        max_request_bytes: largest serialized request message.
        max_seconds: the deadline of a call that comes without one, and the cap on those given.
        max_stream_bytes: most bytes of a client's stream.
    """

    max_request_bytes: int | None = None
    max_seconds: float | None = None
    max_stream_bytes: int | None = None

    def body_bytes(self, default: int) -> int:
        """Largest body: the default, or more where the method takes larger messages."""
        return max(default, self.max_request_bytes or 0)

    def message_bytes(self, default: int) -> int:
        """Largest serialized message."""
        return default if self.max_request_bytes is None else self.max_request_bytes

    def stream_bytes(self, default: int | None) -> int | None:
        """Most bytes of a client's stream; None: any number."""
        return default if self.max_stream_bytes is None else self.max_stream_bytes

    def check_size(self, request: bytes, default: int) -> None:
        """Raise Refusal (413) for a serialized request that is larger than the method takes."""
        limit = self.message_bytes(default)
        if len(request) > limit:
            raise too_large(limit)

    def seconds(self, given: float | None, default: float | None) -> float | None:
        """The time that a call gets.

        Args:
            given: what the caller set; None: nothing.
            default: for a call without a deadline of a method without a cap.
        """
        if given is None:
            return default if self.max_seconds is None else self.max_seconds
        return given if self.max_seconds is None else min(given, self.max_seconds)


def read_limits(registry: Registry, method: DescMethod, extension: str | None) -> MethodLimits:
    """The limits in a method's options.

    Args:
        registry: knows the option.
        method: whose limits.
        extension: full name of a method option whose message has `max_request_bytes`, an integer,
            `max_duration`, a `google.protobuf.Duration`, and perhaps `max_stream_bytes`, an integer;
            in each, 0 and unset mean no limit. None: there is no such option.
    """
    limits: Any = option(registry, method.proto.options, extension) if extension else None
    if limits is None:
        return MethodLimits()
    duration = limits.max_duration
    seconds = duration.seconds + duration.nanos / 1e9 if duration is not None else 0
    return MethodLimits(
        limits.max_request_bytes or None,
        seconds or None,
        getattr(limits, "max_stream_bytes", 0) or None,
    )
