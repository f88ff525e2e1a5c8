"""Zips of strangers: their list of contents is looked at before anything is read of it."""

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from typing import BinaryIO

from windlass_agent.archive_tree import (
    ArchiveRefused,
    Bounds,
    Tree,
    Unpacked,
    is_executable,
    require_ratio,
)

_MAGIC = b"PK\x03\x04"
# The end of a zip (APPNOTE 4.3.16): behind it is a comment at most.
_END = struct.Struct("<4s4H2LH")
_END_MAGIC, _LARGE_MAGIC, _LARGE_SIZE = b"PK\x05\x06", b"PK\x06\x07", 20
_MAX_COMMENT = 0xFFFF
# Of the list of contents, all of which is read into memory.
_MAX_LIST = 8 << 20
_ENCRYPTED = 0x1
_KNOWN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def is_zip(archive: BinaryIO) -> bool:
    """Whether a file that can be sought begins as a zip does; it is at its start again."""
    if not archive.seekable():
        return False
    start = archive.tell()
    head = archive.read(len(_MAGIC))
    archive.seek(start)
    return head == _MAGIC


def unpack(archive: BinaryIO, tree: Tree, bounds: Bounds) -> Unpacked:
    """Unpack a zip.

    Raises:
        ArchiveRefused: it has what it must not have.
        zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError: it cannot be read.
    """
    size = archive.seek(0, io.SEEK_END)
    _require_short_list(archive, size)
    with zipfile.ZipFile(archive) as zipped:
        for entry in zipped.infolist():
            _require_kind(entry)
            if not 0 <= entry.header_offset < size:
                raise zipfile.BadZipFile(f"{entry.filename!r} is not where it says")
            if entry.is_dir():
                tree.folder(entry.filename)
                continue
            given = tree.unpacked.size
            with zipped.open(entry) as content:
                read = _counted(content.read, given, size, bounds)
                mode = entry.external_attr >> 16
                tree.file(entry.filename, entry.file_size, read, executable=is_executable(mode))
                # At its end the content is compared with its checksum.
                if content.read(1):
                    raise zipfile.BadZipFile(f"{entry.filename!r} is longer than it says")
    return tree.unpacked


def _counted(
    read: Callable[[int], bytes], given: int, taken: int, bounds: Bounds
) -> Callable[[int], bytes]:
    """The same, refused when all that was given is too much for a zip of `taken` bytes."""

    def counted(size: int) -> bytes:
        nonlocal given
        piece = read(size)
        given += len(piece)
        if given > bounds.size:
            raise ArchiveRefused("TOO_MANY_BYTES", f"it unpacks to more than {bounds.size} bytes")
        require_ratio(given, taken, bounds)
        return piece

    return counted


def _require_short_list(archive: BinaryIO, size: int) -> None:
    """Refuse a zip whose list of contents would fill the memory, and those beyond 4 GiB, whose list may."""
    tail_size = min(size, _END.size + _MAX_COMMENT + _LARGE_SIZE)
    archive.seek(size - tail_size)
    tail = archive.read(tail_size)
    at = tail.rfind(_END_MAGIC)
    if at < 0 or len(tail) - at < _END.size:
        raise zipfile.BadZipFile("it has no list of contents")
    if _LARGE_MAGIC in tail[max(0, at - _LARGE_SIZE) : at]:
        raise ArchiveRefused("BAD_ARCHIVE", "it is of the kind for more than 4 GiB (zip64)")
    length, offset = _END.unpack_from(tail, at)[5:7]
    if offset + length > size - tail_size + at:
        raise zipfile.BadZipFile("its list of contents is not where it says")
    if length > _MAX_LIST:
        raise ArchiveRefused("TOO_MANY_ENTRIES", f"its list of contents has {length} bytes")


def _require_kind(entry: zipfile.ZipInfo) -> None:
    """Refuse what is neither a file nor a folder, and what cannot be read."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if "\0" in entry.orig_filename:
        raise ArchiveRefused("BAD_PATH", f"{entry.orig_filename!r} has a NUL")
    if kind == stat.S_IFLNK:
        raise ArchiveRefused("LINK", f"{entry.filename!r} is a link")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ArchiveRefused("DEVICE", f"{entry.filename!r} is a device or a pipe")
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _KNOWN:
        text = f"{entry.filename!r} is encrypted, or packed in a way that is not known here"
        raise ArchiveRefused("BAD_ARCHIVE", text)
