"""Jobs that wait for others or for their time, from the submission until they are in the queue, on both engines."""

from pathlib import Path

import pytest

from tests.support.jobs import add_projects
from tests.support.quotas import set_quota
from tests.support.scheduled_world import ADA
from tests.support.waiting_jobs import Waiting
from windlass_server.access.policy import Caller, Role, absent
from windlass_server.controllers.outbox import OutboxDispatcher
from windlass_server.errors import InvalidInput, NotFound
from windlass_server.jobs import dependencies
from windlass_server.jobs.states import Status
from windlass_server.storage.engine import Database

pytestmark = pytest.mark.usefixtures("acting")

QUEUED, CANCELLED = Status.QUEUED, Status.CANCELLED
STRANGER = Caller(user="eve", roles={"other": Role.ADMIN})


@pytest.fixture
async def waiting(database: Database, tmp_path: Path) -> Waiting:
    return await Waiting.start(database, tmp_path)


@pytest.mark.parametrize(
    ("way", "started", "succeeded", "failed", "cancelled"),
    [
        ("AFTER", "READY", "READY", "READY", "READY"),
        ("AFTER_OK", "WAITS", "READY", "CANCELLED", "CANCELLED"),
        ("AFTER_NOT_OK", "WAITS", "CANCELLED", "READY", "READY"),
        ("AFTER_ANY", "WAITS", "READY", "READY", "READY"),
    ],
)
async def test_a_job_waits_for_what_it_says_and_no_longer(
    waiting: Waiting, way, started, succeeded, failed, cancelled
):
    for happen, expected in (
        (waiting.run, started),
        (waiting.succeed, succeeded),
        (waiting.fail, failed),
        (waiting.cancel, cancelled),
    ):
        first = await waiting.submit()
        follower = await waiting.submit((way, first))
        await waiting.settle()
        assert await waiting.becomes(follower) == "WAITS"
        assert await waiting.reason(follower) == "DEPENDENCY"
        await happen(first)
        await waiting.settle()
        # One that comes when all has happened already is no exception.
        late = await waiting.submit((way, first))
        await waiting.settle()
        for one in (follower, late):
            assert await waiting.becomes(one) == expected
            if expected == "CANCELLED":
                assert await waiting.reason(one) == "DEPENDENCY_NEVER_MET"
            if expected == "READY":
                assert one in waiting.queued
                await waiting.cancel(one)


async def test_what_a_job_waits_for_is_said_and_why_it_never_started(waiting: Waiting):
    first, second = await waiting.submit(), await waiting.submit()
    follower = await waiting.submit(("AFTER_OK", first), ("AFTER_ANY", second))
    job = await waiting.job(follower)
    assert job.status_message == f"waits for {first} to succeed, and for 1 more job"
    await waiting.succeed(first)
    await waiting.settle()
    job = await waiting.job(follower)
    assert (job.status_reason, job.status_message) == ("DEPENDENCY", f"waits for {second} to end")
    await waiting.cancel(second)
    await waiting.settle()
    assert await waiting.becomes(follower) == "READY"
    vain = await waiting.submit(("AFTER_OK", second))
    await waiting.settle()
    words = f"{second} has ended as CANCELLED, and this waited for it to succeed"
    assert (await waiting.job(vain)).status_message == words


async def test_a_job_that_is_queued_again_has_started(waiting: Waiting):
    first = await waiting.submit()
    await waiting.run(first)
    await waiting.settle()
    follower = await waiting.submit(("AFTER", first))
    assert await waiting.becomes(follower) == "READY"


async def test_a_chain_ends_with_its_first_job_and_what_cleans_up_runs(waiting: Waiting):
    first = await waiting.submit()
    chain = [first]
    for _ in range(5):
        chain.append(await waiting.submit(("AFTER_OK", chain[-1])))
    cleaning = await waiting.submit(("AFTER_ANY", chain[-1]))
    await waiting.fail(first)
    await waiting.settle()
    assert [await waiting.becomes(one) for one in chain[1:]] == ["CANCELLED"] * 5
    assert await waiting.becomes(cleaning) == "READY"


