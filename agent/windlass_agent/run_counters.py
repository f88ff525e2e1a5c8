"""What the processes of a run have used since they began."""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

_OWN_NETWORK = "/proc/self/ns/net"
_LOOPBACK = "lo"


@dataclass(frozen=True, slots=True)
class Counters:
    """What a run has used until a time.

    Attributes:
        at: that time, on the monotonic clock in seconds.
        cpu_nanos: CPU time.
        read: bytes read from disks.
        written: bytes written to disks.
        network: bytes received and sent; None: it uses the machine's network.
    """

    at: float
    cpu_nanos: int
    read: int
    written: int
    network: tuple[int, int] | None


def disk_bytes(pids: Iterable[int]) -> tuple[int, int]:
    """Read and written by living processes, and by those that they have reaped."""
    read = written = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            io = psutil.Process(pid).io_counters()
            read, written = read + io.read_bytes, written + io.write_bytes
    return read, written


def network_bytes(pid: int) -> tuple[int, int] | None:
    """Received and sent in the network of a process, where that is not the machine's.

    What stays within it is not counted.
    """
    try:
        if os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat(_OWN_NETWORK).st_ino:  # noqa: PTH116
            return None
        with open(f"/proc/{pid}/net/dev") as file:  # noqa: PTH123
            lines = file.read().splitlines()[2:]
    except OSError:
        return None
    received = sent = 0
    for line in lines:
        name, _, numbers = line.partition(":")
        if name.strip() != _LOOPBACK:
            words = numbers.split()
            received, sent = received + int(words[0]), sent + int(words[8])
    return received, sent
