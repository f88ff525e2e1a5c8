"""The view that a task has of the machine: bubblewrap's arguments, and what they hide.

A task sees the machine's files read-only, so that its interpreter and libraries are found wherever
they are, with its own /proc, /tmp, /run and /dev on top. Of devices it gets the harmless ones that
bubblewrap makes and the granted GPUs. Hidden are the data of the agent and the server, and the
places where keys of this machine's owner usually lie. It may write to its private directory, /tmp,
and what the operator shares. The network is the machine's own: jobs of many nodes talk freely.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from windlass_agent.rundir import Intent

BWRAP = "/usr/bin/bwrap"
PERL = "/usr/bin/perl"

# Private mounts that replace the machine's own; tasks may write there.
PRIVATE = ("/tmp", "/var/tmp", "/run", "/dev")  # noqa: S108  (mount points, not files)

# A task runs with the agent's user, so permissions alone would not keep these from it.
SECRETS = (
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/kubernetes",
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/ssh",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/lib/kubelet",
)
HOME_SECRETS = (
    ".aws",
    ".azure",
    ".config/gcloud",
    ".docker",
    ".git-credentials",
    ".gnupg",
    ".kube",
    ".netrc",
    ".ssh",
)
# Name resolution often lives behind a link into /run.
_RESOLVERS = ("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager/resolv.conf")


def secret_paths(home: Path) -> tuple[str, ...]:
    """Where the keys of this machine's owner usually lie."""
    return (*SECRETS, *(str(home / name) for name in HOME_SECRETS))


@cache
def init_command() -> tuple[str, ...]:
    """The init of a sandbox: perl where there is one, else Python. Both take two descriptors."""
    here = Path(__file__).parent
    if os.access(PERL, os.X_OK):
        return (PERL, "-e", (here / "task_init.pl").read_text())
    return (sys.executable, "-I", "-S", "-c", (here / "task_init.py").read_text())


def _within(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


def _hide(paths: Iterable[str]) -> Iterator[str]:
    for path in sorted({os.path.realpath(path) for path in paths}):
        if _within(path, PRIVATE):
            continue
        if os.path.isdir(path):  # noqa: PTH112
            yield from ("--tmpfs", path)
        elif os.path.exists(path):  # noqa: PTH110
            yield from ("--ro-bind", "/dev/null", path)


def arguments(
    intent: Intent, work: str, kept: Sequence[tuple[str, bool]], *, what: int, status: int
) -> list[str]:
    """The command line that runs a task's init in its sandbox.

    Args:
        intent: The task.
        work: Absolute path of its private directory, the same inside as outside.
        kept: Folders that it sees though what is above them is hidden, and whether it may write there.
        what: Descriptor that describes the command to the init.
        status: Descriptor that the init reports on.
    """
    setup = intent.setup
    mounts = ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
    for device in intent.request.device_paths:
        mounts += ["--dev-bind-try", device, device]
    for path in PRIVATE[:3]:
        mounts += ["--perms", "1777", "--tmpfs", path]
    for path in _RESOLVERS:
        mounts += ["--ro-bind-try", path, path]
    for path in setup.shared_paths:
        mounts += ["--bind-try", path, path]
    # After the shared folders: what is hidden stays so inside of them too.
    mounts += _hide(setup.hidden_paths)
    for path, writes in kept:
        mounts += ["--bind" if writes else "--ro-bind", path, path]
    for path in setup.hidden_paths:
        if _within(work, [path]) and not _within(path, PRIVATE):
            mounts += ["--remount-ro", path]
    return [
        BWRAP,
        *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *("--as-pid-1", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *mounts,
        *("--chdir", "/", "--"),
        *init_command(),
        str(what),
        str(status),
    ]
