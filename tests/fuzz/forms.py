"""Forms with a file: read the same however they come in pieces, or refused.

An input is a content type, a line break, a byte that gives the size of the pieces, and the body.
"""

from windlass_server.gateway.errors import Refusal
from windlass_server.gateway.multipart import FormFile

_TYPE = b"multipart/form-data; boundary=b\n"
SEEDS = (
    _TYPE + b'\x03--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n--b\r\n'
    b'content-disposition: form-data; name="f"; filename="x"\r\ncontent-type: text/plain\r\n\r\n'
    b"data\r\n--b--\r\n",
    _TYPE
    + b"\x01--b\r\nContent-Disposition: form-data; name=f; filename*=UTF-8''%c3%a4\r\n\r\n\r\n--b--",
    b'multipart/form-data; boundary="a b"\n\x40--a b\r\n\r\n--a b--',
)
WORDS = (
    *(
        b"--b",
        b"--b--",
        b"\r\n",
        b"\r\n\r\n",
        b"content-disposition: form-data; ",
        b'name="',
        b"--",
    ),
    *(
        b'filename="',
        b"filename*=",
        b"content-transfer-encoding: base64",
        b"content-type: ",
        b"\r\n--b",
    ),
    *(b"boundary=", b"../", b"\\", b"%00", b"; ", b'"'),
)


def check(data: bytes) -> None:
    """Read a form whole and in pieces."""
    content_type, _, rest = data.partition(b"\n")
    step, body = max(1, int.from_bytes(rest[:1], "big")), rest[1:]
    text = content_type.decode("latin-1")
    whole = _read(text, [body])
    for size in (step, 1):
        assert whole == _read(text, [body[at : at + size] for at in range(0, len(body), size)])


def _read(content_type: str, pieces: list[bytes]) -> tuple[object, ...]:
    """What a form says, as far as it can be read, and why it cannot."""
    try:
        form = FormFile(content_type)
    except Refusal as refusal:
        return (refusal.reason,)
    data = b""
    reason = ""
    try:
        for piece in pieces:
            data += b"".join(form.feed(piece))
        form.end()
    except Refusal as refusal:
        reason = refusal.reason
    if reason:
        return (reason,)
    assert "/" not in form.filename
    return form.fields, form.filename, form.content_type, data
