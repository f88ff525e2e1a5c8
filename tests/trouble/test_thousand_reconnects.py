"""A thousand agents whose server is killed and comes back: all of them return, with what they ran."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, Process, running_cluster
from windlass.jobs.v1 import job_pb2

NODES = 1000
JOBS = 20
_PATIENCE_SECONDS = 120


async def ready(cluster: Cluster, count: int) -> None:
    """Return when so many nodes are connected, by the server's own sums."""
    async with asyncio.timeout(_PATIENCE_SECONDS), cluster.rest() as rest:
        while True:
            pools = (await rest.get("/v1/resources/pools")).json()["pools"]
            if sum(pool["node_counts"].get("READY", 0) for pool in pools) >= count:
                return
            await asyncio.sleep(0.2)


async def running(cluster: Cluster, count: int) -> None:
    """Return when so many jobs run."""
    async with asyncio.timeout(_PATIENCE_SECONDS), cluster.rest() as rest:
        while True:
            answer = await rest.get("/v1/jobs?status=RUNNING&page_size=100")
            if len(answer.json()["jobs"]) >= count:
                return


@pytest.mark.timeout(400)
async def test_a_thousand_agents_come_back_with_their_tasks(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, agent=False) as cluster:
        fleet = await Process.start(
            *("-m", "windlass_client.cli.main", "--server", cluster.grpc, "fleet", "--json"),
            *("--nodes", str(NODES), "--gpus", "1xT4", "--interval", "10s", "--processes", "2"),
            *("--tasks", "sleep:45s", "--data-dir", str(tmp_path / "fleet")),
            WINDLASS_TOKEN=cluster.token,
        )
        await ready(cluster, NODES)
        gpu = job_pb2.Job(resources={"gpu_count": 1}).resources
        jobs = [await cluster.submit("train", resources=gpu) for _ in range(JOBS)]
        await running(cluster, JOBS)

        assert cluster.server is not None
        await cluster.server.kill()
        await cluster.start_server()
        await ready(cluster, NODES)

        for job in jobs:
            text, end = await cluster.follow(job.job_id)
            assert text.splitlines()[-1] == "done"
            assert not end.incomplete
            ended = await cluster.get(job.job_id)
            assert (ended.status, ended.attempt) == (job_pb2.Job.Status.SUCCEEDED, 1)
        await fleet.kill(signal.SIGTERM)
        counts = json.loads(fleet.lines[-1])
        assert (counts["connected"], counts["tasks_started"]) == (NODES, JOBS)
        assert counts["batches_lost"] == 0
        assert cluster.server is not None
        assert not [line for line in cluster.server.lines if "unexpected error" in line]
