import asyncio

import pytest

from tests.support.fake_clock import START, FakeClock
from tests.support.fake_sleep import FakeSleep, settle
from windlass_agent.fleet.counts import Counts
from windlass_agent.fleet.runner import SimulatedRunner
from windlass_agent.frames import frames
from windlass_agent.gpu.profiles import PROFILES
from windlass_agent.gpu.simulated import SimulatedGpus
from windlass_agent.run_types import BadRunId, Cause, Phase, RunNotEnded, RunNotFound, RunRequest

RUN = "run-01jh0000000000000000000001"


class Clock:
    """A clock of the agent that a test holds in its hands."""

    def __init__(self):
        self._clock = FakeClock()
        self.sleep = FakeSleep(self._clock)
        self.monotonic = self._clock.monotonic

    def time_nanos(self):
        return self._clock.now() * 1000


class World:
    def __init__(self, task_seconds):
        self.clock = Clock()
        self.counts = Counts()
        profiles = [PROFILES["H100"]] * 2
        self.gpus = SimulatedGpus(profiles, b"seed", self.clock.monotonic, lambda _: "python3")
        self.runner = SimulatedRunner(task_seconds, self.gpus, self.clock, self.counts)
        self.cards = [card.uuid for card in self.gpus.devices()]

    async def run(self, epoch=1, **request):
        await self.runner.run(RunRequest(RUN, epoch, ("train",), name="train", **request))
        await settle()

    @property
    def state(self):
        (state,) = self.runner.states()
        return state

    def said(self):
        log = self.runner.log(RUN)
        return [frame.payload.decode().strip() for frame in frames(log.read(0))]


@pytest.fixture(params=[5.0])
async def world(request):
    world = World(request.param)
    yield world
    await world.runner.close()


@pytest.mark.parametrize("world", [0.0], indirect=True)
async def test_an_instant_task_has_ended_well_with_its_log_whole(world):
    await world.run()
    assert world.state.phase is Phase.EXITED
    assert (world.state.exit.cause, world.state.exit.exit_code) == (Cause.COMPLETED, 0)
    assert world.said() == ["train, attempt 1", "done"]
    assert world.state.exit.log_end == world.runner.log(RUN).end
    assert not await world.runner.log(RUN).wait(world.state.exit.log_end)


async def test_a_task_holds_its_cards_while_it_runs_and_then_no_more(world):
    await world.run(gpu_uuids=tuple(world.cards[:1]))
    assert world.state.phase is Phase.RUNNING
    assert world.state.start_time_ns == START * 1000
    (process,) = world.gpus.processes()
    assert (process.uuid, world.runner.run_of_pid(process.pid)) == (world.cards[0], RUN)
    assert world.runner.usage(RUN).cpu_used_millis == 900
    await world.clock.sleep.pass_time(4.9)
    assert world.state.phase is Phase.RUNNING
    await world.clock.sleep.pass_time(0.2)
    assert world.state.exit.cause is Cause.COMPLETED
    assert world.gpus.processes() == ()
    assert world.runner.usage(RUN) is None


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (lambda runner: runner.stop(RUN, 30), Cause.STOPPED),
        (lambda runner: runner.stop(RUN, 0, cause=Cause.NODE_SHUTDOWN), Cause.NODE_SHUTDOWN),
        (lambda runner: asyncio.sleep(0, runner.lose_all()), Cause.LOST),
    ],
)
async def test_a_task_that_is_ended_from_outside_says_by_what(world, end, cause):
    await world.run(gpu_uuids=tuple(world.cards))
    await end(world.runner)
    await settle()
    assert (world.state.exit.cause, world.state.exit.exit_code) == (cause, None)
    assert world.gpus.processes() == ()
    assert (world.counts.tasks_started, world.counts.tasks_ended) == (1, 1)


async def test_a_task_beyond_its_time_limit_ends_by_it(world):
    await world.run(time_limit_seconds=2.0)
    await world.clock.sleep.pass_time(2.1)
    assert world.state.exit.cause is Cause.TIME_LIMIT


async def test_only_a_higher_epoch_begins_a_run_anew(world):
    await world.run(epoch=2)
    await world.run(epoch=1)
    await world.run(epoch=2)
    assert (world.state.epoch, world.counts.tasks_started) == (2, 1)
    await world.run(epoch=3)
    assert (world.state.epoch, world.state.phase) == (3, Phase.RUNNING)


async def test_a_run_that_was_stopped_before_it_was_known_does_not_begin(world):
    await world.runner.stop(RUN, 0, epoch=4)
    await world.run(epoch=4)
    assert (world.state.exit.cause, world.counts.tasks_started) == (Cause.STOPPED, 0)


async def test_what_has_ended_can_be_forgotten_and_nothing_else(world):
    await world.run()
    with pytest.raises(RunNotEnded):
        await world.runner.forget(RUN)
    await world.clock.sleep.pass_time(5.1)
    await world.runner.forget(RUN)
    await world.runner.forget(RUN)
    assert world.runner.states() == []
    assert world.counts.tasks_acknowledged == 1
    with pytest.raises(RunNotFound):
        world.runner.log(RUN)


async def test_a_run_id_that_is_none_is_refused(world):
    with pytest.raises(BadRunId):
        await world.runner.run(RunRequest("../x", 1, ("train",)))


async def test_changes_are_told_as_they_come(world):
    changes = world.runner.changes()
    await world.run()
    assert (await anext(changes)).phase is Phase.RUNNING  # the newest alone
    await world.clock.sleep.pass_time(5.1)
    assert (await anext(changes)).phase is Phase.EXITED
