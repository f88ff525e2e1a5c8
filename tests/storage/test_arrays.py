"""Arrays of jobs on both engines: which indices get their jobs when, and what the array comes to."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.arrays import ArrayWorld
from tests.support.quotas import require_counted, set_quota
from tests.support.scheduled_world import ADA
from windlass.jobs.v1 import job_pb2, jobs_service_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import InvalidInput, NotFound, QuotaExceeded, WrongState
from windlass_server.filters import parse
from windlass_server.jobs import array_rules
from windlass_server.jobs.forecasts import Forecasts
from windlass_server.jobs.logs import LogRequest
from windlass_server.jobs.reader import JobReader
from windlass_server.jobs.retrying import Retry
from windlass_server.jobs.states import Status
from windlass_server.jobs.world import World
from windlass_server.paging import PageTokens
from windlass_server.resources.recent_usage import RecentUsage
from windlass_server.storage.engine import Database
from windlass_server.storage.jobs import JobFilter

pytestmark = pytest.mark.usefixtures("acting")

STRANGER = Caller(user="eve", roles={"other": Role.ADMIN})


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> ArrayWorld:
    return await ArrayWorld.begin(database, tmp_path)


async def status(world: ArrayWorld, job_id: str) -> str:
    return Status((await world.job(job_id)).status).name


async def statuses(world: ArrayWorld, job_id: str) -> dict[int, str]:
    return {index: Status(row.status).name for index, row in (await world.children(job_id)).items()}


async def test_an_array_is_one_row_until_its_indices_get_their_jobs(world: ArrayWorld):
    array = await world.accept_array(3)
    assert not await world.children(array)
    shown = await world.shown(array)
    assert (shown.status, shown.status_reason) == (job_pb2.Job.QUEUED, "ARRAY_INDICES_QUEUED")
    assert (shown.array_status.total_count, shown.array_status.queued_count) == (3, 3)
    assert await world.becomes(array) == "WAITS"

    await world.settle()
    children = await world.children(array)
    assert [*children] == [0, 1, 2]
    assert {one.array_job_id for one in children.values()} == {array}
    assert {one.job_id for one in children.values()} == {*world.queued}
    first = (await world.events(children[1].job_id))[0]
    assert (first.actor, first.reason) == ("system/arrays", "SUBMITTED")
    assert first.message == f"index 1 of {array}"


async def test_an_array_runs_with_its_first_index_and_succeeds_with_its_last(world: ArrayWorld):
    array = await world.submit_array(2)
    await world.start_all(array)
    assert await status(world, array) == "RUNNING"
    assert (await world.job(array)).started_at is not None
    await world.end(array, 0)
    await world.settle()
    assert await status(world, array) == "RUNNING"
    await world.end(array, 1)
    await world.settle()
    shown = await world.shown(array)
    assert (shown.status, shown.status_reason) == (job_pb2.Job.SUCCEEDED, "COMPLETED")
    assert shown.status_message == "all 2 indices succeeded"
    assert shown.array_status.succeeded_count == 2
    told = [one.reason for one in await world.events(array)]
    assert told == ["SUBMITTED", "STARTED", "COMPLETED"]


async def test_an_array_fails_when_all_have_ended_and_says_which_did_not_succeed(world: ArrayWorld):
    array = await world.submit_array(9)
    await world.start_all(array)
    await world.end(array, 1, 1)
    await world.settle()
    assert await status(world, array) == "RUNNING"
    await world.end_all(array, failing=(0, 2, 3, 4, 5, 6))
    job = await world.job(array)
    assert (Status(job.status).name, job.status_reason) == ("FAILED", "ARRAY_INDICES_FAILED")
    assert job.status_message == (
        "7 of 9 indices did not succeed: 0 FAILED, 1 FAILED, 2 FAILED, 3 FAILED, 4 FAILED, …"
    )


async def test_never_more_indices_are_under_way_than_may_be_at_once(world: ArrayWorld):
    array = await world.submit_array(7, parallel=3)
    most = 0
    for _ in range(20):
        await world.start_all(array)
        under_way = [one for one in (await statuses(world, array)).values() if one != "SUCCEEDED"]
        most = max(most, len(under_way))
        for index, one in (await statuses(world, array)).items():
            if one == "RUNNING":
                await world.end(array, index)
                break
        await world.settle()
    assert most == 3
    assert await status(world, array) == "SUCCEEDED"


async def test_only_a_window_of_an_array_waits_in_the_queue(world: ArrayWorld, monkeypatch):
    monkeypatch.setattr(array_rules, "WINDOW", 10)
    array = await world.submit_array(100_000)
    assert len(await world.children(array)) == 10
    await world.start_all(array)
    assert len(await world.children(array)) == 20
    assert (await world.shown(array)).array_status.queued_count == 100_000 - 10


async def test_how_many_run_at_once_can_be_changed(world: ArrayWorld):
    array = await world.submit_array(10, parallel=2)
    for parallel, there in ((4, 4), (1, 4), (0, 10)):
        await world.indices.set_parallel(ADA, array, parallel)
        await world.settle()
        assert len(await world.children(array)) == there
        assert (await world.shown(array)).array_status.parallel == parallel
    (event,) = [one for one in await world.events(array) if "4 of its" in one.message][:1]
    assert (event.actor, event.reason) == ("ada", "ARRAY_PARALLEL_CHANGED")


async def test_a_cancel_also_ends_the_indices_that_have_no_job(world: ArrayWorld):
    array = await world.submit_array(10, parallel=3)
    await world.start_all(array)
    await world.end(array, 0)
    job = await world.jobs.cancel(ADA, array, reason="wrong data")
    assert Status(job.status) is Status.CANCELLING
    await world.settle()
    assert await statuses(world, array) == {0: "SUCCEEDED", 1: "CANCELLING", 2: "CANCELLING"}
    for index in (1, 2):
        child = (await world.children(array))[index]
        await world.world.report(child.job_id, "EXITED", cause="STOPPED")
    await world.settle()
    shown = await world.shown(array)
    assert (shown.status, shown.status_reason) == (job_pb2.Job.CANCELLED, "CANCEL_REQUESTED")
    assert (shown.array_status.cancelled_count, shown.array_status.succeeded_count) == (9, 1)
    page = await world.indices.list(ADA, array, statuses=(), index=None, size=0, token="")
    assert [*page.without] == [3, 4, 5, 6, 7, 8, 9]
    assert len(await world.children(array)) == 3


async def test_a_cancel_before_anything_runs_ends_the_array(world: ArrayWorld):
    for settle in (False, True):
        array = await world.accept_array(5)
        if settle:
            await world.settle()
        await world.jobs.cancel(ADA, array, reason="")
        await world.settle()
        assert await status(world, array) == "CANCELLED"
        await world.jobs.cancel(ADA, array, reason="")


async def test_force_kills_the_indices_that_are_being_stopped_already(world: ArrayWorld):
    array = await world.submit_array(2)
    await world.start_all(array)
    for force in (False, True):
        await world.jobs.cancel(ADA, array, reason="", force=force)
        await world.settle()
        for child in (await world.children(array)).values():
            run = await world.world.database.read(lambda tx, of=child: tx.runs.get(of.run_id))
            assert run is not None
            assert (run.grace == 0) == force


async def test_a_held_array_starts_no_more_until_it_is_released(world: ArrayWorld):
    array = await world.submit_array(6, parallel=3)
    alone = (await world.children(array))[2].job_id
    await world.holds.hold(ADA, alone, reason="its data is missing")
    await world.place()
    running = (await world.children(array))[0].job_id
    await world.world.report(running, "RUNNING")
    await world.settle()
    await world.holds.hold(ADA, array, reason="disk full")
    await world.settle()
    assert await status(world, array) == "RUNNING"
    assert (await world.job(array)).status_reason == "JOB_HELD"
    await world.end(array, 0)
    await world.settle()
    assert len(await world.children(array)) == 3

    await world.holds.release(ADA, array, reason="")
    await world.settle()
    assert (await world.job(array)).status_reason == "STARTED"
    assert len(await world.children(array)) == 4
    assert (await world.job(alone)).status_reason == "JOB_HELD"


async def test_indices_that_wait_are_held_and_released_with_their_array(world: ArrayWorld):
    array = await world.submit_array(3)
    await world.holds.hold(ADA, array, reason="disk full")
    await world.settle()
    assert {one.status_reason for one in (await world.children(array)).values()} == {"ARRAY_HELD"}
    await world.place()
    assert {*(await statuses(world, array)).values()} == {"QUEUED"}
    await world.holds.release(ADA, array, reason="")
    await world.settle()
    await world.place()
    assert {*(await statuses(world, array)).values()} == {"SCHEDULED"}


async def test_an_array_is_not_suspended_and_has_no_log(world: ArrayWorld):
    array = await world.submit_array(1)
    for act in (world.suspensions.suspend, world.suspensions.resume):
        with pytest.raises(WrongState) as refused:
            await act(ADA, array, reason="")
        assert refused.value.reason == "JOB_IS_ARRAY"
    with pytest.raises(WrongState):
        await anext(world.world.job_logs.stream(ADA, array, LogRequest()))


async def test_a_retry_of_an_array_is_one_of_the_indices_that_did_not_succeed(world: ArrayWorld):
    first = await world.submit_array(6, parallel=4, labels={"team": "vision"})
    await world.end_all(first, failing=(1, 3, 4))
    again = await world.retries.retry(ADA, Retry(first))
    await world.settle()
    shown = await world.shown(again.job_id)
    assert (shown.retry_of, shown.array.count, shown.array.indices) == (first, 6, "1,3-4")
    old, new = await world.children(first), await world.children(again.job_id)
    assert {index: row.retry_of for index, row in new.items()} == {
        index: old[index].job_id for index in (1, 3, 4)
    }
    assert {row.attempt for row in new.values()} == {1}
    await world.end_all(again.job_id, failing=(3,))
    third = await world.retries.retry(ADA, Retry(again.job_id))
    assert (await world.shown(third.job_id)).array.indices == "3"
    assert third.root_job_id == first
    await world.settle()
    await world.end_all(third.job_id)
    whole = await world.retries.retry(ADA, Retry(third.job_id))
    assert (await world.shown(whole.job_id)).array.indices == "3"


async def test_a_retry_of_one_index_is_an_array_of_that_alone(world: ArrayWorld):
    first = await world.submit_array(3)
    await world.end_all(first, failing=(1,))
    failed = (await world.children(first))[1]
    again = await world.retries.retry(ADA, Retry(failed.job_id))
    await world.settle()
    (child,) = (await world.children(again.job_id)).values()
    assert (child.array_index, child.retry_of) == (1, failed.job_id)
    spec = job_pb2.Job.FromString(child.spec)
    assert (spec.array.count, spec.array.indices) == (3, "1")


async def test_a_retry_of_a_cancelled_array_has_the_indices_that_never_had_a_job(world: ArrayWorld):
    first = await world.submit_array(5, parallel=1)
    await world.start_all(first)
    await world.end(first, 0)
    await world.jobs.cancel(ADA, first, reason="")
    await world.settle()
    again = await world.retries.retry(ADA, Retry(first))
    assert (await world.shown(again.job_id)).array.indices == "1-4"


@pytest.mark.parametrize(
    ("failing", "ways"),
    [
        ((), {"AFTER": "READY", "AFTER_OK": "READY", "AFTER_NOT_OK": "CANCELLED"}),
        ((1,), {"AFTER": "READY", "AFTER_OK": "CANCELLED", "AFTER_NOT_OK": "READY"}),
    ],
)
async def test_others_wait_for_all_indices_of_an_array(world: ArrayWorld, failing, ways):
    array = await world.submit_array(2)
    behind = {way: await world.submit((way, array)) for way in ways}
    await world.settle()
    assert {await world.becomes(one) for one in behind.values()} == {"WAITS"}
    await world.end_all(array, failing)
    assert {way: await world.becomes(one) for way, one in behind.items()} == ways


async def test_an_array_waits_for_others_before_any_of_its_indices_has_a_job(world: ArrayWorld):
    first = await world.submit()
    array = await world.submit_array(2, dependencies=[{"job_id": first, "type": "AFTER_OK"}])
    assert not await world.children(array)
    assert (await world.job(array)).status_reason == "DEPENDENCY"
    await world.succeed(first)
    await world.settle()
    assert len(await world.children(array)) == 2

    failed = await world.submit()
    in_vain = await world.submit_array(2, dependencies=[{"job_id": failed, "type": "AFTER_OK"}])
    await world.fail(failed)
    await world.settle()
    job = await world.job(in_vain)
    assert (Status(job.status).name, job.status_reason) == ("CANCELLED", "DEPENDENCY_NEVER_MET")
    assert not await world.children(in_vain)


async def test_indices_are_served_by_the_priority_of_who_waits_for_their_array(world: ArrayWorld):
    array = await world.submit_array(2, parallel=1, priority=1)
    await world.submit(("AFTER_OK", array), priority=9)
    await world.settle()
    (child,) = (await world.children(array)).values()
    assert (child.priority, child.asked_priority) == (9, 1)


async def test_indices_that_wait_have_their_own_priority_again_when_nobody_lends_one(
    world: ArrayWorld,
):
    array = await world.submit_array(3, priority=1)
    awaited = (await world.children(array))[1].job_id
    high, middle = [
        (await world.submit(("AFTER_OK", array), priority=priority)) for priority in (9, 5)
    ]
    last = await world.submit(("AFTER_OK", awaited), priority=9)

    async def priorities() -> list[tuple[int, int | None]]:
        await world.settle()
        rows = await world.children(array)
        return [(row.priority, row.asked_priority) for _, row in sorted(rows.items())]

    assert await priorities() == [(9, 1), (9, 1), (9, 1)]
    await world.cancel(high)
    assert await priorities() == [(5, 1), (9, 1), (5, 1)]
    await world.cancel(middle)
    assert await priorities() == [(1, None), (9, 1), (1, None)]
    await world.cancel(last)
    assert await priorities() == [(1, None), (1, None), (1, None)]


async def test_an_array_starts_no_index_before_its_time(world: ArrayWorld):
    array = await world.accept_array(2)
    spec = job_pb2.Job(project="default", command=["x"], array={"count": 2})
    spec.start_after.FromMicroseconds(world.clock.now() + 5_000_000)
    later = (await world.jobs.submit(ADA, spec)).job_id
    await world.settle()
    assert (len(await world.children(array)), len(await world.children(later))) == (2, 0)
    world.clock.advance(6)
    await world.settle()
    assert len(await world.children(later)) == 2


async def test_what_has_not_ended_at_the_deadline_has_missed_it(world: ArrayWorld):
    spec = job_pb2.Job(
        project="default",
        command=["x"],
        array={"count": 5, "parallel": 2},
        resources={"cpu_millis": 1},
        grace_period={"seconds": 0},
    )
    spec.deadline.FromMicroseconds(world.clock.now() + 5_000_000)
    array = (await world.jobs.submit(ADA, spec)).job_id
    await world.settle()
    await world.start_all(array)
    await world.end(array, 0)
    await world.settle()
    world.clock.advance(6)
    await world.settle()
    assert await status(world, array) == "CANCELLING"
    for child in (await world.children(array)).values():
        if child.status == Status.CANCELLING:
            await world.world.report(child.job_id, "EXITED", cause="STOPPED")
    await world.settle()
    shown = await world.shown(array)
    assert shown.status == job_pb2.Job.DEADLINE_EXCEEDED
    assert shown.array_status.deadline_exceeded_count == 4
    assert shown.array_status.succeeded_count == 1


async def test_an_index_is_retried_by_its_own_policy(world: ArrayWorld):
    array = await world.submit_array(2, retry={"max_attempts": 2, "backoff": {"initial": {}}})
    await world.start_all(array)
    await world.end(array, 0, 1)
    await world.settle()
    child = (await world.children(array))[0]
    assert (Status(child.status), child.retries) == (Status.QUEUED, 1)
    await world.end_all(array)
    assert await status(world, array) == "SUCCEEDED"


async def test_the_same_request_makes_one_array(world: ArrayWorld):
    spec = job_pb2.Job(project="default", command=["x"], array={"count": 3})
    first = await world.jobs.submit(ADA, spec, request_id="r1")
    assert (await world.jobs.submit(ADA, spec, request_id="r1")).job_id == first.job_id


async def test_what_a_crash_has_lost_is_found_again(world: ArrayWorld):
    array = await world.accept_array(3)
    await world.outbox.cycle()
    world.start_duty()
    await world.array_duty.cycle()
    assert len(await world.children(array)) == 3


async def test_two_servers_at_once_make_each_job_once(world: ArrayWorld):
    array = await world.accept_array(450)
    other = ArrayWorld(world.world)
    for duty in (world.array_duty, other.array_duty, world.array_duty):
        duty.changed([array])
        await duty.cycle()
    assert [*await world.children(array)] == [*range(450)]
    await world.counted(array)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        ({"count": 3, "indices": "5"}, "ARRAY_INDICES_INVALID"),
        ({"indices": "9-3"}, "ARRAY_INDICES_INVALID"),
    ],
)
async def test_indices_that_are_none_are_refused(world: ArrayWorld, array, reason):
    with pytest.raises(InvalidInput) as refused:
        await world.jobs.submit(ADA, job_pb2.Job(command=["x"], array=array))
    assert refused.value.reason == reason
    assert refused.value.violations[0].field == "job.array.indices"


async def test_an_array_of_too_much_is_refused(world: ArrayWorld):
    long = job_pb2.Job(command=["x" * 100_000], array={"count": 100_000})
    with pytest.raises(InvalidInput) as refused:
        await world.jobs.submit(ADA, long)
    assert refused.value.reason == "ARRAY_TOO_LARGE"


async def test_an_array_waits_as_one_job_and_each_index_runs_as_one_by_quotas(world: ArrayWorld):
    database = world.world.database
    before = await set_quota(database, limit={"queued_jobs": 2, "running_jobs": 3})
    array = await world.submit_array(5)
    await world.place()
    other = await world.submit()
    with pytest.raises(QuotaExceeded):
        await world.submit()
    since = await set_quota(database, user="ada", limit={"queued_jobs": 9})
    for quota_id in (before, since):
        row = await database.read(lambda tx, of=quota_id: tx.quotas.get(of))
        assert row is not None
        assert (row.used_queued_jobs, row.used_running_jobs) == (2, 3)
    await require_counted(database)
    await world.cancel(other)
    await world.end_all(array)
    row = await database.read(lambda tx: tx.quotas.get(since))
    assert row is not None
    assert (row.used_queued_jobs, row.used_running_jobs) == (0, 0)
    await require_counted(database)


async def test_queues_count_an_array_that_runs_as_waiting_and_its_indices_as_running(
    world: ArrayWorld,
):
    array = await world.submit_array(5, parallel=3)
    await world.place()
    counts = await world.world.database.read(lambda tx: tx.queues.counts())
    assert counts == {"default": (1, 3)}
    assert await world.world.database.read(lambda tx: tx.queues.queued("default")) == {"ada": 1}
    assert await world.world.database.read(lambda tx: tx.queues.running("default")) == {"ada": 3}
    assert (await world.shown(array)).array_status.scheduled_count == 3


async def test_lists_show_arrays_and_their_indices_only_when_they_are_asked_for(world: ArrayWorld):
    array, job = await world.submit_array(3), await world.submit()
    reader = JobReader(world.world.database, PageTokens(b"key"), world.clock)

    async def listed(**wanted: Any) -> list[str]:
        body = await reader.page(JobFilter("default", **wanted), size=0, token="")
        return [one.job_id for one in jobs_service_pb2.ListJobsResponse.FromString(body).jobs]

    assert await listed() == [job, array]
    of_array = [row.job_id for row in (await world.children(array)).values()]
    assert sorted(await listed(array_job_id=array)) == sorted(of_array)
    assert await listed(array_job_id=array, expression=parse(f'job_id = "{of_array[1]}"')) == [
        of_array[1]
    ]
    assert await listed(array_job_id=job) == []


async def test_what_is_read_of_an_array_is_never_older_than_its_indices(world: ArrayWorld):
    array = await world.submit_array(3)
    reader = JobReader(world.world.database, PageTokens(b"key"), world.clock)
    await world.start_all(array)
    etags = set()
    for done in range(3):
        body = job_pb2.Job.FromString(await reader.get(ADA, array))
        assert body.array_status.succeeded_count == done
        etags.add(body.etag)
        await world.end(array, done)
    assert len(etags) == 3


async def test_remote_clusters_are_offered_neither_arrays_nor_their_indices(world: ArrayWorld):
    await world.submit_array(3)
    job = await world.submit()
    offered = await world.world.database.read(lambda tx: tx.remote_runs.waiting(10))
    assert [one.job_id for one in offered] == [job]


async def test_why_an_array_waits_is_why_its_first_waiting_index_does(world: ArrayWorld):
    array = await world.submit_array(3, resources={"cpu_millis": 1}, parallel=2)
    await world.end_all(array)
    big = await world.submit_array(2, resources={"memory_bytes": 1 << 20}, parallel=1)
    usage = RecentUsage(world.world.database, world.clock)
    seen = World(world.world.database, world.world.cluster, world.clock, usage)
    forecasts = Forecasts(world.world.database, seen, world.jobs, world.clock)
    told = await forecasts.explain(ADA, big)
    assert told.job.job_id == (await world.children(big))[0].job_id
    assert told.outlook is not None
    assert (await forecasts.explain(ADA, array)).job.job_id == array


async def test_indices_are_paged_with_those_that_have_no_job(world: ArrayWorld):
    array = await world.submit_array(indices="0-3,10-14", parallel=3)
    await world.start_all(array)
    await world.end(array, 1, 1)
    seen: list[tuple[int, bool]] = []
    token = ""
    while True:
        page = await world.indices.list(ADA, array, statuses=(), index=None, size=2, token=token)
        seen += [(row.array_index or 0, True) for row in page.jobs]
        seen += [(index, False) for index in page.without]
        token = page.token
        if not token:
            break
    assert seen == [
        *((index, True) for index in (0, 1, 2)),
        *((index, False) for index in (3, 10, 11, 12, 13, 14)),
    ]
    for wanted, found in (
        ((Status.FAILED,), [1]),
        ((Status.QUEUED,), [3, 10, 11, 12, 13, 14]),
        ((Status.RUNNING, Status.FAILED), [0, 1, 2]),
    ):
        page = await world.indices.list(ADA, array, statuses=wanted, index=None, size=9, token="")
        assert [*(row.array_index for row in page.jobs), *page.without] == found
    for index, there in ((2, [2]), (11, [11]), (7, [])):
        page = await world.indices.list(ADA, array, statuses=(), index=index, size=0, token="")
        assert [*(row.array_index for row in page.jobs), *page.without] == there


async def test_a_foreign_array_is_absent_and_another_job_is_none(world: ArrayWorld):
    array, job = await world.submit_array(1), await world.submit()
    for who, job_id, error in (
        (STRANGER, array, NotFound),
        (ADA, "job-none", NotFound),
        (ADA, job, WrongState),
    ):
        with pytest.raises(error):
            await world.indices.list(who, job_id, statuses=(), index=None, size=0, token="")
        with pytest.raises(error):
            await world.indices.set_parallel(who, job_id, 1)
    await world.end_all(array)
    with pytest.raises(WrongState):
        await world.indices.set_parallel(ADA, array, 1)
