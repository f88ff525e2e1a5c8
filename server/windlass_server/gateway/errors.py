"""Errors as HTTP answers: codes to statuses, and `google.rpc.Status` to JSON.

Two kinds reach a caller: an `RpcFailure` of the dispatcher, whose serialized status is shown as it
is, and a `Refusal`, which is the gateway's own. Both have the same JSON:
`{"code": 5, "message": "...", "details": [{"@type": "...", ...}]}`.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from protobuf import Message, Registry

from windlass_server.gateway.dispatch import RpcFailure
from windlass_server.gateway.json_print import DEFAULT_STYLE, JsonStyle, print_message

CANCELLED = 1
UNKNOWN = 2
INVALID_ARGUMENT = 3
DEADLINE_EXCEEDED = 4
NOT_FOUND = 5
RESOURCE_EXHAUSTED = 8
OUT_OF_RANGE = 11
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14
UNAUTHENTICATED = 16

HTTP_STATUSES = {
    1: 499,  # CANCELLED
    2: 500,  # UNKNOWN
    3: 400,  # INVALID_ARGUMENT
    4: 504,  # DEADLINE_EXCEEDED
    5: 404,  # NOT_FOUND
    6: 409,  # ALREADY_EXISTS
    7: 403,  # PERMISSION_DENIED
    8: 429,  # RESOURCE_EXHAUSTED
    9: 400,  # FAILED_PRECONDITION
    10: 409,  # ABORTED
    11: 400,  # OUT_OF_RANGE
    12: 501,  # UNIMPLEMENTED
    13: 500,  # INTERNAL
    14: 503,  # UNAVAILABLE
    15: 500,  # DATA_LOSS
    16: 401,  # UNAUTHENTICATED
}

MAX_VIOLATIONS = 100

_SEPARATOR = re.compile(r"[.\[]")
# More than the nesting limit lets a path have; a key that looks like a path is cut off here.
_MAX_SEPARATORS = 256

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one field or parameter.

    Attributes:
        field: its dotted path in proto names; as the caller spelled it when there is no such field.
        description: what is wrong, in words that follow the path.
        reason: UPPER_SNAKE word for programs; empty: that of the whole refusal, which fills it in.
    """

    field: str
    description: str
    reason: str = ""


class Refusal(Exception):
    """A request that the gateway refuses by itself.

    Attributes:
        code: gRPC code.
        reason: UPPER_SNAKE word for programs.
        http_status: status to answer with; by default the code's.
        violations: what is wrong with which field; at most `MAX_VIOLATIONS` are shown.
        headers: headers that the answer carries besides the usual ones.
        metadata: what varies in the message, for programs.
        rest: the serialized request without the fields that are refused; None when the refusal is not
            of single fields.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        http_status: int | None = None,
        violations: tuple[Violation, ...] = (),
        headers: tuple[tuple[bytes, bytes], ...] = (),
        metadata: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.http_status = http_status
        self.violations = violations
        self.headers = headers
        self.metadata = metadata or {}
        self.rest: bytes | None = None


def ancestors(paths: Iterable[str]) -> frozenset[str]:
    """The paths of everything that holds what these paths name: `a` and `a.b` hold `a.b[0]`."""
    return frozenset(
        path[: found.start()]
        for path in paths
        for found in islice(_SEPARATOR.finditer(path), _MAX_SEPARATORS)
    )


def bad_request(reason: str, message: str) -> Refusal:
    """A refusal of the request as a whole."""
    return Refusal(INVALID_ARGUMENT, reason, message)


def bad_fields(reason: str, violations: list[Violation]) -> Refusal:
    """A refusal of some fields or parameters; the message names the first."""
    first = violations[0]
    message = f"{first.field}: {first.description}" if first.field else first.description
    if len(violations) > 1:
        message += f" (and {len(violations) - 1} more)"
    reasoned = tuple(each if each.reason else replace(each, reason=reason) for each in violations)
    return Refusal(INVALID_ARGUMENT, reason, message, violations=reasoned)


def bad_field(reason: str, name: str, description: str) -> Refusal:
    """A refusal of one field or parameter."""
    return bad_fields(reason, [Violation(name, description)])


def with_more(refusal: Refusal, more: Sequence[Violation]) -> Refusal:
    """A refusal of some fields, together with what is wrong with the rest of the request.

    What is said of a refused field, or of what holds it, is left out: it was judged without its value.
    """
    refused = {violation.field for violation in refusal.violations}
    above = ancestors(refused) | {""}
    added = [
        each
        for each in more
        if each.field not in refused | above and not refused & ancestors([each.field])
    ]
    if not added:
        return refusal
    return bad_fields(refusal.reason, [*refusal.violations, *added])


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An error as HTTP: the body is one line of JSON."""

    status: int
    body: bytes
    headers: Headers = field(default_factory=list)


