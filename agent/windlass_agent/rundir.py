"""The folder of one run on the node: the truth that outlives the agent.

```
runs/<run id>.<epoch>/
  intent.json    what to run and how, without secrets; on disk before anything is started
  shim.json      which process supervises the run; made once, and locked as long as that one lives
  preparing.json what is done for it before that
  started.json   when the command started and what it really runs with
  stop.json      the newest request to stop
  freeze.json    whether the task is wanted frozen
  frozen.json    whether it is
  control        a socket: one byte makes the shim read stop.json and freeze.json again
  output.log     frames of output
  result.json    how it ended; appears once, when every process of the run is gone
  settled.json   what became of what it left; only then the run has ended for others
  archive        what its private directory gets the content of, until that is there
  work/          the task's private directory
  script/        the script that is its command
  checkpoint/    what the task saves for the next attempt
  restore/       what an attempt before it has saved
  artifacts/     files that become artifacts of the job
  metrics/       a socket that takes what the task says of itself in numbers
```

Each JSON file appears whole, by a rename or a link.
"""

import contextlib
import fcntl
import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from windlass_agent.processes import Identity
from windlass_agent.run_types import (
    Cause,
    Collected,
    Commit,
    Isolation,
    Level,
    Packages,
    Restore,
    RunExit,
    RunRequest,
)

INTENT = "intent.json"
SHIM = "shim.json"
PREPARING = "preparing.json"
STARTED = "started.json"
STOP = "stop.json"
FREEZE = "freeze.json"
FROZEN = "frozen.json"
RESULT = "result.json"
SETTLED = "settled.json"
CONTROL = "control"
LOG = "output.log"
ARCHIVE = "archive"
WORK = "work"
SCRIPT = "script"
CHECKPOINT = "checkpoint"
RESTORE = "restore"
ARTIFACTS = "artifacts"
METRICS = "metrics"
METRICS_SOCKET = "socket"
# In the checkpoint directory: the task asks for a save while it goes on, and is told why that failed.
SAVE = ".save"
FAILED = ".save.failed"


@dataclass(frozen=True, slots=True)
class NodeSetup:
    """What the agent decides about every task of the node."""

    isolation: Isolation
    cgroup_bases: dict[str, str]
    """Folder for the tasks' groups by controller; v2 has the one key `unified`."""
    hidden_paths: tuple[str, ...] = ()
    shared_paths: tuple[str, ...] = ()
    """Folders that tasks may write to, such as a mounted file server."""
    pids_limit: int = 4096
    log_quota_bytes: int = 0
    """How large the log of a run may become; 0: as large as it likes."""
    log_rate_bytes: int = 0
    debug_keep_seconds: float = 0.0
    """By how much it may grow in a second; 0: by as much as it likes."""
    secrets_folder: str = ""
    """Where files with secrets lie, in memory; empty when this node has no place for them."""
    environments: str = ""
    """Where virtual environments of Python are kept."""
    uv: str = ""
    """The program that makes them; empty: there is none."""
    index_url: str = ""
    """Where packages come from; empty: PyPI."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What a shim needs to know."""

    request: RunRequest
    setup: NodeSetup

    @property
    def secrets_folder(self) -> str:
        """Where its files with secrets lie, if it has any; empty when this node has no place for them."""
        name = f"{self.request.run_id}.{self.request.epoch}"
        base = self.setup.secrets_folder
        return os.path.join(base, name) if base else ""  # noqa: PTH118

    @property
    def without_secrets(self) -> "Intent":
        """The same, as it may be kept."""
        return replace(self, request=replace(self.request, secrets=()))


@dataclass(frozen=True, slots=True)
class Started:
    """What became of an intent."""

    start_time_ns: int
    isolation: Isolation
    task: Identity
    """The topmost process of the task."""
    cgroups: dict[str, str]


@dataclass(frozen=True, slots=True)
class StopRequest:
    """The newest request to stop."""

    grace_seconds: float
    cause: Cause


def beside(work: str, name: str) -> str:
    """The path of another part of the run whose private directory is `work`."""
    return os.path.join(os.path.dirname(work), name)  # noqa: PTH118, PTH120


