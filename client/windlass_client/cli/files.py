"""Files that commands read, or bring from the server."""

import sys
from collections.abc import Iterator
from pathlib import Path

from windlass_client.errors import InvalidArgument


def read_text(name: str) -> str:
    """The text of a file; `-` is the standard input. Raises InvalidArgument when it cannot be read."""
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise InvalidArgument(f"cannot read {name}: {why}", reason="BAD_FILE") from None


def write_file(name: str, pieces: Iterator[bytes]) -> None:
    """Write a file, whole or not at all; `-` is the output.

    Raises:
        InvalidArgument: it cannot be written.
    """
    if name == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.flush()
        return
    path = Path(name)
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("wb") as file:
            file.writelines(pieces)
        beside.replace(path)
    except OSError as error:
        message = f"cannot write {name}: {error.strerror or error}"
        raise InvalidArgument(message, reason="BAD_FILE") from None
    finally:
        beside.unlink(missing_ok=True)
