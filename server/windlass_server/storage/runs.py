"""Runs: the attempts of jobs on nodes."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import Connection, bindparam, func, insert, or_, select, text, update

from windlass_server.storage.hot import Hot
from windlass_server.storage.partial_indexes import RUN_ACTIVE, RUN_KEPT
from windlass_server.storage.tables import JobRow, RunRow

_RUNS = RunRow.__table__  # type: ignore[attr-defined]
_JOBS = JobRow.__table__  # type: ignore[attr-defined]

_INSERT = insert(_RUNS)
_GET = Hot(select(_RUNS).where(_RUNS.c.run_id == bindparam("run_id")))
_OF_IDS = select(_RUNS).where(_RUNS.c.run_id.in_(bindparam("run_ids", expanding=True)))
_OF_JOB = (
    select(_RUNS)
    .where(_RUNS.c.job_id == bindparam("job_id"))
    .order_by(_RUNS.c.attempt, _RUNS.c.rank)
)
_OF_ATTEMPT = (
    select(_RUNS)
    .where(_RUNS.c.job_id == bindparam("job_id"), _RUNS.c.attempt == bindparam("attempt"))
    .order_by(_RUNS.c.rank)
)
_MASTER_PORTS = select(_RUNS.c.master_port).where(
    _RUNS.c.node_id == bindparam("node_id"), RUN_ACTIVE, text("runs.master_port > 0")
)
# What a node has to be told of: its runs that it may not drop yet, with what to run.
_KNOWN = (
    select(
        _RUNS,
        _JOBS.c.project,
        _JOBS.c.name,
        _JOBS.c.spec,
        _JOBS.c.checkpoint,
        _JOBS.c.ranks,
        _JOBS.c.array_job_id,
        _JOBS.c.array_index,
    )
    .join(_JOBS, _JOBS.c.job_id == _RUNS.c.job_id)
    .where(RUN_KEPT)
    .order_by(_RUNS.c.run_id)
)
_KNOWN_TO_NODE = Hot(_KNOWN.where(_RUNS.c.node_id == bindparam("node_id")))
_KNOWN_TO_NODES = _KNOWN.where(_RUNS.c.node_id.in_(bindparam("node_ids", expanding=True)))
_REPORTED_BY = (
    select(_RUNS.c.run_id)
    .where(_RUNS.c.node_id == bindparam("node_id"), RUN_KEPT, _RUNS.c.state > 0)
    .order_by(_RUNS.c.run_id)
)
# Of one node, or of a page of nodes, which is all of a range but for those that a filter left out. None
# that is active is forgotten; to say so is what lets an index serve it.
_ACTIVE_BETWEEN = Hot(
    select(
        _RUNS.c.run_id,
        _RUNS.c.job_id,
        _JOBS.c.project,
        _RUNS.c.node_id,
        _RUNS.c.gpu_uuids,
        _RUNS.c.gpu_millis,
        _RUNS.c.time_limit,
        _RUNS.c.grace,
        _RUNS.c.stopping_since,
        _JOBS.c.started_at,
    )
    .join(_JOBS, _JOBS.c.job_id == _RUNS.c.job_id)
    .where(
        _RUNS.c.node_id.between(bindparam("first"), bindparam("last")),
        RUN_ACTIVE,
        RUN_KEPT,
    )
    .order_by(_RUNS.c.run_id)
)
# As RunReport.EXITED.
_HAS_ENDED = Hot(
    select(_RUNS.c.run_id).where(_RUNS.c.run_id == bindparam("run_id"), _RUNS.c.state == 3)
)
_ENDED_BY = select(_RUNS.c.job_id, _RUNS.c.node_id, _RUNS.c.end_cause, _RUNS.c.end_noted_at).where(
    _RUNS.c.job_id.in_(bindparam("job_ids", expanding=True)),
    _RUNS.c.end_cause.in_(bindparam("causes", expanding=True)),
)
# Written out, so that the partial index serves it: LAUNCH_FAILED and LOST of RunExit.Cause.
_FAILED_BY_NODES = select(
    _RUNS.c.job_id, _RUNS.c.node_id, _RUNS.c.end_cause, _RUNS.c.end_noted_at
).where(text("end_cause IN (5, 7)"), _RUNS.c.end_noted_at >= bindparam("since"))
_IN_GROUPS = (
    select(_JOBS.c.spread_group, _RUNS.c.node_id, func.count().label("runs"))
    .join(_JOBS, _JOBS.c.job_id == _RUNS.c.job_id)
    .where(RUN_ACTIVE, RUN_KEPT, _JOBS.c.spread_group.in_(bindparam("groups", expanding=True)))
    .group_by(_JOBS.c.spread_group, _RUNS.c.node_id)
)
# Jobs of one statement: each is a parameter of it.
_JOBS_AT_ONCE = 500
# As RunDirective.STOPPED.
_WANT_STOPPED = (
    update(_RUNS)
    .where(_RUNS.c.run_id == bindparam("key"), _RUNS.c.active)
    .values(
        want=2,
        generation=_RUNS.c.generation + 1,
        stopping_since=func.coalesce(_RUNS.c.stopping_since, bindparam("at")),
    )
)


@lru_cache(maxsize=64)
def _changing(names: tuple[str, ...]) -> Hot:
    """Sets these columns of a run."""
    columns: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    return Hot(update(_RUNS).where(_RUNS.c.run_id == bindparam("key")).values(columns))


@lru_cache(maxsize=4)
def _adding(names: tuple[str, ...]) -> Hot:
    """Adds a run with these columns."""
    return Hot(insert(_RUNS).values({name: bindparam(name) for name in names}))


@lru_cache(maxsize=16)
def _nodes_ended_by(causes: tuple[int, ...]) -> Hot:
    """Where a job's runs ended by one of these causes."""
    ended = or_(*(_RUNS.c.end_cause == cause for cause in causes))
    return Hot(
        select(_RUNS.c.node_id, _RUNS.c.attempt).where(_RUNS.c.job_id == bindparam("job_id"), ended)
    )