class ErrorRenderer:
    """Makes HTTP answers of errors. Its methods never raise.

    Args:
        registry: knows `google.rpc.Status` and the types of the details; a detail of another type
            is shown as `{"@type": ..., "value": <base64>}`.
        domain: who the gateway's own errors are from, the domain of their `ErrorInfo`.
        style: how they look as JSON.

    Raises:
        LookupError: the registry lacks `google.rpc.Status` or its standard details.
    """

    def __init__(self, registry: Registry, domain: str, style: JsonStyle = DEFAULT_STYLE) -> None:
        self._registry = registry
        self._domain = domain
        self._style = style
        self._status = _message_type(registry, "google.rpc.Status")
        self._retry_info = _message_type(registry, "google.rpc.RetryInfo")
        _message_type(registry, "google.rpc.ErrorInfo")
        _message_type(registry, "google.rpc.BadRequest")
        violation = registry.message("google.rpc.BadRequest.FieldViolation")
        # Error details of before 2024 do not have it.
        self._has_reasons = violation is not None and "reason" in {
            each.name for each in violation.fields
        }

    def failure(self, failure: RpcFailure) -> ErrorAnswer:
        """The answer for what the dispatcher raised."""
        try:
            status: Any = self._status.from_binary(failure.status)
        except Exception:  # whatever the bytes are, the caller gets the code and the message
            status = self._status()
        if not status.code:
            status.code, status.message = failure.code, failure.message
        return ErrorAnswer(
            HTTP_STATUSES.get(failure.code, 500),
            self._json(status),
            [*_headers_for(failure.code), *self._retry_after(status)],
        )

    def refusal(self, refusal: Refusal) -> ErrorAnswer:
        """The answer for what the gateway itself refuses."""
        status = self._status.from_json(json.dumps(self._own(refusal)), registry=self._registry)
        return ErrorAnswer(
            refusal.http_status or HTTP_STATUSES.get(refusal.code, 500),
            self._json(status),
            [*_headers_for(refusal.code), *refusal.headers],
        )

    def _own(self, refusal: Refusal) -> dict[str, Any]:
        """A refusal as the JSON of its `google.rpc.Status`."""
        info = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": refusal.reason,
            "domain": self._domain,
            "metadata": {key: _printable(value) for key, value in refusal.metadata.items()},
        }
        shown = refusal.violations[:MAX_VIOLATIONS]
        violations = [self._shown(each) for each in shown]
        bad = {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "field_violations": violations,
        }
        return {
            "code": refusal.code,
            "message": _printable(refusal.message),
            "details": [info, bad] if violations else [info],
        }

    def _shown(self, violation: Violation) -> dict[str, str]:
        shown = {
            "field": _printable(violation.field),
            "description": _printable(violation.description),
        }
        if self._has_reasons:
            shown["reason"] = violation.reason
        return shown

    def _json(self, status: Any) -> bytes:
        try:
            return print_message(status, self._registry, self._style).encode()
        except Exception:  # a detail of unknown type or with broken bytes: show each by itself
            details = [self._detail(detail) for detail in status.details]
            shown = {"code": status.code, "message": status.message, "details": details}
            return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()

    def _detail(self, detail: Any) -> Any:
        try:
            return json.loads(print_message(detail, self._registry, self._style))
        except Exception:
            return {"@type": detail.type_url, "value": b64encode(detail.value).decode()}

    def _retry_after(self, status: Any) -> Headers:
        """`Retry-After`, in whole seconds rounded up, when a detail says when to try again."""
        for detail in status.details:
            if detail.type_url.rpartition("/")[2] != "google.rpc.RetryInfo":
                continue
            try:
                delay: Any = self._retry_info.from_binary(detail.value)
                seconds = delay.retry_delay.seconds + (delay.retry_delay.nanos > 0)
            except Exception:
                return []
            return [(b"retry-after", b"%d" % max(seconds, 0))]
        return []


def _message_type(registry: Registry, name: str) -> type[Message]:
    descriptor = registry.message(name)
    if descriptor is None:
        raise LookupError(f"the descriptor set lacks {name}")
    return descriptor.type


def _headers_for(code: int) -> Headers:
    return [(b"www-authenticate", b"Bearer")] if code == UNAUTHENTICATED else []


def _printable(text: str) -> str:
    """The text with what UTF-8 cannot hold (lone surrogates) replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")
