"""A profile is asked of the node that has the task, and of nobody else, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.fake_sleep import settle
from tests.support.scheduled_world import ADA, ScheduledWorld
from windlass.agents.v1 import profile_pb2 as pb
from windlass.types.v1.profile_pb2 import ProfileFormat
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import Conflict, Denied, NotFound, Unavailable, WrongState
from windlass_server.ids import IdSource
from windlass_server.jobs.profiles import JobProfiles, Wanted
from windlass_server.storage.engine import Database

pytestmark = pytest.mark.usefixtures("acting")

Outcome = pb.UploadProfileRequest
WANTED = Wanted(0, 10, ProfileFormat.FLAMEGRAPH)


class World:
    def __init__(self, scheduled: ScheduledWorld) -> None:
        self.scheduled = scheduled
        self.connected = True
        self.asked: list[tuple[str, pb.ProfileDirective]] = []
        ids = IdSource(scheduled.clock)
        self.profiles = JobProfiles(scheduled.database, self.ask, ids)
        self.job_id = self.node_id = ""

    def ask(self, node_id: str, directive: pb.ProfileDirective) -> bool:
        self.asked.append((node_id, directive))
        return self.connected

    async def start(self) -> None:
        self.node_id = await self.scheduled.add_node("n1")
        self.job_id = await self.scheduled.add_job(created_at=self.scheduled.clock.now())

    async def run(self) -> None:
        await self.scheduled.cycle(self.job_id)
        await self.scheduled.report(self.job_id, "RUNNING")

    def take(self, who: Caller = ADA, wanted: Wanted = WANTED) -> "asyncio.Task[bytes]":
        return asyncio.ensure_future(self.profiles.take(who, self.job_id, wanted))

    async def directive(self) -> pb.ProfileDirective:
        while not self.asked:
            await settle()
        return self.asked.pop()[1]


@pytest.fixture
async def profiling(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[World]:
    scheduled = await ScheduledWorld.start(database, tmp_path)
    made = World(scheduled)
    await made.start()
    yield made
    await scheduled.logs.close()


async def test_who_asks_gets_what_the_node_has_sent(profiling: World) -> None:
    await profiling.run()
    taking = profiling.take()
    directive = await profiling.directive()
    run = await profiling.scheduled.job(profiling.job_id)
    assert (directive.run_id, directive.duration.seconds) == (run.run_id, 10)
    profiling.profiles.upload(
        profiling.node_id, Outcome(profile_id=directive.profile_id, data=b"<svg/>")
    )
    assert await taking == b"<svg/>"


async def test_another_node_cannot_answer_and_nobody_can_when_nobody_asks(profiling: World) -> None:
    await profiling.run()
    taking = profiling.take()
    directive = await profiling.directive()
    outcome = Outcome(profile_id=directive.profile_id, data=b"<svg/>")
    with pytest.raises(NotFound, match="nobody"):
        profiling.profiles.upload("node-other", outcome)
    taking.cancel()
    await asyncio.wait([taking])
    with pytest.raises(NotFound, match="nobody"):
        profiling.profiles.upload(profiling.node_id, outcome)
    # Who went away is in nobody's way.
    again = profiling.take()
    await profiling.directive()
    again.cancel()


async def test_a_task_is_looked_into_once_at_a_time(profiling: World) -> None:
    await profiling.run()
    taking = profiling.take()
    await profiling.directive()
    with pytest.raises(Conflict) as caught:
        await profiling.take()
    assert caught.value.reason == "PROFILE_IN_PROGRESS"
    taking.cancel()


@pytest.mark.parametrize(
    ("failure", "error", "reason"),
    [
        ("NOT_RUNNING", WrongState, "JOB_NOT_RUNNING"),
        ("NOT_PYTHON", WrongState, "NOT_A_PYTHON_PROCESS"),
        ("PROFILER_MISSING", WrongState, "PROFILER_MISSING"),
        ("PROFILER_FORBIDDEN", WrongState, "PROFILER_FORBIDDEN"),
        ("PROFILER_FAILED", WrongState, "PROFILER_FAILED"),
        ("TOO_LARGE", WrongState, "PROFILE_TOO_LARGE"),
        ("BUSY", Conflict, "PROFILE_IN_PROGRESS"),
    ],
)
async def test_why_there_is_none_is_a_reason_of_its_own(
    profiling: World, failure: str, error: type[WrongState | Conflict], reason: str
) -> None:
    await profiling.run()
    taking = profiling.take()
    directive = await profiling.directive()
    profiling.profiles.upload(
        profiling.node_id,
        Outcome(
            profile_id=directive.profile_id, failure=Outcome.Failure.Value(failure), message="so"
        ),
    )
    with pytest.raises(error) as caught:
        await taking
    assert caught.value.reason == reason


async def test_a_job_that_does_not_run_is_not_looked_into(profiling: World) -> None:
    with pytest.raises(WrongState) as caught:
        await profiling.take()
    assert caught.value.reason == "JOB_NOT_RUNNING"


async def test_a_rank_that_there_is_not_is_not_found(profiling: World) -> None:
    await profiling.run()
    with pytest.raises(NotFound, match="rank 1"):
        await profiling.take(wanted=Wanted(1, 10, ProfileFormat.RAW))


async def test_a_node_that_is_not_here_is_said_so(profiling: World) -> None:
    await profiling.run()
    profiling.connected = False
    with pytest.raises(Unavailable) as caught:
        await profiling.take()
    assert caught.value.reason == "NODE_NOT_CONNECTED"


async def test_who_may_only_look_may_not_look_into_tasks(profiling: World) -> None:
    await profiling.run()
    with pytest.raises(Denied):
        await profiling.take(Caller("eve", roles={"default": Role.VIEWER}))
    with pytest.raises(NotFound, match="there is no job"):
        await profiling.take(Caller("eve", roles={"other": Role.ADMIN}))
    assert profiling.asked == []
