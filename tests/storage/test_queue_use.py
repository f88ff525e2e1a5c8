"""What queues let in and let start, what jobs get of them, and what holds at the commit."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.databases import acting
from tests.support.jobs import add_projects
from tests.support.nodes import GIB, an_inventory
from tests.support.queues import add_queue, change_queue, queues_service
from tests.support.remote_runs import nowhere_else
from tests.support.scheduled_world import ADA, ScheduledWorld
from windlass.jobs.v1 import job_pb2, queue_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import (
    Denied,
    Exhausted,
    InvalidInput,
    NotFound,
    WindlassError,
    WrongState,
)
from windlass_server.ids import IdSource
from windlass_server.jobs.batches import JobBatches
from windlass_server.jobs.messages import to_proto
from windlass_server.jobs.retrying import RetriesService, Retry
from windlass_server.jobs.service import JobHints, JobsService
from windlass_server.jobs.states import Status
from windlass_server.jobs.templated_jobs import TemplatedJobs
from windlass_server.paging import PageTokens
from windlass_server.rpc.validation import Validation
from windlass_server.scheduler.plan import Placement
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

BOB = Caller("bob", default_project="default", roles={"default": Role.DEVELOPER})
VIC = Caller("vic", default_project="vision", roles={"vision": Role.DEVELOPER})
Queue = queue_pb2.Queue


class World(ScheduledWorld):
    """A cluster with a queue `nightly`."""

    jobs: JobsService
    retries: RetriesService
    batches: JobBatches

    async def submit(self, who: Caller = ADA, **fields: Any) -> JobRow:
        validate_only = fields.pop("validate_only", False)
        project = who.default_project or "default"
        spec = job_pb2.Job(**{"command": ["true"], "queue": "nightly", "project": project} | fields)
        return await self.jobs.submit(who, spec, validate_only=validate_only)

    async def schedule(self) -> None:
        self.scheduling.world_changed()
        await self.scheduling.cycle()

    async def statuses(self, *jobs: JobRow) -> list[str]:
        rows = [await self.job(one.job_id) for one in jobs]
        return [
            row.status_reason if row.status == Status.QUEUED else Status(row.status).name
            for row in rows
        ]

    async def place(self, job: JobRow, node_id: str) -> bool:
        placement = Placement(job.job_id, node_id, ())
        return await self.runs.place(
            placement, attempt=job.attempt + 1, version=job.version, epoch=1
        )

    async def end(self, job: JobRow) -> None:
        await self.report(job.job_id, "EXITED", cause="COMPLETED", exit_code=0)


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[World]:
    world = await World.start(database, tmp_path)
    await database.write(lambda tx: add_projects(tx, "vision"))
    ids, clock = IdSource(world.clock), world.clock
    world.jobs = JobsService(
        database,
        world.cluster,
        clock,
        ids,
        PageTokens(b"k" * 32),
        JobHints(lambda _job_id: None, lambda _node_id: None),
        nowhere_else(database, world.logs, clock, ids),
    )
    world.retries = RetriesService(database, world.jobs, Validation().check)
    world.batches = JobBatches(database, world.jobs, TemplatedJobs(database, Validation().check))
    inventory = an_inventory(gpus=8, cpu_millis=64_000, memory_bytes=99 * GIB)
    await world.add_node(
        "n",
        inventory=inventory.SerializeToString(),
        cpu_millis=inventory.cpu_millis,
        memory_bytes=inventory.memory_bytes,
    )
    await add_queue(database)
    yield world
    await world.logs.close()


async def test_a_job_gets_of_its_queue_what_it_does_not_say_itself(world: World):
    defaults: dict[str, Any] = {
        "priority": 7,
        "time_limit": {"seconds": 60},
        "preemptible": False,
        "retry": {"max_attempts": 3},
    }
    await change_queue(world.database, defaults=defaults)
    job = to_proto(await world.submit())
    assert (job.queue, job.priority, job.time_limit.seconds) == ("nightly", 7, 60)
    assert (job.preemptible, job.retry.max_attempts) == (False, 3)
    own: dict[str, Any] = {
        "priority": 0,
        "time_limit": {"seconds": 5},
        "preemptible": True,
        "retry": {"max_attempts": 1},
    }
    job = to_proto(await world.submit(**own))
    assert (job.priority, job.time_limit.seconds, job.preemptible) == (0, 5, True)
    assert job.retry.max_attempts == 1
    assert to_proto(await world.submit(queue="")).priority == 0


async def test_a_job_without_a_time_limit_gets_the_longest_that_its_queue_allows(world: World):
    await change_queue(world.database, limits={"time_limit": {"seconds": 90}})
    job = await world.submit()
    assert to_proto(job).time_limit.seconds == 90
    assert job.longest_run == 100_000_000


async def test_the_same_request_has_the_same_answer_when_the_defaults_have_changed(world: World):
    spec = job_pb2.Job(command=["true"], queue="nightly", project="default")
    first = await world.jobs.submit(ADA, spec, request_id="r")
    await change_queue(world.database, defaults={"priority": 9}, state=Queue.CLOSED)
    assert (await world.jobs.submit(ADA, spec, request_id="r")).job_id == first.job_id


LARGE: dict[str, Any] = {
    "nodes": 3,
    "time_limit": {"seconds": 61},
    "resources": {"gpu_count": 2, "gpu_type": "H100"},
}


async def test_everything_that_is_too_large_for_a_queue_is_told_at_once(world: World):
    limits = {"time_limit": {"seconds": 60}, "nodes_per_job": 2, "gpu_millis_per_job": 5999}
    await change_queue(world.database, limits=limits)
    for validate_only in (False, True):
        with pytest.raises(InvalidInput) as refused:
            await world.submit(validate_only=validate_only, **LARGE)
        assert refused.value.reason == "EXCEEDS_QUEUE_LIMIT"
        assert [(one.field, one.description) for one in refused.value.violations] == [
            ("job.time_limit", "is 61s, and queue nightly allows 60s at most"),
            ("job.nodes", "is 3 nodes, and queue nightly allows 2 at most"),
            ("job.resources.gpu_count", "is 6 GPUs, and queue nightly allows 5.999 GPUs at most"),
        ]
    share = {"gpu_count": 1, "gpu_millis": 500}
    await change_queue(world.database, limits={"gpu_millis_per_job": 400})
    with pytest.raises(InvalidInput) as refused:
        await world.submit(resources=share)
    assert [one.field for one in refused.value.violations] == ["job.resources.gpu_millis"]


FOR_OTHERS: list[dict[str, Any]] = [
    {"allowed_projects": ["vision"]},
    {"allowed_users": ["ann"]},
    {"min_role": "ADMIN"},
]


@pytest.mark.parametrize("said", FOR_OTHERS, ids=[next(iter(one)) for one in FOR_OTHERS])
async def test_who_a_queue_is_not_for_may_not_submit_to_it(world: World, said: dict[str, Any]):
    await change_queue(world.database, **said)
    for validate_only in (False, True):
        with pytest.raises(Denied) as refused:
            await world.submit(BOB, validate_only=validate_only)
        assert refused.value.reason == "QUEUE_NOT_ALLOWED"
    everybody = {"allowed_projects": ["default"], "allowed_users": ["bob"], "min_role": "DEVELOPER"}
    await change_queue(world.database, **everybody)  # type: ignore[arg-type]
    assert await world.submit(BOB)


async def refusal(world: World, who: Caller = ADA, **fields: Any) -> WindlassError:
    with pytest.raises(WindlassError) as refused:
        await world.submit(who, **fields)
    return refused.value


async def test_a_queue_that_there_is_not_is_not_found_and_the_near_ones_are_told(world: World):
    for validate_only in (False, True):
        error = await refusal(world, queue="nigthly", validate_only=validate_only)
        assert isinstance(error, NotFound)
        assert (error.reason, error.metadata["near"]) == ("QUEUE_NOT_FOUND", "nightly")
        assert error.message == "there is no queue 'nigthly'; did you mean nightly?"


async def test_a_closed_queue_takes_nothing_and_what_waits_in_it_starts(world: World):
    job = await world.submit()
    await change_queue(world.database, state=Queue.CLOSED)
    for validate_only in (False, True):
        error = await refusal(world, validate_only=validate_only)
        assert isinstance(error, WrongState)
        assert error.reason == "QUEUE_CLOSED"
    await world.schedule()
    assert await world.statuses(job) == ["SCHEDULED"]


async def test_a_paused_queue_takes_jobs_and_none_starts_until_it_is_open(world: World):
    await change_queue(world.database, state=Queue.PAUSED)
    job, other = await world.submit(), await world.submit(queue="default")
    await world.schedule()
    assert await world.statuses(job, other) == ["QUEUE_PAUSED", "SCHEDULED"]
    await change_queue(world.database, state=Queue.OPEN)
    await world.schedule()
    assert await world.statuses(job) == ["SCHEDULED"]


async def test_no_more_of_a_queue_run_than_may_and_the_next_starts_when_one_ends(world: World):
    await change_queue(world.database, limits={"running_jobs": 2, "running_jobs_per_user": 1})
    jobs = [await world.submit(who) for who in (ADA, ADA, BOB, BOB)]
    await world.schedule()
    assert await world.statuses(*jobs) == ["SCHEDULED", "QUEUE_LIMIT", "SCHEDULED", "QUEUE_LIMIT"]
    await world.end(jobs[0])
    await world.schedule()
    assert await world.statuses(*jobs[1:]) == ["SCHEDULED", "SCHEDULED", "QUEUE_LIMIT"]


async def test_what_a_plan_did_not_know_yet_is_held_to_at_the_commit(world: World):
    (node,) = await world.database.read(lambda tx: [one.node_id for one in tx.nodes.all()])
    first, second, third = [await world.submit() for _ in range(3)]
    await change_queue(world.database, limits={"running_jobs": 1})
    assert [await world.place(one, node) for one in (first, second)] == [True, False]
    await change_queue(world.database, limits={}, state=Queue.PAUSED)
    assert not await world.place(third, node)
    await change_queue(world.database, state=Queue.OPEN)
    assert await world.place(third, node)


async def test_as_many_wait_as_may_also_of_each_user(world: World):
    await change_queue(world.database, limits={"queued_jobs": 2, "queued_jobs_per_user": 1})
    await world.submit(BOB)
    for validate_only in (False, True):
        error = await refusal(world, BOB, validate_only=validate_only)
        assert isinstance(error, Exhausted)
        assert (error.reason, error.metadata["dimension"]) == (
            "QUEUE_LIMIT",
            "queued_jobs_per_user",
        )
    assert await world.submit(queue="default", who=BOB)
    await world.submit()
    error = await refusal(world)
    assert (error.metadata["dimension"], error.metadata["bound"]) == ("queued_jobs", "2")
    assert error.message == "queue nightly has 2 waiting jobs of the 2 that it allows"
    await world.schedule()
    assert await world.submit()


async def test_of_many_at_once_as_many_are_let_in_as_may(world: World):
    await change_queue(world.database, limits={"queued_jobs": 3})
    answers = await asyncio.gather(*(world.submit() for _ in range(6)), return_exceptions=True)
    assert sum(isinstance(one, JobRow) or hasattr(one, "job_id") for one in answers) == 3
    assert sum(isinstance(one, Exhausted) for one in answers) == 3
    await change_queue(world.database, limits={"queued_jobs": 7})
    specs = [job_pb2.Job(command=["true"], queue="nightly", project="default")] * 9
    batch = await world.batches.submit(ADA, specs, check=lambda _: None)
    assert [isinstance(one, Exhausted) for one in batch] == [False] * 4 + [True] * 5


async def test_a_retry_goes_by_the_queue_that_its_job_was_moved_to(world: World):
    job = await world.submit()
    await add_queue(world.database, "other")
    await queues_service(world.database, world.clock).delete(
        ADMIN, "nightly", etag="", move_to="other"
    )
    await world.jobs.cancel(ADA, job.job_id, reason="")
    again = await world.retries.retry(ADA, Retry(job.job_id))
    assert (again.queue, to_proto(again).queue) == ("other", "other")
    await world.jobs.cancel(ADA, again.job_id, reason="")
    await change_queue(world.database, "other", state=Queue.CLOSED)
    with pytest.raises(WrongState):
        await world.retries.retry(ADA, Retry(job.job_id))


async def test_what_ran_may_wait_again_in_a_full_queue(world: World):
    job = await world.submit()
    await world.schedule()
    await change_queue(world.database, limits={"queued_jobs": 0}, state=Queue.CLOSED)
    await world.report(job.job_id, "EXITED", cause="NODE_SHUTDOWN")
    assert (await world.job(job.job_id)).status == Status.QUEUED


async def test_a_frozen_job_keeps_its_place_of_those_that_its_queue_has(world: World):
    await change_queue(world.database, limits={"running_jobs": 1})
    frozen = await world.submit()
    await world.schedule()
    job = await world.job(frozen.job_id)
    values = {"status": int(Status.SUSPENDED), "frozen": True}
    await world.database.write(lambda tx: tx.jobs.change(job.job_id, job.version, **values))
    second = await world.submit()
    await world.schedule()
    assert await world.statuses(second) == ["QUEUE_LIMIT"]
    (node,) = await world.database.read(lambda tx: [one.node_id for one in tx.nodes.all()])
    assert not await world.place(await world.job(second.job_id), node)
