"""Jobs that give up their places and go on later, and jobs that must have ended by a time, on both engines."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.scheduled_world import ADA
from tests.support.waiting_jobs import SECOND, Waiting
from windlass.agents.v1 import agent_pb2
from windlass.jobs.v1 import job_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import Denied, InvalidInput, NotFound, WrongState
from windlass_server.jobs.messages import to_proto
from windlass_server.jobs.states import Status
from windlass_server.storage.engine import Database

pytestmark = pytest.mark.usefixtures("acting")

VIEWER = Caller(user="vera", roles={"default": Role.VIEWER})


@pytest.fixture
async def waiting(database: Database, tmp_path: Path) -> Waiting:
    return await Waiting.start(database, tmp_path)


async def running(waiting: Waiting) -> str:
    job_id = await waiting.submit()
    await waiting.run(job_id)
    return job_id


async def suspended(waiting: Waiting) -> str:
    job_id = await running(waiting)
    await waiting.suspensions.suspend(ADA, job_id, reason="demo")
    await waiting.world.report(job_id, "EXITED", cause="STOPPED")
    return job_id


async def status(waiting: Waiting, job_id: str) -> str:
    return Status((await waiting.job(job_id)).status).name


async def test_a_suspended_job_gives_up_its_place_and_goes_on_when_it_is_resumed(waiting: Waiting):
    job_id = await running(waiting)
    job = await waiting.suspensions.suspend(ADA, job_id, reason="the demo needs it")
    assert (Status(job.status), job.status_reason) == (Status.SUSPENDING, "SUSPEND_REQUESTED")
    run = await waiting.world.database.read(lambda tx: tx.runs.get(job.run_id))
    assert run is not None
    assert (run.want, run.grace) == (agent_pb2.RunDirective.STOPPED, 10 * SECOND)

    await waiting.world.report(job_id, "EXITED", cause="STOPPED")
    shown = to_proto(await waiting.job(job_id))
    assert (shown.status, shown.status_reason) == (job_pb2.Job.SUSPENDED, "SUSPENDED")
    assert shown.status_message == "suspended by ada: the demo needs it"
    assert not shown.HasField("start_time")
    assert not shown.HasField("end_time")
    assert Status((await waiting.world.cycle(job_id)).status) is Status.SUSPENDED

    await waiting.suspensions.resume(ADA, job_id, reason="it is over")
    assert await waiting.becomes(job_id) == "READY"
    assert job_id in waiting.queued
    again = await waiting.world.cycle(job_id)
    assert (Status(again.status), again.attempt) == (Status.SCHEDULED, 2)
    told = [(one.actor, one.reason) for one in await waiting.events(job_id)]
    assert told[3:6] == [
        ("ada", "SUSPEND_REQUESTED"),
        (f"node/{again.node_id}", "SUSPENDED"),
        ("ada", "RESUMED"),
    ]


async def test_who_suspends_or_resumes_twice_means_it_once(waiting: Waiting):
    job_id = await running(waiting)
    first = await waiting.suspensions.suspend(ADA, job_id, reason="")
    assert (await waiting.suspensions.suspend(ADA, job_id, reason="")).version == first.version
    await waiting.world.report(job_id, "EXITED", cause="STOPPED")
    before = (await waiting.job(job_id)).version
    assert (await waiting.suspensions.suspend(ADA, job_id, reason="")).version == before
    once = await waiting.suspensions.resume(ADA, job_id, reason="")
    assert (await waiting.suspensions.resume(ADA, job_id, reason="")).version == once.version


@pytest.mark.parametrize(
    ("end", "becomes"),
    [
        ({"cause": "COMPLETED", "exit_code": 0}, "SUCCEEDED"),
        ({"cause": "COMPLETED", "exit_code": 1}, "FAILED"),
        ({"cause": "COMPLETED", "exit_code": 85}, "SUSPENDED"),
        ({"cause": "STOPPED", "exit_code": 0}, "SUSPENDED"),
        ({"cause": "LOST"}, "SUSPENDED"),
        ({"cause": "NODE_SHUTDOWN"}, "SUSPENDED"),
        ({"cause": "OUT_OF_MEMORY"}, "OUT_OF_MEMORY"),
    ],
)
async def test_what_ends_by_itself_before_it_is_suspended_keeps_its_end(waiting, end, becomes):
    job_id = await running(waiting)
    await waiting.suspensions.suspend(ADA, job_id, reason="")
    await waiting.world.report(job_id, "EXITED", **end)
    assert await status(waiting, job_id) == becomes


async def test_a_start_that_is_reported_late_leaves_who_suspended_it(waiting: Waiting):
    job_id = await waiting.submit()
    await waiting.world.cycle(job_id)
    await waiting.suspensions.suspend(ADA, job_id, reason="demo")
    await waiting.world.report(job_id, "RUNNING")
    job = await waiting.job(job_id)
    assert (Status(job.status), job.status_message) == (
        Status.SUSPENDING,
        "suspended by ada: demo",
    )


async def test_what_is_suspended_or_about_to_be_can_be_cancelled(waiting: Waiting):
    first = await suspended(waiting)
    assert Status((await waiting.jobs.cancel(ADA, first, reason="")).status) is Status.CANCELLED
    second = await running(waiting)
    await waiting.suspensions.suspend(ADA, second, reason="")
    await waiting.jobs.cancel(ADA, second, reason="")
    await waiting.world.report(second, "EXITED", cause="STOPPED")
    assert await status(waiting, second) == "CANCELLED"
    assert (await waiting.job(second)).status_message == "cancelled by ada"


async def test_only_what_has_a_place_is_suspended_and_only_what_is_suspended_is_resumed(
    waiting: Waiting,
):
    queued = await waiting.submit()
    with pytest.raises(WrongState) as refused:
        await waiting.suspensions.suspend(ADA, queued, reason="")
    assert refused.value.message == ("a QUEUED job cannot be suspended: only what has a place")
    ended = await waiting.submit()
    await waiting.cancel(ended)
    leaving = await running(waiting)
    await waiting.suspensions.suspend(ADA, leaving, reason="")
    for job_id in (ended, leaving):
        with pytest.raises(WrongState):
            await waiting.suspensions.resume(ADA, job_id, reason="")


async def test_who_may_not_cancel_suspends_and_resumes_nothing(waiting: Waiting):
    job_id = await running(waiting)
    for act in (waiting.suspensions.suspend, waiting.suspensions.resume):
        with pytest.raises(Denied):
            await act(VIEWER, job_id, reason="")
        with pytest.raises(NotFound):
            await act(ADA, "job-none", reason="")


async def due_in(waiting: Waiting, seconds: float, **fields: Any) -> str:
    """A job that must have ended then, with a grace period of ten seconds."""
    spec = job_pb2.Job(project="default", command=["train"], **fields)
    spec.deadline.FromMicroseconds(waiting.clock.now() + round(seconds * SECOND))
    return (await waiting.jobs.submit(ADA, spec)).job_id


async def test_what_waits_at_its_deadline_is_over(waiting: Waiting):
    queued = await due_in(waiting, 60)
    first = await waiting.submit()
    behind = await waiting.submit(("AFTER_OK", queued))
    assert await waiting.settle() == pytest.approx(50, abs=0.1)
    waiting.clock.advance(49)
    await waiting.settle()
    assert await status(waiting, queued) == "QUEUED"
    waiting.clock.advance(2)
    await waiting.settle()
    job = to_proto(await waiting.job(queued))
    assert (job.status, job.status_reason) == (
        job_pb2.Job.DEADLINE_EXCEEDED,
        "DEADLINE_EXCEEDED",
    )
    assert job.HasField("end_time")
    assert (await waiting.events(queued))[-1].actor == "system/deadlines"
    assert await status(waiting, behind) == "CANCELLED"
    assert await status(waiting, first) == "QUEUED"


async def test_what_runs_is_stopped_in_time_for_its_deadline(waiting: Waiting):
    job_id = await due_in(waiting, 60)
    await waiting.run(job_id)
    waiting.clock.advance(50)
    await waiting.settle()
    job = await waiting.job(job_id)
    assert (Status(job.status), job.status_reason) == (Status.CANCELLING, "DEADLINE_EXCEEDED")
    run = await waiting.world.database.read(lambda tx: tx.runs.get(job.run_id))
    assert run is not None
    assert run.want == agent_pb2.RunDirective.STOPPED
    await waiting.settle()
    await waiting.world.report(job_id, "EXITED", cause="STOPPED")
    assert await status(waiting, job_id) == "DEADLINE_EXCEEDED"


async def test_what_is_suspended_at_its_deadline_is_over_and_what_has_ended_stays(waiting: Waiting):
    paused, done, cancelling = [await due_in(waiting, 60) for _ in range(3)]
    await waiting.run(paused)
    await waiting.suspensions.suspend(ADA, paused, reason="")
    await waiting.world.report(paused, "EXITED", cause="STOPPED")
    await waiting.succeed(done)
    await waiting.run(cancelling)
    await waiting.jobs.cancel(ADA, cancelling, reason="")
    waiting.clock.advance(51)
    await waiting.settle()
    await waiting.world.report(cancelling, "EXITED", cause="STOPPED")
    found = [await status(waiting, one) for one in (paused, done, cancelling)]
    assert found == ["DEADLINE_EXCEEDED", "SUCCEEDED", "CANCELLED"]


async def test_many_deadlines_at_once_are_all_kept(waiting: Waiting, monkeypatch):
    monkeypatch.setattr("windlass_server.jobs.suspending._AT_ONCE", 2)
    jobs = [await due_in(waiting, 60) for _ in range(5)]
    later = await due_in(waiting, 90)
    for job_id in jobs[:3]:
        await waiting.run(job_id)
    waiting.clock.advance(50)
    assert await waiting.settle() == pytest.approx(30, abs=0.1)
    found = [await status(waiting, one) for one in (*jobs, later)]
    assert found == ["CANCELLING"] * 5 + ["SCHEDULED"]


@pytest.mark.parametrize(
    ("seconds", "fields"), [(-1, {}), (9, {}), (10, {}), (60, {"grace_period": {"seconds": 61}})]
)
async def test_a_deadline_that_leaves_no_time_is_refused(waiting, seconds, fields):
    with pytest.raises(InvalidInput) as refused:
        await due_in(waiting, seconds, **fields)
    (violation,) = refused.value.violations
    assert (violation.field, violation.reason) == ("job.deadline", "DEADLINE_TOO_EARLY")


async def test_a_job_that_starts_behind_its_deadline_is_refused(waiting: Waiting):
    spec = waiting.spec(start_in=60)
    spec.deadline.FromMicroseconds(waiting.clock.now() + 65 * SECOND)
    with pytest.raises(InvalidInput):
        await waiting.jobs.submit(ADA, spec)
