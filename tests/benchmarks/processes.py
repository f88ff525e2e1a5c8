"""Starts what is measured, and looks at it from outside."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class NotReady(Exception):
    """A process did not come up; the text ends with what it last wrote."""


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    argv: Sequence[str],
    *,
    log: Path,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
    patience: float = 30,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python module until the block ends.

    Args:
        argv: what follows `python -m`.
        log: file for its output.
        ready: whether it answers.
        env: variables beside ours.
        patience: seconds to wait for it.

    Raises:
        NotReady: it ended, or did not answer in time.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *argv],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    try:
        wait_until(ready, process, log, patience)
        yield process
    finally:
        stop(process)


def wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, patience: float
) -> None:
    """Poll every 5 ms. Raises NotReady."""
    deadline = time.monotonic() + patience
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            what = f"ended with {process.returncode}" if process.poll() is not None else "is silent"
            raise NotReady(f"the process {what}; {log.name} ends with\n{tail}")
        time.sleep(0.005)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and after 20 s make it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answers(url: str, token: str = "") -> bool:
    """Whether a GET is answered with 200."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def listens(port: int) -> bool:
    """Whether a loopback port accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used so far, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Resident memory of a process in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
