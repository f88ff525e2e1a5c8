"""The control sessions of nodes, without a wire."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.divisible import divisible
from tests.support.fake_agent import FakeStream, heartbeat, hello, reports
from tests.support.fake_clock import FakeClock
from tests.support.fake_duties import FakeHealth, FakeMembers, FakeRuns, directive, report
from tests.support.fake_sleep import FakeSleep, settle
from tests.support.nodes import an_inventory
from windlass.agents.v1 import agent_pb2, health_pb2, mig_pb2
from windlass_server.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    Unavailable,
    WindlassError,
    WrongState,
)
from windlass_server.nodes.registry import NodeRegistry

Agent = FakeStream[agent_pb2.AgentMessage, agent_pb2.ServerMessage]


class World:
    """A registry with fakes around it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.sleep = FakeSleep(self.clock)
        self.members = FakeMembers(self.clock)
        self.runs = FakeRuns()
        self.health = FakeHealth()
        self.registry = NodeRegistry(
            self.members, self.runs, self.health, self.clock, sleep=self.sleep
        )
        self.agents: list[Agent] = []

    def agent(self, node_id: str = "node-1") -> Agent:
        agent: Agent = FakeStream(lambda messages: self.registry.control(node_id, messages))
        self.agents.append(agent)
        return agent

    async def connected(self, node_id: str = "node-1") -> Agent:
        agent = self.agent(node_id)
        agent.send(hello())
        while (await agent.receive()).WhichOneof("content") != "sync_end":
            pass
        return agent


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    for agent in made.agents:
        await agent.break_off()
    await made.registry.settled()


def said(*messages: agent_pb2.ServerMessage) -> list[str]:
    """What messages say, one word each: directives as run@epoch.generation."""
    words = []
    for message in messages:
        kind = message.WhichOneof("content")
        told = message.directive
        words.append(
            f"{told.run_id}@{told.epoch}.{told.generation}" if kind == "directive" else str(kind)
        )
    return words


async def end_of(agent: Agent) -> WindlassError:
    try:
        while True:
            await agent.receive()
    except WindlassError as error:
        return error


async def test_hello_is_answered_with_all_that_the_server_wants(world: World) -> None:
    world.runs.wanted = [directive("run-a"), directive("run-b", epoch=2, generation=3)]
    agent = world.agent()
    agent.send(hello(report("run-a"), report("run-z", state="EXITED")))

    answers = [await agent.receive() for _ in range(4)]

    assert said(*answers) == ["welcome", "run-a@1.1", "run-b@2.3", "sync_end"]
    assert answers[0].welcome.node_id == "node-1"
    assert answers[0].welcome.heartbeat_interval.seconds == 10
    assert world.members.calls == [("hello", "node-1", "rack1-n1")]
    assert [one.run_id for one in world.runs.reports] == ["run-a", "run-z"]
    assert world.registry.connected("node-1")


async def test_a_hello_says_which_runs_the_node_has_lost(world: World) -> None:
    agent = world.agent()
    agent.send(hello(report("run-a"), report("run-z", state="EXITED")))
    await agent.receive()
    assert world.runs.known == [("node-1", {"run-a", "run-z"})]


async def test_a_hello_that_more_runs_follow_says_nothing_of_lost_ones(world: World) -> None:
    message = hello(report("run-a"))
    message.hello.runs_follow = True
    agent = world.agent()
    agent.send(message)
    assert said(await agent.receive(), await agent.receive()) == ["welcome", "sync_end"]
    assert world.runs.known == []


async def test_what_follows_from_the_reports_of_a_hello_comes_before_sync_end(
    world: World,
) -> None:
    world.runs.answers["run-z"] = directive("run-z", generation=2, want="FORGOTTEN")
    agent = world.agent()
    agent.send(hello(report("run-z", state="EXITED")))
    answers = [await agent.receive() for _ in range(3)]
    assert said(*answers) == ["welcome", "run-z@1.2", "sync_end"]


async def test_a_long_hello_is_taken_in_whole(world: World) -> None:
    agent = world.agent()
    agent.send(hello(*(report(f"run-{number}") for number in range(1000))))
    assert said(await agent.receive(), await agent.receive()) == ["welcome", "sync_end"]
    assert len(world.runs.reports) == 1000


async def test_a_newer_agent_that_speaks_our_protocol_too_is_welcome_to_it(world: World) -> None:
    message = hello(version=7)
    message.hello.oldest_protocol_version = 1
    agent = world.agent()
    agent.send(message)
    welcome = (await agent.receive()).welcome
    assert (welcome.protocol_version, welcome.server_version) == (1, "0.1.0")


