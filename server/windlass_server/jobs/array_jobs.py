"""The jobs of an array's indices, as rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from windlass.jobs.v1 import job_pb2
from windlass_server.jobs.dependency_rules import Held
from windlass_server.jobs.lineage import Again
from windlass_server.jobs.states import Status
from windlass_server.storage.rows import changed
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class NewIndex:
    """An index that gets its job.

    Attributes:
        job_id: its job's id.
        index: which one.
        source: the job that it retries; None: none.
        reason: why it waits.
        message: the same for people.
        at: when it is made (µs).
    """

    job_id: str
    index: int
    source: JobRow | None
    reason: str
    message: str
    at: int


def sources_of(tx: Transaction, job: JobRow, indices: Sequence[int]) -> Mapping[int, JobRow]:
    """The jobs that an array's indices retry, by index: those of the array, or the one index, that it retries."""
    if job.retry_of is None:
        return {}
    source = tx.jobs.get(job.retry_of)
    if source is not None and source.array_index is not None:
        return {source.array_index: source}
    return tx.arrays.jobs_at(job.retry_of, indices)


def columns_of(
    tx: Transaction, job: JobRow, spec: job_pb2.Job, new: NewIndex, *, resumes: bool
) -> dict[str, Any]:
    """Every column of the job of an index.

    Args:
        tx: a transaction.
        job: the array.
        spec: what it asks for; its indices are changed.
        new: the index.
        resumes: it begins with the checkpoint of the job that it retries.
    """
    spec.array.indices = str(new.index)
    values = {
        "job_id": new.job_id,
        "status": int(Status.QUEUED),
        "status_reason": new.reason,
        "status_message": new.message,
        "version": 1,
        "spec": spec.SerializeToString(),
        "held": int(Held.NOTHING),
        "eligible_at": None,
        "array_job_id": job.job_id,
        "array_index": new.index,
        "array_count": 0,
        "retry_of": None,
        "root_job_id": None,
        "checkpoint": None,
        "checkpoint_of": None,
        "retries": 0,
        "attempt": 0,
        "created_at": new.at,
        "started_at": None,
        "ended_at": None,
    }
    if new.source is not None:
        values |= Again(new.source, spec, "", not resumes).columns(tx)
    return vars(changed(job, **values))
