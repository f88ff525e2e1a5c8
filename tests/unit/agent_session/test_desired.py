import asyncio

import pytest

from tests.support.fake_agent_clock import FakeAgentClock
from tests.support.fake_runner import FakeRunner
from windlass.agents.v1 import agent_pb2 as pb
from windlass_agent.desired import DesiredRuns
from windlass_agent.run_types import Phase, RunState
from windlass_agent.session import ControlSession

RUN = "run-01jh0000000000000000000001"
OTHER = "run-01jh0000000000000000000002"
D = pb.RunDirective


class Node:
    """A runner and what the server wants of it, without any wire."""

    def __init__(self):
        self.runner = FakeRunner()
        self.reports = []
        self.dropped = []
        self.clock = FakeAgentClock()
        self.desired = DesiredRuns(
            self.runner,
            lambda uuids: [f"/dev/{uuid}" for uuid in uuids],
            report=self.reports.append,
            dropped=self.dropped.append,
            clock=self.clock,
        )

    async def settle(self):
        await self.clock.advance(0)
        while not self.runner._changes.empty():
            self.desired.on_change(self.runner._changes.get_nowait())
        await self.clock.advance(0)

    async def want(self, *directives):
        for directive in directives:
            self.desired.want(directive)
        await self.settle()

    def calls(self):
        runner = self.runner
        return ([r.epoch for r in runner.requests], [s[0] for s in runner.stops], runner.forgotten)


def directive(want, *, epoch=1, generation=1, run_id=RUN):
    return pb.RunDirective(run_id=run_id, epoch=epoch, generation=generation, want=want)


@pytest.mark.parametrize(
    ("directives", "runs", "stops"),
    [
        pytest.param([(D.RUNNING, 1, 1)] * 3, [1], [], id="repeats run once"),
        pytest.param(
            [(D.RUNNING, 1, 1), (D.STOPPED, 1, 2)], [], [RUN], id="only the newest counts"
        ),
        pytest.param([(D.STOPPED, 1, 2), (D.RUNNING, 1, 1)], [], [RUN], id="older generation"),
        pytest.param([(D.RUNNING, 3, 1), (D.RUNNING, 2, 9)], [3], [], id="older epoch"),
        pytest.param([(D.RUNNING, 3, 1), (D.STOPPED, 2, 9)], [3], [], id="stop of an older epoch"),
        pytest.param([(D.RUNNING, 1, 5), (D.RUNNING, 2, 1)], [2], [], id="newer epoch wins"),
    ],
)
async def test_of_directives_in_one_burst_only_the_newest_is_done(directives, runs, stops):
    node = Node()
    await node.want(*[directive(w, epoch=e, generation=g) for w, e, g in directives])
    assert node.calls()[:2] == (runs, stops)


async def test_directives_one_after_another_are_each_done_in_order():
    node = Node()
    await node.want(directive(D.RUNNING))
    await node.want(directive(D.STOPPED, generation=2))
    await node.want(directive(D.RUNNING))
    assert node.calls() == ([1], [RUN], [])


async def test_a_repeated_directive_is_answered_with_the_present_state():
    node = Node()
    await node.want(directive(D.RUNNING, generation=4))
    node.reports.clear()
    await node.want(directive(D.RUNNING, generation=4))
    assert [(r.state, r.applied_generation) for r in node.reports] == [(pb.RunReport.PREPARING, 4)]


async def test_the_epoch_of_an_adopted_run_makes_older_directives_stale():
    node = Node()
    node.runner.adopt(RunState(RUN, 5, Phase.RUNNING))
    await node.want(directive(D.STOPPED, epoch=4, generation=99))
    assert node.calls() == ([], [], [])
    await node.want(directive(D.STOPPED, epoch=5, generation=1))
    assert node.calls() == ([], [RUN], [])


async def test_a_stop_of_a_run_that_never_came_reports_its_end():
    node = Node()
    await node.want(directive(D.STOPPED, generation=2))
    assert node.reports[-1].state == pb.RunReport.EXITED
    assert node.reports[-1].applied_generation == 2


