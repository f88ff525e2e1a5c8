"""Jobs that run again by themselves when their command has failed, on both engines."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.scheduled_world import ADA
from tests.support.waiting_jobs import SECOND, Waiting
from windlass.jobs.v1 import job_pb2
from windlass_server.errors import WrongState
from windlass_server.jobs.messages import to_proto
from windlass_server.jobs.states import Status
from windlass_server.storage.engine import Database

pytestmark = pytest.mark.usefixtures("acting")


@pytest.fixture
async def waiting(database: Database, tmp_path: Path) -> Waiting:
    return await Waiting.start(database, tmp_path)


async def submit(waiting: Waiting, **retry: Any) -> str:
    policy = {"max_attempts": 3, "backoff": {"initial": {"seconds": 10}, "jitter": 0}} | retry
    spec = job_pb2.Job(project="default", command=["flaky"], retry=policy)
    return (await waiting.jobs.submit(ADA, spec)).job_id


async def test_a_job_that_fails_waits_and_runs_again_until_its_attempts_are_used_up(
    waiting: Waiting,
):
    job_id = await submit(waiting)
    for number, seconds in enumerate((10, 20), 1):
        await waiting.fail(job_id)
        job = to_proto(await waiting.job(job_id))
        assert (job.status, job.status_reason) == (job_pb2.Job.QUEUED, "RETRY_BACKOFF")
        again_at = waiting.clock.now() + seconds * SECOND
        assert job.next_attempt_time.ToMicroseconds() == again_at
        assert await waiting.becomes(job_id) == "WAITS"
        assert await waiting.settle() == pytest.approx(seconds, abs=0.1)
        waiting.clock.advance(seconds)
        await waiting.settle()
        assert await waiting.becomes(job_id) == "READY"
        assert not to_proto(await waiting.job(job_id)).HasField("next_attempt_time")
        assert (await waiting.job(job_id)).attempt == number
    await waiting.fail(job_id)
    job = to_proto(await waiting.job(job_id))
    assert (job.status, job.status_reason, job.attempt) == (job_pb2.Job.FAILED, "NONZERO_EXIT", 3)


async def test_each_retry_is_told_with_what_failed(waiting: Waiting):
    job_id = await submit(waiting)
    await waiting.fail(job_id)
    told = (await waiting.events(job_id))[-1]
    assert (told.status, told.reason) == (Status.QUEUED, "RETRY_BACKOFF")
    assert told.actor.startswith("node/")
    assert told.message == "the command returned 1; retry 1 of 2 is queued in 10 s"


async def test_without_a_wait_it_is_in_the_queue_at_once(waiting: Waiting):
    job_id = await submit(waiting, backoff={"initial": {}})
    await waiting.fail(job_id)
    assert await waiting.becomes(job_id) == "READY"


@pytest.mark.parametrize(
    "end",
    [
        {"cause": "LOST"},
        {"cause": "NODE_SHUTDOWN"},
        {"cause": "LAUNCH_FAILED"},
        {"cause": "COMPLETED", "exit_code": 85},
    ],
)
async def test_what_is_no_fault_of_the_command_uses_up_none_of_its_attempts(waiting, end):
    job_id = await submit(waiting, max_attempts=2)
    await waiting.run(job_id)
    await waiting.world.report(job_id, "EXITED", **end)
    job = await waiting.job(job_id)
    assert (job.status, job.retries) == (Status.QUEUED, 0)
    waiting.clock.advance(4000)
    await waiting.fail(job_id)
    assert (await waiting.job(job_id)).status_reason == "RETRY_BACKOFF"


async def test_what_the_policy_does_not_name_fails_at_once(waiting: Waiting):
    job_id = await submit(waiting, on_exit_codes=[17])
    await waiting.fail(job_id)
    assert (await waiting.job(job_id)).status == Status.FAILED


async def test_who_waits_for_a_job_waits_for_its_retries(waiting: Waiting):
    job_id = await submit(waiting)
    follower = await waiting.submit(("AFTER_OK", job_id))
    await waiting.fail(job_id)
    await waiting.settle()
    assert await waiting.becomes(follower) == "WAITS"
    waiting.clock.advance(10)
    await waiting.settle()
    await waiting.succeed(job_id)
    await waiting.settle()
    assert await waiting.becomes(follower) == "READY"


async def test_a_cancelled_job_is_not_tried_again(waiting: Waiting):
    job_id = await submit(waiting)
    await waiting.run(job_id)
    await waiting.jobs.cancel(ADA, job_id, reason="")
    await waiting.world.report(job_id, "EXITED", cause="COMPLETED", exit_code=1)
    assert (await waiting.job(job_id)).status == Status.FAILED

    backing_off = await submit(waiting)
    await waiting.fail(backing_off)
    await waiting.cancel(backing_off)
    waiting.clock.advance(60)
    await waiting.settle()
    assert await waiting.becomes(backing_off) == "CANCELLED"


async def test_a_held_job_starts_when_it_is_released_and_not_before(waiting: Waiting):
    job_id = await waiting.submit()
    for _ in range(2):
        held = await waiting.holds.hold(ADA, job_id, reason="no data yet")
        assert (held.status_reason, held.status_message) == (
            "JOB_HELD",
            "held by ada: no data yet",
        )
    assert (await waiting.world.cycle(job_id)).status == Status.QUEUED
    assert (await waiting.job(job_id)).status_reason == "JOB_HELD"
    for _ in range(2):
        await waiting.holds.release(ADA, job_id, reason="it is there")
    assert (await waiting.world.cycle(job_id)).status == Status.SCHEDULED
    told = [(one.actor, one.reason, one.message) for one in await waiting.events(job_id)]
    assert told[1:3] == [
        ("ada", "JOB_HELD", "held by ada: no data yet"),
        ("ada", "RELEASED", "released by ada: it is there"),
    ]


async def test_a_held_job_that_waits_for_others_waits_for_both(waiting: Waiting):
    first = await waiting.submit()
    met, unmet = [await waiting.submit(("AFTER_OK", first)) for _ in range(2)]
    for job_id in (met, unmet):
        await waiting.holds.hold(ADA, job_id, reason="")
    await waiting.holds.release(ADA, unmet, reason="")
    assert await waiting.reason(unmet) == "DEPENDENCY"
    await waiting.succeed(first)
    await waiting.settle()
    assert await waiting.becomes(unmet) == "READY"
    assert await waiting.reason(met) == "JOB_HELD"
    await waiting.holds.release(ADA, met, reason="")
    assert await waiting.becomes(met) == "READY"


async def test_a_held_job_ends_when_what_it_waits_for_can_never_be(waiting: Waiting):
    first = await waiting.submit()
    held = await waiting.submit(("AFTER_OK", first))
    await waiting.holds.hold(ADA, held, reason="")
    await waiting.fail(first)
    await waiting.settle()
    assert await waiting.becomes(held) == "CANCELLED"


async def test_a_hold_keeps_a_job_whose_time_comes(waiting: Waiting):
    job_id = await waiting.submit(start_in=60)
    await waiting.holds.hold(ADA, job_id, reason="")
    waiting.clock.advance(61)
    await waiting.settle()
    assert await waiting.reason(job_id) == "JOB_HELD"
    await waiting.holds.release(ADA, job_id, reason="")
    assert await waiting.becomes(job_id) == "READY"


async def test_only_what_waits_is_held(waiting: Waiting):
    job_id = await waiting.submit()
    await waiting.run(job_id)
    with pytest.raises(WrongState) as refused:
        await waiting.holds.hold(ADA, job_id, reason="")
    assert refused.value.message == "a RUNNING job cannot be held: only what is QUEUED"
    with pytest.raises(WrongState):
        await waiting.holds.release(ADA, job_id, reason="")


async def test_a_forced_cancel_leaves_no_grace_also_behind_one_that_does(waiting: Waiting):
    job_id = await waiting.submit()
    await waiting.run(job_id)
    run_id = (await waiting.job(job_id)).run_id

    async def asked() -> tuple[int, int, bool]:
        run = await waiting.world.database.read(lambda tx: tx.runs.get(run_id))
        assert run is not None
        return run.want, run.grace, run.forced_at is not None

    await waiting.jobs.cancel(ADA, job_id, reason="typo")
    assert await asked() == (2, 10 * SECOND, False)
    forced = await waiting.jobs.cancel(ADA, job_id, reason="still there", force=True)
    assert await asked() == (2, 0, True)
    assert forced.status_message == "cancelled at once by ada: still there"
    events = len(await waiting.events(job_id))
    for force in (True, False):
        same = await waiting.jobs.cancel(ADA, job_id, reason="", force=force)
        assert same.version == forced.version
    assert len(await waiting.events(job_id)) == events
    await waiting.world.report(job_id, "EXITED", cause="STOPPED")
    assert (
        await waiting.jobs.cancel(ADA, job_id, reason="", force=True)
    ).status == Status.CANCELLED
