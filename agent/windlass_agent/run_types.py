"""What the agent asks of a task on its node, and what it learns of it.

These shapes know nothing of protobuf: the session translates. The numbers of the enums are those of
`windlass.agents.v1` and `windlass.types.v1`, so that a translation is a plain cast.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from windlass_agent.task_secrets import GivenSecret

RUN_ID = re.compile(r"run-[0-9a-z]{26}")


class Level(IntEnum):
    """How strongly a task is kept apart; each level includes what the ones before it enforce."""

    UNSPECIFIED = 0
    RLIMITS = 1
    NAMESPACES = 2
    SANDBOX = 3


class Phase(IntEnum):
    """Where a run is on its node."""

    PREPARING = 1
    RUNNING = 2
    EXITED = 3


class Cause(IntEnum):
    """What ended a run."""

    COMPLETED = 1
    STOPPED = 2
    TIME_LIMIT = 3
    OUT_OF_MEMORY = 4
    LAUNCH_FAILED = 5
    BAD_COMMAND = 6
    LOST = 7
    NODE_SHUTDOWN = 8
    CHECKPOINT_DAMAGED = 10
    SOURCE_UNAVAILABLE = 12
    SOURCE_UNPACK_FAILED = 13
    SOURCE_FETCH_FAILED = 14
    ENVIRONMENT_BUILD_FAILED = 15


@dataclass(frozen=True, slots=True)
class Isolation:
    """What the node can enforce, or what one task really runs with."""

    level: Level = Level.RLIMITS
    cgroup_limits: tuple[str, ...] = ()
    """Limits that a cgroup enforces, of `cpu`, `memory`, `pids`; sorted."""
    cgroup_version: str = ""
    """`v1`, `v2` or empty."""
    degraded_reason: str = ""
    """Why a stronger level or a limit is missing, in one sentence; empty when nothing is."""


class Damage(str):
    """Why a checkpoint cannot be restored, now or later, on this node or another."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Restore:
    """The checkpoint of an earlier attempt that a task shall find."""

    checkpoint_id: str
    size_bytes: int
    """How much room it takes."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of a git repository that a task starts among."""

    repository: str
    commit: str


@dataclass(frozen=True, slots=True)
class Packages:
    """The Python packages that a task finds, as PEP 508 has them."""

    requirements: tuple[str, ...] = ()
    version: str = ""
    """Of Python, such as `3.12`; empty: the node's own."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One task to run. Keyed by (run_id, epoch)."""

    run_id: str
    epoch: int
    command: tuple[str, ...]
    job_id: str = ""
    project: str = ""
    name: str = ""
    attempt: int = 1
    variables: Mapping[str, str] = field(default_factory=dict)
    working_directory: str = ""
    """Absolute path; empty means a fresh private directory."""
    cpu_millis: int = 1000
    memory_bytes: int = 256 * 1024 * 1024
    gpu_uuids: tuple[str, ...] = ()
    gpu_millis: int = 0
    """Its share of its GPU in thousandths; 0: its GPUs are its alone."""
    gpu_memory_bytes: int = 0
    """Memory of the GPU that it has a share of; 0 when it is not known."""
    device_paths: tuple[str, ...] = ()
    """Device files of the granted GPUs, such as `/dev/nvidia0` and `/dev/nvidiactl`."""
    time_limit_seconds: float | None = None
    grace_seconds: float = 30.0
    """Time between SIGTERM and SIGKILL when the time limit is over."""
    min_isolation: Level = Level.UNSPECIFIED
    restore: Restore | None = None
    rank: int = 0
    """Which part of its job it is."""
    hosts: tuple[str, ...] = ()
    """Where the parts of a job of several nodes are reached, by rank; none for a job of one."""
    master_port: int = 0
    """The port of the first of them on which the parts can gather."""
    secrets: tuple[GivenSecret, ...] = field(default=(), repr=False)
    """What it is given of secrets. In memory alone, and only until its shim has them."""
    has_secrets: bool = False
    """It is given some, also where `secrets` has forgotten them."""
    debug_mode: bool = False
    """Its folder is kept for a while, and its log tells what is done with it."""
    script: str = ""
    """Text that is run instead of `command`, which is empty then."""
    source_id: str = ""
    """The archive that its private directory has the content of; empty for none."""
    commit: Commit | None = None
    packages: Packages | None = None
    array_job_id: str = ""
    """The array of which it runs an index; empty for none."""
    array_index: int = 0
    array_count: int = 0
    """One more than the largest index that the array could have."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What became of the files in a run's artifact directory."""

    count: int = 0
    """How many files are artifacts now."""
    size: int = 0
    """How many bytes these have."""
    problem: str = ""
    """Why others are not; empty when all are."""


@dataclass(frozen=True, slots=True)
class RunExit:
    """How a run ended."""

    cause: Cause
    end_time_ns: int
    exit_code: int | None = None
    exit_signal: int | None = None
    log_end: int = 0
    """Length of the run's log in bytes."""
    message: str = ""
    checkpoint_problem: str = ""
    """Why what it left in its checkpoint directory was not kept; empty when it was."""
    artifacts: Collected = field(default_factory=Collected)
    """What became of what it left in its artifact directory."""


@dataclass(frozen=True, slots=True)
class RunState:
    """What the node knows of a run; a later state replaces an earlier one."""

    run_id: str
    epoch: int
    phase: Phase
    isolation: Isolation | None = None
    """What the task really runs with; set from RUNNING on."""
    start_time_ns: int | None = None
    """When the command started, since 1970; set from RUNNING on."""
    exit: RunExit | None = None
    doing: str = ""
    """What is done for it while it is PREPARING, in a few words."""
    frozen: bool = False
    """Its processes are stopped where they are."""


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What a running task uses now."""

    cpu_used_millis: float
    """CPU time in thousandths of a core, over the time since the call before."""
    memory_used_bytes: int
    pids: int
    io_read: float = 0.0
    """Bytes read from disks in a second, over the time since the call before."""
    io_write: float = 0.0
    network_receive: float | None = None
    """Bytes received in a second, over that time; None: it uses the machine's network."""
    network_send: float | None = None


class RunNotFound(KeyError):
    """The node knows no such run."""


class RunNotEnded(RuntimeError):
    """The run still has processes, so it cannot be forgotten."""


class BadRunId(ValueError):
    """The run id is not of the form that ids have; it must not become part of a path."""


def checked_run_id(run_id: str) -> str:
    """Return `run_id` if it may become part of a path.

    Raises:
        BadRunId: If it is not `run-` and a lower-case ULID.
    """
    if not RUN_ID.fullmatch(run_id):
        raise BadRunId(f"not a run id: {run_id!r}")
    return run_id
