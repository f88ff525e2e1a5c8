"""Starts a task's processes: pipes, environment, cgroup, and the way into its isolation."""

import fcntl
import json
import os
import resource
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from windlass_agent import environments, namespaces, processes, rundir, sandbox, task_init
from windlass_agent.cgroups import Group
from windlass_agent.run_types import Level, RunRequest
from windlass_agent.rundir import Intent

# Where the first process of a task finds its descriptors, after stdin, stdout and stderr.
WHAT = 3
STATUS = 4
_ORDER = 5

# Where Python finds what every task may import.
_MODULES = os.path.join(os.path.dirname(__file__), "task_modules")  # noqa: PTH118, PTH120


@dataclass(frozen=True, slots=True)
class Program:
    """Something to run for a task, in its isolation.

    Attributes:
        command: the program and its arguments.
        directory: absolute path of where it starts.
        variables: its environment.
        kept: the folders that it sees though the agent's data is hidden, and whether it may write there.
    """

    command: tuple[str, ...]
    directory: str
    variables: dict[str, str] = field(repr=False)
    kept: tuple[tuple[str, bool], ...]


def program(
    intent: Intent,
    work: str,
    secrets: Mapping[str, str] = MappingProxyType({}),
    tree: str = "",
) -> Program:
    """The command of a task.

    Args:
        intent: the task.
        work: absolute path of its private directory.
        secrets: what its variables are given of secrets: values, or paths of files.
        tree: where its virtual environment is; empty for none.
    """
    request = intent.request
    kept = rundir.kept(work, intent.secrets_folder)
    variables = environment(request, work, secrets)
    if tree:
        kept.append((tree, False))
        variables |= _activated(variables, tree)
    directory = request.working_directory or work
    return Program(_command(request, work), directory, variables, tuple(kept))


def _command(request: RunRequest, work: str) -> tuple[str, ...]:
    if not request.script:
        return request.command
    path = rundir.script_of(work)
    return (path,) if request.script.startswith("#!") else ("/bin/sh", path)


def _activated(variables: dict[str, str], tree: str) -> dict[str, str]:
    """As the `activate` of a virtual environment does it."""
    venv = f"{tree}/{environments.VENV}"
    return {"VIRTUAL_ENV": venv, "PATH": f"{venv}/bin:{variables['PATH']}"}


