"""What a server has had, played under other policies, in real processes."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, Process, running_cluster
from windlass.jobs.v1 import job_pb2


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A server without an agent."""
    async with running_cluster(tmp_path, agent=False) as running:
        yield running


async def test_what_a_fleet_has_run_is_played_again(alone: Cluster) -> None:
    fleet = await Process.start(
        *("-m", "windlass_client.cli.main", "--server", alone.grpc, "fleet", "--nodes", "2"),
        *("--data-dir", str(alone.directory / "fleet"), "--ramp", "0s", "--gpus", "4xH100"),
        *("--tasks", "instant"),
        WINDLASS_TOKEN=alone.token,
    )
    resources = job_pb2.Job(resources={"gpu_count": 4}).resources
    jobs = [await alone.submit("train", name="train", resources=resources) for _ in range(6)]
    for job in jobs:
        await alone.follow(job.job_id)
    simulate = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "windlass_client.cli.main", "--server", alone.grpc),
        *("simulate", "--history", "--since", "1h", "-o", "json"),
        env={"WINDLASS_TOKEN": alone.token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await simulate.communicate()
    assert simulate.returncode == 0, err
    was, would = json.loads(out)["policies"]
    assert (was["policy"], would["policy"]) == ("recorded", "current.json")
    assert was["finished"] == would["finished"] == 6
    assert was["wait_seconds"]["mean"] > 0
    assert [one["project"] for one in would["projects"]] == ["default"]
    await fleet.kill(signal.SIGTERM)
