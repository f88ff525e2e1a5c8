"""What a task is given of secrets, on its way to the task and never on a disk.

A variable's value goes from the agent through the spawner to the task's shim in memory alone. A file lies in a
folder of the run in /dev/shm, which is memory too, and is gone with the run.
"""

import contextlib
import errno
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108  (memory, and whose it is is checked)


@dataclass(frozen=True, slots=True)
class GivenSecret:
    """A secret: the variable holds it, or with `file` the path of a file that does."""

    variable: str
    value: bytes = field(repr=False)
    file: bool = False


def pack(secrets: Sequence[GivenSecret]) -> bytes:
    """The secrets in the form in which they are handed on; nothing for none."""
    if not secrets:
        return b""
    return json.dumps([(one.variable, one.value.hex(), one.file) for one in secrets]).encode()


def unpack(packed: bytes) -> list[GivenSecret]:
    """The secrets again."""
    words = json.loads(packed) if packed else []
    return [GivenSecret(name, bytes.fromhex(value), file) for name, value, file in words]


def folder_for(data_dir: Path) -> str:
    """Where an agent keeps its tasks' secret files: a folder in memory, its own; empty when there is none."""
    # Loaded here only: it maps OpenSSL, which would make every fork of the spawner dearer.
    import hashlib

    name = "windlass-" + hashlib.blake2b(os.fsencode(data_dir), digest_size=6).hexdigest()
    folder = str(_MEMORY / name)
    try:
        _make_private(folder)
    except OSError:
        return ""
    return folder


def _make_private(folder: str) -> None:
    """Make a folder unless it is there, and ours alone: others may write to /dev/shm.

    Raises:
        OSError: it cannot be made, or is somebody else's.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)  # noqa: PTH102
    found = os.lstat(folder)
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if not ours or found.st_mode & 0o077:
        raise PermissionError(errno.EPERM, "not this agent's own folder", folder)


def write_files(folder: str, secrets: Sequence[GivenSecret]) -> dict[str, str]:
    """Write the secrets that are files, for their owner alone; their paths by variable.

    Args:
        folder: of this run alone; made when it is needed.
        secrets: all of the run's.

    Raises:
        OSError: there is no room for them, or no folder.
    """
    files = [one for one in secrets if one.file]
    if not files:
        return {}
    if not folder:
        raise OSError(errno.ENOTSUP, "this node has no place in memory for files with secrets")
    _make_private(os.path.dirname(folder))  # noqa: PTH120
    os.mkdir(folder, 0o700)  # noqa: PTH102
    paths = {}
    for one in files:
        path = os.path.join(folder, one.variable)  # noqa: PTH118
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as file:  # noqa: PTH123
            file.write(one.value)
        paths[one.variable] = path
    return paths


def remove_files(folder: str) -> None:
    """Remove the secret files of a run, if it has any."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder) if folder else ():  # noqa: PTH208  (names only)
            os.unlink(os.path.join(folder, name))  # noqa: PTH108, PTH118
        os.rmdir(folder)  # noqa: PTH106
