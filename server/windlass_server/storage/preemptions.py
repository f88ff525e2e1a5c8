"""Runs that were stopped for other jobs."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from windlass_server.storage.hot import Hot
from windlass_server.storage.partial_indexes import PREEMPTION_KEPT
from windlass_server.storage.tables import JobRow, KeptPlaceRow, PreemptionRow, RunRow

_PREEMPTIONS = PreemptionRow.__table__  # type: ignore[attr-defined]
_PLACES = KeptPlaceRow.__table__  # type: ignore[attr-defined]
_RUNS = RunRow.__table__  # type: ignore[attr-defined]
_JOBS = JobRow.__table__  # type: ignore[attr-defined]

_KEPT = Hot(
    select(_PREEMPTIONS.c.for_job_id, _PREEMPTIONS.c.node_id, _PREEMPTIONS.c.job_id, _RUNS.c.active)
    .join(_RUNS, _RUNS.c.run_id == _PREEMPTIONS.c.run_id)
    .where(PREEMPTION_KEPT)
)
_OF_RUNS = (
    select(
        _PREEMPTIONS.c.run_id,
        _PREEMPTIONS.c.for_job_id,
        _PREEMPTIONS.c.for_priority,
        func.coalesce(_JOBS.c.asked_priority, _JOBS.c.priority).label("priority"),
    )
    .join(_JOBS, _JOBS.c.job_id == _PREEMPTIONS.c.job_id)
    .where(_PREEMPTIONS.c.run_id.in_(bindparam("run_ids", expanding=True)))
)
_FORGET = delete(_PREEMPTIONS).where(
    _PREEMPTIONS.c.run_id.in_(
        select(_PREEMPTIONS.c.run_id)
        .join(_RUNS, _RUNS.c.run_id == _PREEMPTIONS.c.run_id)
        .where(_PREEMPTIONS.c.at < bindparam("before"), ~_PREEMPTIONS.c.kept, ~_RUNS.c.active)
        .limit(bindparam("size"))
    )
)
_SPENT_AT = (
    select(_PREEMPTIONS.c.for_project, func.max(_PREEMPTIONS.c.at).label("at"))
    .where(_PREEMPTIONS.c.at > bindparam("since"))
    .group_by(_PREEMPTIONS.c.for_project, _PREEMPTIONS.c.job_id)
)
_SINCE = (
    select(_PREEMPTIONS.c.job_id, _PREEMPTIONS.c.at, _PREEMPTIONS.c.for_priority)
    .where(_PREEMPTIONS.c.at > bindparam("since"))
    .order_by(_PREEMPTIONS.c.at, _PREEMPTIONS.c.run_id)
)


class PreemptionStore:
    """Preemptions in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Note runs that are being stopped; IntegrityError when one of them was before."""
        self._connection.execute(insert(_PREEMPTIONS), rows)

    def of_runs(self, run_ids: Sequence[str]) -> Sequence[Any]:
        """Of these runs those that were stopped: rows of run_id, for_job_id, for_priority.

        And of their own jobs' `priority`.
        """
        return self._connection.execute(_OF_RUNS, {"run_ids": run_ids}).all()

    def forget(self, before: int, size: int) -> int:
        """Remove those before then (µs) that nobody waits for any more, at most so many; how many."""
        removed = self._connection.execute(_FORGET, {"before": before, "size": size})
        return removed.rowcount

    def kept(self) -> Sequence[Any]:
        """Those whose place is kept: rows of for_job_id, node_id, job_id, and whether the run is `active`."""
        return _KEPT.all(self._connection, {})

    def keep_places(self, job_id: str, node_ids: Sequence[str]) -> None:
        """Note all nodes that a job of several gets, instead of those that it was to get before."""
        self._connection.execute(delete(_PLACES).where(_PLACES.c.for_job_id == job_id))
        rows = [{"for_job_id": job_id, "node_id": node_id} for node_id in node_ids]
        self._connection.execute(insert(_PLACES), rows)

    def places(self) -> dict[str, tuple[str, ...]]:
        """The nodes that are kept for jobs of several, by the ids of these."""
        found: dict[str, list[str]] = {}
        query = select(_PLACES).order_by(_PLACES.c.for_job_id, _PLACES.c.node_id)
        for row in self._connection.execute(query):
            found.setdefault(row.for_job_id, []).append(row.node_id)
        return {job_id: tuple(node_ids) for job_id, node_ids in found.items()}

    def let_go(self, job_ids: Sequence[str]) -> None:
        """Keep no place for these jobs any more."""
        self._connection.execute(
            update(_PREEMPTIONS)
            .where(PREEMPTION_KEPT, _PREEMPTIONS.c.for_job_id.in_(job_ids))
            .values(kept=False)
        )
        self._connection.execute(delete(_PLACES).where(_PLACES.c.for_job_id.in_(job_ids)))

    def spent_at(self, since: int) -> dict[str, list[int]]:
        """When jobs were stopped for each project since then (µs), of each job the last time."""
        found: dict[str, list[int]] = {}
        for row in self._connection.execute(_SPENT_AT, {"since": since}):
            found.setdefault(row.for_project, []).append(row.at)
        return found

    def since(self, since: int) -> Sequence[Any]:
        """Those since then (µs), the oldest first: rows of job_id, at, for_priority."""
        return self._connection.execute(_SINCE, {"since": since}).all()
