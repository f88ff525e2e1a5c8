"""Request headers: which become metadata, and what the gateway itself reads of them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from windlass_server.gateway.errors import (
    RESOURCE_EXHAUSTED,
    Refusal,
    bad_field,
    bad_request,
)
from windlass_server.gateway.forwarding import Forwarding, Metadata, drop_unusable

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
_FORWARDING = Forwarding()
_GRPC_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
# Some thirty years; gRPC's own clocks overflow when they are set to its longest timeouts.
_LONGEST_S = 1e9
# Of all headers together, counted as HTTP/2 counts them.
_MAX_BYTES = 64 << 10
_OVERHEAD_BYTES = 32
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


@dataclass(slots=True)
class RequestHeaders:
    """What a request's headers say.

    Attributes:
        metadata: what is handed on with the call.
        others: the headers that the gateway reads itself, by their keys in this module.
        refused: why the request cannot be served with these headers, the first reason.
    """

    metadata: Metadata = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    refused: Refusal | None = None


def read_headers(
    headers: Iterable[tuple[bytes, bytes]], forwarding: Forwarding = _FORWARDING
) -> RequestHeaders:
    """Sort the headers of a request."""
    found = RequestHeaders()
    others = found.others
    size = 0
    for name, value in headers:
        size += len(name) + len(value) + _OVERHEAD_BYTES
        if key := forwarding.names.get(name):
            try:
                forwarding.add(found.metadata, key, value)
            except Refusal as refusal:
                found.refused = found.refused or refusal
        elif key := _READ.get(name):
            text = value.decode("latin-1")
            others[key] = f"{others[key]}, {text}" if key in others else text
    drop_unusable(found.metadata)
    if size > _MAX_BYTES:
        found.refused = found.refused or _too_large()
    return found


def _too_large() -> Refusal:
    message = f"the headers are larger than {_MAX_BYTES} bytes"
    return Refusal(RESOURCE_EXHAUSTED, "HEADERS_TOO_LARGE", message, http_status=431)


def timeout(headers: RequestHeaders) -> float | None:
    """Seconds until the caller gives up, of `grpc-timeout` and `x-request-timeout` the shorter.

    Raises:
        Refusal: INVALID_ARGUMENT when one of them is malformed or not positive.
    """
    others = headers.others
    if "grpc_timeout" not in others and "request_timeout" not in others:
        return None
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
    return min((min(seconds, _LONGEST_S) for _, seconds in given), default=None)


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
