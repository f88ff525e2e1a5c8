"""How long the server takes from its start to its first answer, and what it holds when idle."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from rich.console import Console

from tests.benchmarks import settings as aims
from tests.benchmarks.processes import answers, resident_mib
from tests.benchmarks.results import Figure, at_most
from tests.benchmarks.seed import seed
from tests.benchmarks.settings import Settings
from tests.benchmarks.targets import windlass_server

IDLE_SECONDS = 3


def run(console: Console, settings: Settings) -> Iterator[Figure]:
    """Yield the start-up time on a database with jobs, and the resident memory after it."""
    with tempfile.TemporaryDirectory(prefix="windlass-bench-") as name:
        data = Path(name) / "windlass"
        with windlass_server(data) as target, console.status(f"submitting {settings.jobs} jobs"):
            job_id = seed(target, settings.jobs)[-1]
        times, sizes = [], []
        for number in range(settings.starts):
            before = time.perf_counter()
            with windlass_server(data) as target:
                while not answers(f"{target.http}/v1/jobs/{job_id}", target.token):
                    time.sleep(0.005)
                times.append(time.perf_counter() - before)
                time.sleep(IDLE_SECONDS)
                sizes.append(resident_mib(target.pid))
            console.print(
                f"  start {number + 1} of {settings.starts}: {times[-1]:.2f} s,"
                f" {sizes[-1]:.0f} MiB",
                style="dim",
                highlight=False,
            )
        yield at_most("start to first answer", median(times), "s", aims.START_SECONDS)
        yield at_most("resident memory, idle", median(sizes), "MiB", aims.IDLE_MIB)