def kept(work: str, secrets_folder: str = "") -> list[tuple[str, bool]]:
    """The folders that a task sees though the agent's data is hidden from it, and may it write there."""
    folders = [
        (work, True),
        (beside(work, CHECKPOINT), True),
        (beside(work, ARTIFACTS), True),
        (beside(work, RESTORE), False),
        (secrets_folder, False),
        (beside(work, METRICS), False),
        (beside(work, SCRIPT), False),
    ]
    return [(path, writes) for path, writes in folders if os.path.isdir(path)]  # noqa: PTH112


def script_of(work: str) -> str:
    """Where the script lies of the run whose private directory is `work`."""
    return os.path.join(beside(work, SCRIPT), SCRIPT)  # noqa: PTH118


def write_whole(path: str | Path, content: dict[str, Any], *, durable: bool) -> None:
    """Replace a JSON file in one step; with `durable` it survives a power cut after return."""
    target = os.fspath(path)
    temporary = f"{target}.{os.getpid()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        rest = memoryview(json.dumps(content).encode())
        while rest:
            # A disk that is nearly full takes a part.
            rest = rest[os.write(fd, rest) :]
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(temporary, target)  # noqa: PTH104
    if durable:
        sync_folder(os.path.dirname(target) or ".")  # noqa: PTH120


def sync_folder(path: str | Path) -> None:
    """Bring the names in a folder to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_json(path: str | Path) -> dict[str, Any] | None:
    """The content of a JSON file; None if it is absent or cut by a power failure."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            content = json.loads(file.read())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def write_intent(folder: Path, intent: Intent) -> None:
    """Make a run's folder and its intent, both on the disk when this returns."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / WORK).mkdir(mode=0o700, exist_ok=True)
    (folder / CHECKPOINT).mkdir(mode=0o700, exist_ok=True)
    (folder / ARTIFACTS).mkdir(mode=0o700, exist_ok=True)
    (folder / METRICS).mkdir(mode=0o700, exist_ok=True)
    if intent.request.restore is not None:
        (folder / RESTORE).mkdir(mode=0o700, exist_ok=True)
    if intent.request.script:
        (folder / SCRIPT).mkdir(mode=0o700, exist_ok=True)
        script = folder / SCRIPT / SCRIPT
        script.write_text(intent.request.script, encoding="utf-8", newline="")
        script.chmod(0o700)
    write_whole(folder / INTENT, asdict(intent.without_secrets), durable=True)
    sync_folder(folder.parent)


def read_intent(folder: str | Path) -> Intent | None:
    """The intent of a run; None if there is none: then nothing was started."""
    content = read_json(os.path.join(folder, INTENT))  # noqa: PTH118
    if content is None:
        return None
    request, setup = content["request"], content["setup"]
    for name in ("command", "gpu_uuids", "device_paths"):
        request[name] = tuple(request[name])
    # One of an older release has none.
    request["hosts"] = tuple(request.get("hosts", ()))
    request["secrets"] = ()
    request["min_isolation"] = Level(request["min_isolation"])
    if request.get("restore"):
        request["restore"] = Restore(**request["restore"])
    if request.get("commit"):
        request["commit"] = Commit(**request["commit"])
    if request.get("packages"):
        packages = request["packages"]
        request["packages"] = Packages(tuple(packages["requirements"]), packages["version"])
    return Intent(
        RunRequest(**request),
        NodeSetup(
            isolation=_isolation(setup["isolation"]),
            cgroup_bases=setup["cgroup_bases"],
            hidden_paths=tuple(setup["hidden_paths"]),
            shared_paths=tuple(setup["shared_paths"]),
            pids_limit=setup["pids_limit"],
            # One of an older release has none.
            log_quota_bytes=setup.get("log_quota_bytes", 0),
            debug_keep_seconds=setup.get("debug_keep_seconds", 0.0),
            log_rate_bytes=setup.get("log_rate_bytes", 0),
            secrets_folder=setup.get("secrets_folder", ""),
            environments=setup.get("environments", ""),
            uv=setup.get("uv", ""),
            index_url=setup.get("index_url", ""),
        ),
    )


def _isolation(content: dict[str, Any]) -> Isolation:
    return Isolation(
        level=Level(content["level"]),
        cgroup_limits=tuple(content["cgroup_limits"]),
        cgroup_version=content["cgroup_version"],
        degraded_reason=content["degraded_reason"],
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """Who supervises a run."""

    shim: Identity
    group: str
    """Name of the run's cgroup; empty when it has none."""


