"""A PostgreSQL server that goes away and comes back, under a server and an agent that stay."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import httpx
import pytest
from grpc import aio

from tests.support.cluster import Cluster, running_cluster
from tests.support.own_postgresql import OwnPostgresql, own_postgresql

STOP_SECONDS = 5
COUNT = 'for i in $(seq 40); do echo "line $i"; sleep 0.1; done'
WHOLE_OUTPUT = "".join(f"line {number}\n" for number in range(1, 41))


@pytest.fixture
async def postgresql() -> AsyncIterator[OwnPostgresql]:
    """A PostgreSQL server that only one test uses."""
    async with own_postgresql() as server:
        yield server


@pytest.fixture
async def cluster(postgresql: OwnPostgresql, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path, database_url=postgresql.new()) as running:
        yield running


async def test_without_its_database_a_server_says_so_and_recovers_when_it_is_back(
    cluster: Cluster, postgresql: OwnPostgresql
):
    job = await cluster.submit("sh", "-c", COUNT)
    await cluster.wait_for_output(job.job_id, "line 2\n")
    async with cluster.rest() as rest:
        await postgresql.stop()
        try:
            for answer in [
                await rest.get("/v1/jobs"),
                await rest.get(f"/v1/jobs/{job.job_id}"),
                await rest.post("/v1/jobs", json={"command": ["true"]}),
                await rest.get(f"/v1/jobs/{job.job_id}/logs"),
                await rest.get("/healthz"),
            ]:
                assert_unavailable(answer)
            with pytest.raises(aio.AioRpcError) as refused:
                await cluster.get(job.job_id)
        finally:
            await postgresql.start()
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert (await rest.get("/healthz")).status_code == httpx.codes.OK
    second = await cluster.submit("echo", "second")
    text, end = await cluster.follow(second.job_id)
    assert (text, end.exit_code) == ("second\n", 0)
    text, end = await cluster.follow(job.job_id)
    assert (text, end.exit_code) == (WHOLE_OUTPUT, 0)
    assert (await cluster.get(job.job_id)).attempt == 1


async def test_a_server_without_its_database_still_ends_when_told_to(
    cluster: Cluster, postgresql: OwnPostgresql
):
    await postgresql.stop()
    try:
        # Its background duties fail and pause.
        await cluster.server.says("scheduler failed|cannot be reached")
        async with asyncio.timeout(STOP_SECONDS):
            assert await cluster.server.kill(signal.SIGTERM) == 0
    finally:
        await postgresql.start()


def assert_unavailable(answer: httpx.Response) -> None:
    """503 with when to try again, and nothing of what happened within."""
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    assert "DATABASE_UNAVAILABLE" in answer.text
    assert "psycopg" not in answer.text
