"""The answers of operations: what succeeds, and the errors, which look the same everywhere."""

from dataclasses import dataclass

from protobuf import Registry

from windlass_server.gateway.json_print import JsonStyle
from windlass_server.gateway.openapi.schemas import Schemas, Side
from windlass_server.gateway.openapi.values import Json

STATUS = "google.rpc.Status"
_DETAILS = (
    "ErrorInfo",
    "BadRequest",
    "PreconditionFailure",
    "QuotaFailure",
    "RetryInfo",
    "ResourceInfo",
    "RequestInfo",
    "Help",
    "LocalizedMessage",
    "DebugInfo",
)
_REQUEST_ID = {"$ref": "#/components/headers/X-Request-Id"}
_HEADERS: dict[str, Json] = {
    "X-Request-Id": {
        "description": "The request's id: the caller's `X-Request-Id`, or one of the server's own.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the request is sent again.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {
        "description": "How to authenticate.",
        "schema": {"type": "string", "examples": ["Bearer"]},
    },
}


@dataclass(frozen=True, slots=True)
class _Error:
    """An error response.

    Attributes:
        name: its name among the components.
        description: when it comes.
        code, reason, message: of its example.
        header: a header that comes with it, by its name among the components.
    """

    name: str
    description: str
    code: int
    reason: str
    message: str
    header: str = ""


_ERRORS = {
    "400": _Error(
        "BadRequest",
        "The request is malformed or its values are refused (`INVALID_ARGUMENT`, "
        "`FAILED_PRECONDITION`, `OUT_OF_RANGE`). `BadRequest` in the details names every wrong field.",
        3,
        "INVALID_FIELD_VALUE",
        "page_size: must be a signed 32-bit integer",
    ),
    "401": _Error(
        "Unauthenticated",
        "There is no credential, or it is not valid (`UNAUTHENTICATED`).",
        16,
        "UNAUTHENTICATED",
        "a credential is needed",
        "WWW-Authenticate",
    ),
    "403": _Error(
        "PermissionDenied",
        "The caller may not do this (`PERMISSION_DENIED`).",
        7,
        "PERMISSION_DENIED",
        "the caller may not do this",
    ),
    "404": _Error(
        "NotFound",
        "There is no such object, or the caller may not know of it (`NOT_FOUND`).",
        5,
        "NOT_FOUND",
        "there is no such object",
    ),
    "409": _Error(
        "Conflict",
        "The object exists already, or was changed meanwhile (`ALREADY_EXISTS`, `ABORTED`).",
        10,
        "CONFLICT",
        "the object was changed meanwhile",
    ),
    "413": _Error(
        "TooLarge",
        "The body is larger than the server takes.",
        8,
        "BODY_TOO_LARGE",
        "the body is larger than 4194304 bytes",
    ),
    "415": _Error(
        "UnsupportedMediaType",
        "The body's type or encoding is not taken.",
        3,
        "UNSUPPORTED_MEDIA_TYPE",
        "the body's content type must be application/json in UTF-8",
    ),
    "429": _Error(
        "TooManyRequests",
        "A limit or a quota is used up (`RESOURCE_EXHAUSTED`).",
        8,
        "RESOURCE_EXHAUSTED",
        "too many requests",
        "Retry-After",
    ),
    "default": _Error(
        "Error",
        "Any other error, such as 503 (`UNAVAILABLE`) or 504 (`DEADLINE_EXCEEDED`).",
        14,
        "UNAVAILABLE",
        "the server cannot answer now",
        "Retry-After",
    ),
}
_NO_SUCH_RANGE = _Error(
    "",
    "The file has no such part.",
    11,
    "RANGE_NOT_SATISFIABLE",
    "the file has 1024 bytes",
)


