"""Files in request bodies: raw, and as forms; whole, and in pieces."""

import asyncio
import base64
import gzip
import hashlib
import os

import pytest

from tests.support.gateway import AsgiClient

DATA = bytes(range(256)) * 8
SHA256 = hashlib.sha256(DATA).hexdigest()


def form(*parts, boundary="b0undary", end="--\r\n"):
    """A multipart body; each part is (disposition parameters, further header lines, bytes)."""
    lines = [
        f"--{boundary}\r\ncontent-disposition: form-data; {parameters}\r\n{headers}\r\n".encode()
        + data
        + b"\r\n"
        for parameters, headers, data in parts
    ]
    return b"".join(lines) + f"--{boundary}{end}".encode()


FORM = {"content-type": "multipart/form-data; boundary=b0undary"}
FILE = ('name="file"; filename="a.bin"', "content-type: image/png\r\n", DATA)


def cut(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


async def no_body():
    return
    yield b""


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    "content_type", ["image/png", "application/json", "application/x-ndjson", "text/plain", None]
)
async def test_the_bytes_are_not_looked_at_whatever_their_type(
    client, server, method, content_type
):
    headers = {} if content_type is None else {"content-type": content_type}
    answer = await client.request(method, "/v1/blobs/b", DATA, headers)
    assert answer.json == {
        "name": "b",
        "filename": "",
        "version": 0,
        "content_type": content_type or "",
        "size": str(len(DATA)),
        "sha256": SHA256,
        "messages": 1,
    }
    assert list(server.blobs.committed) == ["b"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_path_and_query_are_bound_beside_the_file(client, method):
    answer = await client.request(method, "/v1/blobs/a%2Fb?version=3&filename=f.txt", b"x")
    assert (answer.json["name"], answer.json["version"]) == ("a/b", 3)
    assert answer.json["filename"] == "f.txt"


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("version=x", "INVALID_FIELD_VALUE"),
        ("name=other", "CONFLICTING_PARAMETER"),
        ("content.data=eA", "CONFLICTING_PARAMETER"),
        ("nothing=1", "UNKNOWN_PARAMETER"),
    ],
)
async def test_bad_parameters_are_refused_before_the_call(client, server, method, query, reason):
    answer = await client.request(method, f"/v1/blobs/b?{query}", DATA)
    assert (answer.status, answer.reason) == (400, reason)
    assert server.blobs.calls == []


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("body", [b"", None, no_body])
async def test_an_empty_file_is_one_message(client, method, body):
    answer = await client.request(method, "/v1/blobs/b", no_body() if body is no_body else body)
    assert (answer.json["size"], answer.json["messages"]) == ("0", 1)


async def test_the_whole_request_may_be_the_file(client):
    answer = await client.request("POST", "/v1/echo", DATA, {"content-type": "a/b"})
    assert (answer.body, answer.header("content-type")) == (DATA, "a/b")
    assert (await client.request("POST", "/v1/echo?data=eA", DATA)).status == 400


async def test_pieces_go_in_when_they_come_and_out_when_they_are_answered(client):
    answered = asyncio.Event()

    async def body():
        yield b"first"
        await answered.wait()
        yield b"second"

    client.on_chunk = lambda chunk: answered.set() if chunk == b"first" else None
    async with asyncio.timeout(5):
        answer = await client.request("POST", "/v1/pipe", body(), {"content-type": "a/b"})
    assert (answer.body, answer.header("content-type")) == (b"firstsecond", "a/b")


async def test_no_message_is_larger_than_a_message_may_be(server):
    client = AsgiClient(server.gateway(max_body_bytes=1000))
    answer = await client.request("POST", "/v1/blobs/b", DATA)
    assert (answer.status, answer.json["sha256"]) == (200, SHA256)
    assert answer.json["messages"] == 3


async def test_a_file_in_one_message_has_its_limit(server):
    client = AsgiClient(server.gateway(max_body_bytes=2000))
    for body in (DATA, cut(DATA, 100)):
        answer = await client.request("PUT", "/v1/blobs/b", body)
        assert (answer.status, answer.reason) == (413, "BODY_TOO_LARGE")
    assert server.blobs.calls == []


