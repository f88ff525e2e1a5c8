"""A node whose wall clock jumps by hours while it is connected, measures and runs things."""

import pytest

from tests.integration.agent_session.conftest import Node
from tests.support.fake_runner import frame
from tests.support.jumping_clock import JumpingClock
from windlass.agents.v1 import agent_pb2 as pb

RUN = "run-01jh0000000000000000000001"
WANTED = pb.RunDirective(run_id=RUN, epoch=1, generation=1, want="RUNNING")
JUMPS = pytest.mark.parametrize("jump", [-3 * 3600, 3 * 3600])


@JUMPS
async def test_what_runs_and_is_measured_goes_on_and_the_next_connection_is_taken(
    plane, runner, tmp_path, jump
):
    clock = JumpingClock()
    async with Node(plane, runner, tmp_path / "agent", clock=clock).running():
        session = await plane.next_session()
        session.welcome(0.05)
        session.sync_end()
        session.direct(WANTED)
        await session.next_report(run_id=RUN, state=pb.RunReport.PREPARING)
        runner.begin(RUN)
        await session.next_report(run_id=RUN, state=pb.RunReport.RUNNING)
        before = await plane.samples.get()

        clock.jump(jump)
        # Neither a heartbeat nor a sample waits for the clock to come to where it was.
        await session.next_heartbeat()
        after = await plane.samples.get()
        assert abs((after.base_time_nanos - before.base_time_nanos) / 1e9 - jump) < 60
        assert session.ended.is_set() is False
        assert runner.stops == []

        session.kill()
        again = await plane.next_session()
        assert [(run.run_id, run.state) for run in again.hello.runs] == [
            (RUN, pb.RunReport.RUNNING)
        ]
        again.welcome()
        again.direct(WANTED)
        again.sync_end()
        plane.end_telemetry()
        runner.log(RUN).append(b"still here")
        held = await plane.until_log(RUN, len(frame(b"still here")))
        assert held == frame(b"still here")
    assert runner.stops == []


@JUMPS
async def test_a_node_that_starts_with_a_wrong_clock_is_heard(plane, runner, tmp_path, jump):
    clock = JumpingClock()
    clock.jump(jump)
    async with Node(plane, runner, tmp_path / "agent", clock=clock).running():
        session = await plane.next_session()
        session.welcome()
        await plane.samples.get()
        # Put right, it is still the same node.
        clock.jump(-jump)
        session.kill()
        (await plane.next_session()).welcome()
