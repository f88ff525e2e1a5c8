"""A fleet of simulated nodes against a real server, in real processes."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster, Process, running_cluster
from windlass.jobs.v1 import job_pb2

GPUS = job_pb2.Job(resources={"gpu_count": 2}).resources


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A server without an agent."""
    async with running_cluster(tmp_path, agent=False) as running:
        yield running


async def start_fleet(cluster: Cluster, *flags: str, **environment: str) -> Process:
    return await Process.start(
        *("-m", "windlass_client.cli.main", "--server", cluster.grpc, "fleet", "--json"),
        *("--data-dir", str(cluster.directory / "fleet"), "--ramp", "0s", *flags),
        WINDLASS_TOKEN=cluster.token,
        **environment,
    )


async def sums(fleet: Process) -> dict[str, int]:
    """What a fleet that is told to end says it has done."""
    await fleet.kill(signal.SIGTERM)
    counts: dict[str, int] = json.loads(fleet.lines[-1])
    return counts


async def nodes(cluster: Cluster) -> list[dict[str, Any]]:
    async with cluster.rest() as rest:
        answer = await rest.get("/v1/resources/nodes?page_size=1000")
    return list(answer.json()["nodes"])


async def nodes_once_ready(cluster: Cluster, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(30):
        while True:
            ready = [node for node in await nodes(cluster) if node["status"] == "READY"]
            if len(ready) >= count:
                return ready


async def ended(cluster: Cluster, jobs: list[job_pb2.Job]) -> Counter[str]:
    """How many of the jobs ended in which status."""
    endings = [(await cluster.follow(job.job_id)) and await cluster.get(job.job_id) for job in jobs]
    return Counter(job_pb2.Job.Status.Name(job.status) for job in endings)


async def test_a_fleet_joins_runs_tasks_and_loses_nothing(alone: Cluster) -> None:
    fleet = await start_fleet(alone, "--nodes", "12", "--gpus", "4xH100", "--tasks", "instant")
    ready = await nodes_once_ready(alone, 12)
    assert {node["labels"]["simulated"] for node in ready} == {"true"}
    assert sorted(node["name"] for node in ready) == [f"sim-{n:05d}" for n in range(12)]
    assert {gpu["gpu_type"] for node in ready for gpu in node["gpus"]} == {"H100"}

    jobs = [await alone.submit("train", name="train", resources=GPUS) for _ in range(30)]
    assert await ended(alone, jobs) == {"SUCCEEDED": 30}
    text, end = await alone.follow(jobs[0].job_id)
    assert text.splitlines() == ["train, attempt 1 on 2 simulated GPUs", "done"]
    assert not end.incomplete

    counts = await sums(fleet)
    assert (counts["nodes"], counts["joined"], counts["connected"]) == (12, 12, 12)
    assert counts["tasks_started"] == counts["tasks_ended"] == 30
    assert counts["batches_sent"] == counts["batches_acknowledged"] >= 12
    assert counts["batches_lost"] == counts["batches_unanswered"] == 0


async def test_a_fleet_that_comes_back_is_the_same_nodes(alone: Cluster) -> None:
    first = await start_fleet(alone, "--nodes", "3", "--gpus", "1xT4")
    before = {node["node_id"] for node in await nodes_once_ready(alone, 3)}
    await sums(first)
    again = await start_fleet(alone, "--nodes", "5", "--gpus", "1xT4", "--processes", "2")
    assert before < {node["node_id"] for node in await nodes_once_ready(alone, 5)}
    await sums(again)
    assert len(await nodes(alone)) == 5


async def test_tasks_outlive_a_cut_and_are_lost_with_a_node_that_dies(alone: Cluster) -> None:
    flags = ("--nodes", "2", "--gpus", "2xH100", "--fault-every", "0.5s")
    cut = await start_fleet(alone, *flags, "--tasks", "sleep:3s", "--fault", "cut:300ms")
    await nodes_once_ready(alone, 2)
    jobs = [await alone.submit("train", resources=GPUS) for _ in range(2)]
    assert await ended(alone, jobs) == {"SUCCEEDED": 2}
    counts = await sums(cut)
    assert counts["faults"] > 0
    assert counts["connections"] > 2
    assert counts["tasks_started"] == 2  # adopted, never doubled

    kill = await start_fleet(alone, *flags, "--tasks", "sleep:60s", "--fault", "kill:300ms")
    await nodes_once_ready(alone, 2)
    job = await alone.submit("train", resources=GPUS)
    async with asyncio.timeout(30):
        # Those before the last have been acknowledged by then.
        while (await alone.get(job.job_id)).attempt < 4:
            pass
    counts = await sums(kill)
    assert counts["tasks_acknowledged"] >= 1
    assert counts["tasks_started"] >= 2


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--nodes", "2", "--gpus", "x"), "'x' is not COUNTxTYPE"),
        (("--nodes", "2", "--join-token-file", "/nowhere"), "cannot read the join token"),
    ],
)
async def test_a_fleet_that_cannot_be_says_why_in_a_line(
    server: Cluster, flags: tuple[str, ...], complaint: str
) -> None:
    fleet = await start_fleet(server, *flags)
    assert await fleet.ended() == 2
    assert fleet.lines[-1].startswith("windlass fleet: ")
    assert complaint in fleet.lines[-1]


async def test_a_token_for_too_few_nodes_ends_the_fleet(alone: Cluster) -> None:
    fleet = await start_fleet(alone, "--nodes", "3", WINDLASS_JOIN_TOKEN=await alone.join_token())
    assert await fleet.ended() == 2
    assert "the join token was used before" in fleet.lines[-1]


async def test_a_fleet_without_a_server_says_at_the_end_where_to_look(tmp_path: Path) -> None:
    fleet = await Process.start(
        *("-m", "windlass_agent.fleet", "--server", "127.0.0.1:1", "--nodes", "2"),
        *("--ramp", "0s", "--duration", "2s", "--data-dir", str(tmp_path / "fleet")),
        WINDLASS_JOIN_TOKEN="wlj_x",
    )
    assert await fleet.ended() == 0
    assert fleet.lines[-2].startswith("2 nodes are not connected at the end; ")
    assert "cannot join yet" in (tmp_path / "fleet" / "fleet.log").read_text()
