"""What jobs print: how much of it one server takes in, and how late 200 followers of a log see a line."""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from rich.console import Console

from tests.benchmarks import followers
from tests.benchmarks import settings as aims
from tests.benchmarks.processes import cpu_seconds
from tests.benchmarks.results import Figure, at_least, at_most
from tests.benchmarks.seed import by_grpc, job_message
from tests.benchmarks.settings import Settings
from tests.benchmarks.targets import Target, windlass_up
from windlass.jobs.v1 import job_pb2

_JOBS = 4
_MIB = 1 << 20
_FOLLOWERS = 200
# Lines of 100 bytes, as fast as they are taken.
_PRINTS = """
import sys
block = b"".join(b"%098d\\n" % number for number in range(10_000))
for _ in range({blocks}):
    sys.stdout.buffer.write(block)
"""
_BLOCK_BYTES = 990_000
_LONGEST_SECONDS = 300.0
# Bounds of an agent's own would be what is measured.
_UNBOUNDED = {"WINDLASS_AGENT_LOG_RATE": "0", "WINDLASS_AGENT_LOG_QUOTA": "0"}


def run(console: Console, settings: Settings) -> Iterator[Figure]:
    """Yield how fast output comes to the server's disk, and how late it is seen."""
    blocks = 20 * settings.seconds
    with (
        mock.patch.dict(os.environ, _UNBOUNDED),
        tempfile.TemporaryDirectory(prefix="windlass-bench-") as name,
        windlass_up(Path(name) / "windlass") as up,
    ):
        yield from _ingest(console, up, Path(name), blocks)
        lines = followers.LINES_PER_SECOND * 4 * settings.seconds
        (job_id,) = asyncio.run(by_grpc(up, 1, _job(followers.job_that_prints(lines))))
        for figure in followers.measured(console, up, job_id, _FOLLOWERS):
            if "p99" in figure.name:
                yield at_most(figure.name, figure.value, figure.unit, aims.LINE_P99_MS)


def _ingest(console: Console, up: Target, folder: Path, blocks: int) -> Iterator[Figure]:
    server = followers.server_of(up)
    before = cpu_seconds(server)
    asyncio.run(by_grpc(up, _JOBS, _job(_PRINTS.format(blocks=blocks))))
    wanted = _JOBS * blocks * _BLOCK_BYTES
    began, taken = 0.0, 0
    deadline = time.monotonic() + _LONGEST_SECONDS
    while taken < wanted:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{taken} of {wanted} bytes came in {_LONGEST_SECONDS:.0f} s")
        time.sleep(0.02)
        taken = sum(path.stat().st_size for path in folder.rglob("run-*.log"))
        if taken and not began:
            began = time.monotonic()
    took, used = time.monotonic() - began, cpu_seconds(server) - before
    console.print(f"  {taken / _MIB:.0f} MiB in {took:.1f} s", style="dim", highlight=False)
    yield at_least(
        "logs of 4 jobs, taken in by one server", taken / took / 1e6, "MB/s", aims.LOGS_MBS
    )
    yield Figure("logs, processor time of the server for a GB", used / taken * 1e9, "s")


def _job(program: str) -> job_pb2.Job:
    small = {"cpu_millis": 500, "memory_bytes": "134217728"}
    command = ["/usr/bin/env", "python3", "-c", program]
    return job_message({"name": "log", "command": command, "resources": small})