async def test_followers_are_settled_in_pieces_however_many_there_are(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(dependencies, "AT_ONCE", 3)
    first = await waiting.submit()
    ways = ["AFTER_OK", "AFTER_ANY", "AFTER_NOT_OK"]
    followers = [await waiting.submit((ways[number % 3], first)) for number in range(10)]
    pieces: list[int] = []
    settled = waiting.service._settle_some

    def counted(tx, awaited_id: str) -> int:
        pieces.append(settled(tx, awaited_id))
        return pieces[-1]

    monkeypatch.setattr(waiting.service, "_settle_some", counted)
    await waiting.succeed(first)
    await waiting.settle()
    ends = [await waiting.becomes(one) for one in followers]
    assert ends == [["READY", "READY", "CANCELLED"][number % 3] for number in range(10)]
    assert sum(pieces) == 10
    assert max(pieces) == 3


async def test_what_a_crash_has_lost_is_found_by_looking(waiting: Waiting):
    first = await waiting.submit()
    follower = await waiting.submit(("AFTER_OK", first))
    await waiting.succeed(first)
    # What the outbox tells is told to nobody.
    await OutboxDispatcher(waiting.world.database, []).cycle()
    waiting.start_duty()
    await waiting.duty.cycle()
    assert await waiting.becomes(follower) == "READY"


@pytest.mark.parametrize("other", ["absent", "foreign"])
async def test_a_job_that_one_may_not_read_is_not_there(waiting: Waiting, other: str):
    await waiting.world.database.write(lambda tx: add_projects(tx, "other"))
    named = "job-nope" if other == "absent" else await waiting.submit()
    spec = waiting.spec((("AFTER_OK", named),))
    spec.project = "other"
    with pytest.raises(NotFound) as refused:
        await waiting.jobs.submit(STRANGER, spec)
    assert str(refused.value) == str(absent("job", named))
    with pytest.raises(NotFound):
        await waiting.jobs.submit(STRANGER, spec, validate_only=True)


@pytest.mark.parametrize("bad", ["too many", "one twice"])
async def test_what_a_job_waits_for_is_bounded_and_named_once(waiting: Waiting, bad: str):
    awaited = [("AFTER_OK", "job-a"), ("AFTER_ANY", "job-a")]
    if bad == "too many":
        awaited = [("AFTER_OK", f"job-{number}") for number in range(101)]
    with pytest.raises(InvalidInput) as refused:
        await waiting.jobs.submit(ADA, waiting.spec(tuple(awaited)))
    assert [one.field for one in refused.value.violations] == ["job.dependencies"]


async def test_a_dry_run_says_what_the_job_would_wait_for_and_writes_nothing(waiting: Waiting):
    first = await waiting.submit()
    spec = waiting.spec((("AFTER_OK", first),))
    job = await waiting.jobs.submit(ADA, spec, validate_only=True)
    assert (job.status_reason, job.status_message) == (
        "DEPENDENCY",
        f"waits for {first} to succeed",
    )
    assert not await waiting.world.database.read(lambda tx: tx.dependencies.followed([first]))


async def test_a_job_starts_at_its_time_and_the_duty_asks_to_be_woken_then(waiting: Waiting):
    later = await waiting.submit(start_in=3600)
    soon = await waiting.submit(start_in=0.25)
    assert await waiting.settle() == pytest.approx(0.25)
    assert await waiting.reason(soon) == "START_AFTER"
    assert await waiting.becomes(soon) == "WAITS"
    waiting.clock.advance(0.25)
    assert await waiting.settle() == pytest.approx(3600 - 0.25)
    assert [await waiting.becomes(one) for one in (soon, later)] == ["READY", "WAITS"]
    job = await waiting.job(soon)
    assert (job.status_reason, job.eligible_at) == ("PENDING_SCHEDULING", waiting.clock.now())
    waiting.clock.advance(3600)
    assert await waiting.settle() is None
    assert await waiting.becomes(later) == "READY"


async def test_a_time_that_is_past_holds_nobody(waiting: Waiting):
    assert await waiting.becomes(await waiting.submit(start_in=-5)) == "READY"


async def test_a_job_waits_for_others_first_and_then_for_its_time(waiting: Waiting):
    first = await waiting.submit()
    follower = await waiting.submit(("AFTER_OK", first), start_in=10)
    assert await waiting.settle() is None
    assert await waiting.reason(follower) == "DEPENDENCY"
    await waiting.succeed(first)
    await waiting.settle()
    assert await waiting.reason(follower) == "START_AFTER"
    waiting.clock.advance(10)
    await waiting.settle()
    assert await waiting.becomes(follower) == "READY"


async def test_those_that_are_waited_for_are_served_by_the_highest_priority_behind_them(
    waiting: Waiting,
):
    first = await waiting.submit(priority=-5)
    second = await waiting.submit(("AFTER_OK", first), priority=7)
    await waiting.submit(("AFTER_ANY", first), priority=3)
    urgent = await waiting.submit(("AFTER_OK", second), priority=500)
    await waiting.settle()

    async def priorities() -> list[int]:
        return [(await waiting.job(one)).priority for one in (first, second, urgent)]

    assert await priorities() == [500, 500, 500]
    await waiting.cancel(urgent)
    await waiting.settle()
    assert await priorities() == [7, 7, 500]
    await waiting.cancel(second)
    await waiting.settle()
    assert (await waiting.job(first)).priority == 3


async def test_what_is_waited_for_is_served_up_to_the_highest_priority_of_its_owner(
    waiting: Waiting,
):
    await set_quota(waiting.world.database, max_priority=50)
    first = await waiting.submit(priority=-5)
    await waiting.submit(("AFTER_OK", first), priority=7)
    await waiting.settle()
    assert (await waiting.job(first)).priority == 7
    # Of another owner, whom that does not bind.
    await waiting.world.database.write(
        lambda tx: tx.jobs.change(first, (tx.jobs.get(first)).version, user="other")
    )
    await set_quota(waiting.world.database, user="other", max_priority=3)
    await waiting.submit(("AFTER_OK", first), priority=50)
    await waiting.settle()
    assert (await waiting.job(first)).priority == 3


@pytest.mark.parametrize(("priority", "allowed"), [(-1000, True), (50, True), (51, False)])
async def test_a_priority_above_that_of_the_quota_is_refused(
    waiting: Waiting, priority: int, allowed: bool
):
    await set_quota(waiting.world.database, max_priority=80)
    await set_quota(waiting.world.database, user="ada", max_priority=50)
    if allowed:
        await waiting.submit(priority=priority)
        return
    with pytest.raises(InvalidInput, match="can have priority 50 at most, by quota") as refused:
        await waiting.submit(priority=priority)
    assert refused.value.reason == "PRIORITY_TOO_HIGH"


async def test_a_cancelled_follower_is_not_brought_back(waiting: Waiting):
    first = await waiting.submit()
    follower = await waiting.submit(("AFTER_OK", first))
    await waiting.cancel(follower)
    await waiting.settle()
    await waiting.succeed(first)
    await waiting.settle()
    assert await waiting.becomes(follower) == "CANCELLED"
    assert await waiting.reason(follower) == "CANCEL_REQUESTED"
