"""A job, and a page of them, is read whole and as it is now, whatever the reader still keeps."""

import pytest

from tests.support.databases import database, database_url, engines
from tests.support.fake_clock import FakeClock
from tests.support.jobs import add_jobs, add_projects, job_columns
from windlass.jobs.v1 import job_pb2
from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.access.policy import Caller, Role
from windlass_server.errors import NotFound
from windlass_server.jobs import reader as reader_module
from windlass_server.jobs.reader import JobReader
from windlass_server.paging import PageTokens
from windlass_server.storage.guard import acting_as
from windlass_server.storage.jobs import JobFilter

__all__ = ["database", "database_url", "engines"]
ADA = Caller(user="ada", roles={"default": Role.VIEWER})


async def test_a_page_is_whole_when_keeping_one_of_its_jobs_drops_the_others(database, monkeypatch):
    monkeypatch.setattr(reader_module, "_KEPT_JOBS", 10)
    jobs = [job_columns() for _ in range(10)]
    reader = JobReader(database, PageTokens(b"k" * 32), FakeClock())
    wanted = JobFilter("default")
    with acting_as("test"):
        await database.write(lambda tx: add_projects(tx, "default"))
        await database.write(lambda tx: add_jobs(tx, *jobs))
        await reader.page(wanted, size=10, token="")
        await database.write(lambda tx: tx.jobs.change(jobs[9]["job_id"], 1, status=2))
        page = pb.ListJobsResponse.FromString(await reader.page(wanted, size=10, token=""))
    assert [job.job_id for job in page.jobs] == [job["job_id"] for job in reversed(jobs)]
    assert page.jobs[0].status == 2


@pytest.mark.parametrize("length", [0, 100, 1000, 10_000], ids="{} bytes".format)
async def test_a_job_is_read_as_it_is_now_however_often_it_was_read_before(database, length):
    job = job_columns(status_message="m" * length)
    reader = JobReader(database, PageTokens(b"k" * 32), FakeClock())

    async def read() -> job_pb2.Job:
        return job_pb2.Job.FromString(await reader.get(ADA, job["job_id"]))

    with acting_as("test"):
        await database.write(lambda tx: add_projects(tx, "default"))
        await database.write(lambda tx: add_jobs(tx, job))
        first, again = await read(), await read()
        await database.write(lambda tx: tx.jobs.change(job["job_id"], 1, status=2))
        changed = await read()
        page = pb.ListJobsResponse.FromString(
            await reader.page(JobFilter("default"), size=1, token="")
        )
    assert first == again
    assert (first.status, first.status_message) == (1, "m" * length)
    assert (changed.status, changed.etag) == (2, "2")
    assert page.jobs[0] == changed


async def test_a_job_that_is_kept_is_none_for_those_who_may_not_see_it(database):
    job = job_columns()
    reader = JobReader(database, PageTokens(b"k" * 32), FakeClock())
    stranger = Caller(user="eve", roles={"theirs": Role.ADMIN})
    with acting_as("test"):
        await database.write(lambda tx: add_projects(tx, "default"))
        await database.write(lambda tx: add_jobs(tx, job))
        await reader.get(ADA, job["job_id"])
        with pytest.raises(NotFound):
            await reader.get(stranger, job["job_id"])
        with pytest.raises(NotFound):
            await reader.get(ADA, "job-" + "0" * 26)