@pytest.mark.parametrize("body", [DATA, cut(DATA, 100)])
async def test_a_stream_has_its_own_limit(server, body):
    client = AsgiClient(server.gateway(max_upload_bytes=len(DATA) - 1))
    answer = await client.request("POST", "/v1/blobs/b", body)
    assert (answer.status, answer.reason) == (413, "BODY_TOO_LARGE")
    assert server.blobs.committed == {}
    client = AsgiClient(server.gateway(max_upload_bytes=len(DATA)))
    assert (await client.request("POST", "/v1/blobs/b", body)).status == 200


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(("size", "status"), [(990_000, 200), (1_000_001, 413), (3_000_000, 413)])
async def test_a_stream_has_the_limits_of_its_method(server, whole, size, status):
    body = bytes(size) if whole else cut(bytes(size), 100_000)
    answer = await AsgiClient(server.gateway()).request("POST", "/v1/small/b", body)
    assert answer.status == status
    if status == 200:
        assert answer.json["messages"] >= 16
    else:
        assert answer.reason == "BODY_TOO_LARGE"
        assert server.blobs.committed == {}


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_gzip_is_inflated_as_it_comes(client, method):
    body = cut(gzip.compress(DATA), 50)
    answer = await client.request(method, "/v1/blobs/b", body, {"content-encoding": "gzip"})
    assert answer.json["sha256"] == SHA256


async def test_the_limit_is_of_the_inflated_bytes_too(server):
    client = AsgiClient(server.gateway(max_upload_bytes=1_000_000))
    bomb = gzip.compress(b"\0" * 1_000_001)
    answer = await client.request("POST", "/v1/blobs/b", bomb, {"content-encoding": "gzip"})
    assert (answer.status, answer.reason) == (413, "BODY_TOO_LARGE")
    assert server.blobs.committed == {}


@pytest.mark.parametrize(
    "body", [gzip.compress(DATA)[:-4], DATA, gzip.compress(DATA) + b"rest", b"\x1f"]
)
async def test_what_is_not_gzip_cancels_the_call(client, server, body):
    answer = await client.request("POST", "/v1/blobs/b", body, {"content-encoding": "gzip"})
    assert (answer.status, answer.reason) == (400, "MALFORMED_BODY")
    assert server.blobs.committed == {}


async def test_an_upload_that_breaks_off_commits_nothing(client, server):
    client.gone.set()
    answer = await client.request("POST", "/v1/blobs/b", [DATA, None])
    assert (answer.status, answer.reason) == (400, "MALFORMED_BODY")
    assert server.blobs.committed == {}


def digest(algorithm, data):
    value = base64.b64encode(hashlib.new(algorithm, data).digest()).decode()
    name = {"sha256": "sha-256", "sha512": "sha-512"}[algorithm]
    return f"{name}=:{value}:"


RIGHT = digest("sha256", DATA)
WRONG = digest("sha256", b"other")
MD5 = base64.b64encode(hashlib.md5(DATA).digest()).decode()


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    "headers",
    [
        {"content-digest": RIGHT},
        {"repr-digest": RIGHT},
        {"content-digest": digest("sha512", DATA)},
        {"content-digest": f"{digest('sha512', DATA)}, {RIGHT}"},
        {"content-digest": f"unixsum=:AA==:, {RIGHT}"},
        {"content-digest": f"{WRONG}, {RIGHT}"},  # a dictionary's last of two equal keys counts
        {"content-md5": MD5},
    ],
)
async def test_a_body_that_is_what_its_digest_says_is_taken(client, method, headers):
    assert (await client.request(method, "/v1/blobs/b", DATA, headers)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"content-digest": WRONG},
        {"repr-digest": WRONG},
        {"content-digest": f"{RIGHT}, {digest('sha512', b'other')}"},
        {"content-digest": RIGHT, "repr-digest": WRONG},
        {"content-md5": base64.b64encode(b"0" * 16).decode()},
    ],
)
@pytest.mark.parametrize(("method", "body"), [("POST", cut(DATA, 100)), ("PUT", DATA)])
async def test_a_body_that_is_not_commits_nothing(client, server, headers, method, body):
    answer = await client.request(method, "/v1/blobs/b", body, headers)
    assert (answer.status, answer.reason) == (400, "DIGEST_MISMATCH")
    assert list(answer.violations) == [list(headers)[-1]]
    assert server.blobs.committed == {}