def claim(folder: str | Path, group: str = "") -> int | None:
    """Become the one supervisor that this run will ever have.

    Args:
        folder: The run's folder.
        group: Name of the cgroup that its task will be in.

    Returns:
        A descriptor that holds the claim's lock; None if another process claimed the run.
    """
    target = os.path.join(folder, SHIM)  # noqa: PTH118
    temporary = f"{target}.{os.getpid()}"
    fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    # Locked and filled before it gets its name: nobody ever sees a claim without its lock.
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.write(fd, json.dumps(asdict(Claim(Identity.of(os.getpid()), group))).encode())
    try:
        os.link(temporary, target)
    except FileExistsError:
        os.close(fd)
        return None
    finally:
        os.unlink(temporary)  # noqa: PTH108
    return fd


def read_claim(folder: Path) -> Claim | None:
    """Who claimed the run; None if nobody did."""
    content = read_json(folder / SHIM)
    return Claim(Identity(**content["shim"]), content["group"]) if content else None


def claim_is_held(folder: Path) -> bool:
    """Whether the process that claimed the run still lives."""
    try:
        fd = os.open(folder / SHIM, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def tell_doing(folder: str | Path, doing: str) -> None:
    """Say what is done for a run before its command starts."""
    path = os.path.join(folder, PREPARING)  # noqa: PTH118
    with contextlib.suppress(OSError):
        write_whole(path, {"doing": doing}, durable=False)


def read_doing(folder: Path) -> str:
    """What is done for a run before its command starts; empty: nothing that takes time."""
    content = read_json(folder / PREPARING)
    return str(content["doing"]) if content else ""


def read_started(folder: Path) -> Started | None:
    """What the task runs with; None before its command runs."""
    content = read_json(folder / STARTED)
    if content is None:
        return None
    return Started(
        content["start_time_ns"],
        _isolation(content["isolation"]),
        Identity(**content["task"]),
        content["cgroups"],
    )


def read_stop(folder: str | Path) -> StopRequest | None:
    """The newest request to stop."""
    content = read_json(os.path.join(folder, STOP))  # noqa: PTH118
    return StopRequest(content["grace_seconds"], Cause(content["cause"])) if content else None


def is_frozen(folder: str | Path, name: str) -> bool:
    """Whether the task is wanted frozen (FREEZE), or is (FROZEN)."""
    content = read_json(os.path.join(folder, name))  # noqa: PTH118
    return bool(content and content["frozen"])


def read_result(folder: Path) -> RunExit | None:
    """How the run ended; None if it has not."""
    content = read_json(folder / RESULT)
    if content is None:
        return None
    content["cause"] = Cause(content["cause"])
    # Not known yet where this is written.
    content.pop("artifacts", None)
    return RunExit(**content)


def is_save_asked(folder: Path) -> bool:
    """Whether the task wants its checkpoint saved while it goes on."""
    return os.path.lexists(folder / CHECKPOINT / SAVE)


def answer_save(folder: Path, problem: str) -> None:
    """Tell the task that its checkpoint is saved, or why not; it may write to it again."""
    failed, asked = folder / CHECKPOINT / FAILED, folder / CHECKPOINT / SAVE
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with contextlib.suppress(OSError):
        failed.unlink(missing_ok=True)
        if problem:
            # Made anew: the task could have put a link there.
            with open(os.open(failed, flags, 0o600), "w") as file:  # noqa: PTH123
                file.write(problem)
    with contextlib.suppress(OSError):
        asked.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of what a run has left."""

    problem: str = ""
    """Why its checkpoint was not kept; empty when it was, or there was none."""
    artifacts: Collected = field(default_factory=Collected)


def write_settled(folder: Path, settled: Settled) -> None:
    """Note that what a run has left needs nothing more."""
    write_whole(folder / SETTLED, asdict(settled), durable=True)


def read_settled(folder: Path) -> Settled | None:
    """What became of what a run has left; None: not known yet."""
    content = read_json(folder / SETTLED)
    if content is not None:
        # One of an older release knows of no artifacts.
        return Settled(content["problem"], Collected(**content.get("artifacts", {})))
    return None if _has_left(folder) else Settled()


def _has_left(folder: Path) -> bool:
    """Whether anything lies in the folders that are for others."""
    for name in (CHECKPOINT, ARTIFACTS):
        with contextlib.suppress(OSError), os.scandir(folder / name) as entries:
            if any(entry.name not in (SAVE, FAILED) for entry in entries):
                return True
    return False
