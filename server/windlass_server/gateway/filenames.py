"""Names of files in `Content-Disposition`: read from what clients send, and written for services."""

from email.message import Message
from urllib.parse import quote

from windlass_server.gateway.errors import Refusal, bad_field

_MAX_CHARACTERS = 255


def header_filename(disposition: str) -> str:
    """The name of the file in a request's own `Content-Disposition`; empty when it gives none."""
    header = Message()
    header["content-disposition"] = disposition
    try:
        name = header.get_filename("") or ""
    except (LookupError, TypeError, ValueError):
        # A character set that is none; a name both whole and in parts, which cannot be put in order.
        raise _no_filename() from None
    return checked_filename(name)


def checked_filename(name: str) -> str:
    """A name without the folders that some clients send along; raises Refusal for one that is none.

    It is data all the same: a service must not open a file by it.
    """
    base = name.replace("\\", "/").rpartition("/")[2]
    if base in (".", "..") or not base.isprintable() or len(base) > _MAX_CHARACTERS:
        raise _no_filename()
    return base


def _no_filename() -> Refusal:
    return bad_field("INVALID_FILENAME", "filename", "is not the name of a file")


def attachment(name: str) -> str:
    """A `Content-Disposition` in ASCII that gives a file's name."""
    if name.isascii() and not {'"', "\\"} & set(name):
        return f'attachment; filename="{name}"'
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"
