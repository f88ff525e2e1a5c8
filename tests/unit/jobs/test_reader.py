"""A page of jobs is whole whatever the reader still keeps."""

from tests.support.databases import database, database_url, engines
from tests.support.jobs import add_jobs, add_projects, job_columns
from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.jobs import reader as reader_module
from windlass_server.jobs.reader import JobReader
from windlass_server.paging import PageTokens
from windlass_server.storage.guard import acting_as
from windlass_server.storage.jobs import JobFilter

__all__ = ["database", "database_url", "engines"]


async def test_a_page_is_whole_when_keeping_one_of_its_jobs_drops_the_others(database, monkeypatch):
    monkeypatch.setattr(reader_module, "_KEPT_JOBS", 10)
    jobs = [job_columns() for _ in range(10)]
    reader = JobReader(database, PageTokens(b"k" * 32))
    wanted = JobFilter("default")
    with acting_as("test"):
        await database.write(lambda tx: add_projects(tx, "default"))
        await database.write(lambda tx: add_jobs(tx, *jobs))
        await reader.page(wanted, size=10, token="")
        await database.write(lambda tx: tx.jobs.change(jobs[9]["job_id"], 1, status=2))
        page = pb.ListJobsResponse.FromString(await reader.page(wanted, size=10, token=""))
    assert [job.job_id for job in page.jobs] == [job["job_id"] for job in reversed(jobs)]
    assert page.jobs[0].status == 2
