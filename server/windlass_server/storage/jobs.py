"""Jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, Select, bindparam, insert, select, update

from windlass_server.errors import LostRace
from windlass_server.storage.tables import JobLabelRow, JobRow

_JOBS = JobRow.__table__  # type: ignore[attr-defined]
_LABELS = JobLabelRow.__table__  # type: ignore[attr-defined]

_GET = select(_JOBS).where(_JOBS.c.job_id == bindparam("job_id"))
_LOCK = _GET.with_for_update()
_INSERT = insert(_JOBS)
_INSERT_LABEL = insert(_LABELS)
# What the scheduler reads: the queue in its order, without specs.
_WAITING = (
    select(
        _JOBS.c.job_id,
        _JOBS.c.project,
        _JOBS.c.priority,
        _JOBS.c.version,
        _JOBS.c.attempt,
        _JOBS.c.status_reason,
        _JOBS.c.status_message,
        _JOBS.c.cpu_millis,
        _JOBS.c.memory_bytes,
        _JOBS.c.gpu_count,
        _JOBS.c.gpu_type,
        _JOBS.c.min_isolation,
    )
    .where(_JOBS.c.status == 1)
    .order_by(_JOBS.c.priority.desc(), _JOBS.c.job_id)
)
_QUEUED = _WAITING.limit(bindparam("size"))
_QUEUED_OF = _WAITING.where(_JOBS.c.job_id.in_(bindparam("job_ids", expanding=True)))


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list asks for; empty values ask for all."""

    project: str
    statuses: tuple[int, ...] = ()
    queue: str = ""
    user: str = ""
    name: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    created_after: int | None = None
    created_before: int | None = None


class JobStore:
    """Jobs in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, job_id: str) -> JobRow | None:
        """The job, or None."""
        return cast("JobRow | None", self._connection.execute(_GET, {"job_id": job_id}).first())

    def lock(self, job_id: str) -> JobRow | None:
        """The job, held against other writers until the transaction ends; or None."""
        return cast("JobRow | None", self._connection.execute(_LOCK, {"job_id": job_id}).first())

    def add(self, values: Mapping[str, Any], labels: Mapping[str, str]) -> None:
        """Add a job with its labels; `values` has every column of JobRow."""
        self._connection.execute(_INSERT, values)
        if labels:
            job_id = values["job_id"]
            self._connection.execute(
                _INSERT_LABEL,
                [{"job_id": job_id, "key": key, "value": labels[key]} for key in labels],
            )

    def change(self, job_id: str, version: int, **values: Any) -> None:
        """Set columns of the job if it is still at `version`, and raise the version.

        Raises:
            LostRace: somebody changed the job meanwhile.
        """
        names = sorted(values)
        result = self._connection.execute(
            _changing(tuple(names)),
            {"key": job_id, "seen": version, "next": version + 1}
            | {f"new_{name}": values[name] for name in names},
        )
        if result.rowcount != 1:
            message = f"job {job_id} was changed by somebody else"
            raise LostRace(message, reason="JOB_CHANGED", job_id=job_id)

    def page(self, wanted: JobFilter, *, before: str, size: int) -> Sequence[JobRow]:
        """The newest `size` jobs older than `before` (a job id; empty: the newest of all)."""
        query = select(_JOBS).where(_JOBS.c.project == wanted.project)
        query = _narrow(query, wanted)
        if before:
            query = query.where(_JOBS.c.job_id < before)
        rows = self._connection.execute(query.order_by(_JOBS.c.job_id.desc()).limit(size)).all()
        return cast("Sequence[JobRow]", rows)

    def queued(self, size: int) -> Sequence[JobRow]:
        """The first `size` jobs of the queue, in its order, with the columns it needs."""
        return cast("Sequence[JobRow]", self._connection.execute(_QUEUED, {"size": size}).all())

    def queued_of(self, job_ids: Sequence[str]) -> Sequence[JobRow]:
        """Those of these jobs that wait, as `queued` gives them."""
        rows = self._connection.execute(_QUEUED_OF, {"job_ids": job_ids}).all()
        return cast("Sequence[JobRow]", rows)

    def explain(self, reasons: Sequence[tuple[str, str, str]]) -> None:
        """Say why jobs wait: `(job_id, reason, message)`; jobs that wait no longer are left alone.

        No event, no version: the words may change with every cycle and nothing depends on them.
        """
        if reasons:
            self._connection.execute(
                _EXPLAIN,
                [{"key": key, "why": why, "words": words} for key, why, words in reasons],
            )


_EXPLAIN = (
    update(_JOBS)
    .where(_JOBS.c.job_id == bindparam("key"), _JOBS.c.status == 1)
    .values(status_reason=bindparam("why"), status_message=bindparam("words"))
)
_changes: dict[tuple[str, ...], Any] = {}


def _changing(names: tuple[str, ...]) -> Any:
    """The guarded UPDATE of these columns, built once."""
    if names not in _changes:
        _changes[names] = (
            update(_JOBS)
            .where(_JOBS.c.job_id == bindparam("key"), _JOBS.c.version == bindparam("seen"))
            .values(version=bindparam("next"), **{name: bindparam(f"new_{name}") for name in names})
        )
    return _changes[names]


def _narrow(query: Select[Any], wanted: JobFilter) -> Select[Any]:
    if len(wanted.statuses) == 1:
        query = query.where(_JOBS.c.status == wanted.statuses[0])
    elif wanted.statuses:
        query = query.where(_JOBS.c.status.in_(wanted.statuses))
    for column, value in (
        (_JOBS.c.queue, wanted.queue),
        (_JOBS.c.user, wanted.user),
        (_JOBS.c.name, wanted.name),
    ):
        if value:
            query = query.where(column == value)
    if wanted.created_after is not None:
        query = query.where(_JOBS.c.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        query = query.where(_JOBS.c.created_at < wanted.created_before)
    for key, value in wanted.labels:
        query = query.where(
            select(1)
            .where(
                _LABELS.c.job_id == _JOBS.c.job_id,
                _LABELS.c.key == key,
                _LABELS.c.value == value,
            )
            .exists()
        )
    return query
