"""Two installations, one of which can take jobs of the other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.cluster import Cluster
from tests.support.tcp_proxy import TcpProxy, proxied
from windlass.jobs.v1 import job_pb2, jobs_service_pb2

SECONDS = 60
WEST = "west"


@dataclass
class Pair:
    """`here` hands jobs over to `west`, through a link that can be cut.

    Attributes:
        gate: a file that tasks at west can see, for the test to make.
        key: what `here` is let in with, as a developer of the project `guests` there.
    """

    here: Cluster
    west: Cluster
    link: TcpProxy
    gate: Path
    key: str = ""

    async def register(self, **settings: Any) -> dict[str, Any]:
        """Make `west` a cluster of `here`; returns it when it is connected."""
        self.key = await self.west.key_for("guest", "guests", "DEVELOPER")
        remote = {
            "endpoint": self.link.address,
            "api_key": self.key,
            "project": "guests",
            "spill_over_after": "0s",
        } | settings
        async with self.here.rest() as rest:
            body = {"cluster_id": WEST, "kind": "REMOTE", "remote": remote}
            made = await rest.post("/v1/resources/clusters", json=body)
        assert made.status_code == 200, made.text
        return await self.becomes("CONNECTED")

    async def cluster(self) -> dict[str, Any]:
        """The cluster as `here` shows it."""
        async with self.here.rest() as rest:
            answer = await rest.get(f"/v1/resources/clusters/{WEST}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def becomes(self, state: str) -> dict[str, Any]:
        """The cluster when it is in this state."""
        async with asyncio.timeout(SECONDS):
            while (shown := await self.cluster())["remote_status"]["state"] != state:
                pass
        return shown

    async def job_when(self, job_id: str, holds: Callable[[job_pb2.Job], bool]) -> job_pb2.Job:
        """The job, as `here` shows it, when something holds of it."""
        async with asyncio.timeout(SECONDS):
            while not holds(job := await self.here.get(job_id)):
                pass
        return job

    async def ended(self, job_id: str) -> job_pb2.Job:
        """The job when it has ended."""
        return await self.job_when(job_id, lambda job: job.HasField("end_time"))

    async def jobs_at_west(self, *labels: str) -> list[job_pb2.Job]:
        """All the jobs that `west` has ever had of `here`, or those with all these KEY=VALUE."""
        request = jobs_service_pb2.ListJobsRequest(project="guests", labels=labels)
        answer = await self.west.jobs.ListJobs(request, metadata=self.west.metadata)
        return list(answer.jobs)


@asynccontextmanager
async def running_pair(directory: Path, *, database_url: str = "") -> AsyncIterator[Pair]:
    """Both started, `here` without an agent, and on a database of its own unless one is given."""
    shared = directory / "shared"
    shared.mkdir()
    here, west = Cluster(directory / "here", database_url), Cluster(directory / WEST)
    west.environment["WINDLASS_AGENT_SHARE_PATHS"] = str(shared)
    try:
        await here.start_server()
        await west.start_server()
        await west.start_agent()
        async with proxied(west.grpc) as link:
            yield Pair(here, west, link, shared / "gate")
    finally:
        await here.stop()
        await west.stop()
