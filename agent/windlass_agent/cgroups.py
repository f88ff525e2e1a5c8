"""Limits and accounting by cgroups, of version 1 or 2.

With version 1 each controller is a tree of its own, so a task has one group in each. A task's
group has the name of its run's folder, below a folder of this agent alone, so that two agents on
one machine never touch each other's groups.
"""

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from windlass_agent import processes

V1 = "v1"
V2 = "v2"
UNIFIED = "unified"
FREEZER = "freezer"
LIMITS = ("cpu", "memory", "pids")
PERIOD_MICROS = 100_000
_V1_CONTROLLERS = (*LIMITS, "cpuacct", FREEZER)
_LEAF = "windlass-agent"


def _write(path: str, value: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _read(path: str) -> str:
    try:
        with open(path) as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""


def _counter(path: str, name: str) -> int:
    """A value of a file of `name value` lines; 0 if it is not there."""
    for line in _read(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _number(path: str) -> int:
    text = _read(path).strip()
    return int(text) if text.isdigit() else 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a task may use."""

    cpu_millis: int
    memory_bytes: int
    pids: int


@dataclass(frozen=True, slots=True)
class GroupUsage:
    """What a group uses now."""

    cpu_nanos: int
    """CPU time since the group was made."""
    memory_bytes: int
    """Without file pages that the kernel can drop at once."""
    pids: int


@dataclass(frozen=True, slots=True)
class Group:
    """The cgroup of one task: a folder per controller, or one named `unified`."""

    folders: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, bases: dict[str, str], name: str) -> "Group":
        """Make a group without limits; no process is in it yet.

        Raises:
            OSError: If the kernel refuses; nothing is left behind.
        """
        group = cls({controller: f"{base}/{name}" for controller, base in bases.items()})
        try:
            for folder in group.folders.values():
                os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        except OSError:
            group.remove()
            raise
        return group

    def limit(self, limits: Limits) -> None:
        """Set what the group's processes may use together.

        Raises:
            OSError: If a controller refuses.
        """
        quota = max(1000, limits.cpu_millis * PERIOD_MICROS // 1000)
        for controller, folder in self.folders.items():
            if controller == "memory":
                _write(f"{folder}/memory.limit_in_bytes", str(limits.memory_bytes))
                with contextlib.suppress(OSError):  # there without swap accounting only
                    _write(f"{folder}/memory.memsw.limit_in_bytes", str(limits.memory_bytes))
            elif controller == "cpu":
                _write(f"{folder}/cpu.cfs_period_us", str(PERIOD_MICROS))
                _write(f"{folder}/cpu.cfs_quota_us", str(quota))
                _write(f"{folder}/cpu.shares", str(max(2, limits.cpu_millis * 1024 // 1000)))
            elif controller == "pids":
                _write(f"{folder}/pids.max", str(limits.pids))
            elif controller == UNIFIED:
                self._limit_v2(folder, limits, quota)

    @staticmethod
    def _limit_v2(folder: str, limits: Limits, quota: int) -> None:
        enabled = _read(f"{folder}/cgroup.controllers").split()
        if "memory" in enabled:
            _write(f"{folder}/memory.max", str(limits.memory_bytes))
            _write(f"{folder}/memory.oom.group", "1")
            with contextlib.suppress(OSError):
                _write(f"{folder}/memory.swap.max", "0")
        if "cpu" in enabled:
            _write(f"{folder}/cpu.max", f"{quota} {PERIOD_MICROS}")
            weight = min(10_000, max(1, limits.cpu_millis // 10))
            _write(f"{folder}/cpu.weight", str(weight))
        if "pids" in enabled:
            _write(f"{folder}/pids.max", str(limits.pids))

    def join(self) -> None:
        """Move the calling process into the group."""
        for folder in self.folders.values():
            _write(f"{folder}/cgroup.procs", "0")

    def pids(self) -> set[int]:
        """The processes in the group, as this machine numbers them."""
        found: set[int] = set()
        for folder in self.folders.values():
            found.update(int(pid) for pid in _read(f"{folder}/cgroup.procs").split())
        found.discard(0)  # a process of another pid namespace
        return found

    def freeze(self, *, frozen: bool) -> bool:
        """Have the kernel stop the group's processes where they are, or let them go on.

        Returns:
            Whether it can; it takes it a moment, until `is_frozen`.
        """
        for controller, name, word in (
            (UNIFIED, "cgroup.freeze", str(int(frozen))),
            (FREEZER, "freezer.state", "FROZEN" if frozen else "THAWED"),
        ):
            if controller in self.folders:
                with contextlib.suppress(OSError):
                    _write(f"{self.folders[controller]}/{name}", word)
                    return True
        return False

    def is_frozen(self) -> bool:
        """Whether the kernel has stopped every process of the group."""
        if UNIFIED in self.folders:
            return _counter(f"{self.folders[UNIFIED]}/cgroup.events", "frozen") == 1
        return _read(f"{self.folders.get(FREEZER, '')}/freezer.state").strip() == "FROZEN"

    def kill(self) -> None:
        """SIGKILL every process of the group, also ones that fork meanwhile."""
        # In version 1 a frozen process does not even die.
        self.freeze(frozen=False)
        for folder in self.folders.values():
            with contextlib.suppress(OSError):
                _write(f"{folder}/cgroup.kill", "1")
                return
        for _ in range(100):
            if not self.pids():
                return
            processes.signal_all(self.pids, signal.SIGKILL)

    def _folders_left(self) -> list[str]:
        return [folder for folder in self.folders.values() if not _removed(folder)]

    def oom_kills(self) -> int:
        """How many processes of the group the kernel killed for want of memory."""
        if "memory" in self.folders:
            return _counter(f"{self.folders['memory']}/memory.oom_control", "oom_kill")
        if UNIFIED in self.folders:
            return _counter(f"{self.folders[UNIFIED]}/memory.events", "oom_kill")
        return 0

    def usage(self) -> GroupUsage:
        """What the group uses now; zeros for what is not accounted."""
        if UNIFIED in self.folders:
            folder = self.folders[UNIFIED]
            cached = _counter(f"{folder}/memory.stat", "inactive_file")
            return GroupUsage(
                _counter(f"{folder}/cpu.stat", "usage_usec") * 1000,
                max(0, _number(f"{folder}/memory.current") - cached),
                _number(f"{folder}/pids.current"),
            )
        memory = self.folders.get("memory", "")
        cached = _counter(f"{memory}/memory.stat", "total_inactive_file")
        return GroupUsage(
            _number(f"{self.folders.get('cpuacct', '')}/cpuacct.usage"),
            max(0, _number(f"{memory}/memory.usage_in_bytes") - cached),
            _number(f"{self.folders.get('pids', '')}/pids.current"),
        )

    def remove(self, *, patience_seconds: float = 1.0) -> bool:
        """Remove the group; False if it still has processes after `patience_seconds`."""
        deadline = time.monotonic() + patience_seconds
        pause = 0.0005
        while self._folders_left():
            if time.monotonic() > deadline:
                return False
            # The kernel lets go of a dead process's group a moment after its parent has it reaped.
            time.sleep(pause)
            pause = min(pause * 2, 0.05)
        return True


def _removed(folder: str) -> bool:
    try:
        os.rmdir(folder)  # noqa: PTH106
    except OSError as error:
        return error.errno == errno.ENOENT
    return True


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where this process may make groups."""

    version: str
    bases: dict[str, str]

    def only(self, limits: Iterable[str]) -> dict[str, str]:
        """The bases that are needed for some limits and for accounting."""
        if self.version == V2:
            return self.bases if tuple(limits) else {}
        wanted = {*limits, "cpuacct"} if tuple(limits) else set()
        if wanted and os.access(os.path.dirname(self.bases.get(FREEZER, "")), os.W_OK):  # noqa: PTH120
            wanted.add(FREEZER)
        return {name: base for name, base in self.bases.items() if name in wanted}


def find(data_dir: Path, *, proc: Path = Path("/proc/self")) -> Hierarchy:
    """The hierarchy below the groups that this process is in; without bases if there is none."""
    # Loaded here only: it maps OpenSSL, which would make every fork of the spawner dearer.
    import hashlib

    agent = "windlass-" + hashlib.blake2b(os.fsencode(data_dir), digest_size=6).hexdigest()
    mounts = _mounts(proc)
    own = _own_groups(proc)
    v1 = {
        controller: _below(mounts[controller], own[controller]) + f"/{agent}"
        for controller in _V1_CONTROLLERS
        if controller in mounts and controller in own
    }
    if any(controller in v1 for controller in LIMITS):
        return Hierarchy(V1, v1)
    if UNIFIED in mounts and UNIFIED in own:
        return Hierarchy(V2, {UNIFIED: _below(mounts[UNIFIED], own[UNIFIED]) + f"/{agent}"})
    return Hierarchy("", {})


def _mounts(proc: Path) -> dict[str, tuple[str, str]]:
    """Mount point and root of each controller's tree."""
    found: dict[str, tuple[str, str]] = {}
    for line in (proc / "mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        root, point = left.split()[3:5]
        if kind == "cgroup2":
            found[UNIFIED] = (point, root)
        elif kind == "cgroup":
            found.update(dict.fromkeys(options.split(","), (point, root)))
    return found


def _own_groups(proc: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in (proc / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(",") if controllers else [UNIFIED]:
            found[controller] = path
    return found


def _below(mount: tuple[str, str], own: str) -> str:
    point, root = mount
    inside = own[len(root.rstrip("/")) :] if own.startswith(root) else ""
    return (point + inside.removesuffix(f"/{_LEAF}")).rstrip("/")


def enable_v2(base: str) -> None:
    """Make limits usable for groups in `base`, as far as the kernel lets us.

    Version 2 wants no processes beside groups that share out resources, so the agent moves to a
    leaf of its own if it has to. That works where the group is delegated (systemd: `Delegate=yes`).
    """
    own = os.path.dirname(base)  # noqa: PTH120
    with contextlib.suppress(OSError):
        os.makedirs(base, exist_ok=True)  # noqa: PTH103
    for controller in LIMITS:
        with contextlib.suppress(OSError):
            _enable(own, controller)
            _write(f"{base}/cgroup.subtree_control", f"+{controller}")


def _enable(own: str, controller: str) -> None:
    try:
        _write(f"{own}/cgroup.subtree_control", f"+{controller}")
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        leaf = f"{own}/{_LEAF}"
        os.makedirs(leaf, exist_ok=True)  # noqa: PTH103
        for pid in _read(f"{own}/cgroup.procs").split():
            _write(f"{leaf}/cgroup.procs", pid)
        _write(f"{own}/cgroup.subtree_control", f"+{controller}")
