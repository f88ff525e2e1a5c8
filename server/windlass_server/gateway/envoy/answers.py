"""What Envoy answers by itself, in the gateway's words: routes' fixed answers and its own errors."""

from typing import Any

from protobuf import Registry

from windlass_server.gateway.errors import (
    DEADLINE_EXCEEDED,
    INVALID_ARGUMENT,
    NOT_FOUND,
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    ErrorAnswer,
    ErrorRenderer,
    Refusal,
)
from windlass_server.gateway.json_print import JsonStyle

Config = dict[str, Any]

# What Envoy refuses without saying why in a word for programs: above all the transcoder's 400.
REFUSED = "REQUEST_REFUSED"

_ENVOYS_WORDS = "%LOCAL_REPLY_BODY%"
_RETRY_SECONDS = "1"
# The filter that says of a call that it is transcoded, by a key in the dynamic metadata.
TRANSCODED = "windlass.transcoded"
# A route's answer is ready; and who speaks gRPC is told in gRPC, by Envoy.
_IS_DIRECT = "response.code_details == 'direct_response'"
_IS_GRPC = (
    "'content-type' in request.headers"
    " && request.headers['content-type'].startsWith('application/grpc')"
    f" && !('{TRANSCODED}' in metadata.filter_metadata)"
)


class Answers:
    """Makes answers of refusals, the same that the gateway sends.

    Args:
        registry: knows the messages of the error model.
        domain: of the errors' `ErrorInfo`.
        style: how messages look as JSON.
    """

    def __init__(self, registry: Registry, domain: str, style: JsonStyle) -> None:
        self._renderer = ErrorRenderer(registry, domain, style)
        self._domain = domain

    def direct(self, refusal: Refusal) -> Config:
        """The part of a route that answers with a refusal."""
        answer = self._renderer.refusal(refusal)
        action: Config = {"direct_response": {"status": answer.status, **_body(answer)}}
        if answer.headers:
            action["response_headers_to_add"] = [
                header(name.decode(), value.decode()) for name, value in answer.headers
            ]
        return action

    def own_errors(self) -> Config:
        """The `local_reply_config` that turns Envoy's plain text into the JSON of a status."""
        statuses = {
            404: self._status(NOT_FOUND, "ROUTE_NOT_FOUND", "there is nothing at this path"),
            408: self._status(DEADLINE_EXCEEDED, "REQUEST_TIMEOUT", "the request took too long"),
            413: self._status(RESOURCE_EXHAUSTED, "BODY_TOO_LARGE", "the body is too large"),
            431: self._status(RESOURCE_EXHAUSTED, "HEADERS_TOO_LARGE", "the headers are too large"),
            504: self._status(DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "the call took too long"),
        }
        return {
            "mappers": [
                {"filter": _when(expression), "body_format_override": _text(_ENVOYS_WORDS)}
                for expression in (_IS_DIRECT, _IS_GRPC)
            ]
            + [
                *(
                    {"filter": _has_status(status), "body_format_override": body}
                    for status, body in statuses.items()
                ),
                {
                    "filter": _has_status(503),
                    "body_format_override": self._unavailable(),
                    "headers_to_add": [header("retry-after", _RETRY_SECONDS)],
                },
            ],
            "body_format": self._status(INVALID_ARGUMENT, REFUSED, _ENVOYS_WORDS),
        }

    def _unavailable(self) -> Config:
        message = "the upstream server cannot be reached"
        status = self._status(UNAVAILABLE, "UPSTREAM_UNAVAILABLE", message)
        retry = {
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retry_delay": f"{_RETRY_SECONDS}s",
        }
        status["json_format"]["details"].append(retry)
        return status

    def _status(self, code: int, reason: str, message: str) -> Config:
        info = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": reason,
            "domain": self._domain,
            "metadata": {},
        }
        return {
            "json_format": {"code": code, "message": message, "details": [info]},
            "content_type": "application/json",
        }


def header(name: str, value: str) -> Config:
    """A header that replaces what there is of its name."""
    return {
        "header": {"key": name, "value": value.replace("%", "%%")},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def _body(answer: ErrorAnswer) -> Config:
    return {"body_format": _text(answer.body.decode().replace("%", "%%"))}


def _text(text: str) -> Config:
    return {"text_format_source": {"inline_string": text}, "content_type": "application/json"}


def _when(expression: str) -> Config:
    """The filter of answers for which an expression in CEL is true."""
    kind = "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
    name = "envoy.access_loggers.extension_filters.cel"
    config = {"@type": kind, "expression": expression}
    return {"extension_filter": {"name": name, "typed_config": config}}


def _has_status(status: int) -> Config:
    value = {"default_value": status, "runtime_key": f"windlass.own_status_{status}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}
