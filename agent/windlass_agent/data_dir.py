"""The agent's directory: made private, proved writable, held by one agent at a time."""

import fcntl
import json
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from windlass_agent.config import ConfigError


class DataDir:
    """An agent's directory, locked for as long as this object is open.

    The kernel drops the lock with the process, however that ends: no stale lock is ever left.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(f"cannot write to {path}: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
            os.close(self._lock)
            raise ConfigError(
                f"another agent (process {holder or 'unknown'}) already runs on {path}"
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._lock)


def write_atomically(path: Path, content: bytes) -> None:
    """Puts a private file (0600) in place whole, or not at all, also when the power fails.

    Raises:
        ConfigError: the directory cannot be written to.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None


def write_json(path: Path, value: dict[str, str]) -> None:
    """Puts a small JSON file in place, as `write_atomically` does."""
    write_atomically(path, json.dumps(value, indent=2).encode() + b"\n")


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
