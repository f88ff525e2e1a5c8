"""The files that a task has left for its job: found without following any link.

Tasks write what is read here, and the agent may do more than they.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_FILES = 2_000
"""The most files of a run."""
_MAX_SEEN = 20_000
_MAX_DEPTH = 64
_MAX_NAME = 512


@dataclass(frozen=True, slots=True)
class Leaf:
    """A file in the folder.

    Attributes:
        path: below the folder.
        name: the same as text, joined by `/`.
        size: in bytes.
    """

    path: bytes
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in a folder.

    Attributes:
        files: what can become artifacts.
        problem: why other files cannot; empty when all can.
    """

    files: tuple[Leaf, ...] = ()
    problem: str = ""


def find(folder: Path) -> Found:
    """Every file below a folder, in the order of their names.

    Links, sockets, pipes and devices are left out: nothing is read that does not lie there.
    """
    files: list[Leaf] = []
    unfit = 0
    if not folder.is_dir():
        return Found()
    for seen, (path, size) in enumerate(_regular_files(os.fsencode(folder))):
        name = os.fsdecode(path)
        if seen >= _MAX_SEEN or len(files) >= MAX_FILES:
            return Found(tuple(files), f"there are more than {len(files)} files")
        if _is_fit(name):
            files.append(Leaf(path, name, size))
        else:
            unfit += 1
    problem = f"{unfit} files have names that no artifact can have" if unfit else ""
    return Found(tuple(sorted(files, key=lambda one: one.name)), problem)


def _regular_files(top: bytes) -> Iterator[tuple[bytes, int]]:
    """The paths below a folder of its files, and their sizes."""
    for root, folders, names, fd in os.fwalk(top, follow_symlinks=False):
        below = os.path.relpath(root, top)
        if below.count(b"/") >= _MAX_DEPTH:
            folders.clear()
        for name in names:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                path = name if below == b"." else os.path.join(below, name)  # noqa: PTH118
                yield path, status.st_size


def _is_fit(name: str) -> bool:
    """Whether an artifact can have that name; those that are no text cannot."""
    return len(name) <= _MAX_NAME and name.isprintable() and "\\" not in name
