import asyncio

import grpc
import pytest

from tests.integration.agent_session.conftest import Node
from windlass.agents.v1 import agent_pb2 as pb
from windlass.types.v1 import types_pb2
from windlass_agent.reconnect import Liveliness
from windlass_agent.run_types import Cause, Phase, RunExit, RunState

RUN = "run-01jh0000000000000000000001"
OTHER = "run-01jh0000000000000000000002"
D = pb.RunDirective


def directive(want, *, epoch=1, generation=1, run_id=RUN, gpus=()):
    made = pb.RunDirective(run_id=run_id, epoch=epoch, generation=generation, want=want)
    made.spec.gpu_uuids.extend(gpus)
    return made


async def test_hello_tells_the_whole_truth(plane, runner, tmp_path):
    runner.adopt(RunState(RUN, 3, Phase.RUNNING, start_time_ns=5))
    end = RunExit(Cause.OUT_OF_MEMORY, 7, None, 9, log_end=42, message="killed")
    runner.adopt(RunState(OTHER, 1, Phase.EXITED, exit=end))
    async with Node(plane, runner, tmp_path / "agent", "--labels", "zone=a").running():
        hello = (await plane.next_session()).hello
    assert hello.protocol_version == 1
    assert [gpu.gpu_type for gpu in hello.inventory.gpus] == ["H100", "H100"]
    assert hello.inventory.gpu_driver_version == "simulated"
    assert hello.inventory.labels == {"zone": "a"}
    assert hello.inventory.cpu_millis >= 1000
    runs = {run.run_id: run for run in hello.runs}
    assert (runs[RUN].epoch, runs[RUN].state) == (3, pb.RunReport.RUNNING)
    exited = runs[OTHER].exit
    assert (exited.cause, exited.exit_signal, exited.log_end) == (pb.RunExit.OUT_OF_MEMORY, 9, 42)
    assert not exited.HasField("exit_code")


@pytest.mark.usefixtures("node")
async def test_a_run_goes_from_directive_to_forgotten(plane, runner):
    session = await plane.next_session()
    session.welcome()
    session.sync_end()
    session.direct(directive(D.RUNNING, generation=7))
    report = await session.next_report(state=pb.RunReport.PREPARING)
    assert report.run_id == RUN
    runner.begin(RUN)
    report = await session.next_report(state=pb.RunReport.RUNNING)
    assert report.applied_generation == 7
    assert report.isolation.level == types_pb2.Isolation.NAMESPACES
    session.direct(directive(D.STOPPED, generation=8))
    await runner.until(1, runner.stops)
    runner.end(RUN, Cause.STOPPED, None)
    report = await session.next_report(state=pb.RunReport.EXITED)
    assert report.exit.cause == pb.RunExit.STOPPED
    session.direct(directive(D.FORGOTTEN, generation=9))
    await runner.until(1, runner.forgotten)
    assert runner.states() == []


@pytest.mark.usefixtures("node")
async def test_an_exit_is_told_in_each_hello_until_it_is_forgotten(plane, runner):
    session = await plane.next_session()
    session.welcome()
    session.direct(directive(D.RUNNING))
    await runner.until(1, runner.requests)
    runner.end(RUN)
    await session.next_report(state=pb.RunReport.EXITED)
    for _ in range(3):
        session.kill()
        session = await plane.next_session()
        assert [run.state for run in session.hello.runs] == [pb.RunReport.EXITED]
        session.welcome()
        session.direct(directive(D.RUNNING))
    session.direct(directive(D.FORGOTTEN, generation=2))
    session.sync_end()
    await runner.until(1, runner.forgotten)
    session.kill()
    assert list((await plane.next_session()).hello.runs) == []
    assert len(runner.requests) == 1


@pytest.mark.usefixtures("node")
async def test_a_lost_session_touches_no_task_and_what_changed_meanwhile_is_in_the_next_hello(
    plane, runner
):
    session = await plane.next_session()
    session.welcome()
    session.direct(directive(D.RUNNING))
    await session.next_report(state=pb.RunReport.PREPARING)
    session.kill()
    await session.ended.wait()
    runner.begin(RUN)
    session = await plane.next_session()
    while [run.state for run in session.hello.runs] != [pb.RunReport.RUNNING]:
        session.kill()
        session = await plane.next_session()
    assert runner.stops == []


async def test_runs_that_the_server_does_not_know_are_dropped_only_after_sync_end(
    plane, runner, tmp_path
):
    runner.obeys_stop = True
    for run_id in (RUN, OTHER):
        runner.adopt(RunState(run_id, 1, Phase.RUNNING))
    async with Node(plane, runner, tmp_path / "agent").running():
        session = await plane.next_session()
        session.welcome()
        session.direct(directive(D.RUNNING))
        session.kill()  # before the sync has ended: nothing may be concluded
        session = await plane.next_session()
        assert {run.run_id for run in session.hello.runs} == {RUN, OTHER}
        assert runner.stops == []
        session.welcome()
        session.direct(directive(D.RUNNING))
        session.sync_end()
        await runner.until(1, runner.forgotten)
    assert runner.forgotten == [OTHER]
    assert [stop[0] for stop in runner.stops] == [OTHER]


