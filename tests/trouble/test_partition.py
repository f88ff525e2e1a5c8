"""Two agents in two network namespaces, and a cable between one of them and the server that is cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import network_namespaces
from tests.support.cluster import Cluster, Process
from tests.support.network_namespaces import Machine, machines
from windlass.jobs.v1 import job_pb2

pytestmark = pytest.mark.skipif(
    bool(why := network_namespaces.missing()), reason=why or "there are"
)

_PATIENCE_SECONDS = 45
GPUS = job_pb2.Job(resources={"gpu_count": 2}).resources


@asynccontextmanager
async def two_agents(folder: Path) -> AsyncIterator[tuple[Cluster, list[Machine]]]:
    """A server here that hears each second of an agent of two GPUs on each of two machines."""
    cluster = Cluster(folder, grpc="0.0.0.0:0", environment={"WINDLASS_HEARTBEAT_SECONDS": "1"})
    agents: list[Process] = []
    with machines(2) as both:
        try:
            await cluster.start_server()
            for number, machine in enumerate(both):
                agents.append(await start_agent(cluster, machine, f"n{number}"))
            yield cluster, both
        finally:
            for agent in agents:
                await agent.kill()
            await cluster.stop()


async def start_agent(cluster: Cluster, machine: Machine, name: str) -> Process:
    port = cluster.grpc.rpartition(":")[2]
    agent = await machine.start(
        *("-m", "windlass_agent", "--server", f"{machine.server}:{port}", "--insecure"),
        *("--data-dir", str(cluster.directory / name), "--simulate-gpus", "2xH100"),
        *("--hide-paths", str(cluster.directory / "data")),
        *("--share-paths", str(cluster.directory / "shared"), "--labels", f"name={name}"),
        WINDLASS_JOIN_TOKEN=await cluster.join_token(),
    )
    await agent.says("connected")
    return agent


async def nodes(cluster: Cluster) -> dict[str, dict[str, Any]]:
    async with cluster.rest() as rest:
        found = (await rest.get("/v1/resources/nodes")).json()["nodes"]
    return {node["labels"]["name"]: node for node in found}


async def status_once(cluster: Cluster, name: str, status: str) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while (await nodes(cluster))[name]["status"] != status:
            pass


async def test_what_runs_behind_a_cut_goes_on_and_is_adopted_and_never_doubled(
    tmp_path: Path,
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    async with two_agents(tmp_path) as (cluster, both):
        # Each writes that it has begun, waits for a file, and says a line before and behind it.
        jobs = []
        for name in ("a", "b"):
            script = (
                f"echo begun >> {shared}/{name}.runs; echo up; "
                f"until [ -e {shared}/{name}.go ]; do sleep 0.1; done; echo down"
            )
            job = await cluster.submit("sh", "-c", script, name=name, resources=GPUS)
            await cluster.wait_for_output(job.job_id, "up")
            jobs.append(job)
        place = {
            run["job_id"]: name
            for name, node in (await nodes(cluster)).items()
            for run in node["runs"]
        }
        behind, other = sorted(jobs, key=lambda job: place[job.job_id])

        both[0].cut()
        await status_once(cluster, "n0", "UNREACHABLE")
        (shared / f"{behind.name}.go").touch()  # it ends while nobody hears of it
        held = await cluster.get(behind.job_id)
        assert (held.status, held.attempt) == (job_pb2.Job.Status.RUNNING, 1)
        (shared / f"{other.name}.go").touch()
        assert (await cluster.follow(other.job_id))[0] == "up\ndown\n"
        # What comes now finds a place on the machine that is there, and none on the other.
        late = [await cluster.submit("true", resources=GPUS) for _ in range(2)]
        for job in late:
            await cluster.follow(job.job_id)
        assert (await nodes(cluster))["n0"]["status"] == "UNREACHABLE"

        both[0].mend()
        text, end = await cluster.follow(behind.job_id)
        await status_once(cluster, "n0", "READY")
        assert text == "up\ndown\n"
        assert not end.incomplete
        ended = await cluster.get(behind.job_id)
        assert (ended.status, ended.attempt) == (job_pb2.Job.Status.SUCCEEDED, 1)
        assert len(await nodes(cluster)) == 2
    for job in (behind, other):
        assert (shared / f"{job.name}.runs").read_text() == "begun\n"
