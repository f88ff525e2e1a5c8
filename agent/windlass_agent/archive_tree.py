"""The folder that an archive of strangers is unpacked into: files and folders below it, or nothing at all."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from windlass_agent.beneath import make_folder, open_beneath

PIECE = 256 << 10
_MAX_PATH, _MAX_NAME, _MAX_DEPTH = 4095, 255, 64


class ArchiveRefused(ValueError):
    """An archive that is not unpacked.

    Attributes:
        reason: BAD_ARCHIVE, BAD_PATH, LINK, DEVICE, SPARSE_FILE, UNKNOWN_KIND, DUPLICATE, TOO_MANY_ENTRIES,
            TOO_MANY_BYTES, TOO_COMPRESSED or HEADER_TOO_LARGE.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that an archive may be.

    Attributes:
        entries: files and folders.
        size: bytes of everything in it, unpacked, with what stands around it.
        ratio: how many times as much is unpacked as there was.
        free: bytes from which on the ratio counts.
    """

    entries: int = 100_000
    size: int = 10 << 30
    ratio: int = 200
    free: int = 16 << 20


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was in an archive."""

    files: int
    folders: int
    size: int
    """Bytes of all files."""


class Tree:
    """What was unpacked so far.

    Args:
        target: descriptor of the folder.
        bounds: the most that there may be.
    """

    def __init__(self, target: int, bounds: Bounds) -> None:
        self._target = target
        self._bounds = bounds
        self._files = self._folders = self._size = 0

    @property
    def unpacked(self) -> Unpacked:
        """What there is."""
        return Unpacked(self._files, self._folders, self._size)

    def folder(self, name: str) -> None:
        """Make a folder by its name in the archive. Raises ArchiveRefused."""
        self._count()
        path = _path_of(name)
        try:
            os.close(make_folder(self._target, path))
        except (FileExistsError, NotADirectoryError):
            raise _twice(name) from None
        self._folders += 1

    def file(self, name: str, size: int, read: Callable[[int], bytes], *, executable: bool) -> None:
        """Make a file by its name in the archive.

        Args:
            name: names joined by `/`.
            size: its length in bytes.
            read: its next bytes, at most so many.
            executable: its owner may execute it.

        Raises:
            ArchiveRefused: it may not be, or is there twice.
            EOFError: its content is not all there.
        """
        self._count()
        above, _, last = _path_of(name).rpartition(b"/")
        if not last:
            raise ArchiveRefused("BAD_PATH", f"{name!r} is no path of a file")
        if not 0 <= size <= self._bounds.size:
            raise too_many_bytes(self._bounds)
        try:
            fd = self._made(above, last, 0o700 if executable else 0o600)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise _twice(name) from None
        with open(fd, "wb", buffering=0) as file:  # noqa: PTH123
            left = size
            while left:
                piece = read(min(PIECE, left))
                if not piece:
                    raise EOFError("it is cut off")
                file.write(piece)
                left -= len(piece)
        self._files += 1
        self._size += size

    def _made(self, above: bytes, name: bytes, mode: int) -> int:
        parent = make_folder(self._target, above)
        try:
            return open_beneath(parent, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        finally:
            os.close(parent)

    def _count(self) -> None:
        if self._files + self._folders >= self._bounds.entries:
            text = f"it has more than {self._bounds.entries} files and folders"
            raise ArchiveRefused("TOO_MANY_ENTRIES", text)


def is_executable(mode: int) -> bool:
    """Whether the owner of a file of such a mode may execute it."""
    return bool(mode & stat.S_IXUSR)


def _path_of(name: str) -> bytes:
    """The path of an entry below the folder; empty for the folder itself."""
    raw = os.fsencode(name)
    names = [one for one in raw.split(b"/") if one not in (b"", b".")]
    path = b"/".join(names)
    if raw.startswith(b"/") or b"\0" in raw or b".." in names:
        raise ArchiveRefused("BAD_PATH", f"{name!r} leads out of the folder")
    if (
        len(path) > _MAX_PATH
        or len(names) > _MAX_DEPTH
        or any(len(one) > _MAX_NAME for one in names)
    ):
        raise ArchiveRefused("BAD_PATH", f"{name[:100]!r}… is too long, or too deep")
    return path


def _twice(name: str) -> ArchiveRefused:
    return ArchiveRefused("DUPLICATE", f"{name!r} is there twice")


def too_many_bytes(bounds: Bounds) -> ArchiveRefused:
    """That an archive is larger than it may be."""
    return ArchiveRefused("TOO_MANY_BYTES", f"it unpacks to more than {bounds.size} bytes")


def require_ratio(given: int, taken: int, bounds: Bounds) -> None:
    """Refuse what unpacks to far more than it was; both in bytes."""
    if given > max(bounds.free, bounds.ratio * taken):
        text = f"it unpacks to more than {bounds.ratio} times its size"
        raise ArchiveRefused("TOO_COMPRESSED", text)