class RunStore:
    """Runs in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, run_id: str) -> RunRow | None:
        """The run, or None."""
        return cast("RunRow | None", _GET.first(self._connection, {"run_id": run_id}))

    def has_ended(self, run_id: str) -> bool:
        """Whether the run's node has reported its end."""
        return _HAS_ENDED.first(self._connection, {"run_id": run_id}) is not None

    def of_job(self, job_id: str) -> Sequence[RunRow]:
        """All runs of a job, the first attempt first, each by its ranks."""
        return cast("Sequence[RunRow]", self._connection.execute(_OF_JOB, {"job_id": job_id}).all())

    def of_attempt(self, job_id: str, attempt: int) -> Sequence[RunRow]:
        """The runs of one attempt of a job, by their ranks."""
        values = {"job_id": job_id, "attempt": attempt}
        return cast("Sequence[RunRow]", self._connection.execute(_OF_ATTEMPT, values).all())

    def master_ports(self, node_id: str) -> set[int]:
        """The ports of a node on which active runs gather the other ranks of their jobs."""
        return {*self._connection.execute(_MASTER_PORTS, {"node_id": node_id}).scalars().all()}

    def nodes_ended_by(self, job_id: str, causes: Sequence[int]) -> Sequence[Any]:
        """The node of each of a job's runs that ended by one of these causes.

        Rows of node_id and attempt.
        """
        statement = _nodes_ended_by(tuple(map(int, causes)))
        return statement.all(self._connection, {"job_id": job_id})

    def ended_by(self, job_ids: Sequence[str], causes: Sequence[int]) -> Sequence[Any]:
        """The runs of these jobs that ended by one of these causes.

        Rows of job_id, node_id, end_cause and end_noted_at.
        """
        rows: list[Any] = []
        for first in range(0, len(job_ids), _JOBS_AT_ONCE):
            some = job_ids[first : first + _JOBS_AT_ONCE]
            values = {"job_ids": some, "causes": [*map(int, causes)]}
            rows += self._connection.execute(_ENDED_BY, values).all()
        return rows

    def failed_by_nodes(self, since: int) -> Sequence[Any]:
        """Runs of whatever job that were lost or not started, noted from `since` (µs) on.

        Rows of job_id, node_id, end_cause and end_noted_at.
        """
        return self._connection.execute(_FAILED_BY_NODES, {"since": since}).all()

    def add(self, values: Mapping[str, Any]) -> None:
        """Add a run; IntegrityError when the job has an active one of that rank."""
        self._connection.execute(_INSERT, values)

    def add_all(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add runs as `add` does, which all have the same columns."""
        if rows:
            _adding(tuple(rows[0])).run_many(self._connection, rows)

    def of_ids(self, run_ids: Sequence[str]) -> Sequence[RunRow]:
        """Those of these runs that there are, in no order."""
        rows = self._connection.execute(_OF_IDS, {"run_ids": run_ids}).all()
        return cast("Sequence[RunRow]", rows)

    def change(self, run_id: str, **values: Any) -> None:
        """Set columns of a run; the caller has read it in this transaction."""
        self.change_all([(run_id, values)])

    def change_all(self, changes: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Set the same columns of runs, each to values of its own."""
        if changes:
            rows = [
                {"key": run_id} | {f"new_{name}": value for name, value in values.items()}
                for run_id, values in changes
            ]
            _changing(tuple(sorted(changes[0][1]))).run_many(self._connection, rows)

    def note_saved(self, job_id: str, attempt: int, saved_at: int | None) -> None:
        """Note up to when (µs) what an attempt did is in a checkpoint, which is that of all its ranks."""
        whole = (_RUNS.c.job_id == job_id) & (_RUNS.c.attempt == attempt)
        self._connection.execute(update(_RUNS).where(whole).values(saved_at=saved_at))

    def known_to_node(self, node_id: str) -> Sequence[Any]:
        """The runs that a node may not drop yet.

        Beside their columns: `project`, `name`, `spec`, `checkpoint` and `ranks` of their jobs.
        """
        return _KNOWN_TO_NODE.all(self._connection, {"node_id": node_id})

    def known_to_nodes(self, node_ids: Sequence[str]) -> dict[str, list[Any]]:
        """The same of several nodes, by their ids; those without any are left out."""
        known: dict[str, list[Any]] = {}
        for row in self._connection.execute(_KNOWN_TO_NODES, {"node_ids": node_ids}):
            known.setdefault(row.node_id, []).append(row)
        return known

    def reported_by(self, node_id: str) -> Sequence[str]:
        """The runs that a node has reported and may not drop yet."""
        return self._connection.execute(_REPORTED_BY, {"node_id": node_id}).scalars().all()

    def projects_of(self, run_ids: Sequence[str]) -> dict[str, str]:
        """The project of each of these runs that there is."""
        wanted = _RUNS.c.run_id.in_(run_ids)
        query = select(_RUNS.c.run_id, _JOBS.c.project).join(
            _JOBS, _JOBS.c.job_id == _RUNS.c.job_id
        )
        rows = self._connection.execute(query.where(wanted)).all()
        return {row.run_id: row.project for row in rows}

    def active_on(self, node_ids: Sequence[str]) -> Sequence[Any]:
        """Runs that hold resources.

        Rows of run_id, job_id, project, node_id, gpu_uuids, gpu_millis, time_limit, grace,
        stopping_since, and of started_at, when the command began.
        """
        if not node_ids:
            return []
        between = {"first": min(node_ids), "last": max(node_ids)}
        wanted = set(node_ids)
        rows = _ACTIVE_BETWEEN.all(self._connection, between)
        return [row for row in rows if row.node_id in wanted]

    def in_groups(self, groups: Sequence[str]) -> dict[str, dict[str, int]]:
        """How many active runs of those who are spread together are on which node, by the names of the groups."""
        found: dict[str, dict[str, int]] = {}
        for first in range(0, len(groups), _JOBS_AT_ONCE):
            some = {"groups": groups[first : first + _JOBS_AT_ONCE]}
            for row in self._connection.execute(_IN_GROUPS, some):
                found.setdefault(row.spread_group, {})[row.node_id] = row.runs
        return found

    def want_all_stopped(self, job_id: str, attempt: int, at: int) -> Sequence[str]:
        """Ask the nodes of a job's active runs to stop them that were not asked before; which nodes."""
        left = [run for run in self.of_attempt(job_id, attempt) if run.active and run.want != 2]
        for run in left:
            self.want_stopped(run.run_id, at)
        return [run.node_id for run in left]

    def want_all_killed(self, job_id: str, attempt: int, at: int) -> Sequence[str]:
        """The same without any grace, also of those that were asked before to stop with some."""
        left = [
            run for run in self.of_attempt(job_id, attempt) if run.active and run.forced_at is None
        ]
        for run in left:
            self.change(run.run_id, grace=0, forced_at=at)
            self.want_stopped(run.run_id, at)
        return [run.node_id for run in left]

    def want_all_frozen(self, job_id: str, attempt: int, *, frozen: bool) -> Sequence[str]:
        """Ask the nodes of a job's active runs to freeze them, or to let them go on; which nodes."""
        asked = [
            run
            for run in self.of_attempt(job_id, attempt)
            if run.active and run.want_frozen != frozen
        ]
        for run in asked:
            self.change(run.run_id, want_frozen=frozen, generation=run.generation + 1)
        return [run.node_id for run in asked]

    def want_stopped(self, run_id: str, at: int) -> None:
        """Ask the run's node to stop it, since `at` (µs) if it was not asked before."""
        self._connection.execute(_WANT_STOPPED, {"key": run_id, "at": at})