async def test_an_agent_of_a_far_release_is_refused_before_anything_changes(world: World) -> None:
    inventory = an_inventory()
    inventory.agent_version = "0.9.0"
    agent = world.agent()
    agent.send(hello(inventory=inventory))
    error = await end_of(agent)
    assert isinstance(error, WrongState)
    assert error.reason == "AGENT_VERSION_UNSUPPORTED"
    assert world.members.calls == []


@pytest.mark.parametrize("version", [0, 2, -1])
async def test_another_protocol_version_is_refused_before_anything_changes(
    world: World, version: int
) -> None:
    good = await world.connected()
    calls = list(world.members.calls)
    agent = world.agent()
    agent.send(hello(report("run-a"), version=version))

    error = await end_of(agent)

    assert isinstance(error, WrongState)
    assert error.reason == "PROTOCOL_VERSION_UNSUPPORTED"
    assert world.members.calls == calls
    assert world.runs.reports == []
    # Nor does it cost the node the session that it has.
    good.send(heartbeat())
    assert said(await good.receive()) == ["heartbeat_reply"]


@pytest.mark.parametrize("first", [heartbeat(), reports(report("run-a")), agent_pb2.AgentMessage()])
async def test_a_session_begins_with_hello(world: World, first: agent_pb2.AgentMessage) -> None:
    agent = world.agent()
    agent.send(first)
    assert (await end_of(agent)).reason == "HELLO_EXPECTED"
    assert world.runs.reports == []
    assert world.members.calls == []


async def test_a_session_has_one_hello(world: World) -> None:
    agent = await world.connected()
    agent.send(hello())
    assert (await end_of(agent)).reason == "HELLO_REPEATED"


async def test_a_hello_that_is_not_taken_ends_the_session(world: World) -> None:
    world.members.refuses = NotFound("no", reason="NODE_NOT_FOUND")
    agent = world.agent()
    agent.send(hello())
    assert (await end_of(agent)).reason == "NODE_NOT_FOUND"
    assert not world.registry.connected("node-1")


async def test_a_report_is_handed_over_and_what_follows_is_sent(world: World) -> None:
    agent = await world.connected()
    world.runs.answers["run-a"] = directive("run-a", generation=5, want="FORGOTTEN")
    agent.send(reports(report("run-a", state="EXITED")))
    assert said(await agent.receive()) == ["run-a@1.5"]
    assert world.runs.reports == [report("run-a", state="EXITED")]


