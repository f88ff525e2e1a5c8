"""Forks shims for the agent: a small process that has loaded what a shim needs and nothing else.

The agent itself must not fork: grpc and uvloop do not survive it. A fork of this process needs no
exec and no import, and one shim always stands by with everything done that needs no task. When the
agent dies, this process sees the end of its socket and goes, and the shim on standby with it;
shims with a task live on as children of init.

Protocol, on a SOCK_SEQPACKET pair: one JSON object per message. Request `{"id", "folder"}`, with the
descriptor of a file in memory where the run has secrets; reply `{"id", "pid"}` or `{"id", "error"}`.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from dataclasses import dataclass

from windlass_agent import processes, sandbox, shim

MAX_MESSAGE = 64 * 1024
# The next shim is made when the last task has had the processor for its own start.
_PAUSE_SECONDS = 0.008


@dataclass(frozen=True, slots=True)
class _Standby:
    """A shim without a task."""

    pid: int
    assignment: int
    """A pipe: the folder of the run, perhaps a NUL and its secrets, then its end. An end alone sends it away."""


def serve(channel: socket.socket, cgroup_bases: dict[str, str]) -> None:
    """Answer requests until the agent is gone."""
    standby: _Standby | None = _fork(channel, cgroup_bases)
    channel.send(b'{"ready": true}')
    while True:
        if standby is None and not select.select([channel], [], [], _PAUSE_SECONDS)[0]:
            with contextlib.suppress(OSError):
                standby = _fork(channel, cgroup_bases)
        message, fds, _, _ = socket.recv_fds(channel, MAX_MESSAGE, 1)
        secrets = b"".join(map(_read_file, fds))
        if not message:
            return
        request = json.loads(message)
        try:
            standby = standby or _fork(channel, cgroup_bases)
        except OSError as error:
            channel.send(json.dumps({"id": request["id"], "error": str(error)}).encode())
            continue
        # The reply comes first: it names a process that cannot have ended yet.
        channel.send(json.dumps({"id": request["id"], "pid": standby.pid}).encode())
        _assign(standby, request["folder"], secrets)
        standby = None


def _read_file(fd: int) -> bytes:
    with open(fd, "rb") as file:
        file.seek(0)
        return file.read()


def _assign(standby: _Standby, folder: str, secrets: bytes) -> None:
    with (
        contextlib.suppress(BrokenPipeError),
        open(standby.assignment, "wb") as pipe,  # noqa: PTH123
    ):
        pipe.write(os.fsencode(folder) + b"\0" * bool(secrets) + secrets)


def _fork(channel: socket.socket, cgroup_bases: dict[str, str]) -> _Standby:
    assignment, ours = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become_shim(channel, ours, assignment, cgroup_bases)
    os.close(assignment)
    return _Standby(pid, ours)


def _become_shim(
    channel: socket.socket, ours: int, assignment: int, cgroup_bases: dict[str, str]
) -> None:
    try:
        channel.close()
        os.close(ours)
        os.setsid()
    finally:
        shim.main(assignment, cgroup_bases)


def main() -> None:
    """Run until the agent closes its end of the socket.

    Arguments: the socket's number, and the folders for cgroups by controller as JSON.
    """
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps shims
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the agent
    processes.prctl(processes.PR_SET_NAME, b"windlass-spawn")
    sandbox.init_command()
    processes.boot_id()
    # What is alive now never dies in a fork: keep the collector from touching, and so copying, it.
    gc.collect()
    gc.freeze()
    gc.disable()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        serve(channel, json.loads(sys.argv[2]))


if __name__ == "__main__":
    main()
