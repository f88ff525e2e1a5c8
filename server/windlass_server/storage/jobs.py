"""Jobs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    insert,
    or_,
    select,
    union,
    update,
)

from windlass_server.errors import LostRace
from windlass_server.filters import Expression
from windlass_server.storage import job_pages
from windlass_server.storage.hot import Hot
from windlass_server.storage.job_pages import NEWEST_FIRST, JobOrder, select_page
from windlass_server.storage.partial_indexes import (
    JOB_AWAITS_TIME,
    JOB_HAS_DEADLINE,
    JOB_IN_QUEUE,
    JOB_LISTED,
)
from windlass_server.storage.tables import JobLabelRow, JobRow, RunRow

_JOBS = JobRow.__table__  # type: ignore[attr-defined]
_RUNS = RunRow.__table__  # type: ignore[attr-defined]
_LABELS = JobLabelRow.__table__  # type: ignore[attr-defined]

_BY_ID = _JOBS.c.job_id == bindparam("job_id")
_GET = Hot(select(_JOBS).where(_BY_ID))
_HEAD = Hot(select(_JOBS.c.project, _JOBS.c.version).where(_BY_ID))
_LOCK = Hot(select(_JOBS).where(_BY_ID).with_for_update())
_LOCK_OF_RUNS = (
    select(_JOBS)
    .where(
        _JOBS.c.job_id.in_(
            select(_RUNS.c.job_id).where(_RUNS.c.run_id.in_(bindparam("run_ids", expanding=True)))
        )
    )
    .order_by(_JOBS.c.job_id)
    .with_for_update()
)
_INSERT = Hot(insert(_JOBS))
_INSERT_LABEL = Hot(insert(_LABELS))
# What the scheduler reads: the queue in its order, without specs.
_WAITING = (
    select(
        _JOBS.c.job_id,
        _JOBS.c.project,
        _JOBS.c.priority,
        _JOBS.c.version,
        _JOBS.c.attempt,
        _JOBS.c.run_id,
        _JOBS.c.status_reason,
        _JOBS.c.status_message,
        _JOBS.c.cpu_millis,
        _JOBS.c.memory_bytes,
        _JOBS.c.gpu_count,
        _JOBS.c.gpu_type,
        _JOBS.c.mig_profile,
        _JOBS.c.gpu_memory_bytes,
        _JOBS.c.gpu_millis,
        _JOBS.c.min_isolation,
        _JOBS.c.pool,
        _JOBS.c.user,
        _JOBS.c.longest_run,
        _JOBS.c.name,
        _JOBS.c.queue,
        _JOBS.c.start_after,
        _JOBS.c.created_at,
        _JOBS.c.eligible_at,
        _JOBS.c.nodes,
        _JOBS.c.min_nodes,
        _JOBS.c.topology_required,
        _JOBS.c.topology_preferred,
        _JOBS.c.gpu_types,
        _JOBS.c.exclusive,
        _JOBS.c.constraints,
        _JOBS.c.spread,
        _JOBS.c.spread_group,
        _JOBS.c.reservation_id,
    )
    .where(JOB_IN_QUEUE)
    .order_by(_JOBS.c.priority.desc(), _JOBS.c.job_id)
)
_QUEUED = _WAITING.limit(bindparam("size"))
# In the words of the index, so that it is entered where the page begins.
_QUEUED_BEHIND = _QUEUED.where(
    _JOBS.c.priority <= bindparam("priority"),
    or_(_JOBS.c.priority < bindparam("priority"), _JOBS.c.job_id > bindparam("job_id")),
)
_QUEUED_BY = _WAITING.where(
    _JOBS.c.project == bindparam("project"), _JOBS.c.user == bindparam("user")
).limit(bindparam("size"))
# One owner at a time, so that the index is entered where the next one begins. Not by comparing both columns at
# once: SQLite would enter it where the last one begins, and read all of his jobs again.
_ANY_OWNER = (
    select(_JOBS.c.project, _JOBS.c.user)
    .where(JOB_IN_QUEUE)
    .order_by(_JOBS.c.project, _JOBS.c.user)
    .limit(1)
)
_NEXT_USER = Hot(
    _ANY_OWNER.where(_JOBS.c.project == bindparam("project"), _JOBS.c.user > bindparam("user"))
)
_NEXT_PROJECT = Hot(_ANY_OWNER.where(_JOBS.c.project > bindparam("project")))
_QUEUED_OF = _WAITING.where(_JOBS.c.job_id.in_(bindparam("job_ids", expanding=True)))


_DUE = (
    select(_JOBS.c.job_id, _JOBS.c.start_after)
    .where(JOB_AWAITS_TIME)
    .order_by(_JOBS.c.start_after, _JOBS.c.job_id)
    .limit(bindparam("size"))
)
_BY_DEADLINE = (
    select(_JOBS.c.job_id, _JOBS.c.end_by)
    .where(JOB_HAS_DEADLINE)
    .order_by(_JOBS.c.end_by, _JOBS.c.job_id)
    .limit(bindparam("size"))
)
_LIVE_RETRIES = (
    select(_JOBS)
    .where(_JOBS.c.retry_of == bindparam("retried"), _JOBS.c.ended_at.is_(None))
    .order_by(_JOBS.c.job_id.desc())
    .limit(bindparam("size"))
)


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
    expression: Expression | None = None
    order: JobOrder = NEWEST_FIRST
    array_job_id: str = ""

    @property
    def plain(self) -> bool:
        """Whether it is asked for by nothing but the fields above, the newest first."""
        return self.expression is None and self.order == NEWEST_FIRST

    @property
    def shape(self) -> "FilterShape":
        """What is asked for, without the values."""
        return FilterShape(
            statuses=len(self.statuses),
            columns=tuple(name for name in ("queue", "user", "name") if getattr(self, name)),
            labels=len(self.labels),
            of_array=bool(self.array_job_id),
            created_after=self.created_after is not None,
            created_before=self.created_before is not None,
        )

    def values(self) -> dict[str, Any]:
        """The values, by the names of the statement's parameters."""
        values: dict[str, Any] = {
            "project": self.project,
            "queue": self.queue,
            "user": self.user,
            "name": self.name,
            "array_job_id": self.array_job_id,
            "created_after": self.created_after,
            "created_before": self.created_before,
        }
        for number, status in enumerate(self.statuses):
            values[f"status_{number}"] = status
        for number, (key, value) in enumerate(self.labels):
            values[f"label_key_{number}"] = key
            values[f"label_value_{number}"] = value
        return values


