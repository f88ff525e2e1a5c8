"""Reads jobs as they go over the wire, without making anew what has not changed.

A job at a version never changes, so its serialized form is kept by (job_id, version): a read asks the
database only which version each job is at, and loads those that it does not hold. That makes a page of
fifty jobs about as cheap as its one query, and stays right with any number of servers, because the
database is asked each time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from windlass.jobs.v1 import job_pb2
from windlass.jobs.v1 import jobs_service_pb2 as pb
from windlass_server.access.policy import Caller, absent, require_object
from windlass_server.clock import Clock
from windlass_server.jobs.effective_priority import EffectivePriority, Priorities
from windlass_server.jobs.full_views import Around, around, full_message
from windlass_server.jobs.messages import to_proto
from windlass_server.paging import PageTokens, page_size
from windlass_server.storage.engine import Database
from windlass_server.storage.jobs import JobFilter, position_of
from windlass_server.storage.tables import JobArrayRow, JobRow
from windlass_server.storage.transaction import Transaction

# About 1 KiB each with everything around it; larger ones than these bytes are not kept.
_KEPT_JOBS = 20_000
_KEPT_JOB_BYTES = 4096
# What a gRPC client takes by default is 4 MiB, and a job can have more than one: a page ends here.
_PAGE_BYTES = 3 << 20
# Jobs that are read at a time, so that a page of large ones is not held whole to be cut.
_CHUNK = 25
# About what the FULL view adds to a job: two hundred ids, and some sentences.
_BESIDE_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class _Page:
    """What a read found.

    Attributes:
        keys: id and version of each job of the page, in order.
        known: those whose serialized form was kept already.
        rows: of the others.
        arrays: what is counted of those of them that are arrays.
        more: whether there is a next page.
        last: where the page ends.
    """

    keys: Sequence[tuple[str, int]]
    known: Mapping[tuple[str, int], bytes]
    rows: Sequence[JobRow]
    arrays: Mapping[str, JobArrayRow]
    more: bool
    last: str


class JobReader:
    """Answers GetJob and ListJobs with serialized messages."""

    def __init__(self, database: Database, page_tokens: PageTokens, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._priorities = Priorities()
        self._page_tokens = page_tokens
        # Each value is a ListJobsResponse with this one job: concatenated, they are one with all.
        self._kept: dict[tuple[str, int], bytes] = {}

    async def get(self, who: Caller, job_id: str) -> bytes:
        """A serialized `Job`; NotFound when there is none that the caller may see."""
        found = await self._database.read(lambda tx: self._look_up(tx, job_id))
        if found is None:
            raise absent("job", job_id)
        project, kept, row, arrays = found
        require_object(who, "jobs.get", project, kind="job", object_id=job_id)
        if row is not None:
            (kept,) = self._keep([row], arrays).values()
        body = _only_job(kept)
        if job_pb2.Job.FromString(body).HasField("effective_priority"):
            body += await self._aged(job_id)
        return body

    async def shown(self, row: JobRow) -> job_pb2.Job:
        """A job as it has become by what was done to it; of an array with how far it is."""
        if not row.array_count:
            return to_proto(row)
        array = await self._database.read(lambda tx: tx.arrays.get(row.job_id))
        return to_proto(row, array)

    async def _aged(self, job_id: str) -> bytes:
        """What is said behind a waiting job: its priority with what its age has added, which changes."""
        now = self._clock.now()
        found = await self._database.read(lambda tx: self._priorities.of_waiting(tx, job_id, now))
        if found is None:
            return b""
        said = job_pb2.Job(effective_priority=found.priority, priority_message=found.message)
        return said.SerializeToString()

    async def full(self, who: Caller, job_id: str) -> job_pb2.Job:
        """All that is known of a job; NotFound when there is none that the caller may see."""
        now = self._clock.now()

        def load(tx: Transaction) -> tuple[JobRow, Around, EffectivePriority | None]:
            row = tx.jobs.get(job_id)
            if row is None:
                raise absent("job", job_id)
            require_object(who, "jobs.get", row.project, kind="job", object_id=job_id)
            aged = self._priorities.of_waiting(tx, job_id, now)
            return row, around(tx, [job_id], now)[job_id], aged

        row, beside, aged = await self._database.read(load)
        job = full_message(row, beside)
        if aged is not None:
            job.effective_priority, job.priority_message = aged.priority, aged.message
        return job

    async def page(
        self,
        wanted: JobFilter,
        *,
        size: int,
        token: str,
        view: job_pb2.Job.View = job_pb2.Job.BASIC,
    ) -> bytes:
        """A serialized `ListJobsResponse`: a page of a project's jobs.

        NotFound when there is no such project.
        """
        size, now = page_size(size), self._clock.now()
        query = f"jobs {wanted}"
        before = self._page_tokens.read(query, token) if token else ""
        if view == job_pb2.Job.FULL:
            page, beside = await self._database.read(
                lambda tx: self._load_full(tx, wanted, before, size, now)
            )
            rows = {(row.job_id, row.version): row for row in page.rows}
            jobs = [full_message(rows[key], beside[key[0]]) for key in page.keys]
            pieces = [pb.ListJobsResponse(jobs=jobs).SerializeToString()]
        else:
            page = await self._database.read(
                lambda tx: self._load(tx, wanted, before, size, self._kept)
            )
            pieces = self._serialize(page)
        if page.more:
            next_token = self._page_tokens.make(query, page.last)
            pieces.append(pb.ListJobsResponse(next_page_token=next_token).SerializeToString())
        return b"".join(pieces)

    def _load_full(
        self, tx: Transaction, wanted: JobFilter, before: str, size: int, now: int
    ) -> tuple[_Page, Mapping[str, Around]]:
        page = self._load(tx, wanted, before, size, {}, beside=_BESIDE_BYTES)
        return page, around(tx, [job_id for job_id, _ in page.keys], now)

    def _load(
        self,
        tx: Transaction,
        wanted: JobFilter,
        before: str,
        size: int,
        kept: Mapping[tuple[str, int], bytes],
        beside: int = 0,
    ) -> _Page:
        """A page, of which those that are kept are not read; `beside` is what is added to each (bytes)."""
        heads = tx.jobs.page_of_heads(wanted, before=before, size=size + 1)
        # Who may list everywhere can ask for what there is not; a page of jobs proves its project.
        if not heads and not tx.access.has_project(wanted.project):
            raise absent("project", wanted.project)
        keys = [(head.job_id, head.version) for head in heads[:size]]
        known = {key: one for key in keys if (one := kept.get(key)) is not None}
        rows = _rows(tx, [job_id for job_id, version in keys if (job_id, version) not in known])
        sizes = {key: len(kept) for key, kept in known.items()} | {
            (row.job_id, row.version): _most_bytes(row) + beside for row in rows
        }
        shown = _that_fit(keys, sizes)
        rows = [row for row in rows if (row.job_id, row.version) in shown]
        last = position_of(wanted, heads[len(shown) - 1]) if shown else ""
        arrays = _arrays(tx, rows)
        return _Page(list(shown), known, rows, arrays, more=len(heads) > len(shown), last=last)

    def _look_up(
        self, tx: Transaction, job_id: str
    ) -> tuple[str, bytes, JobRow | None, Mapping[str, JobArrayRow]] | None:
        """A job's project, and its serialized form where that is kept, else its row."""
        head = tx.jobs.head(job_id)
        if head is None:
            return None
        kept = self._kept.get((job_id, head.version))
        if kept is not None:
            return head.project, kept, None, {}
        row = tx.jobs.get(job_id)
        return head.project, b"", row, {} if row is None else _arrays(tx, [row])

    def _serialize(self, page: _Page) -> list[bytes]:
        found = {**page.known, **self._keep(page.rows, page.arrays)}
        return [found[key] for key in page.keys]

    def _keep(
        self, rows: Sequence[JobRow], arrays: Mapping[str, JobArrayRow]
    ) -> dict[tuple[str, int], bytes]:
        """Serialize jobs and keep them, unless they are large; nor arrays: how far those are has no version."""
        made = {
            (row.job_id, row.version): pb.ListJobsResponse(
                jobs=[to_proto(row, arrays.get(row.job_id))]
            ).SerializeToString()
            for row in rows
        }
        fresh = {key: one for key, one in made.items() if key[0] not in arrays}
        if len(self._kept) + len(fresh) > _KEPT_JOBS:
            # The oldest half goes; dictionaries keep the order of insertion.
            for key in list(self._kept)[: _KEPT_JOBS // 2]:
                del self._kept[key]
        self._kept |= {key: one for key, one in fresh.items() if len(one) <= _KEPT_JOB_BYTES}
        return made


def _only_job(page: bytes) -> bytes:
    """The serialized job of a serialized page with one: it follows a tag and a length in base 128."""
    start = 2
    while page[start - 1] & 0x80:
        start += 1
    return page[start:]


def _arrays(tx: Transaction, rows: Sequence[JobRow]) -> Mapping[str, JobArrayRow]:
    """What is counted of those of these jobs that are arrays."""
    return tx.arrays.of([row.job_id for row in rows if row.array_count])


def _rows(tx: Transaction, job_ids: Sequence[str]) -> list[JobRow]:
    """The rows of these jobs, in chunks of their order, until they are more than a page takes."""
    rows: list[JobRow] = []
    size = 0
    for start in range(0, len(job_ids), _CHUNK):
        chunk = tx.jobs.of_ids(job_ids[start : start + _CHUNK])
        rows += chunk
        size += sum(map(_most_bytes, chunk))
        if size > _PAGE_BYTES:
            break
    return rows


def _most_bytes(row: JobRow) -> int:
    """At least what the serialized job takes."""
    texts = 4 * len(row.status_message) + 2 * len(row.gpu_uuids)
    return len(row.spec) + len(row.isolation) + len(row.ranks or b"") + texts + 512


def _that_fit(
    keys: Sequence[tuple[str, int]], sizes: Mapping[tuple[str, int], int]
) -> dict[tuple[str, int], None]:
    """The first keys whose jobs make no more than a page, at least one; those without size do not."""
    shown: dict[tuple[str, int], None] = {}
    left = _PAGE_BYTES
    for key in keys:
        left -= sizes.get(key, _PAGE_BYTES)
        if left < 0 and shown:
            break
        shown[key] = None
    return shown
