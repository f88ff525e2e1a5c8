"""Checkpoints as files: what lies in a folder, and a folder like it on another node.

Tasks write what is read here, and the agent may do more than they: no link is ever followed.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from windlass.agents.v1 import checkpoint_pb2 as pb
from windlass_agent import rundir

PART_BYTES = 512 << 10
MAX_DEPTH = 200
"""How deep folders may lie in each other."""
# What the agent and the task say to each other there.
NOT_KEPT = (os.fsencode(rundir.SAVE), os.fsencode(rundir.FAILED))


class UnfitPath(ValueError):
    """A path that leads out of the folder."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something in a folder."""

    path: bytes
    """Below the folder."""
    mode: int
    size: int
    """Of a file, in bytes; 0 for everything else."""
    changed_ns: int


def scan(folder: Path) -> list[Found]:
    """All files, folders and links below a folder, each folder before what is in it.

    Sockets, pipes and devices are left out: nobody could restore them.

    Raises:
        OSError: something cannot be read, or folders lie deeper in each other than can be kept.
    """
    found: list[Found] = []
    top = os.fsencode(folder)
    for root, folders, files, fd in os.fwalk(top, follow_symlinks=False):
        below = os.path.relpath(root, top)
        # Python goes down by recursion, which has an end that is no OSError.
        if below.count(b"/") >= MAX_DEPTH:
            message = f"folders lie more than {MAX_DEPTH} deep in each other"
            raise OSError(errno.ELOOP, message)
        for name in (*folders, *files):
            if below == b"." and name in NOT_KEPT:
                continue
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            path = name if below == b"." else os.path.join(below, name)  # noqa: PTH118
            if stat.S_ISREG(status.st_mode):
                found.append(Found(path, status.st_mode, status.st_size, status.st_mtime_ns))
            elif stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode):
                found.append(Found(path, status.st_mode, 0, 0))
    return found


def manifest_of(folder: Path, found: Iterable[Found]) -> pb.CheckpointManifest:
    """The manifest of what was found, for which every file is read.

    Raises:
        OSError: something cannot be read, or is not what it was.
    """
    return pb.CheckpointManifest(entries=[_entry(folder, one) for one in found])


def _entry(folder: Path, found: Found) -> pb.CheckpointEntry:
    if stat.S_ISDIR(found.mode):
        return pb.CheckpointEntry(path=found.path, folder=pb.CheckpointFolder())
    if stat.S_ISLNK(found.mode):
        with _holding(folder, found.path) as (name, fd):
            link = os.readlink(name, dir_fd=fd)
        return pb.CheckpointEntry(path=found.path, link=link)
    digest, size = hashlib.sha256(), 0
    for part in read(folder, found.path):
        digest.update(part)
        size += len(part)
    if size != found.size:
        raise OSError(errno.EAGAIN, "a file of the checkpoint changes", os.fsdecode(found.path))
    file = pb.CheckpointFile(
        sha256=digest.digest(),
        size_bytes=size,
        executable=bool(found.mode & stat.S_IXUSR),
        change_time_nanos=max(0, found.changed_ns),
    )
    return pb.CheckpointEntry(path=found.path, file=file)


def read(folder: Path, path: bytes) -> Iterator[bytes]:
    """The content of a file, in parts."""
    with _holding(folder, path) as (name, fd):
        found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=fd)
    with open(found, "rb", buffering=0) as file:  # noqa: PTH123
        while part := file.read(PART_BYTES):
            yield part


def make_folders(folder: Path, manifest: pb.CheckpointManifest) -> None:
    """Make the folders of a checkpoint, for its files to go into.

    Raises:
        UnfitPath: the manifest has a path that leads elsewhere.
        OSError: one cannot be made.
    """
    for entry in manifest.entries:
        target = _at(folder, fit(entry.path))
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120
        if entry.HasField("folder"):
            os.makedirs(target, mode=0o700, exist_ok=True)  # noqa: PTH103


def create(folder: Path, path: bytes) -> int:
    """A descriptor of a new, empty file."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(_at(folder, fit(path)), flags, 0o600)


def finish(folder: Path, manifest: pb.CheckpointManifest) -> None:
    """Make the links of a checkpoint, and its files as they were but not to be written to.

    Links come last, so that nothing is ever written through one.
    """
    for entry in manifest.entries:
        target = _at(folder, fit(entry.path))
        if entry.HasField("file"):
            os.chmod(target, 0o500 if entry.file.executable else 0o400)  # noqa: PTH101
            changed = entry.file.change_time_nanos
            os.utime(target, ns=(changed, changed))
    for entry in manifest.entries:
        if entry.HasField("link"):
            os.symlink(entry.link, _at(folder, entry.path))  # noqa: PTH211


def fit(path: bytes) -> bytes:
    """The path if it stays below the folder that it is for; UnfitPath else."""
    if b"\0" in path or any(name in (b"", b".", b"..") for name in path.split(b"/")):
        raise UnfitPath(f"not a path of a checkpoint: {path!r}")
    return path


@contextmanager
def _holding(folder: Path, path: bytes) -> Iterator[tuple[bytes, int]]:
    """The last name of a path, and a descriptor of the folder that it is in.

    A task that goes on may put links into the way meanwhile: none is followed.
    """
    *above, name = path.split(b"/")
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(folder, flags)
    try:
        for each in above:
            inner = os.open(each, flags, dir_fd=fd)
            os.close(fd)
            fd = inner
        yield name, fd
    finally:
        os.close(fd)


def _at(folder: Path, path: bytes) -> bytes:
    return os.path.join(os.fsencode(folder), path)  # noqa: PTH118
