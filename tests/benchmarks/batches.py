"""Submitting jobs by the hundred: each is answered when it is on disk."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from tests.benchmarks import settings as aims
from tests.benchmarks.processes import cpu_seconds
from tests.benchmarks.results import Figure, at_least
from tests.benchmarks.seed import by_batches
from tests.benchmarks.settings import Settings
from tests.benchmarks.targets import windlass_server

SIZE = 100


def run(console: Console, settings: Settings) -> Iterator[Figure]:
    """Yield how many jobs are accepted in a second."""
    with (
        tempfile.TemporaryDirectory(prefix="windlass-bench-") as name,
        windlass_server(Path(name) / "windlass") as target,
    ):
        asyncio.run(by_batches(target, SIZE, size=SIZE))
        before, used = time.monotonic(), cpu_seconds(target.pid)
        ids = asyncio.run(by_batches(target, settings.jobs, size=SIZE))
        seconds, used = time.monotonic() - before, cpu_seconds(target.pid) - used
        console.print(f"  {len(ids):,} jobs in {seconds:.1f} s", style="dim")
        label = f"jobs in batches of {SIZE}, on disk when answered"
        rate = len(ids) / seconds
        yield at_least(f"{label}: submitted", rate, "jobs/s", aims.SUBMITTED_PER_SECOND)
        yield Figure(f"{label}: server's processor time", used / len(ids) * 1e3, "ms each")
