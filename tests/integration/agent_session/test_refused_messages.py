"""A message that breaks a rule of the contract, as only a defective agent sends one."""

import pytest
import structlog

from tests.integration.agent_session.conftest import Node
from windlass.agents.v1 import agent_pb2 as pb
from windlass_agent.gpu.device import GpuProcess
from windlass_agent.run_types import Phase, RunState

RUN = "run-01jh0000000000000000000001"


@pytest.fixture
async def plane(plane):
    yield plane
    plane.violations.clear()


async def test_the_agent_logs_what_the_server_refuses_and_goes_on_trying(plane, runner, tmp_path):
    runner.adopt(RunState(RUN, 1, Phase.RUNNING))
    node = Node(plane, runner, tmp_path / "agent")
    node.inventory.labels["rack"] = "a\nb"
    with structlog.testing.capture_logs() as logs:
        async with node.running():
            await plane.until_violated(2)
            node.inventory.labels["rack"] = "a"
            (await plane.next_session()).welcome()
    refusals = [line for line in logs if line["log_level"] == "error"]
    assert refusals[0]["event"] == "the server refuses this node; its tasks go on"
    assert "message.hello.inventory.labels[rack]" in refusals[0]["reason"]
    assert runner.stops == []


async def test_telemetry_that_is_refused_leaves_control_alone(
    plane, runner, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    node = Node(plane, runner, tmp_path / "agent")
    monkeypatch.setattr(node.gpus, "processes", lambda: [GpuProcess("\n", 1, 0, "python")])
    with structlog.testing.capture_logs() as logs:
        async with node.running():
            session = await plane.next_session()
            session.welcome()
            session.sync_end()
            await plane.until_violated(2)
            session.direct(pb.RunDirective(run_id=RUN, epoch=1, generation=1, want="RUNNING"))
            await session.next_report(state=pb.RunReport.PREPARING)
            assert not session.ended.is_set()
    refusals = [line for line in logs if line["log_level"] == "error"]
    assert {line["stream"] for line in refusals} == {"telemetry"}
    assert "message.samples.gpu_processes[0].gpu_uuid" in refusals[0]["reason"]
