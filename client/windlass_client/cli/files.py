"""Files that commands bring from the server."""

import sys
from collections.abc import Iterator
from pathlib import Path

from windlass_client.errors import InvalidArgument


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
