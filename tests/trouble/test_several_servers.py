"""Two servers on one PostgreSQL database."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.databases import Engines

SECONDS = 20
HEARTBEAT = {"WINDLASS_HEARTBEAT_SECONDS": "1"}


@dataclass
class Two:
    """Two servers and one agent, which is connected to the first."""

    first: Cluster
    second: Cluster


@pytest.fixture
async def servers(tmp_path: Path, engines: Engines) -> AsyncIterator[Two]:
    """The first with its agent; the second is prepared and not started."""
    url = engines.by_name("postgresql").new(migrated=False)
    first = Cluster(tmp_path / "first", database_url=url, environment=dict(HEARTBEAT))
    second = Cluster(tmp_path / "second", database_url=url, environment=dict(HEARTBEAT))
    try:
        await first.start_server()
        await first.start_agent()
        own, others = (one.directory / "data" for one in (first, second))
        others.mkdir(parents=True)
        for name in ("secret.key", "admin.token"):
            (others / name).touch(mode=0o600)
            (others / name).write_text((own / name).read_text())
        yield Two(first, second)
    finally:
        await second.stop()
        await first.stop()


async def node(cluster: Cluster) -> dict[str, Any]:
    """The one node there is, as this server shows it."""
    async with cluster.rest() as rest:
        (shown,) = (await rest.get("/v1/resources/nodes")).json()["nodes"]
    return dict(shown)


async def test_a_server_that_starts_takes_no_node_from_another(servers: Two):
    await servers.second.start_server()
    assert (await node(servers.second))["status"] == "READY"

    job = await servers.second.submit("true")

    async with asyncio.timeout(SECONDS):
        while not (shown := await servers.second.get(job.job_id)).HasField("end_time"):
            pass
    assert shown.exit_code == 0
    assert (await node(servers.second))["status"] == "READY"


async def test_the_nodes_of_a_server_that_died_are_given_up_by_another(servers: Two):
    await servers.second.start_server()
    await servers.first.server.kill()
    async with asyncio.timeout(SECONDS):
        while (shown := await node(servers.second))["status"] == "READY":
            pass
    assert (shown["status"], shown["status_reason"]) == ("UNREACHABLE", "AGENT_SILENT")
    await servers.first.start_server()
    async with asyncio.timeout(SECONDS):
        while (await node(servers.second))["status"] != "READY":
            pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_another_server_plans_when_the_scheduler_has_stopped_or_died(
    servers: Two, number: signal.Signals
):
    await servers.second.start_server()
    await servers.second.start_agent()
    assert servers.first.server is not None
    assert servers.first.agent is not None
    await servers.first.agent.kill(signal.SIGTERM)
    await servers.first.server.kill(number)

    job = await servers.second.submit("true")

    async with asyncio.timeout(2 * SECONDS):
        while not (shown := await servers.second.get(job.job_id)).HasField("end_time"):
            pass
    assert shown.exit_code == 0