def environment(
    request: RunRequest, home: str, secrets: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """The variables of a task: nothing of the agent's own, and the user's over our defaults.

    Args:
        request: The task.
        home: Its private directory.
        secrets: What variables are given of secrets: values, or paths of files.
    """
    brought = {}
    if request.script:
        brought["WINDLASS_SCRIPT"] = rundir.script_of(home)
    if request.source_id or request.commit is not None:
        brought["WINDLASS_SOURCE"] = home
    return own_variables(request, home, {**request.variables, **secrets}) | brought


def own_variables(
    request: RunRequest, home: str, given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What every program of a task is told, with `given` over our defaults."""
    restored = {}
    if request.restore is not None:
        restored["WINDLASS_RESTORE_FROM"] = rundir.beside(home, rundir.RESTORE)
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": home,
        "LANG": "C.UTF-8",
        "TMPDIR": "/tmp",  # noqa: S108  (private to the task)
        "PYTHONUNBUFFERED": "1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "NVIDIA_VISIBLE_DEVICES": ",".join(request.gpu_uuids) or "void",
        **_gathering(request),
        **(given or {}),
        "CUDA_VISIBLE_DEVICES": ",".join(request.gpu_uuids),
        "WINDLASS_JOB_ID": request.job_id,
        "WINDLASS_RUN_ID": request.run_id,
        "WINDLASS_PROJECT": request.project,
        "WINDLASS_JOB_NAME": request.name,
        "WINDLASS_ATTEMPT": str(request.attempt),
        "WINDLASS_CHECKPOINT_DIR": rundir.beside(home, rundir.CHECKPOINT),
        "WINDLASS_ARTIFACTS": rundir.beside(home, rundir.ARTIFACTS),
        "WINDLASS_METRICS": f"{rundir.beside(home, rundir.METRICS)}/{rundir.METRICS_SOCKET}",
        "PYTHONPATH": _python_path(request.variables.get("PYTHONPATH", "")),
        **restored,
        **_share(request),
        **_rank(request),
        **_array(request),
    }


def _python_path(users: str) -> str:
    """The user's own folders first, and behind them ours."""
    return f"{users}:{_MODULES}" if users else _MODULES


def _gathering(request: RunRequest) -> dict[str, str]:
    """How the parts of a job of several nodes find each other, as PyTorch's `env://` reads it.

    There is one process for each node. A launcher such as torchrun, which starts more, tells each its own.
    """
    if not request.hosts:
        return {}
    return {
        "MASTER_ADDR": request.hosts[0],
        "MASTER_PORT": str(request.master_port),
        "RANK": str(request.rank),
        "WORLD_SIZE": str(len(request.hosts)),
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "NODE_RANK": str(request.rank),
    }


def _rank(request: RunRequest) -> dict[str, str]:
    """Which part of its job a task is, and of how many."""
    count = str(max(len(request.hosts), 1))
    known = {
        "WINDLASS_RANK": str(request.rank),
        "WINDLASS_NODE_RANK": str(request.rank),
        "WINDLASS_WORLD_SIZE": count,
        "WINDLASS_NODES": count,
    }
    return known | ({"WINDLASS_HOSTS": ",".join(request.hosts)} if request.hosts else {})


def _array(request: RunRequest) -> dict[str, str]:
    """Which index of an array a task is."""
    if not request.array_job_id:
        return {}
    return {
        "WINDLASS_ARRAY_JOB_ID": request.array_job_id,
        "WINDLASS_ARRAY_INDEX": str(request.array_index),
        "WINDLASS_ARRAY_COUNT": str(request.array_count),
    }


def _share(request: RunRequest) -> dict[str, str]:
    """What tells a task that shares a GPU how much of it is its own.

    A daemon of NVIDIA's Multi-Process Service, where one runs, holds it to that; else nothing does.
    """
    if not request.gpu_millis:
        return {}
    share = {
        "WINDLASS_GPU_MILLIS": str(request.gpu_millis),
        # Percents are whole; nobody gets less than its share.
        "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": str(-(-request.gpu_millis // 10)),
    }
    memory = (request.gpu_memory_bytes * request.gpu_millis // 1000) >> 20
    if memory:
        # The one GPU that it sees is its first.
        share["CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"] = f"0={memory}M"
    return share


def _pipe() -> tuple[int, int]:
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    return ours, theirs


def _high(fd: int) -> int:
    """The same file under a number that the final ones cannot collide with."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)


class Launcher:
    """The process that becomes a task's topmost one; it exists and is in its cgroup beforehand.

    To move a process to another cgroup takes the kernel several milliseconds when it has not done
    so lately (it waits for an RCU grace period), so that is done before there is a task.

    Args:
        group: The cgroup that the process joins before anything else.

    Raises:
        OSError: If this machine has no more processes, files or memory to give.
    """

    def __init__(self, group: Group) -> None:
        self._what = os.memfd_create("task")
        self.stdout, out = _pipe()
        self.stderr, err = _pipe()
        self.status, report = _pipe()
        order, self._order = os.pipe()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _become_task(group, parent, (out, err, self._what, report, order))
            finally:
                os._exit(70)
        for fd in (out, err, report, order):
            os.close(fd)

    def start(self, intent: Intent, work: str, program: Program) -> None:
        """Start a program of the task; what becomes of it is told on `status`.

        Args:
            intent: The task.
            work: Absolute path of its private directory.
            program: The program.

        Raises:
            OSError: If the launcher is dead.
        """
        request, level = intent.request, intent.setup.isolation.level
        content = task_init.pack(program.directory, program.command, program.variables)
        # By offset: the init reads the same open file from its start.
        os.pwrite(self._what, content, 0)
        os.close(self._what)
        order = {
            "level": level,
            "kept": program.kept,
            "hidden": intent.setup.hidden_paths,
            "sandbox": sandbox.arguments(intent, work, program.kept, what=WHAT, status=STATUS)
            if level >= Level.SANDBOX
            else [],
            # Not RLIMIT_AS: CUDA reserves far more addresses than memory.
            "data_limit": 0
            if "memory" in intent.setup.isolation.cgroup_limits
            else request.memory_bytes,
        }
        with open(self._order, "wb") as file:  # noqa: PTH123
            file.write(json.dumps(order).encode())


def _become_task(group: Group, parent: int, fds: tuple[int, ...]) -> None:
    processes.die_with_parent(parent)
    null = os.open("/dev/null", os.O_RDONLY)
    for number, fd in enumerate([_high(fd) for fd in (null, *fds)]):
        os.dup2(fd, number, inheritable=number < _ORDER)
    os.closerange(_ORDER + 1, 1 << 20)
    try:
        group.join()
        processes.set_oom_score(0)
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _reset_signals()
        with open(_ORDER, "rb") as file:
            order = file.read()
        if order:
            _enter(json.loads(order))
    except OSError as error:
        os.write(STATUS, f"failed isolation {error.errno or 0} {error}\n".encode())


def _enter(order: dict[str, Any]) -> None:
    if order["data_limit"]:
        resource.setrlimit(resource.RLIMIT_DATA, (order["data_limit"], order["data_limit"]))
    command = order["sandbox"]
    if command:
        # The task's own variables reach bubblewrap as data only: LD_PRELOAD would act outside.
        os.execve(command[0], command, {"PATH": "/usr/bin:/bin"})  # noqa: S606
    if order["level"] == Level.NAMESPACES:
        namespaces.enter(order["hidden"], order["kept"])
    task_init.supervise(WHAT, STATUS)
    os._exit(0)


def _reset_signals() -> None:
    # Python and the shim ignore some of these; a program expects the default.
    for name in ("SIGPIPE", "SIGXFSZ", "SIGCHLD", "SIGINT", "SIGTERM"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
