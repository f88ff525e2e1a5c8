"""Files in answers: what an RPC that answers with a `google.api.HttpBody` looks like over HTTP.

The bytes are sent as they are, those of a stream one behind the other, with the content type of the
first message. What else HTTP says of a file the RPC says by its response metadata, of a stream before
its first message:

    etag, last-modified   validators, for `If-None-Match`, `If-Modified-Since` and `If-Range`
    x-content-length      size of the whole file in bytes; the file can then be read in ranges
    x-content-encoding    the file is stored encoded, such as gzip
    content-range         the RPC itself took the `range` of its request metadata: this is what it sends
    content-disposition, content-digest, repr-digest, cache-control, …   passed on

Length and encoding have names of their own, as gRPC keeps HTTP's for its own frames. An RPC that does not
look at `range` sends the whole file; the gateway then cuts the range out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from windlass_server.gateway.errors import OUT_OF_RANGE, Headers, Refusal
from windlass_server.gateway.headers import RequestHeaders
from windlass_server.gateway.ranges import (
    ByteRange,
    Unsatisfiable,
    is_entity_tag,
    none_match_fails,
    not_modified_since,
    range_applies,
    requested_range,
    served_range,
)

# What a request may ask of a file, by its method, and under which names the RPC gets to know it.
_CONDITIONS = {
    "GET": ("range", "if_range", "if_none_match", "if_modified_since"),
    "HEAD": ("if_none_match", "if_modified_since"),
}
# Response metadata that says something of the file, and nothing of an error in its place.
_OF_THE_FILE = (
    "cache-control", "content-digest", "content-disposition", "content-md5", "content-range", "etag",
    "last-modified", "repr-digest", "x-content-encoding", "x-content-length",
)  # fmt: skip
# Of those, what a 304 repeats.
_OF_EACH_ANSWER = ("cache-control", "etag", "last-modified")
# Of those, what is true of the whole file only.
_OF_THE_WHOLE = ("content-digest", "content-md5")
_DEFAULT_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class FileHead:
    """The head of a file's answer.

    Attributes:
        status: 200, 206 or 304.
        headers: all of the answer's own headers.
        skip: how many of the RPC's bytes are left out before the first that is sent.
        length: how many bytes are sent; None when only their end tells.
    """

    status: int
    headers: Headers
    skip: int = 0
    length: int | None = None


def conditions(method: str, headers: RequestHeaders) -> dict[str, str]:
    """The range and the preconditions that a request has, by the names of their headers.

    What metadata cannot hold no service can have said of its file: it is left out, and with an
    `If-Range` the range, which then is of another file.
    """
    others = headers.others
    given = [key for key in _CONDITIONS.get(method, ()) if key in others]
    unusable = {key for key in given if not (others[key].isascii() and others[key].isprintable())}
    if "if_range" in unusable:
        unusable.add("range")
    return {key.replace("_", "-"): others[key] for key in given if key not in unusable}


def take_file_metadata(metadata: dict[str, str | bytes]) -> dict[str, str]:
    """Take out of response metadata what says something of a file."""
    found: dict[str, str] = {}
    for name in _OF_THE_FILE:
        value = metadata.pop(name, None)
        if isinstance(value, str) and value.isascii() and value.isprintable():
            found[name] = value
    return found


def file_head(
    asked: Mapping[str, str], metadata: Mapping[str, str], content_type: str, size: int | None
) -> FileHead:
    """What to answer.

    Args:
        asked: the request's conditions.
        metadata: what the RPC says of the file.
        content_type: of its first message; may be empty.
        size: bytes of the whole file; None when they are not known.

    Raises:
        Refusal: 416 for a range that the file does not have.
        ValueError: what the RPC says is not true of any file; a defect of its service.
    """
    etag, modified = metadata.get("etag", ""), metadata.get("last-modified", "")
    if etag and not is_entity_tag(etag):
        raise ValueError(f"the service's etag {etag!r} is none: quotes belong to it")
    if _is_known(asked, etag, modified):
        return FileHead(304, _select(metadata, _OF_EACH_ANSWER))
    served = _range(asked, metadata, size)
    if served is not None:
        return _partial(metadata, content_type, served)
    headers = _headers(metadata, content_type, size, exclude=())
    if size is not None:
        headers.append((b"accept-ranges", b"bytes"))
    return FileHead(200, headers, 0, size)


def _range(
    asked: Mapping[str, str], metadata: Mapping[str, str], size: int | None
) -> ByteRange | None:
    """The range to answer with, None for the whole file."""
    wanted = asked.get("range", "")
    if "content-range" in metadata:
        if not wanted:
            raise ValueError("the service serves a range that nobody asked for")
        return served_range(metadata["content-range"])
    etag, modified = metadata.get("etag", ""), metadata.get("last-modified", "")
    if size is None or not wanted:
        return None
    if not range_applies(asked.get("if-range", ""), etag, modified):
        return None
    try:
        return requested_range(wanted, size)
    except Unsatisfiable:
        raise _unsatisfiable(size) from None


def _is_known(asked: Mapping[str, str], etag: str, modified: str) -> bool:
    """Whether the client has the file already; the date counts only where no tag is given."""
    if (tags := asked.get("if-none-match")) is not None:
        return none_match_fails(tags, etag)
    since = asked.get("if-modified-since")
    return since is not None and modified != "" and not_modified_since(since, modified)


def _partial(metadata: Mapping[str, str], content_type: str, served: ByteRange) -> FileHead:
    # A range that the gateway cuts out is not what the digest of the RPC's bytes is of.
    cut_out = "content-range" not in metadata
    exclude = _OF_THE_WHOLE if cut_out and served.length != served.size else ()
    headers = _headers(metadata, content_type, served.length, exclude)
    headers.append((b"content-range", str(served).encode("ascii")))
    headers.append((b"accept-ranges", b"bytes"))
    return FileHead(206, headers, served.first if cut_out else 0, served.length)


def _headers(
    metadata: Mapping[str, str], content_type: str, length: int | None, exclude: tuple[str, ...]
) -> Headers:
    own = ("content-range", "x-content-encoding", "x-content-length", *exclude)
    headers = _select(metadata, tuple(name for name in metadata if name not in own))
    if encoding := metadata.get("x-content-encoding"):
        headers.append((b"content-encoding", encoding.encode("ascii")))
    usable = content_type.isascii() and content_type.isprintable() and "/" in content_type
    headers += [
        (b"content-type", (content_type if usable else _DEFAULT_TYPE).encode("ascii")),
        # It is somebody's file and not our page: no guessing of types, no scripts in our name.
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"sandbox"),
    ]
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    return headers


def _select(metadata: Mapping[str, str], names: tuple[str, ...]) -> Headers:
    return [
        (name.encode("ascii"), metadata[name].encode("ascii")) for name in names if name in metadata
    ]


def _unsatisfiable(size: int) -> Refusal:
    return Refusal(
        OUT_OF_RANGE,
        "RANGE_NOT_SATISFIABLE",
        f"the file has {size} bytes, none of them in the range",
        http_status=416,
        headers=((b"content-range", b"bytes */%d" % size),),
        metadata={"size": str(size)},
    )