@dataclass(frozen=True, slots=True)
class FilterShape:
    """Which parts of a filter are set: filters of one shape share a statement."""

    statuses: int
    columns: tuple[str, ...]
    labels: int
    of_array: bool
    created_after: bool
    created_before: bool


class JobStore:
    """Jobs in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, job_id: str) -> JobRow | None:
        """The job, or None."""
        return cast("JobRow | None", _GET.first(self._connection, {"job_id": job_id}))

    def head(self, job_id: str) -> JobRow | None:
        """Only `project` and `version` of the job; or None."""
        return cast("JobRow | None", _HEAD.first(self._connection, {"job_id": job_id}))

    def lock(self, job_id: str) -> JobRow | None:
        """The job, held against other writers until the transaction ends; or None."""
        return cast("JobRow | None", _LOCK.first(self._connection, {"job_id": job_id}))

    def add(self, values: Mapping[str, Any], labels: Mapping[str, str]) -> None:
        """Add a job with its labels; `values` has every column of JobRow."""
        self.add_all([(values, labels)])

    def add_all(self, jobs: Sequence[tuple[Mapping[str, Any], Mapping[str, str]]]) -> None:
        """Add jobs, each with its labels, as `add` does."""
        _INSERT.run_many(self._connection, [values for values, _ in jobs])
        _INSERT_LABEL.run_many(
            self._connection,
            [
                {"job_id": values["job_id"], "key": key, "value": labels[key]}
                for values, labels in jobs
                for key in labels
            ],
        )

    def change(self, job_id: str, version: int, **values: Any) -> None:
        """Set columns of the job if it is still at `version`, and raise the version.

        Raises:
            LostRace: somebody changed the job meanwhile.
        """
        self.change_all([(job_id, version, values)])

    def change_all(self, changes: Sequence[tuple[str, int, Mapping[str, Any]]]) -> None:
        """Set columns of jobs that are still at their versions: each job's id, version and columns.

        Raises:
            LostRace: somebody changed one of them meanwhile.
        """
        alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for job_id, version, values in changes:
            guarded = {**values, "key": job_id, "seen": version, "next": version + 1}
            alike.setdefault(tuple(sorted(values)), []).append(guarded)
        for names, guarded_ones in alike.items():
            if _changing(names).run_many(self._connection, guarded_ones) != len(guarded_ones):
                job_id = guarded_ones[0]["key"]
                which = job_id if len(guarded_ones) == 1 else f"{job_id}, or another"
                message = f"job {which} was changed by somebody else"
                raise LostRace(message, reason="JOB_CHANGED", job_id=job_id)

    def page_of_heads(self, wanted: JobFilter, *, before: str, size: int) -> Sequence[JobRow]:
        """The first `size` jobs behind `before` (as `position_of` says; empty: the first of all).

        Only `job_id` and `version` of each.
        """
        if wanted.plain:
            statement = _page_statement(wanted.shape, after_another=bool(before))
            values = wanted.values() | {"before": before, "size": size}
            return cast("Sequence[JobRow]", statement.all(self._connection, values))
        query = select_page(_in_any_status(wanted.shape), wanted.expression, wanted.order, before)
        rows = self._connection.execute(query.limit(size), wanted.values()).all()
        return cast("Sequence[JobRow]", rows)

    def of_ids(self, job_ids: Sequence[str]) -> Sequence[JobRow]:
        """Those of these jobs that there are, in no order."""
        query = select(_JOBS).where(_JOBS.c.job_id.in_(job_ids))
        return cast("Sequence[JobRow]", self._connection.execute(query).all())

    def live_retries_of(self, job_id: str, size: int) -> Sequence[JobRow]:
        """The newest retries of a job that have not ended, the newest first."""
        values = {"retried": job_id, "size": size}
        return cast("Sequence[JobRow]", self._connection.execute(_LIVE_RETRIES, values).all())

    def queued(self, size: int, behind: JobRow | None = None) -> Sequence[JobRow]:
        """The first `size` jobs of the queue, or those behind another one of it, in its order.

        Only with the columns that the scheduler needs.
        """
        values: dict[str, Any] = {"size": size}
        statement = _QUEUED
        if behind is not None:
            statement = _QUEUED_BEHIND
            values |= {"priority": behind.priority, "job_id": behind.job_id}
        return cast("Sequence[JobRow]", self._connection.execute(statement, values).all())

    def owners_of_queued(
        self, most: int, behind: tuple[str, str] = ("", "")
    ) -> Sequence[tuple[str, str]]:
        """Whose jobs wait: projects and users in order, the first `most` behind one of them."""
        owners: list[tuple[str, str]] = []
        last = behind
        while len(owners) < most:
            values = {"project": last[0], "user": last[1]}
            found = _NEXT_USER.first(self._connection, values)
            if found is None:
                found = _NEXT_PROJECT.first(self._connection, {"project": last[0]})
            if found is None:
                break
            last = found.project, found.user
            owners.append(last)
        return owners

    def queued_by(self, project: str, user: str, size: int) -> Sequence[JobRow]:
        """The first `size` jobs of an owner in the queue, as `queued` gives them."""
        values = {"project": project, "user": user, "size": size}
        return cast("Sequence[JobRow]", self._connection.execute(_QUEUED_BY, values).all())

    def queued_of(self, job_ids: Sequence[str]) -> Sequence[JobRow]:
        """Those of these jobs that wait, as `queued` gives them."""
        rows = self._connection.execute(_QUEUED_OF, {"job_ids": job_ids}).all()
        return cast("Sequence[JobRow]", rows)

    def by_start(self, size: int) -> Sequence[JobRow]:
        """The jobs that wait for nothing but their time: the first `size` to come, by `start_after`.

        Only `job_id` and `start_after` of each.
        """
        return cast("Sequence[JobRow]", self._connection.execute(_DUE, {"size": size}).all())

    def by_deadline(self, size: int) -> Sequence[JobRow]:
        """The jobs that have not ended and have a deadline: the first `size` to come.

        Only `job_id` and `end_by` of each.
        """
        rows = self._connection.execute(_BY_DEADLINE, {"size": size}).all()
        return cast("Sequence[JobRow]", rows)

    def lock_all(self, job_ids: Sequence[str]) -> Sequence[JobRow]:
        """Those of these jobs that there are, in the order of their ids, held against other writers."""
        query = select(_JOBS).where(_JOBS.c.job_id.in_(job_ids)).order_by(_JOBS.c.job_id)
        return cast("Sequence[JobRow]", self._connection.execute(query.with_for_update()).all())

    def lock_of_runs(self, run_ids: Sequence[str]) -> Sequence[JobRow]:
        """The jobs of these runs, as `lock_all` gives them."""
        rows = self._connection.execute(_LOCK_OF_RUNS, {"run_ids": run_ids}).all()
        return cast("Sequence[JobRow]", rows)

    def hold(self, states: Sequence[tuple[str, int, str, str, int | None]]) -> None:
        """Say what keeps jobs out of the queue: `(job_id, held, reason, message, eligible_at)`.

        Jobs that wait no longer, or are in the queue already, are left alone.
        """
        if states:
            names = ("key", "by", "why", "words", "since")
            self._connection.execute(
                _HOLD, [dict(zip(names, state, strict=True)) for state in states]
            )

    def explain(self, reasons: Sequence[tuple[str, str, str]]) -> None:
        """Say why jobs wait: `(job_id, reason, message)`; jobs that are in the queue no longer are left alone.

        No event: the words may change with every cycle and nothing depends on them.
        """
        if reasons:
            self._connection.execute(
                _EXPLAIN,
                [{"key": key, "why": why, "words": words} for key, why, words in reasons],
            )


_EXPLAIN = (
    update(_JOBS)
    .where(_JOBS.c.job_id == bindparam("key"), _JOBS.c.status == 1, _JOBS.c.held == 0)
    .values(
        status_reason=bindparam("why"),
        status_message=bindparam("words"),
        version=_JOBS.c.version + 1,
    )
)


_HOLD = (
    update(_JOBS)
    .where(_JOBS.c.job_id == bindparam("key"), _JOBS.c.status == 1, _JOBS.c.held != 0)
    .values(
        held=bindparam("by"),
        status_reason=bindparam("why"),
        status_message=bindparam("words"),
        eligible_at=bindparam("since"),
        version=_JOBS.c.version + 1,
    )
)


@cache
def _changing(names: tuple[str, ...]) -> Hot:
    """The guarded UPDATE of these columns."""
    return Hot(
        update(_JOBS)
        .where(_JOBS.c.job_id == bindparam("key"), _JOBS.c.version == bindparam("seen"))
        .values(version=bindparam("next"), **{name: bindparam(name) for name in names})
    )


@cache
def _page_statement(shape: FilterShape, *, after_another: bool) -> Hot:
    """The SELECT of a page for every filter of this shape.

    Several statuses are several pages, of which the newest jobs are taken: the index of statuses has each
    in the order of a page, but not all of them together. However many jobs there are, no more are read
    than a page of each.
    """
    if shape.statuses < 2:
        return Hot(_page(shape, range(shape.statuses), after_another=after_another))
    pages = [
        _page(shape, [number], after_another=after_another).subquery()
        for number in range(shape.statuses)
    ]
    # A union, so that a status that is asked for twice is no job twice.
    found = union(*(select(page.c.job_id, page.c.version) for page in pages)).subquery()
    query = select(found.c.job_id, found.c.version)
    return Hot(query.order_by(found.c.job_id.desc()).limit(bindparam("size")))


def _page(
    shape: FilterShape, statuses: Iterable[int], *, after_another: bool
) -> Select[tuple[str, int]]:
    """The newest jobs of one of the filter's statuses; of any where there is none."""
    query = _matching(shape)
    for number in statuses:
        query = query.where(_JOBS.c.status == bindparam(f"status_{number}"))
    if after_another:
        query = query.where(_JOBS.c.job_id < bindparam("before"))
    return query.order_by(_JOBS.c.job_id.desc()).limit(bindparam("size"))


