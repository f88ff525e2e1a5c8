"""Jobs at another cluster, by what that cluster says of them, on both engines."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import add_jobs, job_columns
from tests.support.remote_runs import nowhere_else, remote_runs
from tests.support.scheduled_world import ScheduledWorld
from windlass.jobs.v1 import job_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.ids import IdSource
from windlass_server.jobs.messages import to_proto
from windlass_server.jobs.remote_rules import State
from windlass_server.jobs.remote_runs import RemoteRunsService
from windlass_server.jobs.service import JobHints, JobsService
from windlass_server.objects.frames import encode
from windlass_server.paging import PageTokens
from windlass_server.resources.cluster import Cluster
from windlass_server.storage.engine import Database

pytestmark = pytest.mark.usefixtures("acting")

BOB = Caller("bob", default_project="default", roles={"default": Role.DEVELOPER})
Job = job_pb2.Job


class World:
    """A job that goes to the cluster `west`; the test says what that answers."""

    def __init__(self, scheduled: ScheduledWorld, runs: RemoteRunsService) -> None:
        self.scheduled = scheduled
        self.database = scheduled.database
        self.clock = scheduled.clock
        self.runs = runs
        self.job_id = ""
        ids = IdSource(self.clock)
        self.jobs = JobsService(
            self.database,
            Cluster(self.database, (), lambda _node_id: frozenset()),
            self.clock,
            ids,
            PageTokens(b"key"),
            JobHints(lambda _job_id: None, lambda _node_id: None),
            nowhere_else(self.database, scheduled.logs, self.clock, ids),
        )

    async def hand_over(self) -> str:
        """A new job, given to west; returns its run."""
        columns = job_columns()
        self.job_id = str(columns["job_id"])
        await self.database.write(lambda tx: add_jobs(tx, columns))
        assert await self.runs.hand_over(self.job_id, 1, "west")
        return str((await self.job()).placement.run_id)

    async def accepted(self) -> str:
        """A run that west has accepted."""
        run_id = await self.hand_over()
        assert await self.runs.submitting(run_id) == 0
        await self.runs.accepted(run_id, self.there(Job.QUEUED, "INSUFFICIENT_GPUS"))
        return run_id

    def there(self, status: int, reason: str = "REASON", **values: Any) -> Job:
        """The job as west shows it."""
        shown = Job(
            job_id="job-there", status_reason=reason, status_message="in its words", **values
        )
        shown.status = status  # type: ignore[assignment]
        return shown

    async def job(self) -> Job:
        return to_proto(await self.scheduled.job(self.job_id))

    async def status(self) -> tuple[str, str]:
        job = await self.job()
        return Job.Status.Name(job.status), job.status_reason

    async def events(self) -> int:
        """How often the job's story has gone on."""
        told = await self.database.read(lambda tx: tx.events.page(self.job_id, after=0, size=100))
        return len(told)

    async def state(self, run_id: str) -> State:
        row = await self.database.read(lambda tx: tx.remote_runs.get(run_id))
        assert row is not None
        return State(row.state)

    async def cancel(self) -> None:
        await self.jobs.cancel(BOB, self.job_id, reason="typo")


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[World]:
    scheduled = await ScheduledWorld.start(database, tmp_path)
    ids = IdSource(scheduled.clock)
    yield World(scheduled, remote_runs(database, scheduled.logs, scheduled.clock, ids))
    await scheduled.logs.close()


async def test_a_job_goes_to_one_place_only(world: World):
    await world.hand_over()
    assert await world.status() == ("SCHEDULED", "PLACED")
    assert not await world.runs.hand_over(world.job_id, 1, "east")
    assert not await world.runs.hand_over(world.job_id, 2, "east")
    assert await world.database.read(lambda tx: tx.remote_runs.count_active()) == {"west": 1}


async def test_the_scheduler_and_a_cluster_do_not_both_get_a_job(world: World):
    await world.scheduled.add_node("n")
    job_id = await world.scheduled.add_job()
    seen = (await world.scheduled.job(job_id)).version
    await world.scheduled.cycle(job_id)
    assert not await world.runs.hand_over(job_id, seen, "west")
    assert (await world.scheduled.job(job_id)).node_id


@pytest.mark.parametrize(
    ("status", "here"),
    [
        (Job.QUEUED, ("SCHEDULED", "QUEUED_AT_CLUSTER")),
        (Job.SCHEDULED, ("SCHEDULED", "SCHEDULED_AT_CLUSTER")),
        (Job.RUNNING, ("RUNNING", "STARTED")),
        (Job.CANCELLING, ("RUNNING", "STOPPING_AT_CLUSTER")),
        (Job.SUCCEEDED, ("SUCCEEDED", "REASON")),
        (Job.FAILED, ("FAILED", "REASON")),
        (Job.TIMED_OUT, ("TIMED_OUT", "REASON")),
        (Job.OUT_OF_MEMORY, ("OUT_OF_MEMORY", "REASON")),
        (Job.CANCELLED, ("FAILED", "CANCELLED_AT_CLUSTER")),
        # Of a newer windlass: it says nothing.
        (99, ("SCHEDULED", "QUEUED_AT_CLUSTER")),
    ],
)
async def test_what_a_cluster_says_is_what_the_job_is_here(
    world: World, status: int, here: tuple[str, str]
):
    run_id = await world.accepted()
    await world.runs.report(run_id, world.there(status))
    assert await world.status() == here
    before = await world.job()
    await world.runs.report(run_id, world.there(status))
    assert await world.job() == before


