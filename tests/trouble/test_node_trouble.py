"""Nodes that stall, that have another time, and that speak for others."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from tests.support.cluster import Cluster, running_cluster
from tests.support.fake_agent import reports
from tests.support.scripted_node import ScriptedNode
from windlass.agents.v1 import agent_pb2
from windlass.jobs.v1 import job_pb2

_PATIENCE_SECONDS = 30


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A server without an agent."""
    async with running_cluster(tmp_path, agent=False) as running:
        yield running


async def the_node(cluster: Cluster) -> dict[str, Any]:
    async with cluster.rest() as rest:
        (node,) = (await rest.get("/v1/resources/nodes")).json()["nodes"]
    return dict(node)


async def status_once(cluster: Cluster, status: str) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while (await the_node(cluster))["status"] != status:
            pass


async def test_a_stalled_agent_is_unreachable_and_its_task_goes_on(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, environment={"WINDLASS_HEARTBEAT_SECONDS": "1"})
    try:
        await cluster.start_server()
        await cluster.start_agent()
        assert cluster.agent is not None
        job = await cluster.submit("sh", "-c", "echo up; sleep 5; echo end")
        await cluster.wait_for_output(job.job_id, "up")
        os.kill(cluster.agent.pid, signal.SIGSTOP)
        await status_once(cluster, "UNREACHABLE")
        held = await cluster.get(job.job_id)
        assert (held.status, held.attempt) == (job_pb2.Job.Status.RUNNING, 1)
        os.kill(cluster.agent.pid, signal.SIGCONT)
        assert (await cluster.follow(job.job_id))[0] == "up\nend\n"
        await status_once(cluster, "READY")
        ended = await cluster.get(job.job_id)
        assert (ended.status, ended.attempt) == (job_pb2.Job.Status.SUCCEEDED, 1)
    finally:
        if cluster.agent is not None:
            os.kill(cluster.agent.pid, signal.SIGCONT)
        await cluster.stop()


@pytest.mark.parametrize(
    ("offset", "words"),
    [(0, ""), (30, ""), (-30, ""), (3600, "check the clocks"), (-3600, "has expired")],
)
async def test_a_node_of_another_time_is_taken_while_it_is_near_and_told_why_not(
    alone: Cluster, offset: int, words: str
) -> None:
    node = replace(await ScriptedNode.join(alone), clock_offset=offset)
    if not words:
        async with node.session() as session:
            await session.beat()
        return
    with pytest.raises(aio.AioRpcError) as refused:
        async with node.session():
            pass
    assert words in str(refused.value)


async def test_a_node_cannot_speak_for_another(alone: Cluster) -> None:
    owner, stranger = [await ScriptedNode.join(alone) for _ in range(2)]
    job = await alone.submit("train")
    async with owner.session() as session:
        directive = await session.receive("directive")
        await session.send(report_of(directive, agent_pb2.RunReport.RUNNING))
        await session.beat()
        async with stranger.session() as other:
            await other.send(report_of(directive, agent_pb2.RunReport.EXITED))
            await other.beat()  # it is left at that: the stranger's session goes on
        assert (await alone.get(job.job_id)).status == job_pb2.Job.Status.RUNNING
        await session.beat()

    pretender = replace(stranger, node_id=owner.node_id)
    with pytest.raises(aio.AioRpcError) as refused:
        async with pretender.session():
            pass
    assert grpc.StatusCode.UNAUTHENTICATED.name in str(refused.value)


def report_of(
    directive: agent_pb2.RunDirective, state: agent_pb2.RunReport.State
) -> agent_pb2.AgentMessage:
    run = agent_pb2.RunReport(run_id=directive.run_id, epoch=directive.epoch, state=state)
    if state == agent_pb2.RunReport.EXITED:
        run.exit.cause = agent_pb2.RunExit.COMPLETED
        run.exit.exit_code = 0
    return reports(run)
