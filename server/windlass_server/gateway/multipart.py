"""`multipart/form-data` with one file, as `curl -F` and browsers send it, read while it comes.

Fields come before the file and count as query parameters; behind the file there is nothing. The field
that holds the file may have any name.
"""

import logging
from collections.abc import Callable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from windlass_server.gateway.errors import Refusal, bad_field, bad_request
from windlass_server.gateway.filenames import checked_filename

# It logs a line for each malformed body; the caller gets the error.
logging.getLogger("python_multipart").setLevel(logging.ERROR)

_MAX_FIELDS = 100
_MAX_FIELD_BYTES = 64 << 10
# Encodings that leave the bytes as they are; RFC 7578 wants no other.
_PLAIN = frozenset({"", "7bit", "8bit", "binary"})


def is_multipart(content_type: str) -> bool:
    """Whether a content type says that the body is a form with files."""
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


class FormFile:
    """The fields and the file of one body.

    Args:
        content_type: of the request, with its boundary.

    Attributes:
        fields: names and values of the fields before the file.
        filename: the file's name; empty when it has none.
        content_type: the file's own content type; empty when it has none.
        opened: whether the file has begun, so that the attributes above are final.

    Raises:
        Refusal: the content type has no usable boundary.
    """

    def __init__(self, content_type: str) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if not boundary:
            raise _malformed("its content type has no boundary")
        self.fields: list[tuple[str, str]] = []
        self.filename = ""
        self.content_type = ""
        self.opened = False
        # The parser would take some of what may come before it, and not always the same.
        self._due = b"--" + boundary
        self._pieces: list[bytes] = []
        self._headers: dict[str, str] = {}
        self._header = ["", ""]
        self._name = ""
        self._value = bytearray()
        self._in_file = False
        self._ended = False
        try:
            self._parser = MultipartParser(boundary, self._callbacks())  # type: ignore[arg-type]
        except FormParserError:
            raise _malformed("its boundary is too long") from None

    def feed(self, data: bytes) -> list[bytes]:
        """Take in the next bytes; gives what of the file is in them, which may be nothing.

        Raises:
            Refusal: the body is malformed, or has parts that it may not have.
        """
        if self._due:
            length = min(len(data), len(self._due))
            if data[:length] != self._due[:length]:
                raise _malformed("it does not begin with its boundary")
            self._due = self._due[length:]
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _malformed(str(error)) from None
        pieces, self._pieces = self._pieces, []
        return pieces

    def end(self) -> None:
        """Raise Refusal when the body is cut off or had no file."""
        if not self._ended:
            raise _malformed("it is cut off")
        if not self.opened:
            raise bad_request("FILE_MISSING", "the form has no part with a file name")

    def _callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self._part_begins,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_ends,
            "on_headers_finished": self._part_opens,
            "on_part_data": self._part_data,
            "on_part_end": self._part_ends,
            "on_end": self._form_ends,
        }

    def _part_begins(self) -> None:
        if self.opened:
            message = "the file must be the form's last part, and its only file"
            raise bad_request("PART_BEHIND_FILE", message)
        if len(self.fields) >= _MAX_FIELDS:
            raise bad_request("TOO_MANY_FIELDS", f"the form has more than {_MAX_FIELDS} fields")
        self._headers.clear()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end].decode("latin-1").lower()

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end].decode("latin-1")

    def _header_ends(self) -> None:
        name, value = self._header
        self._headers[name] = value.strip()
        self._header = ["", ""]

    def _part_opens(self) -> None:
        encoding = self._headers.get("content-transfer-encoding", "")
        if encoding.lower() not in _PLAIN:
            refusal = bad_request("UNSUPPORTED_CONTENT_ENCODING", "parts must not be encoded")
            refusal.http_status = 415
            raise refusal
        kind, options = parse_options_header(self._headers.get("content-disposition", ""))
        if kind != b"form-data" or b"name" not in options:
            raise _malformed("a part has no name")
        self._name = _text(options[b"name"])
        self._in_file = b"filename" in options
        if self._in_file:
            self.filename = checked_filename(_text(options[b"filename"]))
            self.content_type = self._headers.get("content-type", "")
            self.opened = True

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._pieces.append(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > _MAX_FIELD_BYTES:
            raise bad_field("FIELD_TOO_LARGE", self._name, f"has over {_MAX_FIELD_BYTES} bytes")

    def _part_ends(self) -> None:
        if not self._in_file:
            self.fields.append((self._name, _text(bytes(self._value))))
            self._value.clear()

    def _form_ends(self) -> None:
        self._ended = True


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed("a part is not valid UTF-8") from None


def _malformed(what: str) -> Refusal:
    return bad_request("MALFORMED_MULTIPART", f"the form cannot be read: {what}")