async def test_a_job_that_waits_there_tells_why_in_the_words_of_the_moment(world: World):
    run_id = await world.accepted()
    said = (await world.job()).status_message
    assert said == "waits at cluster west (INSUFFICIENT_GPUS): in its words"
    events = await world.events()
    await world.runs.report(run_id, world.there(Job.QUEUED, "BEHIND_HIGHER_PRIORITY"))
    job = await world.job()
    assert job.status_reason == "QUEUED_AT_CLUSTER"
    assert job.status_message == "waits at cluster west (BEHIND_HIGHER_PRIORITY): in its words"
    # Words alone are no event: they may change every few seconds.
    assert await world.events() == events


async def test_a_job_shows_where_it_is_and_how_it_ended(world: World):
    run_id = await world.accepted()
    running = world.there(Job.RUNNING, start_time={"seconds": 1_800_000_100})
    running.isolation.level = 3  # type: ignore[assignment]
    await world.runs.report(run_id, running)
    ended = world.there(Job.FAILED, exit_code=3)
    ended.start_time.CopyFrom(running.start_time)
    ended.isolation.CopyFrom(running.isolation)
    await world.runs.report(run_id, ended)
    job = await world.job()
    assert (job.placement.cluster, job.placement.remote_job_id) == ("west", "job-there")
    assert (job.placement.node_id, job.attempt, job.exit_code) == ("", 1, 3)
    assert (job.start_time, job.isolation.level) == (running.start_time, 3)
    assert await world.state(run_id) is State.ENDED


async def test_a_job_that_is_queued_again_there_waits_again_here(world: World):
    run_id = await world.accepted()
    await world.runs.report(run_id, world.there(Job.RUNNING, start_time={"seconds": 1_800_000_000}))
    await world.runs.report(run_id, world.there(Job.QUEUED))
    assert await world.status() == ("SCHEDULED", "QUEUED_AT_CLUSTER")
    assert not (await world.job()).HasField("start_time")


async def test_a_held_job_keeps_its_status_and_reads_on_as_before(world: World):
    run_id = await world.accepted()
    await world.runs.report(run_id, world.there(Job.RUNNING))
    await world.runs.hold(run_id, "CLUSTER_UNREACHABLE", "no answer")
    assert await world.status() == ("RUNNING", "CLUSTER_UNREACHABLE")
    version = (await world.job()).etag
    await world.runs.hold(run_id, "CLUSTER_UNREACHABLE", "still none")
    assert (await world.job()).etag == version
    await world.runs.report(run_id, world.there(Job.RUNNING))
    assert await world.status() == ("RUNNING", "STARTED")


async def test_a_cancel_keeps_its_words_and_the_last_one_wins_by_what_happened(world: World):
    run_id = await world.accepted()
    await world.runs.report(run_id, world.there(Job.RUNNING))
    await world.cancel()
    (open_run,) = await world.runs.open_at("west")
    assert open_run.stop
    for status in (Job.RUNNING, Job.CANCELLING, Job.CANCELLED):
        await world.runs.report(run_id, world.there(status))
    job = await world.job()
    assert Job.Status.Name(job.status) == "CANCELLED"
    assert job.status_message == "cancelled by bob: typo"


async def test_a_cancel_that_came_too_late_changes_nothing(world: World):
    run_id = await world.accepted()
    await world.cancel()
    await world.runs.report(run_id, world.there(Job.SUCCEEDED, exit_code=0))
    assert await world.status() == ("SUCCEEDED", "REASON")


async def test_what_was_never_sent_is_cancelled_and_taken_back_at_once(world: World):
    run_id = await world.hand_over()
    await world.cancel()
    assert await world.runs.submitting(run_id) is None
    assert await world.status() == ("CANCELLED", "CANCEL_REQUESTED")

    run_id = await world.hand_over()
    assert await world.runs.take_back(run_id, "no answer")
    assert await world.status() == ("QUEUED", "REFUSED_BY_CLUSTER")
    assert await world.runs.open_at("west") == []


async def test_what_may_have_arrived_is_not_taken_back_and_not_cancelled_unsent(world: World):
    run_id = await world.hand_over()
    await world.runs.submitting(run_id)
    assert not await world.runs.take_back(run_id, "no answer")
    await world.cancel()
    # Sent again, so that the cluster says what it has; the cancel follows.
    assert await world.runs.submitting(run_id) is not None
    assert await world.status() == ("CANCELLING", "CANCEL_REQUESTED")