@pytest.mark.parametrize(
    "headers",
    [
        {"content-digest": ""},
        {"content-digest": "sha-256"},
        {"content-digest": "sha-256=abc"},
        {"content-digest": "sha-256=:abc:"},
        {"content-digest": "sha-256=:AA==:"},
        {"content-digest": f"{RIGHT},"},
        {"repr-digest": "nonsense"},
        {"content-md5": "nonsense"},
    ],
)
async def test_a_malformed_digest_is_refused_before_the_call(client, server, headers):
    answer = await client.request("POST", "/v1/blobs/b", DATA, headers)
    assert (answer.status, answer.reason) == (400, "MALFORMED_DIGEST")
    assert server.blobs.calls == []


async def test_the_digest_is_of_the_bytes_on_the_wire(client):
    body = gzip.compress(DATA)
    headers = {"content-encoding": "gzip", "content-digest": digest("sha256", body)}
    assert (await client.request("POST", "/v1/blobs/b", body, headers)).status == 200


async def test_json_bodies_have_digests_too(client, server):
    headers = {"content-digest": WRONG}
    answer = await client.request("POST", "/v1/rooms/r/notes:collect", "[{}]", headers)
    assert (answer.status, answer.reason) == (400, "DIGEST_MISMATCH")
    assert server.streams.committed == []


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("size", [1, 3, 17, 10_000])
async def test_the_file_of_a_form_is_taken_however_it_is_cut(client, server, method, size):
    fields = (('name="version"', "", b"7"), FILE)
    answer = await client.request(method, "/v1/blobs/b", cut(form(*fields), size), FORM)
    shown = {k: v for k, v in answer.json.items() if k != "messages"}
    assert shown == {
        "name": "b",
        "filename": "a.bin",
        "version": 7,
        "content_type": "image/png",
        "size": str(len(DATA)),
        "sha256": SHA256,
    }
    assert server.blobs.calls[0].first("content-disposition") == 'attachment; filename="a.bin"'


async def test_a_file_may_hold_what_looks_like_a_boundary(client):
    data = b"\r\n--b0undar\r\n--b0undary\r--\r\n" * 50
    part = ('name="f"; filename="a"', "", data)
    for size in (1, 7, 10_000):
        answer = await client.request("POST", "/v1/blobs/b", cut(form(part), size), FORM)
        assert answer.json["sha256"] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("parts", "status", "reason"),
    [
        ([], 400, "FILE_MISSING"),
        ([('name="version"', "", b"7")], 400, "FILE_MISSING"),
        ([FILE, ('name="version"', "", b"7")], 400, "PART_BEHIND_FILE"),
        ([FILE, FILE], 400, "PART_BEHIND_FILE"),
        ([('name="version"', "", b"x"), FILE], 400, "INVALID_FIELD_VALUE"),
        ([('name="nothing"', "", b"x"), FILE], 400, "UNKNOWN_PARAMETER"),
        ([('name="name"', "", b"x"), FILE], 400, "CONFLICTING_PARAMETER"),
        ([('name="version"', "", b"7"), ('name="version"', "", b"7"), FILE], 400, "DUPLICATE_PARAMETER"),
        ([('name="version"', "", b"\xff"), FILE], 400, "MALFORMED_MULTIPART"),
        ([('name="filename"', "", b"x" * 70_000), FILE], 400, "FIELD_TOO_LARGE"),
        ([('name="filename"', "", b"x")] * 101 + [FILE], 400, "TOO_MANY_FIELDS"),
        ([("filename=a", "", b"x")], 400, "MALFORMED_MULTIPART"),
        ([('name="f"; filename="a\x01"', "", b"x")], 400, "INVALID_FILENAME"),
        ([('name="f"; filename=".."', "", b"x")], 400, "INVALID_FILENAME"),
        ([('name="f"; filename="a"', "x" * 5000 + ": y\r\n", b"x")], 400, "MALFORMED_MULTIPART"),
        ([('name="f"; filename="a"', "a: b\r\n" * 9, b"x")], 400, "MALFORMED_MULTIPART"),
        (
            [('name="f"; filename="a"', "content-transfer-encoding: base64\r\n", b"eA==")],
            415,
            "UNSUPPORTED_CONTENT_ENCODING",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_form_that_is_not_one_file_is_refused(server, method, parts, status, reason):
    client = AsgiClient(server.gateway())
    answer = await client.request(method, "/v1/blobs/b", cut(form(*parts), 1000), FORM)
    assert (answer.status, answer.reason) == (status, reason)
    assert server.blobs.committed == {}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (form(FILE)[:-6], FORM["content-type"]),
        (form(FILE, end=""), FORM["content-type"]),
        (b"", FORM["content-type"]),
        (b"nonsense", FORM["content-type"]),
        (form(FILE), "multipart/form-data"),
        (form(FILE), "multipart/form-data; boundary="),
        (form(FILE), "multipart/form-data; boundary=" + "x" * 500),
        (form(FILE), "multipart/form-data; boundary=other"),
    ],
)
async def test_a_malformed_form_is_refused(client, server, body, content_type):
    answer = await client.request("POST", "/v1/blobs/b", body, {"content-type": content_type})
    assert (answer.status, answer.reason) == (400, "MALFORMED_MULTIPART")
    assert server.blobs.committed == {}


