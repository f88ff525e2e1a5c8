"""Files in request bodies: what an RPC that takes a `google.api.HttpBody` gets of them.

The bytes are the body as it is, or the file of a `multipart/form-data` form, whatever their type says.
An RPC with a client's stream gets them in messages of bounded size while they come, and at least one
message, which has what the path, the query and the form's fields bind and the content type; any other
RPC gets them in one message.

The file's name goes along as the metadata `content-disposition`, and into the request's field `filename`
or `file_name` where it has one that nothing else sets.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from windlass_server.gateway.body import too_large
from windlass_server.gateway.body_stream import BodyStream
from windlass_server.gateway.filenames import attachment, header_filename
from windlass_server.gateway.headers import RequestHeaders
from windlass_server.gateway.multipart import FormFile, is_multipart
from windlass_server.gateway.transcoder import Binding

# Most bytes of a file in one message.
CHUNK_BYTES = 512 << 10


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """A file whose bytes are still coming.

    Attributes:
        content_type: empty when the client gives none.
        filename: empty when the client gives none.
        fields: names and values of the form's fields.
        pieces: the bytes, in pieces that are not empty; raises Refusal when they are not whole.
    """

    content_type: str
    filename: str
    fields: Sequence[tuple[str, str]]
    pieces: AsyncGenerator[bytes]

    @property
    def metadata(self) -> dict[str, str]:
        """What a call says of the file beside its messages."""
        return {"content-disposition": attachment(self.filename)} if self.filename else {}


async def open_file(headers: RequestHeaders, body: BodyStream) -> IncomingFile:
    """Find the file in a body; of a form, read up to it.

    Raises:
        Refusal: the form is malformed, or has no file.
    """
    content_type = headers.others.get("content_type", "")
    if not is_multipart(content_type):
        filename = header_filename(headers.others.get("content_disposition", ""))
        return IncomingFile(content_type, filename, (), body.pieces())
    form = FormFile(content_type)
    pieces = body.pieces()
    first: list[bytes] = []
    while not form.opened:
        piece = await anext(pieces, None)
        if piece is None:
            form.end()
            break
        first += form.feed(piece)
    return IncomingFile(
        form.content_type, form.filename, form.fields, _form_pieces(form, first, pieces)
    )


async def _form_pieces(
    form: FormFile, first: list[bytes], pieces: AsyncGenerator[bytes]
) -> AsyncGenerator[bytes]:
    async with aclosing(pieces):
        for part in first:
            yield part
        async for piece in pieces:
            for part in form.feed(piece):
                yield part
        form.end()


async def file_request(
    binding: Binding, values: Sequence[str], query: str, file: IncomingFile, limit: int
) -> bytes:
    """The one message that holds a whole file, of at most `limit` bytes; raises Refusal."""
    # Before the file is read: bad parameters are known by now.
    binding.file_request(values, query, file.fields, file.content_type, file.filename, b"")
    parts: list[bytes] = []
    size = 0
    async with aclosing(file.pieces) as pieces:
        async for piece in pieces:
            size += len(piece)
            if size > limit:
                raise too_large(limit)
            parts.append(piece)
    data = b"".join(parts)
    message = binding.file_request(
        values, query, file.fields, file.content_type, file.filename, data
    )
    if len(message) > limit:
        raise too_large(limit)
    return message


def file_messages(
    binding: Binding, values: Sequence[str], query: str, file: IncomingFile, limit: int
) -> AsyncGenerator[bytes]:
    """The messages of a client's stream that holds a file; read as fast as they are taken.

    Args:
        binding: of the RPC.
        values: decoded values of the path's variables.
        query: the raw query string.
        file: what is uploaded.
        limit: most bytes of a message.

    Raises:
        Refusal: for bad parameters at once; of the iterator for a body that is not whole.
    """
    arguments = (values, query, file.fields, file.content_type, file.filename)
    room = limit - len(binding.file_request(*arguments, b"")) - _FRAMING_BYTES
    return _messages(binding, arguments, file, max(min(CHUNK_BYTES, room), 1))


# Tags and lengths of the fields around a message's bytes.
_FRAMING_BYTES = 64


async def _messages(
    binding: Binding,
    arguments: tuple[Sequence[str], str, Sequence[tuple[str, str]], str, str],
    file: IncomingFile,
    chunk: int,
) -> AsyncGenerator[bytes]:
    sent = False
    async with aclosing(file.pieces) as pieces:
        async for piece in pieces:
            for start in range(0, len(piece), chunk):
                data = piece[start : start + chunk] if len(piece) > chunk else piece
                if sent:
                    yield binding.file_chunk(data)
                else:
                    yield binding.file_request(*arguments, data)
                    sent = True
    if not sent:
        yield binding.file_request(*arguments, b"")
