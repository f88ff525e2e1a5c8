"""Which of a request's headers become metadata of its call, and what they have to look like.

Everything that is not named stays outside, `grpc-*` above all: those names belong to the transport. A
header that is named and that nobody could use (not printable ASCII, no trace context, no word for an
id) is dropped, but for credentials and for bytes, which are refused.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping

from windlass_server.gateway.errors import UNAUTHENTICATED, Refusal, bad_field

Metadata = dict[str, str | bytes]

AUTHORIZATION = "authorization"
REQUEST_ID = "x-request-id"
TRACE_PARENT = "traceparent"
TRACE_STATE = "tracestate"

_ALWAYS = (AUTHORIZATION, REQUEST_ID, TRACE_PARENT, TRACE_STATE, "user-agent")
# They describe the message or the connection, not the call.
_NEVER = re.compile(
    r"grpc-.*|proxy-.*|accept|accept-.*|connection|content-.*|date|expect|host|keep-alive|te|trailer"
    r"|transfer-encoding|upgrade|x-request-timeout"
)
_NAME = re.compile(r"[a-z0-9_.-]+")
_PRINTABLE = re.compile(rb"[\x20-\x7e]*")
_ONE_WORD = re.compile(r"[\x21-\x7e]{1,128}")
# https://www.w3.org/TR/trace-context/: version, trace id, parent id, flags; a later version has more.
_TRACE_PARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<more>-.*)?"
)


class Forwarding:
    """The headers that become metadata.

    Args:
        more: names of further headers, in any case; those that end with `-bin` carry base64.

    Raises:
        ValueError: a name is none that metadata can have.
    """

    def __init__(self, more: Iterable[str] = ()) -> None:
        names = [*_ALWAYS, *(_checked(name) for name in more)]
        self.names: Mapping[bytes, str] = {name.encode("ascii"): name for name in names}

    def add(self, metadata: Metadata, name: str, value: bytes) -> None:
        """Add a header that is one of `names`; one that comes again continues a list, as in HTTP.

        Raises:
            Refusal: UNAUTHENTICATED for a second credential or one that is not ASCII; INVALID_ARGUMENT
                for bytes that are given twice or are not base64.
        """
        if name.endswith("-bin"):
            if name in metadata:
                raise bad_field("INVALID_METADATA", name, "is given more than once")
            metadata[name] = _decoded(name, value)
            return
        usable = _PRINTABLE.fullmatch(value) is not None
        before = metadata.get(name)
        if name == AUTHORIZATION and (before is not None or not usable):
            message = "give one authorization header, in ASCII"
            raise Refusal(UNAUTHENTICATED, "INVALID_CREDENTIALS", message)
        if usable:
            text = value.decode("ascii")
            metadata[name] = text if before is None else f"{before!s}, {text}"


def drop_unusable(metadata: Metadata) -> None:
    """Drop a request id and a trace context that are none; a state without a trace is none either."""
    if REQUEST_ID in metadata and not _ONE_WORD.fullmatch(str(metadata[REQUEST_ID])):
        del metadata[REQUEST_ID]
    if TRACE_PARENT in metadata and not _is_trace(str(metadata[TRACE_PARENT])):
        del metadata[TRACE_PARENT]
    if TRACE_STATE in metadata and TRACE_PARENT not in metadata:
        del metadata[TRACE_STATE]


def _is_trace(text: str) -> bool:
    found = _TRACE_PARENT.fullmatch(text)
    return found is not None and not (found["version"] == "00" and found["more"])


def _checked(name: str) -> str:
    name = name.lower()
    if not _NAME.fullmatch(name):
        message = f"{name!r} is not a name that metadata can have"
        raise ValueError(message)
    if _NEVER.fullmatch(name):
        message = f"the header {name!r} is not one that can be forwarded"
        raise ValueError(message)
    return name


def _decoded(name: str, value: bytes) -> bytes:
    """The bytes of a header in base64, padded or not."""
    try:
        return b64decode(value.rstrip(b"=") + b"=" * (-len(value.rstrip(b"=")) % 4), validate=True)
    except binascii.Error:
        raise bad_field("INVALID_METADATA", name, "must be base64") from None
