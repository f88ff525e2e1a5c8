"""Virtual environments of Python that jobs of a project share: installed once on a node, found by later jobs.

```
environments/<key>.lock       held shared by who uses it, alone by who installs or removes it
environments/<key>/tree/      what tasks see: the environment is its folder `venv`
environments/<key>/ready.json appears when all is installed
```

A key stands for the project, the interpreter and the requirements: what the build of one project runs is never
seen by another. All that waits for locks are shims, one process each, so that a lock ends with who held it.
"""

import ctypes
import fcntl
import hashlib
import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from windlass_agent import rundir
from windlass_agent.run_types import Packages, RunRequest

TREE = "tree"
VENV = "venv"
REQUIREMENTS = "requirements.txt"
_READY = "ready.json"
_LOCK = ".lock"
_TRASH = ".trash-"
# Where a task's own programs are looked for, which an interpreter has to be among.
_PATH = "/usr/local/bin:/usr/bin:/bin"

Wait = Callable[[], bool]
"""Waits a moment for a lock; False: wait no longer."""


@dataclass(frozen=True, slots=True)
class Packaging:
    """How packages are installed.

    Attributes:
        uv: the program that does it; empty: there is none.
        index_url: where they come from; empty: PyPI.
        limit_bytes: how many bytes all environments of the node may have together.
    """

    uv: str = ""
    index_url: str = ""
    limit_bytes: int = 20 << 30


def installer() -> str:
    """The `uv` that came with this agent, or that the machine has; empty: none."""
    own = shutil.which("uv", path=sysconfig.get_path("scripts"))
    return own or shutil.which("uv", path=_PATH) or ""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python of this node.

    Attributes:
        path: of the program, with no link on the way.
        state: changes when it is another program.
    """

    path: str
    state: str


def interpreter(version: str) -> Interpreter | None:
    """The Python of a version, such as `3.12`, or the node's own where that is empty; None: there is none."""
    found = shutil.which(f"python{version or 3}", path=_PATH)
    if found is None:
        ours = f"{sys.version_info.major}.{sys.version_info.minor}"
        if version not in ("", ours):
            return None
        found = os.path.join(sys.base_prefix, "bin", f"python{ours}")  # noqa: PTH118
    path = os.path.realpath(found)
    try:
        state = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return Interpreter(path, f"{state.st_size} {state.st_mtime_ns}")


def key_of(request: RunRequest, python: Interpreter, index_url: str) -> str:
    """What stands for the environment of a task."""
    assert request.packages is not None
    content = [
        request.project,
        python.path,
        python.state,
        index_url,
        sorted(set(request.packages.requirements)),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


class Environment:
    """One environment, for the process that uses it."""

    def __init__(self, base: Path, key: str) -> None:
        self._folder = base / key
        self._lock = base / f"{key}{_LOCK}"
        self._fd = -1

    @property
    def tree(self) -> str:
        """The folder that tasks see."""
        return str(self._folder / TREE)

    def hold(self, wait: Wait) -> bool | None:
        """Have it for as long as this process lives; it cannot be removed meanwhile.

        Returns:
            True: it is ready. False: it has to be installed now, and nobody else does. None: `wait` has said to
            wait no longer.
        """
        while True:
            if not self._acquire(fcntl.LOCK_SH, wait):
                return None
            if self._is_ready():
                os.utime(self._fd)
                return True
            if not self._acquire(fcntl.LOCK_EX, wait):
                return None
            # Somebody else may have installed it meanwhile.
            if not self._is_ready():
                return False

    def begin(self, packages: Packages) -> None:
        """Make an empty tree; this process holds it alone."""
        shutil.rmtree(self._folder, ignore_errors=True)
        tree = Path(self.tree)
        tree.mkdir(mode=0o700, parents=True)
        (tree / REQUIREMENTS).write_text("\n".join([*packages.requirements, ""]))

    def done(self) -> None:
        """Say that all is installed, once it is on the disk."""
        fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            ctypes.CDLL(None).syncfs(fd)
        finally:
            os.close(fd)
        rundir.write_whole(self._folder / _READY, {"size": _size(self._folder)}, durable=True)

    def give_up(self) -> None:
        """Leave nothing of what could not be installed."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_ready(self) -> bool:
        return (self._folder / _READY).exists()

    def _acquire(self, kind: int, wait: Wait) -> bool:
        while True:
            self._open()
            try:
                fcntl.flock(self._fd, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait():
                    return False
                continue
            if self._is_current():
                return True

    def _open(self) -> None:
        if self._fd >= 0 and self._is_current():
            return
        if self._fd >= 0:
            os.close(self._fd)
        self._lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _is_current(self) -> bool:
        """Whether the lock that is held is the one that others find: it goes with its environment."""
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(self._lock))  # noqa: PTH116
        except OSError:
            return False


def trim(base: Path, limit: int) -> int:
    """Remove the environments that were not used for longest, until all have no more bytes than that.

    What somebody uses or installs stays, whatever its size. Blocks.

    Returns:
        Bytes that are left.
    """
    if not base.is_dir():
        return 0
    for left in base.glob(f"{_TRASH}*"):
        shutil.rmtree(left, ignore_errors=True)
    locks = sorted(base.glob(f"*{_LOCK}"), key=_used_at)
    sizes = {lock: _known_size(base / lock.name.removesuffix(_LOCK)) for lock in locks}
    total = sum(sizes.values())
    for lock in locks:
        if total > limit and _remove(lock):
            total -= sizes[lock]
    return total


def _remove(lock: Path) -> bool:
    """Remove an environment that nobody holds; False when somebody does."""
    fd = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        folder = lock.with_name(lock.name.removesuffix(_LOCK))
        trash = lock.with_name(f"{_TRASH}{folder.name}")
        if folder.exists():
            folder.rename(trash)
        lock.unlink()
        shutil.rmtree(trash, ignore_errors=True)
        return True
    finally:
        os.close(fd)


def _used_at(lock: Path) -> int:
    try:
        return lock.stat().st_mtime_ns
    except OSError:
        return 0


def _known_size(folder: Path) -> int:
    content = rundir.read_json(folder / _READY)
    return int(content["size"]) if content else 0


def _size(folder: Path) -> int:
    total = 0
    for above, _, names in os.walk(folder):
        for name in names:
            total += os.lstat(os.path.join(above, name)).st_size  # noqa: PTH118
    return total
