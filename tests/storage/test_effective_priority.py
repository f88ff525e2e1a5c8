"""By which priority a waiting job is served, and what is said of why."""

import pytest

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.fake_clock import FakeClock
from tests.support.jobs import add_jobs, add_projects, job_columns
from windlass.jobs.v1 import job_pb2
from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass.resources.v1 import scheduling_policy_pb2
from windlass_server.jobs.dependency_rules import Held
from windlass_server.jobs.reader import JobReader
from windlass_server.jobs.states import Status
from windlass_server.paging import PageTokens
from windlass_server.resources.scheduling_policies import SchedulingPoliciesService
from windlass_server.storage.engine import Database
from windlass_server.storage.jobs import JobFilter

pytestmark = pytest.mark.usefixtures("acting")

TOKENS = PageTokens(b"k" * 32)
HOUR = 3600
AGED = "{} of at most 100 were added for {} of waiting"
BEHIND = "30 is that of a job that waits for it"


class World:
    """A job that was submitted at the beginning, and what its readers are told."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = FakeClock()
        self.reader = JobReader(database, TOKENS, self.clock)

    async def add(self, **values: object) -> str:
        job = job_columns(created_at=self.clock.now(), **values)
        await self.database.write(lambda tx: add_projects(tx, "default"))
        await self.database.write(lambda tx: add_jobs(tx, job))
        return str(job["job_id"])

    async def policy(self, policy_id: str, boost: int, over: int = 100 * HOUR) -> None:
        """Priorities grow by so much within so many seconds."""
        policies = SchedulingPoliciesService(self.database, self.clock, TOKENS, lambda: None)
        wanted = scheduling_policy_pb2.SchedulingPolicy(policy_id=policy_id, aging={"boost": boost})
        wanted.aging.over.FromSeconds(over)
        await policies.update(ADMIN, wanted, [])

    async def read(self, job_id: str) -> job_pb2.Job:
        return job_pb2.Job.FromString(await self.reader.get(ADMIN, job_id))

    async def served(self, job_id: str) -> tuple[int, str]:
        job = await self.read(job_id)
        assert job.HasField("effective_priority")
        return job.effective_priority, job.priority_message


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


async def test_without_age_or_followers_a_job_is_served_by_its_own(world: World):
    job_id = await world.add(priority=7)
    assert await world.served(job_id) == (7, "")
    await world.policy("queue.other", 100)
    world.clock.advance(10 * HOUR)
    assert await world.served(job_id) == (7, "")


async def test_age_adds_to_it_as_its_policy_says(world: World):
    job_id = await world.add(priority=-5)
    await world.policy("default", 100)
    world.clock.advance(HOUR // 2)
    assert await world.served(job_id) == (-5, "")
    world.clock.advance(11 * HOUR)
    assert await world.served(job_id) == (6, AGED.format(11, "11h"))
    world.clock.advance(1000 * HOUR)
    assert await world.served(job_id) == (95, AGED.format(100, "42d"))
    await world.policy("queue.default", 0)
    assert await world.served(job_id) == (-5, "")


async def test_a_short_wait_is_told_to_the_second(world: World):
    job_id = await world.add()
    await world.policy("default", 100, over=60)
    world.clock.advance(9)
    assert await world.served(job_id) == (15, AGED.format(15, "9s"))


async def test_who_waits_for_it_lends_it_his(world: World):
    job_id = await world.add(priority=30, asked_priority=5)
    assert await world.served(job_id) == (30, BEHIND)
    await world.policy("default", 100)
    world.clock.advance(12 * HOUR)
    assert await world.served(job_id) == (42, f"{BEHIND}; {AGED.format(12, '12h')}")
    wanted = JobFilter("default")
    page = pb.ListJobsResponse.FromString(await world.reader.page(wanted, size=1, token=""))
    assert (page.jobs[0].effective_priority, page.jobs[0].priority_message) == (30, BEHIND)


@pytest.mark.parametrize(
    "values",
    [{"status": int(Status.RUNNING)}, {"status": int(Status.SUCCEEDED)}],
    ids=["runs", "has ended"],
)
async def test_of_what_does_not_wait_nothing_is_said(world: World, values: dict[str, object]):
    job_id = await world.add(priority=30, asked_priority=5, **values)
    await world.policy("default", 100)
    world.clock.advance(12 * HOUR)
    job = await world.read(job_id)
    assert (job.HasField("effective_priority"), job.priority_message) == (False, "")


async def test_age_begins_when_a_job_is_let_in(world: World):
    held = await world.add(held=int(Held.JOBS))
    later = await world.add(start_after=world.clock.now() + 10 * HOUR * 1_000_000)
    await world.policy("default", 100)
    world.clock.advance(12 * HOUR)
    assert await world.served(held) == (0, "")
    assert await world.served(later) == (2, AGED.format(2, "2h"))
