"""Jobs of a name of which one runs at a time, on both engines."""

import asyncio
from copy import copy
from pathlib import Path

import pytest

from tests.support.scheduled_world import ADA
from tests.support.waiting_jobs import Waiting
from windlass_server.access.policy import Caller, Role
from windlass_server.jobs.batches import JobBatches
from windlass_server.jobs.dependencies import DependenciesService
from windlass_server.jobs.states import FINAL
from windlass_server.jobs.templated_jobs import TemplatedJobs
from windlass_server.rpc.validation import Validation
from windlass_server.storage.engine import Database
from windlass_server.storage.singletons import SingletonKey

pytestmark = pytest.mark.usefixtures("acting")

ALONE = ("SINGLETON", "")


class EarlierIds:
    """As of a server whose clock is behind."""

    def new(self, kind: str) -> str:
        return f"{kind}-00000000000000000000000000"


BOB = Caller(user="bob", roles={"default": Role.ADMIN})


@pytest.fixture
async def waiting(database: Database, tmp_path: Path) -> Waiting:
    return await Waiting.start(database, tmp_path)


async def states(waiting: Waiting, jobs: list[str]) -> list[str]:
    await waiting.settle()
    return [await waiting.becomes(one) for one in jobs]


async def test_singletons_of_a_name_run_one_after_the_other_in_their_order(waiting: Waiting):
    jobs = [await waiting.submit(ALONE, name="nightly") for _ in range(4)]
    assert await states(waiting, jobs) == ["READY", "WAITS", "WAITS", "WAITS"]
    job = await waiting.job(jobs[1])
    assert (job.status_reason, job.status_message) == (
        "DEPENDENCY",
        f"waits for {jobs[0]} of its name to end, as a singleton",
    )
    await waiting.succeed(jobs[0])
    assert await states(waiting, jobs[1:]) == ["READY", "WAITS", "WAITS"]
    assert waiting.queued[-1] == jobs[1]
    # However it ends, and also before its turn.
    await waiting.cancel(jobs[2])
    assert await states(waiting, jobs[1:]) == ["READY", "CANCELLED", "WAITS"]
    assert f"waits for {jobs[1]} " in (await waiting.job(jobs[3])).status_message
    await waiting.fail(jobs[1])
    assert await states(waiting, jobs[3:]) == ["READY"]


async def test_a_singleton_waits_for_every_earlier_job_of_its_name_and_for_no_other(
    waiting: Waiting,
):
    plain = [await waiting.submit(name="nightly") for _ in range(2)]
    of_others = await waiting.submit(ALONE, name="nightly", who=BOB)
    of_another_name = await waiting.submit(ALONE, name="daily")
    alone = await waiting.submit(ALONE, name="nightly")
    later = await waiting.submit(name="nightly")
    everybody = [of_others, of_another_name, alone, later]
    assert await states(waiting, everybody) == ["READY", "READY", "WAITS", "READY"]
    await waiting.succeed(plain[1])
    assert await states(waiting, [alone]) == ["WAITS"]
    await waiting.succeed(plain[0])
    # What came later is not waited for.
    assert await states(waiting, [alone]) == ["READY"]


async def test_it_may_wait_for_the_same_job_in_two_ways(waiting: Waiting):
    first = await waiting.submit(name="nightly")
    both = await waiting.submit(ALONE, ("AFTER_OK", first), name="nightly")
    started = await waiting.submit(("AFTER", first), ALONE, name="nightly")
    assert await states(waiting, [both, started]) == ["WAITS", "WAITS"]
    await waiting.fail(first)
    assert await states(waiting, [both, started]) == ["CANCELLED", "READY"]


async def test_what_is_queued_again_keeps_its_turn(waiting: Waiting):
    first = await waiting.submit(ALONE, name="nightly")
    second = await waiting.submit(ALONE, name="nightly")
    await waiting.run(first)
    await waiting.world.report(first, "EXITED", cause="LOST")
    assert await states(waiting, [first, second]) == ["READY", "WAITS"]


async def test_singletons_of_a_batch_do_not_overtake_each_other(waiting: Waiting):
    database = waiting.world.database
    templated = TemplatedJobs(database, Validation().check)
    batches = JobBatches(database, waiting.jobs, templated)
    specs = [waiting.spec((ALONE,) if number else ()) for number in range(5)]
    answers = await batches.submit(ADA, specs, check=lambda _spec: None)
    jobs = [one.job_id for one in answers if not isinstance(one, Exception)]
    for number in range(5):
        assert await states(waiting, jobs[number:]) == ["READY"] + ["WAITS"] * (4 - number)
        await waiting.succeed(jobs[number])


async def test_a_dry_run_says_for_whom_it_would_wait_and_takes_no_turn(waiting: Waiting):
    spec = waiting.spec((ALONE,))
    seen = await waiting.jobs.submit(ADA, spec, validate_only=True)
    assert not seen.held
    first = await waiting.submit(ALONE)
    seen = await waiting.jobs.submit(ADA, spec, validate_only=True)
    assert f"waits for {first} of its name" in seen.status_message


async def test_of_many_at_once_one_has_the_turn_and_never_two(waiting: Waiting):
    database = waiting.world.database
    jobs = await asyncio.gather(*(waiting.submit(ALONE, name="n") for _ in range(12)))
    # Another server that does the same duty at the same time.
    other = DependenciesService(
        database, waiting.clock, waiting.world.cluster.first_reason, lambda _job_id: None
    )
    for left in range(12, 0, -1):
        rows = [await waiting.job(one) for one in jobs]
        ready = [row.job_id for row in rows if row.status not in FINAL and not row.held]
        assert len(ready) == 1, left
        key = SingletonKey("default", "ada", "n")
        assert await database.read(lambda tx: tx.singletons.holder(key)) == ready[0]  # noqa: B023
        await waiting.succeed(ready[0])
        await asyncio.gather(
            waiting.service.look(ready), other.look(ready), waiting.submit(name="another")
        )
        await waiting.settle()
    assert {(await waiting.job(one)).status in FINAL for one in jobs} == {True}


async def test_who_was_numbered_earlier_and_comes_later_does_not_run_beside(waiting: Waiting):
    spec = waiting.spec((ALONE,))
    spec.name = "n"
    ahead = await waiting.submit(ALONE, name="n")
    slow = copy(waiting.jobs)
    slow._ids = EarlierIds()
    late = (await slow.submit(ADA, spec)).job_id
    assert late < ahead
    assert await states(waiting, [ahead, late]) == ["READY", "WAITS"]
    third = await waiting.submit(ALONE, name="n")
    await waiting.succeed(ahead)
    assert await states(waiting, [late, third]) == ["READY", "WAITS"]
