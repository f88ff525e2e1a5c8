"""Followers are told what nodes measure, each at an interval of its own."""

from collections.abc import AsyncGenerator

import pytest

from tests.support.fake_agent import series
from tests.support.fake_clock import FakeClock
from tests.support.nodes import node_columns
from tests.support.telemetry import a_batch, power
from windlass.agents.v1 import agent_pb2
from windlass.resources.v1 import node_metrics_pb2 as pb
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import Denied, InvalidInput, NotFound
from windlass_server.resources.live import Following, LiveTelemetry
from windlass_server.storage.engine import Database
from windlass_server.telemetry.latest import LatestTelemetry

pytestmark = pytest.mark.usefixtures("acting")

ADA = Caller("ada", roles={"vision": Role.VIEWER})
ADMIN = Caller("root", organisation_role=Role.ADMIN)
RUN, SECOND = "run-" + "0" * 26, 1_000_000
EVERYTHING = Following((), (), SECOND)

Stream = AsyncGenerator[pb.TelemetryMessage]


class World:
    def __init__(self, database: Database) -> None:
        self.clock = FakeClock()
        self.latest = LatestTelemetry(self.clock)
        self.live = LiveTelemetry(database, self.latest, self.clock, sleep=self.rest)
        self.between: list[agent_pb2.SampleBatch] = []
        self.slept: list[float] = []

    async def rest(self, seconds: float) -> None:
        """Time passes, in which a node measures what the test has put there."""
        self.slept.append(seconds)
        self.clock.advance(seconds)
        if self.between:
            self.latest.take("node-1", self.between.pop(0))

    def take(self, *some: agent_pb2.Series, node: str = "node-1", stamp: str = "") -> None:
        batch = a_batch(self.clock.now(), *some)
        if stamp:
            batch.runs.add(run_id=RUN, epoch=1, job_id="job-1", project=stamp, gpu_uuids=["GPU-0"])
        self.latest.take(node, batch)


@pytest.fixture
async def world(database: Database) -> World:
    for name in ("node-1", "node-2"):
        await database.write(lambda tx, name=name: tx.nodes.add(node_columns(node_id=name, name=name)))  # type: ignore[misc]  # fmt: skip
    return World(database)


def told(message: pb.TelemetryMessage) -> dict[str, dict[str, dict[str, float]]]:
    """Values by node, subject and field."""
    return {
        node.node_id: {one.subject: dict(one.values) for one in node.subjects}
        for node in message.values.nodes
    }


async def test_the_newest_values_come_first_and_then_each_new_batch(world: World) -> None:
    world.take(power("GPU-0", 1), series("LOAD_1M", "", 0.5))
    world.between = [a_batch(world.clock.now(), power("GPU-0", 2))]
    stream = world.live.stream(ADA, EVERYTHING)
    first = await anext(stream)
    assert told(first) == {"node-1": {"": {"load_1m": 0.5}, "GPU-0": {"gpu_power_watts": 1.0}}}
    assert not first.values.more
    assert told(await anext(stream))["node-1"]["GPU-0"] == {"gpu_power_watts": 2.0}
    assert world.slept == [1.0]


async def test_a_node_that_measures_nothing_new_is_not_told_again(world: World) -> None:
    world.take(power("GPU-0", 1))
    stream = world.live.stream(ADA, Following((), (), 3 * SECOND))
    await anext(stream)
    assert (await anext(stream)).HasField("heartbeat")
    assert world.slept == [3.0] * 4


async def test_only_what_is_asked_for_is_told(world: World) -> None:
    world.take(power("GPU-0", 1), series("GPU_SM_CLOCK_MHZ", "GPU-0", 1700))
    world.take(power("GPU-9", 1), node="node-2")
    stream = world.live.stream(ADA, Following(["node-1"], ["gpu_sm_clock_mhz"], SECOND))
    assert told(await anext(stream)) == {"node-1": {"GPU-0": {"gpu_sm_clock_mhz": 1700.0}}}


async def test_many_nodes_come_in_several_messages_of_one_moment(world: World) -> None:
    for number in range(250):
        world.take(power("GPU-0", number), node=f"node-{number}")
    stream = world.live.stream(ADA, EVERYTHING)
    messages = [await anext(stream) for _ in range(3)]
    assert [len(message.values.nodes) for message in messages] == [100, 100, 50]
    assert [message.values.more for message in messages] == [True, True, False]


@pytest.mark.parametrize(
    ("project", "run_id", "job_id"), [("vision", RUN, "job-1"), ("secret", "", "")]
)
async def test_the_run_that_holds_a_gpu_and_its_job_are_named_to_those_who_may_read_it(
    world: World, project: str, run_id: str, job_id: str
) -> None:
    cpu = series("CPU_USED_MILLIS", RUN, 500)
    world.take(power("GPU-0", 1), power("GPU-1", 1), cpu, stamp=project)
    message = await anext(world.live.stream(ADA, EVERYTHING))
    subjects = {one.subject: one for one in message.values.nodes[0].subjects}
    assert (subjects["GPU-0"].run_id, subjects["GPU-0"].job_id) == (run_id, job_id)
    assert subjects["GPU-1"].run_id == ""
    assert (RUN in subjects) == bool(run_id)
    assert (RUN in str(message)) == bool(run_id)
    every = await anext(world.live.stream(ADMIN, EVERYTHING))
    assert {one.subject: one.run_id for one in every.values.nodes[0].subjects} == {
        "GPU-0": RUN,
        "GPU-1": "",
        RUN: "",
    }


async def test_a_gpu_that_is_let_go_is_nobodys(world: World) -> None:
    world.take(power("GPU-0", 1), stamp="vision")
    world.take(power("GPU-0", 1))
    message = await anext(world.live.stream(ADA, EVERYTHING))
    assert [one.run_id for one in message.values.nodes[0].subjects] == [""]


async def test_what_does_not_exist_cannot_be_followed(world: World) -> None:
    with pytest.raises(NotFound):
        await anext(world.live.stream(ADA, Following(["node-1", "node-x"], (), SECOND)))
    with pytest.raises(InvalidInput, match="nothing is measured"):
        await anext(world.live.stream(ADA, Following((), ["taste"], SECOND)))
    with pytest.raises(Denied):
        await anext(world.live.stream(Caller("nobody"), EVERYTHING))