class Responses:
    """Makes the response objects.

    Args:
        registry: knows `google.rpc.Status` and the details that errors carry.
        schemas: takes up the schemas of both.
        style: how the gateway writes JSON.
        domain: domain of the gateway's own errors, for the example.
    """

    def __init__(self, registry: Registry, schemas: Schemas, style: JsonStyle, domain: str) -> None:
        self._schemas = schemas
        self._style = style
        self._details = [
            message
            for name in _DETAILS
            if (message := registry.message(f"google.rpc.{name}")) is not None
        ]
        self._domain = domain

    def components(self) -> dict[str, Json]:
        """The error responses that `errors` refers to."""
        return {error.name: self._error(error) for error in _ERRORS.values()}

    def headers(self) -> dict[str, Json]:
        """The headers that responses refer to."""
        return _HEADERS

    def errors(self, statuses: list[str]) -> dict[str, Json]:
        """References to the errors of these statuses."""
        return {
            status: {"$ref": f"#/components/responses/{_ERRORS[status].name}"}
            for status in statuses
        }

    def status_schema(self) -> Json:
        """`google.rpc.Status` with the details that are known; others may come."""
        known = [
            {
                "allOf": [
                    self._schemas.message(message, Side.OUTPUT),
                    {
                        "properties": {
                            "@type": {"const": f"type.googleapis.com/{message.type_name}"}
                        },
                        "required": ["@type"],
                    },
                ]
            }
            for message in self._details
        ]
        other = {
            "type": "object",
            "properties": {"@type": {"type": "string"}},
            "required": ["@type"],
        }
        return {
            "type": "object",
            "title": "Status",
            "description": "An error: its code, a message for people, and details for programs.",
            "properties": {
                "code": {
                    "type": "integer",
                    "format": "int32",
                    "description": "The gRPC code, such as 3 for INVALID_ARGUMENT.",
                },
                "message": {"type": "string", "description": "What is wrong, in English."},
                "details": {
                    "type": "array",
                    "items": {"anyOf": [*known, other]},
                    "description": (
                        "`ErrorInfo`, whose `reason` is for programs, and what belongs to it."
                    ),
                },
            },
            "required": ["code", "message", "details"] if self._style.defaults else ["code"],
        }

    def unary(self, description: str, schema: Json) -> Json:
        """The answer of a call with one message."""
        return self._ok(description, {"application/json": {"schema": schema}})

    def file(self, *, in_parts: bool) -> dict[str, Json]:
        """The answers of a call whose message is a file (`google.api.HttpBody`).

        Args:
            in_parts: whether a caller may ask for a part, and say that it has the file.
        """
        content: Json = {"*/*": {"schema": {}}}
        made = {"200": self._ok("The file.", content)}
        if in_parts:
            made["206"] = self._ok("The part of the file that `Range` asked for.", content)
            made["304"] = {"description": "The caller has the file already."}
            made["416"] = self._error(_NO_SUCH_RANGE)
        return made

    def stream(self, description: str, item: Json) -> Json:
        """The answer of a call with a stream of messages, in each of its forms."""
        failure = {
            "type": "object",
            "title": "StreamError",
            "description": "The last element of a stream that broke.",
            "properties": {"error": {"$ref": f"#/components/schemas/{STATUS}"}},
            "required": ["error"],
            "additionalProperties": False,
        }
        lines = (
            "One message per line. A stream that broke ends with a line that holds only `error`, a "
            "`google.rpc.Status`."
        )
        events = (
            "`data` is a message on one line, `id` the position behind it for `Last-Event-ID`. "
            "Comments are signs of life. A whole stream ends with an `end` event, one that broke with "
            "an `error` event, whose `data` is a `google.rpc.Status`."
        )
        array = {"type": "array", "items": {"anyOf": [item, failure]}}
        return self._ok(
            description,
            {
                "application/json": {"schema": array},
                "application/x-ndjson": _sequence(lines, item),
                "text/event-stream": _sequence(events, item),
            },
        )

    def _ok(self, description: str, content: Json) -> Json:
        return {
            "description": description,
            "headers": {"X-Request-Id": _REQUEST_ID},
            "content": content,
        }

    def _error(self, error: _Error) -> Json:
        headers = {"X-Request-Id": _REQUEST_ID}
        if error.header:
            headers[error.header] = {"$ref": f"#/components/headers/{error.header}"}
        schema = {"$ref": f"#/components/schemas/{STATUS}"}
        return {
            "description": error.description,
            "headers": headers,
            "content": {"application/json": {"schema": schema, "example": self._example(error)}},
        }

    def _example(self, error: _Error) -> Json:
        info: Json = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": error.reason,
            "domain": self._domain,
            "metadata": {},
        }
        details = [info]
        name, colon, description = error.message.partition(": ")
        if colon:  # about a field
            details.append(
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "field_violations" if self._style.proto_names else "fieldViolations": [
                        {"field": name, "description": description}
                    ],
                }
            )
        return {"code": error.code, "message": error.message, "details": details}


def _sequence(description: str, item: Json) -> Json:
    """A media type of messages one after the other.

    OpenAPI 3.2 has `itemSchema` for it, which 3.1 knows as an extension only.
    """
    return {
        "schema": {"type": "string", "description": description},
        "x-oai-itemSchema": item,
    }
