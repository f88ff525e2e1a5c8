"""An array's indices for people: a page of them, those without a job included; and how many run at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from windlass.jobs.v1 import job_pb2
from windlass_server.access.policy import Caller, absent, require_object
from windlass_server.clock import Clock
from windlass_server.errors import WrongState
from windlass_server.jobs.array_spec import indices_of
from windlass_server.jobs.states import FINAL, Status
from windlass_server.paging import PageTokens, page_size
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobArrayRow, JobRow
from windlass_server.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class IndexPage:
    """A part of an array's indices.

    Attributes:
        job: the array.
        array: what is counted of it.
        jobs: of the indices that have one, the smallest first.
        without: indices behind those that have none yet.
        token: of the next page; empty on the last.
    """

    job: JobRow
    array: JobArrayRow
    jobs: Sequence[JobRow]
    without: Sequence[int]
    token: str = ""


def status_without(job: JobRow) -> Status:
    """What an index of an array is that has no job: it waits, or has ended with the array."""
    return Status(job.status) if job.status in FINAL else Status.QUEUED


class ArrayIndices:
    """Shows indices of arrays, and changes how many run at once.

    Args:
        page_tokens: seals where a page ends.
        array_changed: called with the id of an array whose indices may be more at once.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        page_tokens: PageTokens,
        array_changed: Callable[[str], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._page_tokens = page_tokens
        self._array_changed = array_changed

    async def list(
        self,
        who: Caller,
        job_id: str,
        *,
        statuses: Sequence[int],
        index: int | None,
        size: int,
        token: str,
    ) -> IndexPage:
        """A page of an array's indices, the smallest first.

        Args:
            who: the caller.
            job_id: the array.
            statuses: only indices in one of these; none: all.
            index: only this one; None: all.
            size: at most so many; 0: the default.
            token: of the page before; empty: the first page.

        Raises:
            NotFound: no such job, or foreign.
            WrongState: it is no array.
        """
        size = 1 if index is not None else page_size(size)
        query = f"array indices {job_id} {sorted(set(statuses))} {index}"
        first = int(self._page_tokens.read(query, token)) if token else index or 0
        page = await self._database.read(
            lambda tx: _page(tx, who, job_id, statuses, first, size + 1)
        )
        if index is not None:
            its_job = [one for one in page.jobs if one.array_index == index]
            without = [one for one in page.without if one == index]
            return IndexPage(page.job, page.array, its_job, without)
        found = [*(row.array_index for row in page.jobs), *page.without]
        if len(found) <= size:
            return page
        jobs = page.jobs[:size]
        return IndexPage(
            page.job,
            page.array,
            jobs,
            page.without[: size - len(jobs)],
            self._page_tokens.make(query, str(found[size])),
        )

    async def set_parallel(self, who: Caller, job_id: str, parallel: int) -> JobRow:
        """Change how many indices may be under way at once; 0: as many as there is room for.

        Raises:
            NotFound: no such job, or foreign.
            WrongState: it is no array, or has ended.
        """

        def store(tx: Transaction) -> JobRow:
            job, array = _array(tx, who, "jobs.cancel", job_id)
            if job.status in FINAL:
                name = Status(job.status).name
                message = f"a {name} array cannot be changed"
                raise WrongState(message, reason="JOB_WRONG_STATE", subject=job_id, status=name)
            if array.parallel == parallel:
                return job
            tx.arrays.change(job_id, parallel=parallel)
            tx.events.record(
                project=job.project,
                object_id=job_id,
                at=self._clock.now(),
                actor=who.user,
                status=job.status,
                reason="ARRAY_PARALLEL_CHANGED",
                message=f"{_several(parallel)} at once, instead of {_several(array.parallel)}",
                run_id="",
            )
            tx.after_commit(lambda: self._array_changed(job_id))
            return job

        return await self._database.write(store)


def _several(parallel: int) -> str:
    return f"{parallel} of its indices" if parallel else "all of its indices"


def _array(
    tx: Transaction, who: Caller, permission: str, job_id: str
) -> tuple[JobRow, JobArrayRow]:
    job = tx.jobs.lock(job_id) if permission == "jobs.cancel" else tx.jobs.get(job_id)
    if job is None:
        raise absent("job", job_id)
    require_object(who, permission, job.project, kind="job", object_id=job_id)
    array = tx.arrays.get(job_id)
    if array is None:
        message = "the job is no array"
        raise WrongState(message, reason="JOB_NOT_AN_ARRAY", subject=job_id)
    return job, array


def _page(
    tx: Transaction, who: Caller, job_id: str, statuses: Sequence[int], first: int, size: int
) -> IndexPage:
    """The indices from `first` on; the first ones have jobs."""
    job, array = _array(tx, who, "jobs.get", job_id)
    jobs = tx.arrays.jobs_from(job_id, first, size, statuses)
    without: Sequence[int] = ()
    if len(jobs) < size and (not statuses or status_without(job) in statuses):
        indices = indices_of(job_pb2.Job.FromString(job.spec).array)
        begin = max(array.created, indices.before(first))
        without = indices.behind(begin, size - len(jobs))
    return IndexPage(job, array, jobs, without)