@pytest.mark.parametrize("boundary", ['"b0undary"', "b0undary; charset=utf-8"])
async def test_a_boundary_may_be_written_in_other_ways(client, boundary):
    headers = {"content-type": f"Multipart/Form-Data; boundary={boundary}"}
    assert (await client.request("POST", "/v1/blobs/b", form(FILE), headers)).status == 200


async def test_only_a_method_that_takes_a_file_takes_a_form(client):
    answer = await client.request("POST", "/v1/rooms/r/notes:collect", form(FILE), FORM)
    assert (answer.status, answer.reason) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    ("parameters", "filename", "disposition"),
    [
        ('filename="a b.txt"', "a b.txt", 'attachment; filename="a b.txt"'),
        ('filename="C:\\dir\\a.txt"', "a.txt", 'attachment; filename="a.txt"'),
        ('filename="../../etc/passwd"', "passwd", 'attachment; filename="passwd"'),
        ('filename="ä.txt"', "ä.txt", "attachment; filename*=UTF-8''%C3%A4.txt"),
        ('filename=""', "", None),
    ],
)
async def test_the_name_of_a_forms_file_is_handed_on(
    client, server, parameters, filename, disposition
):
    part = (f'name="f"; {parameters}', "", b"x")
    answer = await client.request("POST", "/v1/blobs/b", form(part), FORM)
    assert answer.json["filename"] == filename
    assert (server.blobs.calls[0].first("content-disposition") or None) == disposition


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ('attachment; filename="a.txt"', "a.txt"),
        ("attachment; filename*=UTF-8''%c3%a4.txt", "ä.txt"),
        ("attachment", ""),
        ("nonsense;;=", ""),
    ],
)
async def test_the_name_of_a_raw_file_is_handed_on(client, disposition, filename):
    headers = {"content-disposition": disposition}
    answer = await client.request("PUT", "/v1/blobs/b", b"x", headers)
    assert answer.json["filename"] == filename


async def test_a_name_that_the_query_gives_wins(client):
    answer = await client.request("POST", "/v1/blobs/b?filename=mine", form(FILE), FORM)
    assert answer.json["filename"] == "mine"


async def test_the_form_is_read_only_as_fast_as_the_call_takes_it(client, server):
    async def body():
        yield form(FILE)[:-20]
        await asyncio.Event().wait()

    client.gone.set()
    answer = await client.request("POST", "/v1/blobs/b", body(), FORM)
    assert answer.status == 400
    assert len(server.blobs.calls) == 1
    assert client.read_before_answer == 1


async def test_random_bytes_are_never_an_internal_error(client):
    for seed in range(200):
        body = (
            os.urandom(seed) if seed % 2 else form(FILE)[:seed] + os.urandom(9) + form(FILE)[seed:]
        )
        answer = await client.request("POST", "/v1/blobs/b", body, FORM)
        assert answer.status in (200, 400)
