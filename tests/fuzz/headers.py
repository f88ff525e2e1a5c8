"""Headers: sorted, read or refused.

An input is one header a line, `name: value`.
"""

import math
from collections.abc import Iterator
from contextlib import suppress

from windlass_server.gateway.body import content_encoding
from windlass_server.gateway.digests import BodyDigests
from windlass_server.gateway.errors import Refusal
from windlass_server.gateway.filenames import attachment, header_filename
from windlass_server.gateway.headers import (
    RequestHeaders,
    check_content_type,
    read_headers,
    timeout,
)
from windlass_server.gateway.negotiation import accepts_gzip
from windlass_server.gateway.ranges import (
    Unsatisfiable,
    none_match_fails,
    not_modified_since,
    range_applies,
    requested_range,
    served_range,
)
from windlass_server.gateway.streams import choose_format

SEEDS = (
    b"authorization: Bearer a\nx-request-id: r-1\ntraceparent: 00-a-b-01\nuser-agent: curl/8",
    b"grpc-timeout: 3S\nx-request-timeout: 2.5\ncontent-length: 12",
    b'content-type: application/json; charset="utf-8"\ncontent-encoding: gzip',
    b"accept: text/event-stream;q=0.5, application/x-ndjson\nlast-event-id: 5",
    b"content-digest: sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:, md5=:YQ==:",
    b'range: bytes=0-4\nif-range: "a"\nif-none-match: W/"a", "b"\naccept-encoding: gzip;q=0.5',
    b"range: bytes=-5\nif-modified-since: Wed, 21 Oct 2015 07:28:00 GMT",
    b"content-disposition: attachment; filename=\"a\"; filename*=UTF-8''%c3%a4",
    b"content-md5: 1B2M2Y8AsgTpgAmY7PhCfg==\ntransfer-encoding: chunked",
)
WORDS = (
    *(
        b"authorization: ",
        b"grpc-timeout: ",
        b"x-request-timeout: ",
        b"accept: ",
        b"content-type: ",
    ),
    *(b"content-digest: ", b"repr-digest: ", b"sha-512=:", b"sha-256=:", b"content-md5: ", b"q="),
    *(b"content-length: ", b"charset=", b"+json", b"text/event-stream", b"content-encoding: gzip"),
    *(
        b"range: bytes=",
        b"content-disposition: ",
        b"filename*=",
        b"filename*0*=",
        b"filename=",
        b"''",
    ),
    *(
        b"if-modified-since: ",
        b"if-none-match: ",
        b'W/"',
        b"-0000",
        b"accept-encoding: ",
        b"=?utf-8?q?",
    ),
    *(b"grpc-x-bin: ", b"connection: ", b"x-request-id: ", b"inf", b"nan", b"99999999H"),
)
_SIZES = (0, 1, 10, 2**40)
_DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
ALLOWED = {"authorization", "x-request-id", "traceparent", "user-agent"}


def check(data: bytes) -> None:
    """Read headers in every way that the gateway does."""
    try:
        headers = read_headers(list(_pairs(data)))
    except Refusal:
        return
    assert set(headers.metadata) <= ALLOWED
    for value in headers.metadata.values():
        assert value.isascii()
        assert value.isprintable()
    with suppress(Refusal):
        seconds = timeout(headers)
        assert seconds is None or (seconds > 0 and math.isfinite(seconds))
    with suppress(Refusal):
        check_content_type(headers.others.get("content_type", ""))
    with suppress(Refusal):
        content_encoding(headers)
    choose_format(headers.others.get("accept", ""))
    accepts_gzip(headers.others.get("accept_encoding", ""))
    _digest(headers)
    _file(headers.others)


def _digest(headers: RequestHeaders) -> None:
    with suppress(Refusal):
        digests = BodyDigests(headers)
        digests.update(b"")
        digests.verify()


def _file(others: dict[str, str]) -> None:
    """Read what a request says of a file that it sends or asks for."""
    with suppress(Refusal):
        name = header_filename(others.get("content_disposition", ""))
        assert "/" not in name
        assert header_filename(attachment(name)) == name
    for size in _SIZES:
        with suppress(Unsatisfiable):
            part = requested_range(others.get("range", ""), size)
            assert part is None or 0 <= part.first <= part.last < size
            assert part is None or served_range(str(part)) == part
    none_match_fails(others.get("if_none_match", ""), '"a"')
    not_modified_since(others.get("if_modified_since", ""), _DATE)
    range_applies(others.get("if_range", ""), '"a"', _DATE)


def _pairs(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names in lower case, as servers hand them over."""
    for line in data.split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon:
            yield name.strip().lower(), value.strip()
