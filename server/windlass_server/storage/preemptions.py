"""Runs that were stopped for other jobs."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, bindparam, func, insert, select, update

from windlass_server.storage.hot import Hot
from windlass_server.storage.partial_indexes import PREEMPTION_KEPT
from windlass_server.storage.tables import PreemptionRow, RunRow

_PREEMPTIONS = PreemptionRow.__table__  # type: ignore[attr-defined]
_RUNS = RunRow.__table__  # type: ignore[attr-defined]

_KEPT = Hot(
    select(_PREEMPTIONS.c.for_job_id, _PREEMPTIONS.c.node_id, _PREEMPTIONS.c.job_id, _RUNS.c.active)
    .join(_RUNS, _RUNS.c.run_id == _PREEMPTIONS.c.run_id)
    .where(PREEMPTION_KEPT)
)
_OF_RUN = Hot(select(_PREEMPTIONS).where(_PREEMPTIONS.c.run_id == bindparam("run_id")))
_SPENT = (
    select(
        _PREEMPTIONS.c.for_project,
        func.count(func.distinct(_PREEMPTIONS.c.job_id)).label("jobs"),
    )
    .where(_PREEMPTIONS.c.at > bindparam("since"))
    .group_by(_PREEMPTIONS.c.for_project)
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

    def of_run(self, run_id: str) -> PreemptionRow | None:
        """For whom a run was stopped; None when it was not."""
        return cast("PreemptionRow | None", _OF_RUN.first(self._connection, {"run_id": run_id}))

    def kept(self) -> Sequence[Any]:
        """Those whose place is kept: rows of for_job_id, node_id, job_id, and whether the run is `active`."""
        return _KEPT.all(self._connection, {})

    def let_go(self, job_ids: Sequence[str]) -> None:
        """Keep no place for these jobs any more."""
        self._connection.execute(
            update(_PREEMPTIONS)
            .where(PREEMPTION_KEPT, _PREEMPTIONS.c.for_job_id.in_(job_ids))
            .values(kept=False)
        )

    def spent(self, since: int) -> dict[str, int]:
        """How many jobs were stopped for each project since then (µs)."""
        rows = self._connection.execute(_SPENT, {"since": since}).all()
        return {row.for_project: row.jobs for row in rows}

    def since(self, since: int) -> Sequence[Any]:
        """Those since then (µs), the oldest first: rows of job_id, at, for_priority."""
        return self._connection.execute(_SINCE, {"since": since}).all()
