"""Finds out by trial what this node can enforce.

A version or a file that is there proves nothing: containers and hardened kernels take single parts
away. So each level and each limit is tried with a real child, which looks around and tries what it
must not be able to do. The trial runs in a process of its own, as it forks.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from windlass_agent import cgroups
from windlass_agent.cgroups import Group, Limits
from windlass_agent.launch import Launcher, program
from windlass_agent.run_types import Isolation, Level, RunRequest
from windlass_agent.rundir import Intent, NodeSetup

_TIMEOUT_SECONDS = 30
_MIB = 1 << 20

# Says what the child can see and do; each line must be as `_contained` wants it.
_PROBE = """
[ -e "$1/secret" ] && echo secret seen
(: > "$2/mark") 2>/dev/null && echo system writable
[ $$ -lt 50 ] || echo foreign processes
while read -r name value; do
  case $name in
    CapEff:) [ $((0x$value)) -eq 0 ] || echo capabilities kept ;;
    NoNewPrivs:) [ "$value" = 1 ] || echo new privileges possible ;;
  esac
done < /proc/self/status
echo done
"""
_ALLOWED = {
    Level.SANDBOX: set[str](),
    Level.NAMESPACES: {"system writable", "capabilities kept", "new privileges possible"},
}


def detect(data_dir: Path) -> Isolation:
    """Try each level and each limit with a real child, and say what held.

    Args:
        data_dir: The agent's own folder. Blocks for about a tenth of a second.
    """
    try:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-P", "-m", "windlass_agent.canary", str(data_dir)],
            env={"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=_TIMEOUT_SECONDS,
        )
        found = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        return Isolation(degraded_reason=f"The trial of this node's isolation failed: {error}.")
    return Isolation(
        Level(found["level"]),
        tuple(found["cgroup_limits"]),
        found["cgroup_version"],
        found["degraded_reason"],
    )


def prove(data_dir: Path) -> Isolation:
    """The trial itself; forks.

    Raises:
        RuntimeError: This process has threads. A forked child has only one of them, and what the
            others held, such as gRPC's poller, breaks in it and is taken for the child's own words.
    """
    if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208  (names only)
        raise RuntimeError("the trial forks and must not run in a process with threads")
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".canary-", dir=data_dir))
    reasons: list[str] = []
    try:
        level = _strongest(scratch, reasons)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    version, limits = _limits(data_dir.resolve(), reasons)
    reason = f"{'; '.join(reasons)}." if reasons else ""
    return Isolation(level, limits, version, reason)


def _strongest(scratch: Path, reasons: list[str]) -> Level:
    for level in (Level.SANDBOX, Level.NAMESPACES):
        complaint = _contained(level, scratch)
        if not complaint:
            return level
        reasons.append(f"{level.name.lower()} is not possible: {complaint}")
    return Level.RLIMITS


def _contained(level: Level, scratch: Path) -> str:
    """What a child of some level could do that it must not; empty when nothing."""
    hidden, work, open_place = scratch / "hidden", scratch / "work", scratch / "system"
    for folder in (hidden, work, open_place):
        folder.mkdir(exist_ok=True)
    (hidden / "secret").touch()
    command = ("/bin/sh", "-c", _PROBE, "probe", str(hidden), str(open_place))
    setup = NodeSetup(Isolation(level), {}, hidden_paths=(str(hidden),))
    intent = Intent(RunRequest("", 0, command), setup)
    try:
        task = Launcher(Group())
        task.start(intent, str(work), program(intent, str(work)))
    except OSError as error:
        return str(error)
    output = [_drain(fd) for fd in (task.stdout, task.stderr, task.status)]
    os.waitpid(task.pid, 0)
    said = output[0].split("\n")
    if "done" not in said:
        return " ".join((output[1] or output[2]).split()) or "the child did not start"
    broken = {line for line in said if line and line != "done"} - _ALLOWED[level]
    if (open_place / "mark").exists() and level is Level.SANDBOX:
        broken.add("system writable")
    return ", ".join(sorted(broken))


def _drain(fd: int) -> str:
    os.set_blocking(fd, True)
    with open(fd, errors="replace") as file:
        return file.read()


def _limits(data_dir: Path, reasons: list[str]) -> tuple[str, tuple[str, ...]]:
    """Which limits hold, by the version of cgroups that enforces them."""
    hierarchy = cgroups.find(data_dir)
    if hierarchy.version == cgroups.V2:
        cgroups.enable_v2(hierarchy.bases[cgroups.UNIFIED])
    trials: dict[str, Callable[[], bool]] = {
        "cpu": lambda: True,
        "memory": _memory_is_limited,
        "pids": _pids_are_limited,
    }
    held = [name for name in cgroups.LIMITS if _holds(hierarchy, name, trials[name])]
    if held != list(cgroups.LIMITS):
        missing = " and ".join(name for name in cgroups.LIMITS if name not in held)
        reasons.append(f"no cgroup of this node limits {missing}")
    return hierarchy.version if held else "", tuple(held)


def _holds(hierarchy: cgroups.Hierarchy, limit: str, trial: Callable[[], bool]) -> bool:
    bases = hierarchy.only([limit])
    if limit not in bases and not _offered_by_v2(bases, limit):
        return False
    limits = Limits(cpu_millis=500, memory_bytes=32 * _MIB, pids=2)
    try:
        group = Group.make(bases, f"canary-{os.getpid()}")
        group.limit(limits)
    except OSError:
        return False
    child = os.fork()
    if child == 0:
        code = 1
        try:
            group.join()
            code = 0 if trial() else 1
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    counted = killed and limit == "memory" and group.oom_kills() > 0
    group.remove()
    return status == 0 or counted


def _offered_by_v2(bases: dict[str, str], limit: str) -> bool:
    base = bases.get(cgroups.UNIFIED)
    if base is None:
        return False
    with contextlib.suppress(OSError):
        return limit in (Path(base) / "cgroup.subtree_control").read_text().split()
    return False


def _memory_is_limited() -> bool:
    """Never returns True: the kernel kills the child if the limit holds."""
    return len(bytearray(64 * _MIB).replace(b"\0", b"\1")) == 0


def _pids_are_limited() -> bool:
    """Whether a third process is refused; the second lives until this one ends."""
    lifeline, held = os.pipe()
    try:
        for _ in range(2):
            if os.fork() == 0:
                os.close(held)
                os.read(lifeline, 1)
                os._exit(0)
    except OSError:
        return True
    finally:
        os.close(held)
    return False


def main() -> None:
    """Print what was found as JSON."""
    sys.stdout.write(json.dumps(asdict(prove(Path(sys.argv[1])))))


if __name__ == "__main__":
    main()
