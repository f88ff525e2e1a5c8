"""Reads jobs as they go over the wire, without making anew what has not changed.

A job at a version never changes, so its serialized form is kept by (job_id, version): a read asks the
database only which version each job is at, and loads those that it does not hold. That makes a page of
fifty jobs about as cheap as its one query, and stays right with any number of servers, because the
database is asked each time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class _Page:
    """What a read found.

    Attributes:
        keys: id and version of each job of the page, in order.
        known: those whose serialized form was kept already.
        rows: the others.
        more: whether there is a next page.
    """

    keys: Sequence[tuple[str, int]]
    known: Mapping[tuple[str, int], bytes]
    rows: Sequence[JobRow]
    more: bool


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
        page = await self._database.read(lambda tx: self._load(tx, wanted, before, size))
        pieces = self._serialize(page)
        if page.more:
            next_token = self._page_tokens.make(query, page.keys[-1][0])
            pieces.append(pb.ListJobsResponse(next_page_token=next_token).SerializeToString())
        return b"".join(pieces)

    def _load(self, tx: Transaction, wanted: JobFilter, before: str, size: int) -> _Page:
        heads = tx.jobs.page_of_heads(wanted, before=before, size=size + 1)
        keys = [(head.job_id, head.version) for head in heads[:size]]
        known = {key: kept for key in keys if (kept := self._kept.get(key)) is not None}
        missing = [job_id for job_id, version in keys if (job_id, version) not in known]
        rows = tx.jobs.of_ids(missing) if missing else ()
        return _Page(keys, known, rows, more=len(heads) > size)

    def _serialize(self, page: _Page) -> list[bytes]:
        fresh = {
            (row.job_id, row.version): pb.ListJobsResponse(jobs=[to_proto(row)]).SerializeToString()
            for row in page.rows
        }
        if len(self._kept) + len(fresh) > _KEPT_JOBS:
            # The oldest half goes; dictionaries keep the order of insertion.
            for key in list(self._kept)[: _KEPT_JOBS // 2]:
                del self._kept[key]
        self._kept |= fresh
        found = {**page.known, **fresh}
        return [found[key] for key in page.keys]
