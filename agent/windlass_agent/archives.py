"""Unpacks archives of strangers: tars, plain and of gzip, bzip2, xz and zstd, and zips.

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
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

import zstandard

from windlass_agent import zip_archives
from windlass_agent.archive_tree import (
    PIECE,
    ArchiveRefused,
    Bounds,
    Tree,
    Unpacked,
    is_executable,
    require_ratio,
    too_many_bytes,
)

__all__ = ["ArchiveRefused", "Bounds", "Unpacked", "unpack"]


# Of what stands around the content of one entry: a path may be long, no list of attributes need be.
_MAX_HEADER = 1 << 20
_XZ_MEMORY = _ZSTD_WINDOW = 128 << 20
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


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
        tree = Tree(target, bounds)
        if zip_archives.is_zip(archive):
            return zip_archives.unpack(archive, tree, bounds)
        return _Unpacking(_Source(archive, bounds), tree).run()
    except ArchiveRefused:
        raise
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zstandard.ZstdError,
        NotImplementedError,
        struct.error,
        EOFError,
        zlib.error,
        lzma.LZMAError,
        ValueError,
        OverflowError,
    ) as error:
        raise ArchiveRefused("BAD_ARCHIVE", f"the archive cannot be read: {error}") from None


class _Unpacking:
    """One tar on its way into a folder."""

    def __init__(self, source: "_Source", tree: Tree) -> None:
        self._source = source
        self._tree = tree

    def run(self) -> Unpacked:
        self._source.allow(_MAX_HEADER)
        with tarfile.open(fileobj=self._source, mode="r|") as tar:  # type: ignore[call-overload]
            while (entry := tar.next()) is not None:
                # It would keep all of them.
                tar.members = []
                self._take(tar, entry)
                self._source.allow(_MAX_HEADER)
        # To the end, for what says there whether all of it is as it was.
        while self._source.read(PIECE):
            self._source.allow(PIECE)
        return self._tree.unpacked

    def _take(self, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        _require_kind(entry)
        if entry.isdir():
            self._tree.folder(entry.name)
            return
        content = tar.extractfile(entry)
        assert content is not None

        def read(size: int) -> bytes:
            self._source.allow(2 * PIECE)
            return content.read(size)

        self._tree.file(entry.name, entry.size, read, executable=is_executable(entry.mode))


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


def _zstd(read: Callable[[int], bytes]) -> Any:
    """What unpacks zstandard: its own object for pushed pieces would give all at once that is in one."""
    machine = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    source = cast("BinaryIO", SimpleNamespace(read=read))
    return machine.stream_reader(source, read_size=PIECE, read_across_frames=True)


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
        self._zstd: Any = _zstd(self._plain) if self._head.startswith(_ZSTD_MAGIC) else None

    def allow(self, size: int) -> None:
        """So many bytes may be read from here on: what an entry says of itself may ask for more."""
        self._allowed = size

    def read(self, size: int) -> bytes:
        """The next bytes, at most so many; none at the end."""
        if size > self._allowed:
            raise ArchiveRefused("HEADER_TOO_LARGE", "something around its content is too large")
        data = self._read(size)
        self._allowed -= len(data)
        self._given += len(data)
        if self._given > self._bounds.size:
            raise too_many_bytes(self._bounds)
        require_ratio(self._given, self._taken, self._bounds)
        return data

    def _read(self, size: int) -> bytes:
        if self._zstd is not None:
            return bytes(self._zstd.read(size))
        return self._unpacked(size) if self._machine is not None else self._plain(size)

    def _plain(self, size: int) -> bytes:
        head, self._head = self._head[:size], self._head[size:]
        return head or self._more(size)

    def _unpacked(self, size: int) -> bytes:
        data = b""
        while not data:
            feed = b""
            if self._machine.eof:
                feed = self._machine.unused_data or self._more(PIECE)
                # Several may stand behind each other, and zeros behind the last.
                if not feed.strip(b"\0"):
                    return b""
                assert self._make is not None
                self._machine = self._make()
            elif self._machine.needs_input:
                head, self._head = self._head, b""
                feed = head or self._more(PIECE)
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
