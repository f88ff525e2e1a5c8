"""How a run's shim is asked to stop its task, or to freeze it."""

import contextlib
import os
import socket
from dataclasses import asdict
from pathlib import Path

from windlass_agent import rundir
from windlass_agent.rundir import StopRequest


def write(folder: Path, request: StopRequest) -> None:
    """Make this the newest request to stop of the run in `folder`, and have its shim look at it."""
    rundir.write_whole(folder / rundir.STOP, asdict(request), durable=False)
    _poke(folder)


def want_frozen(folder: Path, *, frozen: bool) -> None:
    """Have the shim of the run in `folder` freeze its task, or thaw it; without news nothing happens."""
    if rundir.is_frozen(folder, rundir.FREEZE) != frozen:
        rundir.write_whole(folder / rundir.FREEZE, {"frozen": frozen}, durable=False)
        _poke(folder)


def _poke(folder: Path) -> None:
    """Have the shim look; without a shim nothing happens.

    The way through /proc keeps the socket's address below its 107 bytes however long the path is.
    """
    with contextlib.suppress(OSError):
        held = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as poker:
                poker.setblocking(False)
                poker.sendto(b"!", f"/proc/self/fd/{held}/{rundir.CONTROL}")
        finally:
            os.close(held)