def position_of(wanted: JobFilter, head: JobRow) -> str:
    """Where a page ends whose last head is this one."""
    return head.job_id if wanted.plain else job_pages.position_of(head)


def _in_any_status(shape: FilterShape) -> Select[tuple[str, int]]:
    """Heads of the jobs that a filter of this shape asks for, in no order."""
    query = _matching(shape)
    if not shape.statuses:
        return query
    return query.where(
        _JOBS.c.status.in_([bindparam(f"status_{number}") for number in range(shape.statuses)])
    )


def _matching(shape: FilterShape) -> Select[tuple[str, int]]:
    """The same but for the statuses."""
    jobs = _JOBS.c
    query = select(jobs.job_id, jobs.version).where(jobs.project == bindparam("project"))
    of_array = jobs.array_job_id == bindparam("array_job_id")
    query = query.where(of_array if shape.of_array else JOB_LISTED)
    for name in shape.columns:
        query = query.where(jobs[name] == bindparam(name))
    if shape.created_after:
        query = query.where(jobs.created_at >= bindparam("created_after"))
    if shape.created_before:
        query = query.where(jobs.created_at < bindparam("created_before"))
    for number in range(shape.labels):
        query = query.where(_has_label(number))
    return query


def _has_label(number: int) -> ColumnElement[bool]:
    return (
        select(1)
        .where(
            _LABELS.c.job_id == _JOBS.c.job_id,
            _LABELS.c.key == bindparam(f"label_key_{number}"),
            _LABELS.c.value == bindparam(f"label_value_{number}"),
        )
        .exists()
    )
