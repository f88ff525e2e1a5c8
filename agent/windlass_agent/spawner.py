"""Forks shims for the agent: a small process that has loaded what a shim needs and nothing else.

The agent itself must not fork: grpc and uvloop do not survive it. A fork of this process needs no
exec and no import, so a shim is at work within a millisecond. When the agent dies, this process
sees the end of its socket and goes; shims live on as children of init.

Protocol, on a SOCK_SEQPACKET pair: one JSON object per message. Request `{"id", "folder"}`, reply
`{"id", "pid"}` or `{"id", "error"}`.
"""

import contextlib
import gc
import json
import os
import signal
import socket
import sys

from windlass_agent import processes, sandbox, shim

MAX_MESSAGE = 64 * 1024


def serve(channel: socket.socket) -> None:
    """Answer requests until the agent is gone."""
    while message := channel.recv(MAX_MESSAGE):
        request = json.loads(message)
        try:
            pid = os.fork()
        except OSError as error:
            channel.send(json.dumps({"id": request["id"], "error": str(error)}).encode())
            continue
        if pid == 0:
            _become_shim(channel, request["folder"])
        channel.send(json.dumps({"id": request["id"], "pid": pid}).encode())


def _become_shim(channel: socket.socket, folder: str) -> None:
    try:
        channel.close()
        os.setsid()
        shim.reset_signals()
    finally:
        shim.main(folder)


def main() -> None:
    """Run until the agent closes its end of the socket, whose number is the first argument."""
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
    channel.send(b'{"ready": true}')
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        serve(channel)


if __name__ == "__main__":
    main()