@pytest.mark.parametrize(
    "error",
    [
        WrongState("no", reason="NO", subject="run-a"),
        Conflict("no", reason="NO"),
        InvalidInput("no", reason="NO"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_report_that_makes_no_sense_does_not_end_the_session(
    world: World, error: WindlassError
) -> None:
    world.runs.answers["run-a"] = error
    agent = world.agent()
    agent.send(hello(report("run-a")), reports(report("run-a")), heartbeat())
    answers = [await agent.receive() for _ in range(3)]
    assert said(*answers) == ["welcome", "sync_end", "heartbeat_reply"]


async def test_a_database_that_is_away_ends_the_session_so_that_the_agent_tries_again(
    world: World,
) -> None:
    agent = await world.connected()
    world.runs.answers["run-a"] = Unavailable("no", reason="DATABASE_UNAVAILABLE")
    agent.send(reports(report("run-a")))
    assert (await end_of(agent)).reason == "DATABASE_UNAVAILABLE"


async def test_a_wake_sends_what_is_newer_and_nothing_twice(world: World) -> None:
    world.runs.wanted = [directive("run-a"), directive("run-b", epoch=2)]
    agent = await world.connected()

    world.runs.wanted = [
        directive("run-a", generation=2, want="STOPPED"),
        directive("run-b", epoch=2),
        directive("run-c"),
    ]
    world.registry.wake("node-1")

    assert said(await agent.receive(), await agent.receive()) == ["run-a@1.2", "run-c@1.1"]
    world.registry.wake("node-1")
    await settle()
    assert agent.received() == []


@pytest.mark.parametrize(
    ("epoch", "generation", "sent"),
    [(3, 4, False), (3, 3, False), (2, 9, False), (3, 5, True), (4, 1, True)],
)
async def test_only_the_highest_epoch_and_generation_counts(
    world: World, epoch: int, generation: int, sent: bool
) -> None:
    world.runs.wanted = [directive("run-a", epoch=3, generation=4)]
    agent = await world.connected()
    world.registry.tell("node-1", directive("run-a", epoch=epoch, generation=generation))
    await settle()
    assert bool(agent.received()) is sent


async def test_a_heartbeat_is_answered_and_looks_for_news(world: World) -> None:
    agent = await world.connected()
    world.runs.wanted = [directive("run-a")]
    agent.send(heartbeat())
    assert said(await agent.receive(), await agent.receive()) == ["heartbeat_reply", "run-a@1.1"]


async def test_what_the_server_knows_no_longer_is_forgotten_here_too(world: World) -> None:
    world.runs.wanted = [directive(f"run-{number}") for number in range(5)]
    await world.connected()
    world.runs.wanted = [directive("run-x")]
    world.registry.wake("node-1")
    await settle()
    assert world.registry._sessions["node-1"]._sent == {"run-x": (1, 1)}


async def test_a_silent_agent_is_given_up_after_three_heartbeats(world: World) -> None:
    agent = await world.connected()
    await world.sleep.pass_time(29.9)
    assert world.registry.connected("node-1")
    agent.send(heartbeat())
    await settle()
    await world.sleep.pass_time(29.9)
    assert world.registry.connected("node-1")
    await world.sleep.pass_time(0.2)
    assert (await end_of(agent)).reason == "AGENT_SILENT"
    await world.registry.settled()
    assert world.members.calls[-1] == ("lost", "node-1")


async def test_an_agent_is_not_given_up_for_what_a_busy_server_has_not_read_yet(
    world: World,
) -> None:
    agent = await world.connected()
    # Nothing was done for long; the timer is looked at first, and what the agent said behind it.
    asyncio.get_running_loop().call_soon(agent.send, heartbeat())
    await world.sleep.pass_time(31)
    assert world.registry.connected("node-1")
    await world.sleep.pass_time(31)
    assert (await end_of(agent)).reason == "AGENT_SILENT"


async def test_an_agent_that_never_says_hello_is_given_up_too(world: World) -> None:
    agent = world.agent()
    await settle()
    await world.sleep.pass_time(30.1)
    assert (await end_of(agent)).reason == "AGENT_SILENT"
    assert world.members.calls == []


async def test_an_agent_whose_message_takes_long_is_not_silent(world: World) -> None:
    slow = asyncio.Event()

    async def slowly(_node_id: str, _report: agent_pb2.RunReport) -> None:
        await slow.wait()

    agent = await world.connected()
    world.runs.report = slowly  # type: ignore[assignment]
    agent.send(reports(report("run-a")))
    await settle()
    await world.sleep.pass_time(31)
    assert world.registry.connected("node-1")
    slow.set()
    agent.send(heartbeat())
    await settle()
    await world.sleep.pass_time(10)
    assert world.registry.connected("node-1")


@pytest.mark.parametrize("how", ["half_close", "break_off"])
async def test_the_end_of_a_session_makes_its_node_unreachable(world: World, how: str) -> None:
    agent = await world.connected()
    world.clock.advance(5)
    agent.send(heartbeat())
    await agent.receive()
    heard = world.clock.now()
    world.clock.advance(5)

    if how == "half_close":
        agent.half_close()
        with pytest.raises(EOFError):
            await agent.receive()
    else:
        await agent.break_off()
    await settle()
    await world.registry.settled()

    assert not world.registry.connected("node-1")
    assert world.members.calls[-1] == ("lost", "node-1")
    assert world.members.lost_seen_at == [heard]


async def test_a_second_session_replaces_the_first_and_the_node_stays_ready(world: World) -> None:
    first = await world.connected()
    second = await world.connected()

    assert (await end_of(first)).reason == "SESSION_REPLACED"
    await settle()
    assert world.registry.connected("node-1")
    assert ("lost", "node-1") not in world.members.calls
    world.runs.wanted = [directive("run-a")]
    world.registry.wake("node-1")
    assert said(await second.receive()) == ["run-a@1.1"]


async def test_sessions_of_different_nodes_do_not_meet(world: World) -> None:
    first = await world.connected("node-1")
    second = await world.connected("node-2")
    world.registry.tell("node-2", directive("run-a"))
    world.registry.tell("node-3", directive("run-a"))
    assert said(await second.receive()) == ["run-a@1.1"]
    assert first.received() == []


async def test_that_a_node_was_heard_is_stored_at_most_every_ten_seconds(world: World) -> None:
    agent = await world.connected()
    for _ in range(9):
        world.clock.advance(3)
        agent.send(heartbeat())
        await agent.receive()
        await settle()
    assert world.members.calls.count(("touch", "node-1")) == 2


async def test_a_touch_that_fails_does_not_end_the_session(world: World) -> None:
    agent = await world.connected()
    world.members.fails = [Unavailable("no", reason="DATABASE_UNAVAILABLE")]
    world.clock.advance(11)
    agent.send(heartbeat(), heartbeat())
    assert said(await agent.receive()) == ["heartbeat_reply"]
    await settle()
    assert world.registry.connected("node-1")
    assert world.members.fails == []


async def test_that_a_node_is_lost_is_stored_when_the_database_is_back(world: World) -> None:
    agent = await world.connected()
    world.members.fails = [Unavailable("no", reason="DATABASE_UNAVAILABLE")]
    await agent.break_off()
    await settle()
    assert ("lost", "node-1") not in world.members.calls
    await world.sleep.pass_time(5)
    assert world.members.calls[-1] == ("lost", "node-1")


async def test_what_is_left_of_a_lost_session_cannot_undo_the_next_hello(world: World) -> None:
    agent = await world.connected()
    world.members.fails = [Unavailable("no", reason="DATABASE_UNAVAILABLE")]
    await agent.break_off()
    await settle()
    await world.connected()
    await world.sleep.pass_time(6)
    assert world.members.calls == [("hello", "node-1", "rack1-n1")] * 2


async def test_a_clock_that_is_set_back_does_not_hide_that_a_node_is_lost(world: World) -> None:
    agent = await world.connected()
    stored = world.clock.now()
    world.clock._now -= 3600 * 1_000_000
    agent.send(heartbeat())
    await agent.receive()
    await agent.break_off()
    await settle()
    assert world.members.lost_seen_at == [stored]


async def test_a_server_that_stops_ends_all_sessions_and_stores_it(world: World) -> None:
    agents = [await world.connected(node_id) for node_id in ("node-1", "node-2")]
    await world.registry.close()
    assert world.members.calls[-2:] == [("lost", "node-1"), ("lost", "node-2")]
    for agent in agents:
        assert (await end_of(agent)).reason == "SERVER_STOPPING"


async def test_a_server_that_stops_takes_no_new_sessions(world: World) -> None:
    begun = world.agent()
    await settle()
    await world.registry.close()
    for agent in (begun, world.agent()):
        agent.send(hello())
        assert (await end_of(agent)).reason == "SERVER_STOPPING"
    assert world.members.calls == []


async def test_a_report_of_health_is_handed_over_and_that_of_hello_first(world: World) -> None:
    agent = world.agent()
    first = agent_pb2.AgentMessage(health=health_pb2.HealthReport(agent_start=2))
    greeting = hello(report("run-1"))
    greeting.hello.health.agent_start = 1
    agent.send(greeting, first)
    while (await agent.receive()).WhichOneof("content") != "sync_end":
        pass
    agent.send(heartbeat())
    await agent.receive()
    assert [(node, told.agent_start) for node, told in world.health.reports] == [
        ("node-1", 1),
        ("node-1", 2),
    ]


async def test_a_layout_is_sent_once_a_session_and_again_in_the_next(world: World) -> None:
    layout = mig_pb2.LayoutDirective(card_uuid="GPU-0", generation=3)
    world.members.wanted = [layout]
    told = []
    for _ in range(2):
        agent = world.agent()
        agent.send(agent_pb2.AgentMessage(hello=_dividing_hello()))
        told.append([await agent.receive() for _ in range(3)])
    assert [[message.WhichOneof("content") for message in each] for each in told] == [
        ["welcome", "layout", "sync_end"]
    ] * 2
    agent.send(heartbeat())
    assert (await agent.receive()).WhichOneof("content") == "heartbeat_reply"
    world.members.wanted = [mig_pb2.LayoutDirective(card_uuid="GPU-0", generation=4)]
    world.registry.wake("node-1")
    assert (await agent.receive()).layout.generation == 4


async def test_a_node_that_divides_nothing_is_not_asked_for(world: World) -> None:
    agent = await world.connected()
    agent.send(heartbeat())
    await agent.receive()
    assert ("layouts", "node-1") not in world.members.calls
    # It may do so later, and what it has is stored.
    inventory = divisible(None)
    agent.send(agent_pb2.AgentMessage(inventory=inventory))
    agent.send(heartbeat())
    world.members.wanted = [mig_pb2.LayoutDirective(card_uuid="GPU-0", generation=1)]
    told = {(await agent.receive()).WhichOneof("content") for _ in range(2)}
    assert told == {"heartbeat_reply", "layout"}
    assert world.members.stocks == [inventory]


def _dividing_hello() -> agent_pb2.Hello:
    made = hello().hello
    made.inventory.CopyFrom(divisible(None))
    return made


async def test_an_order_to_reset_is_sent_once_a_session_and_again_in_the_next(
    world: World,
) -> None:
    order = health_pb2.ResetDirective(gpu_uuid="GPU-0", generation=3)
    agent = await world.connected()
    world.health.wanted = [order]
    world.registry.wake("node-1")
    assert (await agent.receive()).reset == order
    world.registry.wake("node-1")
    agent.send(heartbeat())
    assert (await agent.receive()).WhichOneof("content") == "heartbeat_reply"
    world.health.wanted = [health_pb2.ResetDirective(gpu_uuid="GPU-0", generation=4)]
    world.registry.wake("node-1")
    assert (await agent.receive()).reset.generation == 4
    again = world.agent()
    again.send(hello())
    told = [await again.receive() for _ in range(3)]
    assert [message.WhichOneof("content") for message in told] == ["welcome", "reset", "sync_end"]
