"""Unpacks tar archives of strangers: plain ones, and those of gzip, bzip2 and xz.

What is in them is files and folders below one folder, or nothing at all: paths that lead out of it, links,
devices, sparse files and files that are there twice are refused, and so is what would fill a disk or the
memory. The standard library's filters let links pass and count nothing.
"""

import bz2
import errno
import lzma
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from windlass_agent.beneath import make_folder, open_beneath

_PIECE = 256 << 10
# Of what stands around the content of one entry: a path may be long, no list of attributes need be.
_MAX_HEADER = 1 << 20
_XZ_MEMORY = 128 << 20
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


def unpack(archive: BinaryIO, folder: Path, bounds: Bounds | None = None) -> Unpacked:
    """Unpack an archive into an empty folder, which is empty again when that fails.

    Files get the mode 600, or 700 where their owner may execute them. Blocks; reads as it goes.

    Raises:
        ArchiveRefused: it is none, or has what it must not have.
        OSError: it cannot be read, or not be written, or the folder is not empty.
    """
    target = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.listdir(target):  # noqa: PTH208 - of a descriptor
            raise FileExistsError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(folder))
        try:
            return _unpack(archive, target, bounds or Bounds())
        except BaseException:
            _empty(target)
            raise
    finally:
        os.close(target)


def _unpack(archive: BinaryIO, target: int, bounds: Bounds) -> Unpacked:
    try:
        return _Unpacking(_Source(archive, bounds), target, bounds).run()
    except ArchiveRefused:
        raise
    except (
        tarfile.TarError,
        EOFError,
        zlib.error,
        lzma.LZMAError,
        ValueError,
        OverflowError,
    ) as error:
        raise ArchiveRefused("BAD_ARCHIVE", f"the archive cannot be read: {error}") from None


