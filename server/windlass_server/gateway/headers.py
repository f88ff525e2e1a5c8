"""Request headers: which become metadata, and what the gateway itself reads of them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from windlass_server.gateway.errors import UNAUTHENTICATED, Refusal, bad_field, bad_request

# Everything else stays outside, `grpc-*` above all: those names belong to the transport.
_METADATA = {
    b"authorization": "authorization",
    b"x-request-id": "x-request-id",
    b"traceparent": "traceparent",
    b"user-agent": "user-agent",
}
_READ = {
    b"accept": "accept",
    b"accept-encoding": "accept_encoding",
    b"content-digest": "content_digest",
    b"content-disposition": "content_disposition",
    b"content-encoding": "content_encoding",
    b"content-length": "content_length",
    b"content-md5": "content_md5",
    b"content-type": "content_type",
    b"grpc-timeout": "grpc_timeout",
    b"if-modified-since": "if_modified_since",
    b"if-none-match": "if_none_match",
    b"if-range": "if_range",
    b"last-event-id": "last_event_id",
    b"range": "range",
    b"repr-digest": "repr_digest",
    b"transfer-encoding": "transfer_encoding",
    b"x-request-timeout": "request_timeout",
}
_PRINTABLE = re.compile(rb"[\x20-\x7e]*")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_GRPC_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


@dataclass(slots=True)
class RequestHeaders:
    """What a request's headers say.

    Attributes:
        metadata: what is handed on with the call.
        others: the headers that the gateway reads itself, by their keys in this module.
    """

    metadata: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> RequestHeaders:
    """Sort the headers of a request.

    Raises:
        Refusal: UNAUTHENTICATED when there is more than one credential, or one of other than ASCII.
    """
    found = RequestHeaders()
    metadata, others = found.metadata, found.others
    for name, value in headers:
        if key := _METADATA.get(name):
            _add_metadata(metadata, key, value)
        elif key := _READ.get(name):
            text = value.decode("latin-1")
            others[key] = f"{others[key]}, {text}" if key in others else text
    if "x-request-id" in metadata and not _REQUEST_ID.fullmatch(metadata["x-request-id"]):
        del metadata["x-request-id"]
    return found


def _add_metadata(metadata: dict[str, str], key: str, value: bytes) -> None:
    usable = _PRINTABLE.fullmatch(value) is not None
    if key == "authorization" and (key in metadata or not usable):
        message = "give one authorization header, in ASCII"
        raise Refusal(UNAUTHENTICATED, "INVALID_CREDENTIALS", message)
    if usable:
        metadata[key] = value.decode("ascii")


def timeout(headers: RequestHeaders) -> float | None:
    """Seconds until the caller gives up, of `grpc-timeout` and `x-request-timeout` the shorter.

    Raises:
        Refusal: INVALID_ARGUMENT when one of them is malformed or not positive.
    """
    others = headers.others
    given = []
    if (text := others.get("grpc_timeout")) is not None:
        found = _GRPC_TIMEOUT.fullmatch(text)
        given.append(("grpc-timeout", int(found[1]) * _UNITS[found[2]] if found else 0.0))
    if (text := others.get("request_timeout")) is not None:
        valid = _SECONDS.fullmatch(text)
        given.append(("x-request-timeout", float(text) if valid else 0.0))
    for name, seconds in given:
        if seconds <= 0:
            raise bad_field("INVALID_TIMEOUT", name, "must be a positive time")
    return min((seconds for _, seconds in given), default=None)


def check_content_type(text: str) -> None:
    """Raise Refusal (415) unless it is JSON in UTF-8; an absent content type counts as JSON."""
    media, *parameters = (part.strip().lower() for part in text.split(";"))
    charsets = [value for value in parameters if value.startswith("charset=")]
    is_json = media in ("", "application/json") or (
        media.startswith("application/") and media.endswith("+json")
    )
    utf8 = all(value[8:].strip('"') in ("utf-8", "utf8") for value in charsets)
    if not is_json or not utf8:
        message = "the body's content type must be application/json in UTF-8"
        refusal = bad_request("UNSUPPORTED_MEDIA_TYPE", message)
        refusal.http_status = 415
        raise refusal
