"""Whole requests through the application: one answer each, never of the server's fault.

An input looks like HTTP/1: a line with method, target and perhaps a version, one header a line, an
empty line, the body; `<>` in the body is where one piece of it ends.
"""

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import unquote

from google.protobuf import json_format

from tests.fuzz.asgi import ask
from tests.fuzz.contract import SERVICES, descriptors, peers
from tests.support.echo_dispatcher import Echo
from tests.support.gateway import PLANNED, Answer
from windlass_server.gateway.app import Gateway
from windlass_server.gateway.cors import Cors

SEEDS = (
    b"GET /v1/things/a%2Fb?text=x&tags=a&tags=b\naccept: application/json\nx-request-id: r-1",
    b'PUT /v1/things/a\ncontent-type: application/json\n\n{"text":"x",<>"kind":"small"}',
    b'PATCH /v1/things/a?text=b 2\ncontent-type: application/json\n\n{"i32":1}',
    b'POST /v1/things/a/tags\ncontent-type: application/json\n\n["a","b"]',
    b"GET /v1/watch/t?cursor=1\naccept: text/event-stream\nlast-event-id: 5",
    b'POST /v1/rooms/r/notes:collect\ncontent-type: application/x-ndjson\n\n{"text":"a"}<>\n{}',
    b'POST /v1/rooms/r:chat\naccept: application/x-ndjson\n\n[{"text":"a"}<>,{"number":1}]',
    b"POST /v1/echo\ncontent-type: text/plain\ncontent-encoding: gzip\n\nhello",
    b'GET /v1/blobs/a\nrange: bytes=0-1\nif-none-match: "a"',
    (
        b"POST /v1/blobs/a\ncontent-type: multipart/form-data; boundary=b\n\n--b\r\n"
        b'content-disposition: form-data; name="content"; filename="a"\r\n\r\nx\r\n--b--\r\n'
    ),
    b"OPTIONS /v1/ping\norigin: https://a.example\naccess-control-request-method: PURGE",
    b"PURGE /v1/ping\norigin: https://a.example",
    b"HEAD /v1/things/a\ngrpc-timeout: 3S",
    b"POST /v1/shelves/s:burn\n\n{}",
)
WORDS = (
    *(
        b"GET /v1/",
        b"POST /v1/",
        b"HEAD ",
        b"OPTIONS ",
        b" 2\n",
        b"\n\n",
        b"<>",
        b"things/",
        b"rooms/",
    ),
    *(b"content-type: ", b"multipart/form-data; boundary=", b"text/event-stream", b"accept: "),
    *(b"application/x-ndjson", b"content-encoding: gzip", b"range: bytes=", b"if-range: "),
    *(
        b"content-digest: sha-256=:",
        b"grpc-timeout: ",
        b"authorization: ",
        b"accept-encoding: gzip",
    ),
    *(
        b'{"content":{"data":"',
        b'"contentType":"',
        b"/v1/echo",
        b"/v1/pipe",
        b"/v1/described/",
        b"%zz",
    ),
)
# What a planned route answers, and a method that is not served.
_PROMISED = 501
_FILES = re.compile(r"/v1/(echo|pipe|blobs|whole|described)(/|$)")
_REASON = re.compile(r"[A-Z][A-Z0-9_]+")
_OWN_FRAMING = (b"content-length", b"transfer-encoding")


class _Faults(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(logging.Formatter().format(record))


@cache
def _parts() -> tuple[asyncio.AbstractEventLoop, Cors, _Faults]:
    gateway = Gateway(
        descriptor_set=descriptors(),
        services=SERVICES,
        dispatcher=Echo(peers(), SERVICES),
        planned_extension=PLANNED,
        domain="sample",
        max_body_bytes=4096,
        max_upload_bytes=8192,
    )
    faults = _Faults()
    logger = logging.getLogger("windlass_server")
    logger.addHandler(faults)
    logger.propagate = False
    return asyncio.new_event_loop(), Cors(gateway, ["https://a.example"]), faults


def check(data: bytes) -> None:
    """Send a request and look at its answer."""
    head, _, body = data.partition(b"\n\n")
    line, *lines = head.split(b"\n")
    method, _, target = line.partition(b" ")
    loop, app, faults = _parts()
    version = "2" if target.endswith(b" 2") else "1.1"
    pieces = body.split(b"<>")
    scope = _scope(method, target.removesuffix(b" 2"), version)
    scope["headers"] = [*_pairs(lines), *_framing(version, pieces)]
    faults.texts.clear()
    answer = loop.run_until_complete(ask(app, scope, pieces))
    assert not faults.texts, faults.texts[0]
    _look_at(scope, answer)


def _scope(method: bytes, target: bytes, version: str) -> dict[str, Any]:
    path, _, query = target.partition(b"?")
    return {
        "type": "http",
        "http_version": version,
        "method": method.decode("latin-1"),
        "path": unquote(path.decode("utf-8", "replace")),
        "raw_path": path,
        "query_string": query,
        "client": None,
    }


def _pairs(lines: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for each in lines:
        name, colon, value = each.partition(b":")
        name = name.strip().lower()
        if colon and name not in _OWN_FRAMING:
            yield name, value.strip()


def _framing(version: str, pieces: list[bytes]) -> list[tuple[bytes, bytes]]:
    if version == "2" or pieces == [b""]:
        return []
    if len(pieces) > 1:
        return [(b"transfer-encoding", b"chunked")]
    return [(b"content-length", b"%d" % len(pieces[0]))]


def _look_at(scope: dict[str, Any], answer: Answer) -> None:
    assert 200 <= answer.status < 500 or answer.status == _PROMISED, answer
    for name, value in answer.headers:
        assert name.isascii()
        assert value.isprintable(), (name, value)
    length = answer.header("content-length")
    if scope["method"] == "HEAD" or answer.status in (204, 304):
        assert answer.body == b""
        return
    assert length is None or int(length) == len(answer.body)
    if answer.status >= 400:
        _is_error(answer)
    elif answer.header("content-type") == "application/json" and not _FILES.match(scope["path"]):
        json.loads(answer.body)


def _is_error(answer: Answer) -> None:
    status = peers().type("google.rpc.Status")()
    json_format.Parse(answer.body, status, descriptor_pool=peers().pool)
    assert _REASON.fullmatch(answer.reason)
    assert status.message
    if answer.status == 405:
        assert answer.header("allow")
