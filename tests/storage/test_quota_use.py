"""No project or user gets more than its quota allows, whoever asks at once, and the counts are exact."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.databases import acting
from tests.support.jobs import add_projects
from tests.support.nodes import GIB, an_inventory
from tests.support.quotas import a_quota, quotas_service, require_counted, set_quota
from tests.support.remote_runs import nowhere_else
from tests.support.scheduled_world import ADA, ScheduledWorld
from windlass.access.v1 import quota_pb2
from windlass.agents.v1 import agent_pb2
from windlass.jobs.v1 import job_pb2
from windlass.resources.v1 import allocation_pb2, resources_service_pb2
from windlass.types.v1 import types_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.access.quota_message import quota_message
from windlass_server.errors import Conflict, InvalidInput, QuotaExceeded
from windlass_server.ids import IdSource
from windlass_server.jobs.service import JobHints, JobsService
from windlass_server.jobs.states import Status
from windlass_server.paging import PageTokens
from windlass_server.scheduler.plan import Placement
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import AllocationRow, JobRow

__all__ = ["acting"]
pytestmark = pytest.mark.usefixtures("acting")

BOB = Caller("bob", default_project="default", roles={"default": Role.DEVELOPER})
VISION = Caller("vic", default_project="vision", roles={"vision": Role.DEVELOPER})


class World(ScheduledWorld):
    """A cluster with quotas."""

    jobs: JobsService

    async def add_gpu_node(self, name: str = "n", gpus: int = 8, gpu_type: str = "H100") -> str:
        inventory = an_inventory(
            gpus=gpus, gpu_type=gpu_type, cpu_millis=64_000, memory_bytes=99 * GIB
        )
        return await self.add_node(
            name,
            inventory=inventory.SerializeToString(),
            cpu_millis=inventory.cpu_millis,
            memory_bytes=inventory.memory_bytes,
        )  # fmt: skip

    async def submit(self, gpus: int = 1, who: Caller = ADA, **resources: Any) -> str:
        several = {name: resources.pop(name, 0) for name in ("nodes", "min_nodes")}
        asked = types_pb2.ResourceRequest(gpu_count=gpus, **resources)
        project = who.default_project or "default"
        spec = job_pb2.Job(command=["true"], resources=asked, project=project, **several)
        return (await self.jobs.submit(who, spec)).job_id

    async def allocate(self, gpus: int = 1, who: Caller = BOB, **wanted: Any) -> AllocationRow:
        exclusive = wanted.pop("exclusive", False)
        request = resources_service_pb2.AllocateRequest(
            resources=types_pb2.ResourceRequest(gpu_count=gpus, **wanted),
            constraints=allocation_pb2.AllocationConstraints(exclusive_node=exclusive),
        )
        return await self.allocations.allocate(who, request)

    async def schedule(self) -> None:
        self.scheduling.world_changed()
        await self.scheduling.cycle()

    async def running(self, *job_ids: str) -> list[bool]:
        return [(await self.job(one)).status == Status.SCHEDULED for one in job_ids]

    async def end(self, job_id: str, cause: str = "COMPLETED") -> None:
        await self.report(job_id, "EXITED", cause=cause, exit_code=0)

    async def place(self, job_id: str, node_id: str, *gpus: str) -> bool:
        job = await self.job(job_id)
        placement = Placement(job_id, node_id, gpus)
        return await self.runs.place(
            placement, attempt=job.attempt + 1, version=job.version, epoch=1
        )

    async def quota(self, quota_id: str) -> quota_pb2.Quota:
        return quota_message(await quotas_service(self.database, self.clock).get(ADMIN, quota_id))

    async def change(self, quota_id: str, **values: Any) -> quota_pb2.Quota:
        new = quota_pb2.Quota(quota_id=quota_id, **values)
        service = quotas_service(self.database, self.clock)
        return quota_message(await service.update(ADMIN, new, []))


@pytest.fixture
async def world(database: Database, tmp_path: Path, acting: None) -> AsyncIterator[World]:
    world = await World.start(database, tmp_path)
    await database.write(lambda tx: add_projects(tx, "vision", "idle"))
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
    yield world
    await require_counted(database)
    await world.logs.close()


async def test_a_job_beyond_the_quota_waits_with_the_numbers_until_another_ends(world: World):
    await world.add_gpu_node()
    quota = await set_quota(world.database, limit={"gpu_millis": 4000})
    first, second = await world.submit(3), await world.submit(2)
    await world.schedule()
    assert await world.running(first, second) == [True, False]
    job = await world.job(second)
    assert (job.status_reason, job.status_message) == (
        "QUOTA",
        "needs 2 GPUs; project default has 3 GPUs of the 4 GPUs that its quota allows",
    )
    use = (await world.quota(quota)).use
    assert (use.gpu_millis, use.cpu_millis, use.running_jobs, use.queued_jobs) == (3000, 1000, 1, 1)
    await world.end(first)
    await world.schedule()
    assert await world.running(second) == [True]


async def test_a_job_that_a_quota_keeps_back_stands_in_nobodys_way(world: World):
    await world.add_gpu_node(gpus=4)
    await set_quota(world.database, user="ada", limit={"running_jobs": 1})
    first, second = await world.submit(1), await world.submit(1)
    third = await world.submit(3, BOB)
    await world.schedule()
    assert await world.running(first, second, third) == [True, False, True]


async def test_what_is_more_than_the_quota_at_all_is_refused_at_once(world: World):
    await world.add_gpu_node()
    await set_quota(world.database, limit={"gpu_millis": 4000, "cpu_millis": 500})
    for refused in (world.submit(5), world.allocate(5)):
        with pytest.raises(InvalidInput) as error:
            await refused
        assert error.value.reason == "EXCEEDS_QUOTA"
        fields = [one.field.removeprefix("job.") for one in error.value.violations]
        assert fields == ["resources.gpu_count", "resources.cpu_millis"]
        assert "needs 5 GPUs; project default may have 4 GPUs at most" in error.value.message


async def test_an_allocation_beyond_the_quota_is_refused_until_another_ends(world: World):
    await world.add_gpu_node()
    quota = await set_quota(world.database, gpu_type="H100", limit={"gpu_millis": 4000})
    held = await world.allocate(3, gpu_type="H100")
    # Also when nobody says which type it shall be, and it is only seen which it would be.
    for asked in ({"gpu_type": "H100"}, {}):
        with pytest.raises(QuotaExceeded) as error:
            await world.allocate(2, **asked)
        assert error.value.reason == "QUOTA"
        (violation,) = error.value.violations
        assert (violation.subject, violation.metric) == ("project:default", "gpu_millis")
        assert (violation.quota_id, violation.bound) == (quota, 4000)
    assert "has 3 H100 of the 4 H100 that its quota allows" in violation.description
    assert (await world.quota(quota)).use == quota_pb2.QuotaUse(gpu_millis=3000)
    await world.allocations.release(BOB, held.allocation_id, force=False)
    await world.allocations.release(BOB, held.allocation_id, force=False)
    assert (await world.quota(quota)).use == quota_pb2.QuotaUse()
    await world.allocate(2)


async def test_a_whole_node_counts_with_all_that_it_has(world: World):
    await world.add_gpu_node()
    quota = await set_quota(world.database, limit={"gpu_millis": 4000})
    with pytest.raises(QuotaExceeded):
        await world.allocate(1, exclusive=True)
    await world.change(quota, limit={"gpu_millis": 8000})
    await world.allocate(1, exclusive=True)
    use = (await world.quota(quota)).use
    assert (use.gpu_millis, use.cpu_millis, use.memory_bytes) == (8000, 64_000, 99 * GIB)


async def test_a_quota_counts_what_its_owner_has_already(world: World):
    await world.add_gpu_node()
    first, waiting = await world.submit(2), await world.submit(8)
    await world.submit(0, VISION)
    await world.allocate(1)
    await world.schedule()
    assert await world.running(first, waiting) == [True, False]
    whole = await world.quota(await set_quota(world.database, limit={"gpu_millis": 8000}))
    assert (whole.use.gpu_millis, whole.use.running_jobs, whole.use.queued_jobs) == (3000, 1, 1)
    user = await world.quota(await set_quota(world.database, user="bob", limit={"gpu_millis": 1}))
    assert (user.use.gpu_millis, user.use.running_jobs, user.exceeded) == (1000, 0, True)


async def test_a_quota_that_is_lowered_below_what_is_held_lets_nothing_new_start(world: World):
    await world.add_gpu_node()
    quota = await set_quota(world.database, limit={"gpu_millis": 8000})
    first, second = await world.submit(3), await world.submit(3)
    await world.schedule()
    assert await world.running(first, second) == [True, True]
    now = await world.change(quota, limit={"gpu_millis": 2000})
    assert now.exceeded
    assert now.status_message == (
        "project default has 6 GPUs, 4 GPUs more than its quota allows; nothing new starts until "
        "enough has ended"
    )
    third, other = await world.submit(1), await world.submit(0)
    await world.schedule()
    # What it does not bound goes on.
    assert await world.running(first, second, third, other) == [True, True, False, True]
    await world.end(first)
    await world.schedule()
    assert (await world.quota(quota)).exceeded
    assert await world.running(third) == [False]
    await world.end(second)
    await world.schedule()
    assert not (await world.quota(quota)).exceeded
    assert await world.running(third) == [True]


async def test_a_job_of_several_nodes_counts_with_all_of_them_and_as_one_job(world: World):
    for number in range(3):
        await world.add_gpu_node(f"n{number}", gpus=2)
    quota = await set_quota(world.database, limit={"gpu_millis": 4000, "running_jobs": 1})
    with pytest.raises(InvalidInput):
        await world.submit(2, nodes=3)
    first, elastic = await world.submit(2, nodes=2), await world.submit(2, nodes=3, min_nodes=1)
    await world.schedule()
    assert await world.running(first, elastic) == [True, False]
    use = (await world.quota(quota)).use
    assert (use.gpu_millis, use.cpu_millis, use.running_jobs, use.queued_jobs) == (4000, 2000, 1, 1)
    await world.jobs.cancel(ADA, first, reason="")
    for run in await world.database.read(lambda tx: tx.runs.of_job(first)):
        report = agent_pb2.RunReport(run_id=run.run_id, epoch=run.epoch, state="EXITED")
        report.exit.cause = agent_pb2.RunExit.STOPPED
        await world.runs.report(run.node_id, report)
        await require_counted(world.database)
    await world.schedule()
    # On as many nodes as its quota allows.
    assert await world.running(elastic) == [True]
    use = (await world.quota(quota)).use
    assert (use.gpu_millis, use.running_jobs, use.queued_jobs) == (4000, 1, 0)


async def test_a_job_that_has_its_node_alone_counts_with_all_of_it(world: World):
    await world.add_gpu_node()
    quota = await set_quota(world.database, limit={"gpu_millis": 4000})
    job = await world.add_job(gpu_count=1, exclusive=True)
    await world.schedule()
    assert ((await world.job(job)).status_reason, await world.running(job)) == ("QUOTA", [False])
    await world.change(quota, limit={"gpu_millis": 8000})
    await world.schedule()
    assert await world.running(job) == [True]
    use = (await world.quota(quota)).use
    assert (use.gpu_millis, use.cpu_millis, use.memory_bytes) == (8000, 64_000, 99 * GIB)
    await world.end(job)


async def test_a_job_that_could_never_have_a_node_alone_is_refused(world: World):
    await world.add_gpu_node()
    quota = await set_quota(world.database, limit={"gpu_millis": 4000})
    spec = job_pb2.Job(command=["true"], project="default", exclusive_node=True)
    with pytest.raises(InvalidInput) as error:
        await world.jobs.submit(ADA, spec)
    (violation,) = error.value.violations
    assert (violation.field, violation.reason) == ("job.exclusive_node", "EXCEEDS_QUOTA")
    assert violation.description.startswith("needs 8 GPUs; project default may have 4 GPUs")
    await world.change(quota, limit={"gpu_millis": 8000})
    assert (await world.jobs.submit(ADA, spec)).project == "default"


async def test_only_so_many_jobs_wait_but_what_ran_may_always_wait_again(world: World):
    node = await world.add_gpu_node()
    quota = await set_quota(world.database, limit={"queued_jobs": 1})
    first = await world.submit(1)
    with pytest.raises(QuotaExceeded) as error:
        await world.submit(1)
    assert error.value.violations[0].metric == "queued_jobs"
    await world.schedule()
    second = await world.submit(8)
    await world.end(first, "NODE_SHUTDOWN")
    assert (await world.quota(quota)).use.queued_jobs == 2
    await world.jobs.cancel(ADA, second, reason="")
    await world.jobs.cancel(ADA, first, reason="")
    assert (await world.quota(quota)).use.queued_jobs == 0
    assert await world.database.read(lambda tx: tx.runs.active_on([node])) == []


async def test_a_job_that_is_only_checked_is_told_of_the_quota_too(world: World):
    await world.add_gpu_node()
    await set_quota(world.database, limit={"queued_jobs": 0})
    spec = job_pb2.Job(command=["true"], project="default")
    with pytest.raises(QuotaExceeded):
        await world.jobs.submit(ADA, spec, validate_only=True)


async def test_of_two_that_race_for_the_last_gpu_one_gets_it(world: World):
    nodes = [await world.add_gpu_node(f"n{number}") for number in range(2)]
    await set_quota(world.database, limit={"gpu_millis": 3000})
    for turn in range(4):
        jobs = [await world.submit(2) for _ in nodes]
        places = zip(jobs, nodes, strict=True)
        placed = await asyncio.gather(*(world.place(*one, "GPU-0", "GPU-1") for one in places))
        assert sorted(placed) == [False, True], turn
        await world.end(jobs[placed.index(True)])


async def test_of_two_projects_that_race_to_borrow_the_last_gpu_one_gets_it(world: World):
    nodes = [await world.add_gpu_node(f"n{number}") for number in range(2)]
    for project in ("default", "vision", "idle"):
        await set_quota(world.database, project=project, guaranteed={"gpu_millis": 1000})
    for turn in range(4):
        jobs = [await world.submit(2, who) for who in (ADA, VISION)]
        both = [(jobs[0], nodes[0], "GPU-0", "GPU-1"), (jobs[1], nodes[1], "GPU-0", "GPU-1")]
        placed = await asyncio.gather(*(world.place(*one) for one in both))
        assert sorted(placed) == [False, True], turn
        await world.end(jobs[placed.index(True)])


async def test_what_another_project_is_guaranteed_it_gets_though_it_was_borrowed(world: World):
    await world.add_gpu_node()
    await world.add_gpu_node("m")
    mine = await set_quota(world.database, guaranteed={"gpu_millis": 2000})
    await set_quota(world.database, project="vision", guaranteed={"gpu_millis": 4000})
    jobs = [await world.submit(3), await world.submit(3)]
    await world.schedule()
    assert await world.running(*jobs) == [True, True]
    now = await world.quota(mine)
    assert (now.borrowed.gpu_millis, now.borrowable.gpu_millis) == (4000, 0)
    theirs, more = await world.submit(4, VISION), await world.submit(1)
    await world.schedule()
    assert await world.running(theirs, more) == [True, False]
    assert (await world.job(more)).status_message == (
        "needs 1 GPU; project default has 6 GPUs, and beyond the 2 GPUs that it is guaranteed others "
        "leave 0 GPUs to borrow"
    )


async def test_the_database_itself_refuses_more_than_a_quota_allows(world: World):
    quota = await set_quota(world.database, guaranteed={"cpu_millis": 5}, borrowing_limit={"cpu_millis": 5})  # fmt: skip
    for used in (11, -1):
        with pytest.raises(IntegrityError):
            await world.database.write(
                lambda tx, used=used: tx.quotas.change(quota, used_cpu_millis=used)
            )
    await world.database.write(lambda tx: tx.quotas.change(quota, used_cpu_millis=10))
    await world.database.write(lambda tx: tx.quotas.change(quota, used_cpu_millis=0))


async def test_quotas_that_are_made_while_jobs_begin_and_end_count_each_of_them_once(world: World):
    nodes = [await world.add_gpu_node(f"n{number}") for number in range(3)]
    service = quotas_service(world.database, world.clock)
    for turn in range(3):
        jobs = [await world.submit(1) for _ in nodes]
        places = zip(jobs, nodes, strict=True)
        quota = service.create(ADMIN, a_quota(user="", limit={"gpu_millis": 99_000}))
        waiting = world.submit(1)
        view, waits, *_ = await asyncio.gather(
            quota, waiting, *(world.place(*one, "GPU-0") for one in places)
        )
        await require_counted(world.database)
        await service.delete(ADMIN, view.row.quota_id, "")
        quota = service.create(ADMIN, a_quota(user="ada", limit={"gpu_millis": 99_000}))
        view, *_ = await asyncio.gather(quota, *map(world.end, jobs))
        await require_counted(world.database)
        await service.delete(ADMIN, view.row.quota_id, "")
        await world.jobs.cancel(ADA, waits, reason=f"{turn}")


async def test_what_was_written_without_being_counted_is_counted_when_it_ends(world: World):
    await world.add_gpu_node()
    quota = await set_quota(world.database, limit={"gpu_millis": 8000})
    job = await world.add_job(gpu_count=2)
    await world.schedule()
    assert await world.running(job) == [True]
    use = (await world.quota(quota)).use
    assert (use.gpu_millis, use.running_jobs, use.queued_jobs) == (2000, 1, 0)


async def test_random_lives_leave_the_counts_exact(world: World):
    random = Random(5)
    for number in range(3):
        await world.add_gpu_node(f"n{number}", gpus=4, gpu_type=random.choice(("H100", "A100")))
    for values in (
        {"guaranteed": {"gpu_millis": 4000}, "limit": {"gpu_millis": 9000, "running_jobs": 6}},
        {"project": "vision", "guaranteed": {"gpu_millis": 4000}},
        {"user": "ada", "limit": {"cpu_millis": 5000, "queued_jobs": 9}},
        {"user": "bob", "gpu_type": "H100", "limit": {"gpu_millis": 2000}},
    ):
        await set_quota(world.database, **values)
    jobs: list[str] = []
    held: list[AllocationRow] = []
    for _ in range(60):
        await _something(world, random, jobs, held)
        await require_counted(world.database)


async def _something(
    world: World, random: Random, jobs: list[str], held: list[AllocationRow]
) -> None:
    who = random.choice((ADA, BOB, VISION))
    event = random.choice(("submit", "submit", "schedule", "end", "requeue", "cancel", "allocate", "release"))  # fmt: skip
    # What is refused is refused; every other error is one.
    with contextlib.suppress(QuotaExceeded, InvalidInput, Conflict):
        if event == "submit":
            kind = random.choice(("", "H100"))
            jobs.append(await world.submit(random.randint(0, 3), who, gpu_type=kind))
        elif event == "allocate":
            held.append(await world.allocate(random.randint(0, 2), random.choice((BOB, VISION))))
    if event == "schedule":
        await world.schedule()
    elif event == "release" and held:
        row = held.pop(random.randrange(len(held)))
        await world.allocations.release(ADMIN, row.allocation_id, force=True)
    elif event in ("end", "requeue", "cancel") and jobs:
        await _end(world, event, random.choice(jobs))


async def _end(world: World, event: str, job_id: str) -> None:
    job: JobRow = await world.job(job_id)
    if event == "cancel" and job.status in (Status.QUEUED, Status.SCHEDULED):
        await world.jobs.cancel(ADMIN, job_id, reason="")
    elif event != "cancel" and job.status in (Status.SCHEDULED, Status.CANCELLING):
        await world.end(job_id, "COMPLETED" if event == "end" else "NODE_SHUTDOWN")
