"""Retries of jobs that have ended, on both engines: what the new job is, and what becomes of those around it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.scheduled_world import ADA
from tests.support.waiting_jobs import Waiting
from windlass.jobs.v1 import job_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import Conflict, Denied, InvalidInput, NotFound, WrongState
from windlass_server.jobs import dependencies
from windlass_server.jobs.messages import to_proto
from windlass_server.jobs.retrying import Retry
from windlass_server.jobs.states import Status
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow

pytestmark = pytest.mark.usefixtures("acting")

STRANGER = Caller(user="eve", roles={"other": Role.ADMIN})
VIEWER = Caller(user="vera", roles={"default": Role.VIEWER})


@pytest.fixture
async def waiting(database: Database, tmp_path: Path) -> Waiting:
    return await Waiting.start(database, tmp_path)


async def retry(waiting: Waiting, job_id: str, who: Caller = ADA, **wanted: Any) -> JobRow:
    return await waiting.retries.retry(who, Retry(job_id, **wanted))


async def a_failed_job(waiting: Waiting, **fields: Any) -> str:
    spec = job_pb2.Job(project="default", command=["train", "--lr", "1"], **fields)
    job_id = (await waiting.jobs.submit(ADA, spec)).job_id
    await waiting.fail(job_id)
    return job_id


async def test_a_retry_is_a_new_job_with_the_spec_of_the_old_one(waiting: Waiting):
    first = await a_failed_job(waiting, priority=7, labels={"team": "vision"})
    new = to_proto(await retry(waiting, first, reason="flaky disk"))
    assert (new.retry_of, new.root_job_id, new.attempt) == (first, first, 1)
    assert new.status == job_pb2.Job.QUEUED
    assert (list(new.command), new.priority) == (["train", "--lr", "1"], 7)
    assert dict(new.labels) == {"team": "vision"}
    old = to_proto(await waiting.job(first))
    assert (old.status, old.retry_of, old.root_job_id) == (job_pb2.Job.FAILED, "", "")

    again = await waiting.world.cycle(new.job_id)
    assert (Status(again.status), again.attempt) == (Status.SCHEDULED, 2)


async def test_both_jobs_tell_who_retried_and_why(waiting: Waiting):
    first = await a_failed_job(waiting)
    new = await retry(waiting, first, reason="flaky disk")
    (told,) = await waiting.events(new.job_id)
    assert (told.actor, told.reason) == ("ada", "SUBMITTED")
    assert told.message == f"a retry of {first}: flaky disk"
    noted = (await waiting.events(first))[-1]
    assert (noted.actor, noted.reason, noted.status) == ("ada", "RETRIED", Status.FAILED)
    assert noted.message == f"retried as {new.job_id}: flaky disk"


async def test_retries_of_retries_name_the_first_of_their_lineage(waiting: Waiting):
    first = await a_failed_job(waiting)
    second = (await retry(waiting, first)).job_id
    await waiting.fail(second)
    third = await retry(waiting, second)
    assert (third.retry_of, third.root_job_id, third.attempt) == (second, first, 2)


async def test_what_was_cancelled_before_it_ran_can_be_retried(waiting: Waiting):
    first = await waiting.submit()
    await waiting.cancel(first)
    assert (await retry(waiting, first)).attempt == 0


async def test_overrides_change_what_they_say_and_nothing_else(waiting: Waiting):
    first = await a_failed_job(
        waiting, environment={"variables": {"LR": "1", "SEED": "3"}}, resources={"cpu_millis": 500}
    )
    overrides = job_pb2.Job(
        command=["train"],
        environment={"variables": {"LR": "2"}},
        resources={"memory_bytes": 1 << 30},
    )
    new = to_proto(await retry(waiting, first, overrides=overrides))
    assert list(new.command) == ["train"]
    assert dict(new.environment.variables) == {"LR": "2", "SEED": "3"}
    assert (new.resources.cpu_millis, new.resources.memory_bytes) == (500, 1 << 30)
    row = await waiting.job(new.job_id)
    assert row.memory_bytes == 1 << 30


@pytest.mark.parametrize(
    ("overrides", "mask", "field"),
    [
        ({"command": [""]}, (), "overrides.command"),
        ({"priority": 5000}, (), "overrides.priority"),
        ({"project": "other"}, (), "overrides.project"),
        ({"environment": {"variables": {"WINDLASS_X": "1"}}}, (), None),
        ({}, ("command",), "overrides"),
        ({}, ("job_id",), "update_mask"),
        ({}, ("nonsense",), "update_mask"),
    ],
)
async def test_overrides_that_make_no_valid_job_are_refused(waiting, overrides, mask, field):
    first = await a_failed_job(waiting)
    with pytest.raises(InvalidInput) as refused:
        await retry(waiting, first, overrides=job_pb2.Job(**overrides), mask=mask)
    fields = {one.field for one in refused.value.violations}
    assert fields == {field} if field else all(one.startswith("overrides.") for one in fields)


async def test_only_what_has_ended_can_be_retried(waiting: Waiting):
    job_id = await waiting.submit()
    for state in ("QUEUED", "SCHEDULED", "RUNNING", "CANCELLING"):
        if state == "SCHEDULED":
            await waiting.world.cycle(job_id)
        elif state == "RUNNING":
            await waiting.world.report(job_id, "RUNNING")
        elif state == "CANCELLING":
            await waiting.jobs.cancel(ADA, job_id, reason="")
        assert Status((await waiting.job(job_id)).status).name == state
        with pytest.raises(WrongState) as refused:
            await retry(waiting, job_id)
        assert refused.value.message == f"a {state} job cannot be retried before it has ended"
    await waiting.world.report(job_id, "EXITED", cause="STOPPED")
    assert (await retry(waiting, job_id)).retry_of == job_id


async def test_the_same_request_makes_one_job(waiting: Waiting):
    first = await a_failed_job(waiting)
    one = await retry(waiting, first, request_id="r1")
    await waiting.fail(one.job_id)
    same = await retry(waiting, first, request_id="r1")
    assert same.job_id == one.job_id
    with pytest.raises(Conflict) as refused:
        await retry(waiting, first, request_id="r1", from_scratch=True)
    assert refused.value.reason == "REQUEST_ID_REUSED"
    assert (await retry(waiting, first, request_id="r2")).job_id != one.job_id


async def test_a_retry_that_has_not_ended_is_the_answer_to_the_same_one(waiting: Waiting):
    first = await a_failed_job(waiting, labels={"a": "1", "b": "2"})
    one, two = await asyncio.gather(retry(waiting, first), retry(waiting, first))
    assert one.job_id == two.job_id
    other = await retry(waiting, first, overrides=job_pb2.Job(priority=1))
    assert other.job_id != one.job_id
    await waiting.cancel(other.job_id)
    await waiting.fail(one.job_id)
    assert (await retry(waiting, first)).job_id not in (one.job_id, other.job_id)


async def test_who_may_not_submit_there_retries_nothing(waiting: Waiting):
    first = await a_failed_job(waiting)
    with pytest.raises(NotFound):
        await retry(waiting, first, STRANGER)
    with pytest.raises(Denied):
        await retry(waiting, first, VIEWER)
    with pytest.raises(NotFound):
        await retry(waiting, "job-none")


async def test_who_follows_retries_waits_for_them_until_one_succeeds(waiting: Waiting):
    train = await waiting.submit()
    evaluate = await waiting.submit(("AFTER_OK", train), follow_retries=True)
    hasty = await waiting.submit(("AFTER_OK", train))
    await waiting.fail(train)
    await waiting.settle()
    assert await waiting.becomes(hasty) == "CANCELLED"
    assert await waiting.becomes(evaluate) == "WAITS"
    assert (
        f"waits for a retry of {train} to succeed" in (await waiting.job(evaluate)).status_message
    )

    second = (await retry(waiting, train)).job_id
    await waiting.fail(second)
    await waiting.settle()
    assert await waiting.becomes(evaluate) == "WAITS"
    third = (await retry(waiting, second)).job_id
    await waiting.succeed(third)
    await waiting.settle()
    assert await waiting.becomes(evaluate) == "READY"


async def test_who_follows_retries_and_comes_later_waits_for_the_newest(waiting: Waiting):
    train = await waiting.submit()
    await waiting.fail(train)
    stalled = await waiting.submit(("AFTER_OK", train), follow_retries=True)
    second = (await retry(waiting, train)).job_id
    late = await waiting.submit(("AFTER_OK", train), follow_retries=True)
    await waiting.settle()
    assert (await waiting.job(late)).status_message == f"waits for {second} to succeed"
    await waiting.succeed(second)
    await waiting.settle()
    assert {await waiting.becomes(one) for one in (stalled, late)} == {"READY"}
    assert await waiting.becomes(
        await waiting.submit(("AFTER_OK", train), follow_retries=True)
    ) == ("READY")


async def test_who_waits_for_a_job_and_for_its_retry_names_it_once(waiting: Waiting):
    train = await waiting.submit()
    await waiting.fail(train)
    second = (await retry(waiting, train)).job_id
    spec = waiting.spec((("AFTER_OK", train), ("AFTER", second)))
    spec.dependencies[0].follow_retries = True
    with pytest.raises(InvalidInput) as refused:
        await waiting.jobs.submit(ADA, spec)
    assert refused.value.violations[0].reason == "BAD_DEPENDENCIES"


async def test_who_gave_up_waiting_for_retries_is_not_woken_by_one(waiting: Waiting):
    train = await waiting.submit()
    evaluate = await waiting.submit(("AFTER_OK", train), follow_retries=True)
    await waiting.fail(train)
    await waiting.settle()
    await waiting.cancel(evaluate)
    second = (await retry(waiting, train)).job_id
    await waiting.succeed(second)
    await waiting.settle()
    assert await waiting.becomes(evaluate) == "CANCELLED"


@pytest.mark.parametrize(
    "steps",
    [
        ["retry 1", "fail 1", "retry 2", "succeed 2"],
        ["retry 1", "retry 2", "run 1", "succeed 2"],
        ["retry 1", "retry 2", "succeed 2", "cancel 1"],
        ["retry 1", "retry 2", "succeed 2", "fail 1"],
        ["retry 1", "retry 2", "succeed 1"],
        ["retry 1", "retry 2", "fail 2", "retry 3 of 2", "fail 1", "succeed 3"],
        ["retry 1", "fail 1", "retry 2 of 1", "fail 2", "retry 3", "succeed 3"],
    ],
)
@pytest.mark.parametrize("heard", ["at once", "at the end", "after a crash"])
async def test_any_retry_that_succeeds_lets_those_go_that_follow_retries(
    waiting: Waiting, steps: list[str], heard: str
):
    train = await waiting.submit()
    follower = await waiting.submit(("AFTER_OK", train), follow_retries=True)
    held = await waiting.submit(("AFTER_OK", train), follow_retries=True)
    await waiting.holds.hold(ADA, held, reason="")
    await waiting.fail(train)
    await waiting.settle()
    jobs = {"0": train}
    for step in steps:
        what, number, *source = step.split()
        if what == "retry":
            of = jobs[source[-1] if source else "0"]
            jobs[number] = (await retry(waiting, of, request_id=number)).job_id
        else:
            await getattr(waiting, what)(jobs[number])
        if heard == "at once":
            await waiting.settle()
    if heard == "after a crash":
        await waiting.outbox.cycle()
        waiting.start_duty()
    await waiting.settle()
    # What runs after it lets the follower have its place.
    assert await waiting.becomes(follower) in ("READY", "SCHEDULED")
    await waiting.holds.release(ADA, held, reason="")
    assert await waiting.becomes(held) == "READY"
    late = await waiting.submit(("AFTER_OK", train), follow_retries=True)
    assert await waiting.becomes(late) == "READY"


async def test_who_follows_the_retries_of_a_retry_is_not_let_go_by_another_one(waiting: Waiting):
    train = await a_failed_job(waiting)
    first = (await retry(waiting, train)).job_id
    follower = await waiting.submit(("AFTER_OK", first), follow_retries=True)
    await waiting.fail(first)
    await waiting.settle()
    other = (await retry(waiting, train)).job_id
    await waiting.succeed(other)
    await waiting.settle()
    assert await waiting.becomes(follower) == "WAITS"
    again = (await retry(waiting, first)).job_id
    await waiting.succeed(again)
    await waiting.settle()
    assert await waiting.becomes(follower) == "READY"


async def test_who_loses_a_retry_waits_for_another_that_has_not_ended(waiting: Waiting):
    train = await waiting.submit()
    follower = await waiting.submit(("AFTER_OK", train), follow_retries=True)
    await waiting.fail(train)
    await waiting.settle()
    first = (await retry(waiting, train)).job_id
    second = (await retry(waiting, train, request_id="another")).job_id
    await waiting.fail(first)
    await waiting.settle()
    assert (await waiting.job(follower)).status_message == f"waits for {second} to succeed"
    await waiting.fail(second)
    await waiting.settle()
    assert await waiting.becomes(follower) == "WAITS"


async def test_followers_of_retries_are_let_go_in_pieces_however_many_there_are(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(dependencies, "AT_ONCE", 2)
    train = await waiting.submit()
    wait = (("AFTER_OK", train),)
    followers = [await waiting.submit(*wait, follow_retries=True) for _ in range(5)]
    await waiting.fail(train)
    await waiting.settle()
    await waiting.fail((await retry(waiting, train)).job_id)
    await waiting.succeed((await retry(waiting, train)).job_id)
    await waiting.settle()
    assert {await waiting.becomes(one) for one in followers} == {"READY"}


async def test_who_does_not_follow_retries_is_not_moved_to_one_that_comes_soon(waiting: Waiting):
    train = await waiting.submit()
    hasty = await waiting.submit(("AFTER_OK", train))
    await waiting.fail(train)
    await retry(waiting, train)
    await waiting.settle()
    assert await waiting.becomes(hasty) == "CANCELLED"


def overriding(*awaited: tuple[str, str], follow: bool = False) -> job_pb2.Job:
    overrides = job_pb2.Job()
    for way, job_id in awaited:
        kind = job_pb2.Dependency.Type.Value(way)
        overrides.dependencies.add(job_id=job_id, type=kind, follow_retries=follow)
    return overrides


async def assert_refused(waiting: Waiting, job_id: str, **wanted: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        await retry(waiting, job_id, **wanted)
    assert refused.value.reason == "INVALID_FIELDS"
    (violation,) = refused.value.violations
    assert (violation.field, violation.reason) == ("overrides.dependencies", "BAD_DEPENDENCIES")


@pytest.mark.parametrize("between", [0, 1, 3])
@pytest.mark.parametrize("heard", [True, False])
async def test_a_retry_does_not_wait_for_who_waits_for_it(
    waiting: Waiting, between: int, heard: bool
):
    train = await a_failed_job(waiting)
    last = await waiting.submit(("AFTER_OK", train), follow_retries=True)
    for _ in range(between):
        last = await waiting.submit(("AFTER_ANY", last))
    if heard:
        await waiting.settle()
    await assert_refused(waiting, train, overrides=overriding(("AFTER_OK", last)))

    second = (await retry(waiting, train)).job_id
    await waiting.fail(second)
    if heard:
        await waiting.settle()
    await assert_refused(waiting, second, overrides=overriding(("AFTER", last)))
    await assert_refused(waiting, train, overrides=overriding(("AFTER", last)))


async def test_a_retry_does_not_wait_for_itself(waiting: Waiting):
    train = await a_failed_job(waiting)
    itself = overriding(("AFTER_OK", train), follow=True)
    await assert_refused(waiting, train, overrides=itself)
    await retry(waiting, train)
    await assert_refused(waiting, train, overrides=itself)


async def test_a_singleton_is_not_retried_behind_who_waits_for_its_retry(waiting: Waiting):
    spec = waiting.spec()
    spec.name = "nightly"
    spec.dependencies.add(type=job_pb2.Dependency.SINGLETON)
    train = (await waiting.jobs.submit(ADA, spec)).job_id
    await waiting.fail(train)
    await waiting.settle()
    spec.dependencies.add(job_id=train, type=job_pb2.Dependency.AFTER_OK, follow_retries=True)
    await waiting.jobs.submit(ADA, spec)
    await assert_refused(waiting, train)


async def test_a_retry_waits_for_who_waits_for_another_job_or_waits_no_more(waiting: Waiting):
    train = await a_failed_job(waiting)
    first = (await retry(waiting, train)).job_id
    await waiting.fail(first)
    follows_first = await waiting.submit(("AFTER_OK", first), follow_retries=True)
    behind = overriding(("AFTER_OK", follows_first))
    second = await retry(waiting, train, overrides=behind)
    assert await waiting.becomes(second.job_id) == "WAITS"
    await waiting.cancel(follows_first)
    last = await retry(waiting, first, overrides=overriding(("AFTER_ANY", follows_first)))
    assert await waiting.becomes(last.job_id) == "READY"
