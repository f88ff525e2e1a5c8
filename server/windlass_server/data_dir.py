"""The server's own directory: private, and one server's at a time."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from windlass_server.errors import BadConfiguration


class DataDir:
    """The data directory, locked for as long as this object lives.

    Raises:
        BadConfiguration: it cannot be made or written, or another server holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(path / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            message = f"cannot use the data directory {path}: {error.strerror}"
            raise BadConfiguration(message) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            message = f"another windlass server runs on the data directory {path}"
            raise BadConfiguration(message) from None

    def folder(self, name: str) -> Path:
        """A folder within, made when it is missing; BadConfiguration when that cannot be."""
        path = self.path / name
        try:
            path.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            message = f"cannot use {path}: {error.strerror}"
            raise BadConfiguration(message) from None
        return path

    def server_id(self, new: Callable[[], str]) -> str:
        """What the server of this directory is called, at every start the same.

        Args:
            new: makes its name at the first start.

        Raises:
            BadConfiguration: it cannot be read or written.
        """
        path = self.path / "server.id"
        try:
            known = path.read_text("utf-8", "replace").strip() if path.exists() else ""
            if not known:
                known = new()
                path.write_text(f"{known}\n", "utf-8")
        except OSError as error:
            message = f"cannot use {path}: {error.strerror}"
            raise BadConfiguration(message) from None
        return known

    def close(self) -> None:
        """Let another server have it."""
        os.close(self._lock)