class _Unpacking:
    """One archive on its way into a folder, of which `target` is a descriptor."""

    def __init__(self, source: "_Source", target: int, bounds: Bounds) -> None:
        self._source = source
        self._target = target
        self._bounds = bounds
        self._files = self._folders = self._size = 0

    def run(self) -> Unpacked:
        self._source.allow(_MAX_HEADER)
        with tarfile.open(fileobj=self._source, mode="r|") as tar:  # type: ignore[call-overload]
            while (entry := tar.next()) is not None:
                # It would keep all of them.
                tar.members = []
                self._take(tar, entry)
                self._source.allow(_MAX_HEADER)
        # To the end, for what says there whether all of it is as it was.
        while self._source.read(_PIECE):
            self._source.allow(_PIECE)
        return Unpacked(self._files, self._folders, self._size)

    def _take(self, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        if self._files + self._folders >= self._bounds.entries:
            raise ArchiveRefused(
                "TOO_MANY_ENTRIES", f"it has more than {self._bounds.entries} files and folders"
            )
        _require_kind(entry)
        path = _path_of(entry)
        try:
            if entry.isdir():
                os.close(make_folder(self._target, path))
                self._folders += 1
            else:
                self._file(tar, entry, path)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise ArchiveRefused("DUPLICATE", f"{entry.name!r} is there twice") from None

    def _file(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, path: bytes) -> None:
        above, _, name = path.rpartition(b"/")
        if not name:
            raise ArchiveRefused("BAD_PATH", f"{entry.name!r} is no path of a file")
        if not 0 <= entry.size <= self._bounds.size:
            raise _too_many_bytes(self._bounds)
        content = tar.extractfile(entry)
        assert content is not None
        parent = make_folder(self._target, above)
        try:
            mode = 0o700 if entry.mode & stat.S_IXUSR else 0o600
            fd = open_beneath(parent, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        finally:
            os.close(parent)
        with open(fd, "wb", buffering=0) as file:  # noqa: PTH123
            left = entry.size
            while left:
                self._source.allow(2 * _PIECE)
                piece = content.read(min(_PIECE, left))
                if not piece:
                    raise EOFError("it is cut off")
                file.write(piece)
                left -= len(piece)
        self._files += 1
        self._size += entry.size


def _require_kind(entry: tarfile.TarInfo) -> None:
    """Refuse what is neither a file nor a folder."""
    if entry.type == tarfile.GNUTYPE_SPARSE or entry.issparse():
        raise ArchiveRefused("SPARSE_FILE", f"{entry.name!r} is a sparse file")
    if entry.issym() or entry.islnk():
        raise ArchiveRefused("LINK", f"{entry.name!r} is a link")
    if entry.isdev():
        raise ArchiveRefused("DEVICE", f"{entry.name!r} is a device or a pipe")
    if not (entry.isreg() or entry.isdir()):
        raise ArchiveRefused("UNKNOWN_KIND", f"{entry.name!r} is neither a file nor a folder")


def _path_of(entry: tarfile.TarInfo) -> bytes:
    """The path of an entry below the folder; empty for the folder itself."""
    raw = os.fsencode(entry.name)
    names = [name for name in raw.split(b"/") if name not in (b"", b".")]
    path = b"/".join(names)
    if raw.startswith(b"/") or b"\0" in raw or b".." in names:
        raise ArchiveRefused("BAD_PATH", f"{entry.name!r} leads out of the folder")
    if (
        len(path) > _MAX_PATH
        or len(names) > _MAX_DEPTH
        or any(len(one) > _MAX_NAME for one in names)
    ):
        raise ArchiveRefused("BAD_PATH", f"{entry.name[:100]!r}… is too long, or too deep")
    return path


def _too_many_bytes(bounds: Bounds) -> ArchiveRefused:
    return ArchiveRefused("TOO_MANY_BYTES", f"it unpacks to more than {bounds.size} bytes")


class _Gzip:
    """zlib's, in the manner of the others."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)


_KINDS: tuple[tuple[bytes, Callable[[], Any]], ...] = (
    (b"\x1f\x8b", _Gzip),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)),
)


class _Source:
    """The bytes of an archive, unpacked as they are read, and no more of them than is allowed."""

    def __init__(self, archive: BinaryIO, bounds: Bounds) -> None:
        self._archive = archive
        self._bounds = bounds
        self._taken = self._given = self._allowed = 0
        self._head = self._more(6)
        kinds = [make for magic, make in _KINDS if self._head.startswith(magic)]
        self._make = kinds[0] if kinds else None
        self._machine: Any = self._make() if self._make else None

    def allow(self, size: int) -> None:
        """So many bytes may be read from here on: what an entry says of itself may ask for more."""
        self._allowed = size

    def read(self, size: int) -> bytes:
        """The next bytes, at most so many; none at the end."""
        if size > self._allowed:
            raise ArchiveRefused("HEADER_TOO_LARGE", "something around its content is too large")
        data = self._unpacked(size) if self._machine is not None else self._plain(size)
        self._allowed -= len(data)
        self._given += len(data)
        if self._given > self._bounds.size:
            raise _too_many_bytes(self._bounds)
        if self._given > max(self._bounds.free, self._bounds.ratio * self._taken):
            text = f"it unpacks to more than {self._bounds.ratio} times its size"
            raise ArchiveRefused("TOO_COMPRESSED", text)
        return data

    def _plain(self, size: int) -> bytes:
        head, self._head = self._head[:size], self._head[size:]
        return head or self._more(size)

    def _unpacked(self, size: int) -> bytes:
        data = b""
        while not data:
            feed = b""
            if self._machine.eof:
                feed = self._machine.unused_data or self._more(_PIECE)
                # Several may stand behind each other, and zeros behind the last.
                if not feed.strip(b"\0"):
                    return b""
                assert self._make is not None
                self._machine = self._make()
            elif self._machine.needs_input:
                head, self._head = self._head, b""
                feed = head or self._more(_PIECE)
            try:
                data = self._machine.decompress(feed, size)
            except OSError as error:  # as bzip2 says it
                raise EOFError(str(error)) from None
            if not (data or feed or self._machine.eof):
                raise EOFError("it is cut off")
        return data

    def _more(self, size: int) -> bytes:
        data = self._archive.read(size)
        self._taken += len(data)
        return data


def _empty(folder: int) -> None:
    """Remove all that is in a folder."""
    for name in os.listdir(folder):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)