async def test_an_ended_run_is_forgotten_only_when_the_server_says_so():
    node = Node()
    await node.want(directive(D.RUNNING))
    node.runner.end(RUN)
    await node.settle()
    assert [r.state for r in node.desired.truth()] == [pb.RunReport.EXITED]
    await node.want(directive(D.FORGOTTEN, generation=2))
    assert (node.runner.forgotten, node.dropped, node.desired.truth()) == ([RUN], [RUN], [])


async def test_a_forgotten_run_is_not_revived_by_a_late_directive():
    node = Node()
    await node.want(directive(D.RUNNING))
    node.runner.end(RUN)
    await node.want(directive(D.FORGOTTEN, generation=2))
    await node.want(directive(D.RUNNING, generation=1))
    assert len(node.runner.requests) == 1


async def test_a_living_run_that_shall_be_forgotten_is_stopped_first():
    node = Node()
    await node.want(directive(D.RUNNING))
    await node.want(directive(D.FORGOTTEN, generation=2))
    assert (node.calls()[1], node.runner.forgotten) == ([RUN], [])
    node.runner.end(RUN)
    await node.settle()
    assert node.runner.forgotten == [RUN]


async def test_a_run_that_cannot_be_begun_is_reported_as_failed_to_launch():
    node = Node()
    node.runner.fail_with = OSError(28, "No space left on device")
    await node.want(directive(D.RUNNING))
    report = node.desired.truth()[0]
    assert report.exit.cause == pb.RunExit.LAUNCH_FAILED
    assert "No space left" in report.exit.message
    await node.want(directive(D.FORGOTTEN, generation=2))
    assert node.desired.truth() == []


async def test_the_task_gets_what_the_spec_says_and_the_contract_defaults():
    node = Node()
    wanted = directive(D.RUNNING)
    wanted.spec.command.extend(["python", "train.py"])
    wanted.spec.gpu_uuids.append("GPU-1")
    wanted.spec.time_limit.FromMilliseconds(1500)
    await node.want(wanted)
    request = node.runner.requests[0]
    assert request.command == ("python", "train.py")
    assert (request.cpu_millis, request.memory_bytes) == (1000, 256 << 20)
    assert (request.time_limit_seconds, request.device_paths) == (1.5, ("/dev/GPU-1",))


async def test_runs_that_the_server_does_not_name_are_dropped_after_the_sync():
    node = Node()
    node.runner.adopt(RunState(RUN, 1, Phase.RUNNING))
    node.runner.adopt(RunState(OTHER, 1, Phase.RUNNING))
    session = ControlSession(node.desired)
    session.hello(pb.Inventory())
    session.on(pb.ServerMessage(directive=directive(D.RUNNING)), 0.0)
    assert node.runner.stops == []
    session.on(pb.ServerMessage(sync_end=pb.SyncEnd()), 0.0)
    await node.settle()
    assert [s[0] for s in node.runner.stops] == [OTHER]
    node.runner.end(OTHER)
    await node.settle()
    assert (node.runner.forgotten, node.dropped[-1]) == ([OTHER], OTHER)


async def test_a_node_that_shuts_down_starts_nothing_more():
    node = Node()
    node.desired.accept_no_more()
    await node.want(directive(D.RUNNING), directive(D.STOPPED, run_id=OTHER))
    assert node.calls() == ([], [OTHER], [])


async def test_a_node_that_shuts_down_turns_new_runs_away_so_that_others_take_them():
    node = Node()
    await node.want(directive(D.RUNNING, run_id=OTHER))
    node.desired.accept_no_more()
    node.reports.clear()
    await node.want(directive(D.RUNNING), directive(D.RUNNING, run_id=OTHER))
    assert [(r.run_id, r.state, r.exit.cause) for r in node.reports] == [
        (RUN, pb.RunReport.EXITED, pb.RunExit.NODE_SHUTDOWN)
    ]
    assert len(node.desired.truth()) == 2
    await node.want(directive(D.FORGOTTEN, generation=2))
    assert [r.run_id for r in node.desired.truth()] == [OTHER]


async def test_closing_ends_what_is_being_done():
    node = Node()
    async with node.runner.called:  # the runner's answer cannot come
        node.desired.want(directive(D.RUNNING))
        await asyncio.sleep(0)
        await node.desired.close()
    assert node.reports == []
