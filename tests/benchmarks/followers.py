"""A thousand browsers that follow one log: how late each message is, and what a follower costs."""

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rich.console import Console

from tests.benchmarks import settings as aims
from tests.benchmarks.processes import ROOT, cpu_seconds, resident_mib
from tests.benchmarks.results import Figure, at_most
from tests.benchmarks.seed import by_grpc, job_message
from tests.benchmarks.settings import Settings
from tests.benchmarks.targets import Target, windlass_up

LINES_PER_SECOND = 2
# Waits for its followers, then prints the time so many times a second.
_PRINTING = """
import sys, time
time.sleep({wait})
for _ in range({lines}):
    sys.stdout.write("T%d\\n" % time.time_ns()); sys.stdout.flush()
    time.sleep({pause})
"""
_WAIT_SECONDS = 15


def server_of(up: Target) -> int:
    """The server's process: the child of `windlass up` that runs it."""
    for child in Path(f"/proc/{up.pid}/task/{up.pid}/children").read_text().split():
        if b"windlass_server" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    raise RuntimeError("windlass up has no server")


def job_that_prints(lines: int) -> str:
    """A Python program that prints so many lines."""
    return _PRINTING.format(wait=_WAIT_SECONDS, lines=lines, pause=1 / LINES_PER_SECOND)


def run(console: Console, settings: Settings) -> Iterator[Figure]:
    """Yield how late messages are, and what the server holds for each follower."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    lines = LINES_PER_SECOND * 4 * settings.seconds
    with (
        tempfile.TemporaryDirectory(prefix="windlass-bench-") as name,
        windlass_up(Path(name) / "windlass") as up,
    ):
        command = ["/usr/bin/env", "python3", "-c", job_that_prints(lines)]
        small = {"cpu_millis": 100, "memory_bytes": "134217728"}
        job = job_message({"name": "log", "command": command, "resources": small})
        (job_id,) = asyncio.run(by_grpc(up, 1, job))
        yield from measured(console, up, job_id, settings.followers)


def measured(console: Console, up: Target, job_id: str, followers: int) -> Iterator[Figure]:
    """The figures of so many followers of one job."""
    server = server_of(up)
    before = resident_mib(server)
    client = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.benchmarks.followers_client",
            up.http,
            job_id,
            str(followers),
        ],
        cwd=ROOT,
        env={**os.environ, "BENCH_TOKEN": up.token},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdout is not None
    if said(client.stdout) != "ready":
        raise RuntimeError("the followers could not connect")
    connected, busy = resident_mib(server), cpu_seconds(server)
    found = json.loads(said(client.stdout))
    client.wait()
    used = cpu_seconds(server) - busy
    console.print(f"  {followers} followers: {found}", style="dim", highlight=False, markup=False)
    if found["least"] != found["most"] or not found["least"]:
        raise RuntimeError(f"a follower missed messages: {found}")
    what = f"{followers} followers of one log"
    limit = aims.FOLLOWER_P99_MS
    yield Figure(f"{what}, a message is late, p50", found["p50_ms"], "ms")
    yield at_most(f"{what}, a message is late, p99", found["p99_ms"], "ms", limit)
    yield Figure(f"{what}, memory of each", (connected - before) * 1024 / followers, "KiB")
    yield Figure(f"{what}, processor time of a message", used * 1e6 / found["messages"], "us")


def said(output: IO[str]) -> str:
    """The next line."""
    return output.readline().strip()
