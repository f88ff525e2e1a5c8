"""A checkpoint as a tar archive (pax, POSIX.1-2001): what stands around the content of its files.

Nodes say what a checkpoint consists of, and people unpack it where they have more than it: nothing in it
lies outside of the archive's own folder, or behind a link.
"""

import os
import tarfile
from collections.abc import Sequence

from windlass.agents.v1.checkpoint_pb2 import CheckpointEntry

CONTENT_TYPE = "application/x-tar"
END = bytes(2 * tarfile.BLOCKSIZE)
"""What stands behind the last entry."""

_NANOS_PER_SECOND = 1_000_000_000


def header(entry: CheckpointEntry) -> bytes:
    """What stands before the content of an entry."""
    info = tarfile.TarInfo(os.fsdecode(entry.path))
    if entry.HasField("file"):
        info.size = entry.file.size_bytes
        info.mode = 0o755 if entry.file.executable else 0o644
        info.mtime = entry.file.change_time_nanos // _NANOS_PER_SECOND
    elif entry.HasField("link"):
        info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, os.fsdecode(entry.link)
    else:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def padding(entry: CheckpointEntry) -> bytes:
    """What stands behind it."""
    return bytes(-entry.file.size_bytes % tarfile.BLOCKSIZE)


def size_of(entries: Sequence[CheckpointEntry]) -> int:
    """Bytes of the whole archive."""
    contents = sum(entry.file.size_bytes + len(padding(entry)) for entry in entries)
    return contents + sum(len(header(entry)) for entry in entries) + len(END)


def is_fit(entries: Sequence[CheckpointEntry]) -> bool:
    """Whether each entry lies directly in a folder that stands before it, and none is there twice."""
    folders, seen = {b""}, set()
    for entry in entries:
        above, _, name = entry.path.rpartition(b"/")
        if name in (b"", b".", b"..") or b"\0" in entry.path or entry.path in seen:
            return False
        if above not in folders or (above == b"" and b"/" in entry.path):
            return False
        seen.add(entry.path)
        if entry.HasField("folder"):
            folders.add(entry.path)
    return True