@pytest.mark.usefixtures("node")
async def test_heartbeats_keep_an_idle_session_alive(plane):
    session = await plane.next_session()
    session.welcome(heartbeat_seconds=0.05)
    for _ in range(5):
        await session.next_heartbeat()
    assert not session.ended.is_set()


@pytest.mark.usefixtures("node")
async def test_a_server_that_falls_silent_is_left(plane):
    session = await plane.next_session()
    session.answer_heartbeats = False
    session.welcome(heartbeat_seconds=0.03)
    await session.ended.wait()
    await plane.next_session()


@pytest.mark.usefixtures("node")
async def test_each_session_proves_the_identity_anew(plane):
    first = await plane.next_session()
    first.kill()
    second = await plane.next_session()
    assert first.claims["jti"] != second.claims["jti"]


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED]
)
async def test_a_refused_node_keeps_its_tasks_and_comes_back_when_it_is_let_in(
    plane, runner, tmp_path, code
):
    runner.adopt(RunState(RUN, 1, Phase.RUNNING))
    plane.refuse = code
    async with Node(plane, runner, tmp_path / "agent").running():
        await plane.refused.wait()
        plane.refuse = None
        session = await plane.next_session()
        assert [run.run_id for run in session.hello.runs] == [RUN]
    assert runner.stops == []


async def test_told_to_end_the_agent_leaves_its_tasks_alone(plane, runner, tmp_path):
    runner.adopt(RunState(RUN, 1, Phase.RUNNING))
    node = Node(plane, runner, tmp_path / "agent")
    async with node.running() as task:
        (await plane.next_session()).welcome()
        node.stop.ask()
        await task
    assert runner.stops == []


async def test_told_to_end_and_to_stop_its_tasks_it_reports_their_end_and_logs_first(
    plane, runner, tmp_path
):
    runner.obeys_stop = True
    plane.acknowledge = False
    log = runner.adopt(RunState(RUN, 1, Phase.RUNNING))
    log.append(b"last words")
    node = Node(plane, runner, tmp_path / "agent", "--on-exit", "stop")
    async with node.running() as task:
        session = await plane.next_session()
        session.welcome(heartbeat_seconds=0.05)
        await session.next_heartbeat()
        node.stop.ask()
        report = await session.next_report(state=pb.RunReport.EXITED)
        assert report.exit.cause == pb.RunExit.NODE_SHUTDOWN
        await plane.until_log(RUN, len(log.content))
        await asyncio.wait([task], timeout=0.1)
        assert not task.done(), "the log is not on the server's disk yet"
        plane.acknowledge_all()
        await task
    assert runner.stops == [(RUN, 5.0, Cause.NODE_SHUTDOWN)]
    assert bytes(plane.logs[RUN]) == bytes(log.content)


async def test_a_task_that_does_not_stop_is_not_waited_for_after_a_second_signal(
    plane, runner, tmp_path
):
    runner.adopt(RunState(RUN, 1, Phase.RUNNING))
    node = Node(plane, runner, tmp_path / "agent", "--on-exit", "stop")
    async with node.running() as task:
        (await plane.next_session()).welcome()
        node.stop.ask()
        await runner.until(1, runner.stops)
        assert not task.done()
        node.stop.ask()
        await task


@pytest.mark.usefixtures("node")
async def test_reports_are_sent_at_once_though_telemetry_is_stuck(plane, runner):
    plane.acknowledge = False
    session = await plane.next_session()
    session.welcome()
    session.direct(directive(D.RUNNING))
    await runner.until(1, runner.requests)
    for _ in range(200):
        runner.logs[RUN].append(b"x" * 60_000)
    runner.begin(RUN)
    async with asyncio.timeout(5):
        await session.next_report(state=pb.RunReport.RUNNING)


async def test_what_changes_while_hello_is_on_its_way_is_told_after_it(plane, runner, tmp_path):
    runner.adopt(RunState(RUN, 1, Phase.RUNNING))
    node = Node(plane, runner, tmp_path / "agent")
    link = node.agent._control
    connecting = asyncio.ensure_future(link.connect(Liveliness()))
    await asyncio.sleep(0)  # Hello has been made up; the connection is still being opened
    runner.end(RUN)
    node.agent._tell(runner.states()[0])
    session = await plane.next_session()
    assert [run.state for run in session.hello.runs] == [pb.RunReport.RUNNING]
    async with asyncio.timeout(2):
        assert (await session.next_report()).state == pb.RunReport.EXITED
    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)


async def test_the_health_of_new_devices_is_told_at_once_behind_their_inventory(
    plane, runner, tmp_path
):
    node = Node(plane, runner, tmp_path / "agent", "--divide-gpus")
    async with node.running():
        session = await plane.next_session()
        session.welcome()
        divided, whole = (gpu.uuid for gpu in session.hello.inventory.gpus)
        session.divide(divided, 1, ("4g.40gb", 0), ("3g.40gb", 4))
        inventory = await session.next_inventory()
        parts = [gpu.uuid for gpu in inventory.gpus]
        assert parts[2] == whole
        while True:
            message = await session.received.get()
            told = [gpu.uuid for gpu in message.health.gpus]
            if told == parts:
                break
        batch = await plane.samples.get()
        while not {one.subject for one in batch.series} >= set(parts):
            batch = await plane.samples.get()
        assert divided not in {one.subject for one in batch.series}
