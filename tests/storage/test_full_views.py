"""All that is known of jobs, on both engines."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from tests.support.access import ORG_ADMIN as ADMIN
from tests.support.jobs import add_projects
from tests.support.scheduled_world import ADA
from tests.support.waiting_jobs import Waiting
from windlass.jobs.v1 import job_pb2, job_view_pb2, jobs_service_pb2
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import NotFound
from windlass_server.ids import IdSource
from windlass_server.jobs.full_views import around
from windlass_server.jobs.reader import JobReader
from windlass_server.jobs.states import Status
from windlass_server.paging import PageTokens
from windlass_server.resources.prices import PricesService, WantedPrice
from windlass_server.resources.usage import UsageQuery, UsageService
from windlass_server.resources.usage_message import usage_message
from windlass_server.storage.engine import Database
from windlass_server.storage.jobs import JobFilter

pytestmark = pytest.mark.usefixtures("acting")

BOB = Caller(user="bob", default_project="other", roles={"other": Role.ADMIN})
EVERYBODY = Caller(user="eve", roles={"default": Role.ADMIN, "other": Role.ADMIN})
CPU, MEMORY = 2, 3


class Site(Waiting):
    """A cluster of one node, and what reads its jobs."""

    @property
    def reader(self) -> JobReader:
        return JobReader(self.world.database, PageTokens(b"k" * 32), self.clock)

    async def full(self, job_id: str, who: Caller = ADA) -> job_pb2.Job:
        return await self.reader.full(who, job_id)

    async def said(self, job_id: str) -> dict[str, tuple[str, str]]:
        """Of each condition its status and its reason."""
        kind = job_view_pb2.JobCondition
        return {
            kind.Type.Name(one.type): (kind.Status.Name(one.status), one.reason)
            for one in (await self.full(job_id)).conditions
        }


@pytest.fixture
async def site(database: Database, tmp_path: Path) -> Site:
    made = await Site.start(database, tmp_path)
    assert isinstance(made, Site)
    return made


async def test_conditions_are_said_as_far_as_they_are_known(site: Site):
    first = await site.submit()
    assert await site.said(first) == {"SCHEDULED": ("FALSE", (await site.job(first)).status_reason)}
    behind = await site.submit(("AFTER_OK", first))
    assert await site.said(behind) == {"SCHEDULED": ("FALSE", "DEPENDENCY")}
    await site.world.cycle(first)
    assert await site.said(first) == {
        "SCHEDULED": ("TRUE", "PLACED"),
        "STARTED": ("FALSE", "PLACED"),
        "LOGS_COMPLETE": ("FALSE", "RUNNING"),
    }
    await site.world.report(first, "RUNNING")
    said = await site.said(first)
    assert said["STARTED"] == ("TRUE", "STARTED")
    assert said["DEGRADED"] == ("FALSE", "AS_ASKED")
    await site.world.report(
        first, "EXITED", cause="COMPLETED", exit_code=0, artifact_count=2, artifact_bytes=10
    )
    assert await site.said(first) == {
        "SCHEDULED": ("TRUE", "PLACED"),
        "STARTED": ("TRUE", "STARTED"),
        "DEGRADED": ("FALSE", "AS_ASKED"),
        "LOGS_COMPLETE": ("TRUE", "COMPLETE"),
        "ARTIFACTS_COLLECTED": ("TRUE", "ARTIFACTS_COLLECTED"),
    }
    job = await site.full(first)
    times = {one.type: one.time.ToMicroseconds() for one in job.conditions if one.HasField("time")}
    assert times[job_view_pb2.JobCondition.STARTED] == job.start_time.ToMicroseconds()
    assert times[job_view_pb2.JobCondition.ARTIFACTS_COLLECTED] == job.end_time.ToMicroseconds()


async def test_a_suspended_job_has_its_place_only_while_it_is_frozen(site: Site):
    job_id = await site.submit()
    await site.run(job_id)
    for frozen, scheduled in ((True, ("TRUE", "PLACED")), (False, ("FALSE", "STARTED"))):
        row = await site.job(job_id)
        values = {"status": int(Status.SUSPENDED), "frozen": frozen}
        await site.world.database.write(
            lambda tx, row=row, values=values: tx.jobs.change(job_id, row.version, **values)
        )
        assert (await site.said(job_id))["SCHEDULED"] == scheduled


async def test_what_is_lost_or_weaker_is_said(site: Site):
    job_id = await site.submit()
    await site.run(job_id)
    row = await site.job(job_id)
    weaker = job_pb2.Job().isolation
    weaker.degraded_reason = "no bwrap"
    await site.world.database.write(
        lambda tx: tx.jobs.change(job_id, row.version, isolation=weaker.SerializeToString())
    )
    await site.world.report(
        job_id,
        "EXITED",
        cause="COMPLETED",
        exit_code=0,
        artifact_problem="no room",
        log_end=10,
    )
    assert (await site.said(job_id))["LOGS_COMPLETE"] == ("FALSE", "ON_ITS_WAY")
    await site.world.database.write(
        lambda tx: tx.runs.change_all([(row.run_id, {"log_lost": "the disk broke"})])
    )
    said = await site.said(job_id)
    assert said["DEGRADED"] == ("TRUE", "WEAKER_ISOLATION")
    assert said["LOGS_COMPLETE"] == ("FALSE", "LOG_LOST")
    assert said["ARTIFACTS_COLLECTED"] == ("FALSE", "ARTIFACTS_NOT_COLLECTED")


async def test_ranks_are_those_of_the_last_attempt(site: Site):
    job_id = await site.submit()
    await site.run(job_id)
    (rank,) = (await site.full(job_id)).ranks
    assert (rank.rank, rank.state) == (0, job_view_pb2.JobRank.RUNNING)
    await site.world.report(job_id, "EXITED", cause="LOST")
    assert (await site.full(job_id)).ranks[0].end_cause == "LOST"
    site.clock.advance(60)
    await site.world.cycle(job_id)
    (again,) = (await site.full(job_id)).ranks
    assert (again.state, again.run_id != rank.run_id) == (job_view_pb2.JobRank.PLACED, True)
    await site.jobs.cancel(ADA, job_id, reason="")
    assert (await site.full(job_id)).ranks[0].state == job_view_pb2.JobRank.STOPPING


async def test_lineage_names_who_waits_and_who_retries_but_nobody_of_other_projects(site: Site):
    await site.world.database.write(lambda tx: add_projects(tx, "other"))
    first = await site.submit()
    behind = [await site.submit(("AFTER_ANY", first)), await site.submit(("AFTER", first))]
    foreign = site.spec((("AFTER_ANY", first),))
    foreign.project = "other"
    await site.jobs.submit(EVERYBODY, foreign)
    assert list((await site.full(first)).lineage.dependents) == behind
    await site.fail(first)
    await site.settle()
    retry = await site.retries.retry(ADA, a_retry(first))
    job = await site.full(first)
    assert list(job.lineage.retries) == [retry.job_id]
    assert not job.lineage.dependents
    with pytest.raises(NotFound):
        await site.full(first, BOB)


def a_retry(job_id: str) -> Any:
    from windlass_server.jobs.retrying import Retry

    return Retry(
        job_id=job_id, reason="", overrides=None, mask=(), from_scratch=False, request_id=""
    )


async def test_cost_so_far_is_what_the_ledger_of_usage_says(site: Site):
    database, clock = site.world.database, site.clock
    prices = PricesService(database, clock, IdSource(clock), PageTokens(b"k" * 32))
    job_id = await site.submit()
    assert not (await site.full(job_id)).HasField("cost")
    await site.run(job_id)
    clock.advance(1)
    assert (await site.full(job_id)).cost.currency == ""
    for resource in (CPU, MEMORY):
        await prices.set(ADMIN, WantedPrice(resource, "", 10**9, "EUR", None))
    await site.world.report(job_id, "EXITED", cause="LOST")
    clock.advance(60)
    await site.run(job_id)
    clock.advance(2)
    usage = UsageService(database, clock)
    for running in (True, False):
        ledger = await usage.get(ADMIN, UsageQuery(group_by=("holder_id",), start=1))
        (row,) = usage_message(ledger).rows
        cost = (await site.full(job_id)).cost
        assert (cost.cost, cost.currency) == (row.held.cost, "EUR")
        assert cost.cpu_core_seconds == row.held.cpu_core_seconds
        assert cost.memory_gib_seconds == row.held.memory_gib_seconds
        # A part was held before there were prices.
        assert cost.incomplete
        if running:
            await site.world.report(job_id, "EXITED", cause="COMPLETED", exit_code=0)
            ended = cost.cost
            clock.advance(3)
    assert cost.cost == ended


async def test_a_list_asks_as_often_for_many_jobs_as_for_one(site: Site):
    jobs = [await site.submit() for _ in range(30)]
    for job_id in jobs[:3]:
        await site.succeed(job_id)

    def asked(tx, job_ids: list[str]) -> int:
        statements: list[str] = []

        def note(_connection, _cursor, statement: str, *_others: Any) -> None:
            statements.append(statement)

        event.listen(tx.connection, "before_cursor_execute", note)
        around(tx, job_ids, site.clock.now())
        event.remove(tx.connection, "before_cursor_execute", note)
        return len(statements)

    counts = [
        await site.world.database.read(lambda tx, some=some: asked(tx, some))
        for some in (jobs[:1], jobs)
    ]
    assert counts[0] == counts[1] > 3


async def test_the_full_view_of_a_list_is_that_of_each_job_in_pages(site: Site):
    jobs = [await site.submit() for _ in range(5)]
    await site.succeed(jobs[0])
    for job_id in jobs[1:]:
        await site.submit(("AFTER_ANY", job_id))
    found: list[job_pb2.Job] = []
    token = ""
    while True:
        body = await site.reader.page(
            JobFilter("default"), size=2, token=token, view=job_pb2.Job.FULL
        )
        page = jobs_service_pb2.ListJobsResponse.FromString(body)
        found += page.jobs
        token = page.next_page_token
        if not token:
            break
    assert [one.job_id for one in found][-5:] == jobs[::-1]
    for one in found:
        assert one == await site.full(one.job_id)
    assert found[-1].ranks
    basic = await site.reader.page(JobFilter("default"), size=50, token="")
    for one in jobs_service_pb2.ListJobsResponse.FromString(basic).jobs:
        assert not {"conditions", "ranks", "cost", "lineage"} & {
            field.name for field, _ in one.ListFields()
        }
