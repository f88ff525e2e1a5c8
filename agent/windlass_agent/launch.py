"""Starts a task's processes: pipes, environment, cgroup, and the way into its isolation."""

import fcntl
import os
import resource
import signal
from dataclasses import dataclass

from windlass_agent import namespaces, processes, sandbox, task_init
from windlass_agent.cgroups import Group
from windlass_agent.run_types import Level, RunRequest
from windlass_agent.rundir import Intent

# Where the first process of a task finds its descriptors, after stdin, stdout and stderr.
WHAT = 3
STATUS = 4
_FIRST_FREE = 5


@dataclass(frozen=True, slots=True)
class Launched:
    """A task's topmost process and our ends of its pipes."""

    pid: int
    stdout: int
    stderr: int
    status: int


def environment(request: RunRequest, home: str) -> dict[str, str]:
    """The variables of a task: nothing of the agent's own, and the user's over our defaults."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": home,
        "LANG": "C.UTF-8",
        "TMPDIR": "/tmp",  # noqa: S108  (private to the task)
        "PYTHONUNBUFFERED": "1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "NVIDIA_VISIBLE_DEVICES": ",".join(request.gpu_uuids) or "void",
        **request.variables,
        "CUDA_VISIBLE_DEVICES": ",".join(request.gpu_uuids),
        "WINDLASS_JOB_ID": request.job_id,
        "WINDLASS_RUN_ID": request.run_id,
        "WINDLASS_PROJECT": request.project,
        "WINDLASS_JOB_NAME": request.name,
        "WINDLASS_ATTEMPT": str(request.attempt),
    }


def _pipe() -> tuple[int, int]:
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    return ours, theirs


def _high(fd: int) -> int:
    """The same file under a number that the final ones cannot collide with."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)


def launch(intent: Intent, work: str, group: Group) -> Launched:
    """Start the task's first process; what becomes of it is told on `status`.

    Args:
        intent: The task.
        work: Absolute path of its private directory.
        group: Its cgroup, which the process joins before anything else.

    Raises:
        OSError: If this machine has no more processes, files or memory to give.
    """
    directory = intent.request.working_directory or work
    what = os.memfd_create("task")
    content = task_init.pack(directory, intent.request.command, environment(intent.request, work))
    os.write(what, content)
    os.lseek(what, 0, os.SEEK_SET)
    stdout, out = _pipe()
    stderr, err = _pipe()
    status, report = _pipe()
    shim = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            _become_task(intent, work, group, shim, (out, err, what, report))
        finally:
            os._exit(70)
    for fd in (what, out, err, report):
        os.close(fd)
    return Launched(pid, stdout, stderr, status)


def _become_task(
    intent: Intent, work: str, group: Group, shim: int, fds: tuple[int, int, int, int]
) -> None:
    processes.die_with_parent(shim)
    null = os.open("/dev/null", os.O_RDONLY)
    for number, fd in enumerate([_high(fd) for fd in (null, *fds)]):
        os.dup2(fd, number)
    os.closerange(_FIRST_FREE, 1 << 20)
    try:
        group.join()
        _set_limits(intent)
        _reset_signals()
        _enter(intent, work)
    except OSError as error:
        os.write(STATUS, f"failed isolation {error.errno or 0} {error}\n".encode())


def _enter(intent: Intent, work: str) -> None:
    level = intent.setup.isolation.level
    if level >= Level.SANDBOX:
        command = sandbox.arguments(intent, work, what=WHAT, status=STATUS)
        # The task's own variables reach bubblewrap as data only: LD_PRELOAD would act outside.
        os.execve(command[0], command, {"PATH": "/usr/bin:/bin"})  # noqa: S606
    os.setsid()
    if level == Level.NAMESPACES:
        namespaces.enter(intent, work)
    task_init.supervise(WHAT, STATUS)
    os._exit(0)


def _set_limits(intent: Intent) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if "memory" not in intent.setup.isolation.cgroup_limits:
        # Not RLIMIT_AS: CUDA reserves far more addresses than memory.
        limit = intent.request.memory_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _reset_signals() -> None:
    # Python and the shim ignore some of these; a program expects the default.
    for name in ("SIGPIPE", "SIGXFSZ", "SIGCHLD", "SIGINT", "SIGTERM"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