async def test_a_refused_job_waits_here_again_and_the_refusal_is_remembered(world: World):
    run_id = await world.hand_over()
    doubt = await world.runs.submitting(run_id)
    assert doubt is not None
    assert await world.runs.refused(run_id, "UNSATISFIABLE", "too big", doubt_until=doubt)
    assert await world.status() == ("QUEUED", "REFUSED_BY_CLUSTER")
    refusals = await world.database.read(lambda tx: tx.remote_runs.refusals([world.job_id]))
    assert [(one.cluster_id, one.ended_at) for one in refusals] == [("west", world.clock.now())]
    (waiting,) = await world.database.read(lambda tx: tx.remote_runs.waiting(10))
    assert (waiting.job_id, waiting.attempt) == (world.job_id, 1)
    assert await world.runs.hand_over(world.job_id, waiting.version, "east")
    assert (await world.job()).attempt == 2


async def test_a_refusal_proves_nothing_while_an_earlier_submission_may_arrive(world: World):
    run_id = await world.hand_over()
    await world.runs.submitting(run_id)
    # Its answer was lost. The next is refused.
    doubt = await world.runs.submitting(run_id)
    assert doubt is not None
    assert not await world.runs.refused(run_id, "DENIED", "no", doubt_until=doubt)
    assert await world.state(run_id) is State.SUBMITTED
    world.clock.advance(60)
    again = await world.runs.submitting(run_id)
    assert again == doubt
    world.clock.advance(60)
    assert await world.runs.refused(run_id, "DENIED", "no", doubt_until=again)
    assert await world.status() == ("QUEUED", "REFUSED_BY_CLUSTER")


async def test_a_job_that_its_cluster_lost_ends_only_by_a_cancel(world: World):
    run_id = await world.accepted()
    await world.runs.lost(run_id, "unknown there")
    assert await world.state(run_id) is State.ACCEPTED
    await world.cancel()
    await world.runs.lost(run_id, "unknown there")
    assert await world.status() == ("CANCELLED", "CANCEL_REQUESTED")


async def test_late_words_on_a_run_that_is_over_change_nothing(world: World):
    run_id = await world.accepted()
    await world.runs.report(run_id, world.there(Job.SUCCEEDED, exit_code=0))
    before = await world.job()
    await world.runs.report(run_id, world.there(Job.RUNNING))
    await world.runs.hold(run_id, "CLUSTER_UNREACHABLE", "no answer")
    await world.runs.accepted(run_id, world.there(Job.QUEUED))
    assert await world.runs.refused(run_id, "DENIED", "no", doubt_until=0)
    assert not await world.runs.take_back(run_id, "no answer")
    assert await world.job() == before


@pytest.mark.parametrize("log_first", [True, False])
async def test_a_log_ends_when_the_job_has_and_all_of_it_is_here(world: World, log_first: bool):
    run_id = await world.accepted()
    frame = encode(1, 1, b"hello\n")
    await world.scheduled.logs.append(run_id, 0, frame)
    end = world.there(Job.SUCCEEDED, exit_code=0)
    works = [world.runs.log_is_whole(run_id, "c", len(frame), ""), world.runs.report(run_id, end)]
    for work in works if log_first else reversed(works):
        assert len(await world.runs.open_at("west")) == 1
        await work
    assert await world.runs.open_at("west") == []
    text, told = await world.scheduled.follow(world.job_id)
    assert (text, told.exit_code, list(told.incomplete)) == ("hello\n", 0, [])


async def test_a_log_of_which_some_is_lost_says_so(world: World):
    run_id = await world.accepted()
    await world.runs.report(run_id, world.there(Job.FAILED, exit_code=1))
    await world.runs.log_is_whole(run_id, "", 0, "the cluster has lost it")
    _, told = await world.scheduled.follow(world.job_id)
    (missing,) = told.incomplete
    assert (missing.run_id, missing.message) == (run_id, "the cluster has lost it")


async def test_a_job_that_ran_there_and_then_here_shows_both_logs_and_the_last_place(world: World):
    run_id = await world.hand_over()
    assert await world.runs.take_back(run_id, "no answer")
    node_id = await world.scheduled.add_node("n")
    job = await world.scheduled.cycle(world.job_id)
    assert (job.node_id, job.cluster, job.remote_job_id, job.attempt) == (node_id, "", "", 2)
    _, runs = await world.scheduled.runs.of_job(world.job_id)
    assert [run.attempt for run in runs] == [1, 2]


async def test_the_queue_says_since_when_jobs_wait(world: World):
    await world.scheduled.add_node("n")
    job_id = await world.scheduled.add_job()
    await world.scheduled.cycle(job_id)
    world.clock.advance(100)
    await world.scheduled.report(job_id, "EXITED", cause="NODE_SHUTDOWN")
    fresh = await world.scheduled.add_job(priority=5)
    first, second = await world.database.read(lambda tx: tx.remote_runs.waiting(10))
    assert (first.job_id, second.job_id) == (fresh, job_id)
    assert second.waiting_since == world.clock.now()
    assert [one.job_id for one in await world.database.read(lambda tx: tx.remote_runs.waiting(1))]
