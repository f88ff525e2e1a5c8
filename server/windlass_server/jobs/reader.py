"""Reads jobs as they go over the wire, without making anew what has not changed.

A job at a version never changes, so its serialized form is kept by (job_id, version): a read asks the
database only which version each job is at, and loads those that it does not hold. That makes a page of
fifty jobs about as cheap as its one query, and stays right with any number of servers, because the
database is asked each time.
"""

from collections.abc import Iterable, Sequence

from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.access.policy import Caller, absent, require_object
from windlass_server.jobs.messages import to_proto
from windlass_server.paging import PageTokens, page_size
from windlass_server.storage.engine import Database
from windlass_server.storage.jobs import JobFilter
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction

# About 1 KiB each with everything around it.
_KEPT_JOBS = 20_000


class JobReader:
    """Answers GetJob and ListJobs with serialized messages."""

    def __init__(self, database: Database, page_tokens: PageTokens) -> None:
        self._database = database
        self._page_tokens = page_tokens
        # Each value is a ListJobsResponse with this one job: concatenated, they are one with all.
        self._kept: dict[tuple[str, int], bytes] = {}

    async def get(self, who: Caller, job_id: str) -> bytes:
        """A serialized `Job`; NotFound when there is none that the caller may see."""
        job = await self._database.read(lambda tx: tx.jobs.get(job_id))
        if job is None:
            raise absent("job", job_id)
        require_object(who, "jobs.get", job.project, kind="job", object_id=job_id)
        return to_proto(job).SerializeToString()

    async def page(self, wanted: JobFilter, *, size: int, token: str) -> bytes:
        """A serialized `ListJobsResponse`: a page of a project's jobs, newest first."""
        size = page_size(size)
        query = f"jobs {wanted}"
        before = self._page_tokens.read(query, token) if token else ""
        pieces, last = await self._database.read(lambda tx: self._page(tx, wanted, before, size))
        if last:
            next_token = self._page_tokens.make(query, last)
            pieces.append(pb.ListJobsResponse(next_page_token=next_token).SerializeToString())
        return b"".join(pieces)

    def _page(
        self, tx: Transaction, wanted: JobFilter, before: str, size: int
    ) -> tuple[list[bytes], str]:
        """The page's serialized jobs, and the last one's id when there are more."""
        heads = tx.jobs.page_of_heads(wanted, before=before, size=size + 1)
        shown = heads[:size]
        self._keep(tx, [head for head in shown if (head.job_id, head.version) not in self._kept])
        pieces = [self._kept[head.job_id, head.version] for head in shown]
        return pieces, shown[-1].job_id if len(heads) > size else ""

    def _keep(self, tx: Transaction, missing: Sequence[JobRow]) -> None:
        if len(self._kept) + len(missing) > _KEPT_JOBS:
            # The oldest half goes; dictionaries keep the order of insertion.
            self._drop(list(self._kept)[: _KEPT_JOBS // 2])
        for row in tx.jobs.of_ids([head.job_id for head in missing]) if missing else ():
            page = pb.ListJobsResponse(jobs=[to_proto(row)])
            self._kept[row.job_id, row.version] = page.SerializeToString()

    def _drop(self, keys: Iterable[tuple[str, int]]) -> None:
        for key in keys:
            del self._kept[key]
