"""From submit to the first instruction of the user's process, and trivial jobs per second.

The job is `date`: it prints the time when it runs, and the clock is the same machine's. What it
needs to be loaded (about a millisecond) is counted in.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from grpc import aio
from rich.console import Console

from tests.benchmarks import settings as aims
from tests.benchmarks.results import Figure, at_least, at_most
from tests.benchmarks.seed import by_grpc, job_message, metadata
from tests.benchmarks.settings import Settings
from tests.benchmarks.targets import Target, windlass_up
from windlass.jobs.v1 import job_pb2, jobs_service_pb2_grpc
from windlass.jobs.v1 import jobs_service_pb2 as pb

SMALL = {"cpu_millis": 100, "memory_bytes": "67108864"}
WARM_UP = 3
LONGEST_SECONDS = 120
LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Launch:
    """One job: milliseconds from its submission to its first instruction and to its log's end."""

    started_ms: float
    ended_ms: float


async def launches(console: Console, target: Target, count: int) -> list[Launch]:
    """Launch jobs one after the other, each on an idle node."""
    done: list[Launch] = []
    async with aio.insecure_channel(target.grpc) as channel:
        jobs = jobs_service_pb2_grpc.JobsServiceStub(channel)
        for number in range(WARM_UP + count):
            done.append(await launch(jobs, target))
            if number and number % 20 == 0:
                console.print(f"  {number} jobs launched", style="dim", highlight=False)
            await asyncio.sleep(0.02)
    return done[WARM_UP:]


async def launch(jobs: "jobs_service_pb2_grpc.JobsServiceAsyncStub", target: Target) -> Launch:
    """Submit one job and follow its log to the end."""
    job = job_message({"name": "launch", "command": ["/bin/date", "+%s%N"], "resources": SMALL})
    credential, before = metadata(target), time.time_ns()
    made = await jobs.SubmitJob(pb.SubmitJobRequest(job=job), metadata=credential, timeout=10)
    request = pb.StreamJobLogsRequest(job_id=made.job_id, follow=True)
    text = ""
    async for message in jobs.StreamJobLogs(request, metadata=credential, timeout=60):
        text += message.chunk.text
    after = time.time_ns()
    if not text.strip().isdigit():
        job_now = await jobs.GetJob(pb.GetJobRequest(job_id=made.job_id), metadata=credential)
        raise RuntimeError(f"the job printed {text!r}: {job_now}")
    return Launch((int(text) - before) / 1e6, (after - before) / 1e6)


async def trivial_jobs_per_second(target: Target, count: int) -> float:
    """Submit jobs that do nothing, together; how many end in a second.

    Looks seldom, not to take the machine from them; when the last one ended is in the jobs.
    """
    job = job_message({"name": "trivial", "command": ["/bin/true"], "resources": SMALL})
    before = time.time()
    await by_grpc(target, count, job)
    async with aio.insecure_channel(target.grpc) as channel:
        jobs = jobs_service_pb2_grpc.JobsServiceStub(channel)
        while len(ended := await succeeded(jobs, target)) < count:
            if time.time() - before > LONGEST_SECONDS:
                raise RuntimeError(f"{len(ended)} of {count} jobs ended in {LONGEST_SECONDS} s")
            await asyncio.sleep(LOOK_SECONDS)
    return count / (max(ended) - before)


async def succeeded(
    jobs: "jobs_service_pb2_grpc.JobsServiceAsyncStub", target: Target
) -> list[float]:
    """When the trivial jobs ended; raises RuntimeError when one has not ended well."""
    status = job_pb2.Job.Status
    final = (status.SUCCEEDED, status.FAILED, status.TIMED_OUT, status.OUT_OF_MEMORY)
    request = pb.ListJobsRequest(project="default", name="trivial", status=final, page_size=1000)
    page = await jobs.ListJobs(request, metadata=metadata(target), timeout=10)
    for job in page.jobs:
        if job.status != status.SUCCEEDED:
            raise RuntimeError(f"a trivial job failed: {job}")
    return [job.end_time.ToMicroseconds() / 1e6 for job in page.jobs]


def run(console: Console, settings: Settings) -> Iterator[Figure]:
    """Yield the launch latency and the rate of trivial jobs on one node."""
    with (
        tempfile.TemporaryDirectory(prefix="windlass-bench-") as directory,
        windlass_up(Path(directory) / "windlass") as target,
    ):
        measured = asyncio.run(launches(console, target, settings.launches))
        started, ended = [one.started_ms for one in measured], [one.ended_ms for one in measured]
        limit, slurm = aims.LAUNCH_P50_MS, aims.SLURM_SRUN_TRUE
        yield at_most("submit to first instruction, p50", median(started), "ms", limit, slurm)
        yield Figure("submit to first instruction, p95", quantiles(started, n=20)[-1], "ms")
        yield Figure("submit to end of log, p50", median(ended), "ms", reference=slurm)
        rate = asyncio.run(trivial_jobs_per_second(target, settings.trivial_jobs))
        limit, slurm = aims.JOBS_PER_SECOND, aims.SLURM_JOBS_PER_SECOND
        yield at_least("trivial jobs ended, one node", rate, "jobs/s", limit, slurm)
