"""From submitting many jobs to the end of the last, over the real protocol, on a fleet whose tasks take no time.

The fleet's processes, who submits and the server share the machine; the fleet measures once a second too.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from grpc import aio
from rich.console import Console

from tests.benchmarks import settings as aims
from tests.benchmarks.fleet import fleet
from tests.benchmarks.processes import cpu_seconds
from tests.benchmarks.results import Figure, at_least
from tests.benchmarks.seed import by_batches, job_message, metadata
from tests.benchmarks.settings import Settings
from tests.benchmarks.targets import Target, windlass_server
from tests.support.databases import postgresql_server
from windlass.jobs.v1 import job_pb2, jobs_service_pb2_grpc
from windlass.jobs.v1 import jobs_service_pb2 as pb

JOB = {
    "name": "instant",
    "command": ["true"],
    "resources": {"cpu_millis": 1000, "memory_bytes": "1073741824", "gpu_count": 1},
}
LOOK_SECONDS = 0.25
LONGEST_SECONDS = 600
_STATUS = job_pb2.Job.Status
_OPEN = (_STATUS.QUEUED, _STATUS.SCHEDULED, _STATUS.RUNNING)


def run(console: Console, settings: Settings) -> Iterator[Figure]:
    """Yield how many jobs of one GPU end in a second, on either database."""
    with tempfile.TemporaryDirectory(prefix="windlass-bench-") as name:
        folder = Path(name)
        yield from through(console, settings, folder, "SQLite", "")
    with tempfile.TemporaryDirectory(prefix="windlass-bench-") as name, postgresql_server() as url:
        yield from through(console, settings, Path(name), "PostgreSQL", url)


def through(
    console: Console, settings: Settings, folder: Path, database: str, url: str
) -> Iterator[Figure]:
    """Send jobs through a fleet, with the state in one database."""
    nodes, jobs = settings.fleet_nodes, settings.end_to_end_jobs
    with (
        windlass_server(folder / "windlass", database_url=url) as target,
        fleet(target, folder, folder / "fleet.log", nodes, tasks="instant"),
    ):
        before, used = time.monotonic(), cpu_seconds(target.pid)
        asyncio.run(by_batches(target, jobs, job_message(JOB)))
        submitted = time.monotonic()
        submitting = cpu_seconds(target.pid) - used
        asyncio.run(ended(target))
        seconds, used = time.monotonic() - before, cpu_seconds(target.pid) - used
        took = submitted - before
        label = f"{jobs:,} jobs of a GPU on {nodes} nodes, {database}"
        console.print(
            f"  submitted in {took:.1f} s, {submitting:.1f} s of it the server", style="dim"
        )
        rate = jobs / seconds
        if url:
            yield Figure(f"{label}: ended", rate, "jobs/s")
        else:
            yield at_least(f"{label}: ended", rate, "jobs/s", aims.ENDED_PER_SECOND)
        yield Figure(f"{label}: server's processor time", used / jobs * 1e3, "ms each")


async def ended(target: Target) -> None:
    """Wait until no job is left; raises RuntimeError when one has not ended well, or takes too long."""
    until = time.monotonic() + LONGEST_SECONDS
    async with aio.insecure_channel(target.grpc) as channel:
        jobs = jobs_service_pb2_grpc.JobsServiceStub(channel)

        async def first(*status: job_pb2.Job.Status) -> list[job_pb2.Job]:
            request = pb.ListJobsRequest(project="default", status=status, page_size=1)
            page = await jobs.ListJobs(request, metadata=metadata(target), timeout=30)
            return list(page.jobs)

        while await first(*_OPEN):
            if time.monotonic() > until:
                raise RuntimeError(f"jobs are left after {LONGEST_SECONDS} s")
            await asyncio.sleep(LOOK_SECONDS)
        if failed := await first(_STATUS.FAILED, _STATUS.TIMED_OUT, _STATUS.CANCELLED):
            raise RuntimeError(f"a job failed: {failed[0]}")
