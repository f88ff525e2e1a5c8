"""Queues, and how many jobs there are in them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import (
    Connection,
    Select,
    Table,
    bindparam,
    case,
    delete,
    func,
    select,
    text,
    update,
)

from windlass_server.storage.hot import Hot, driver_of
from windlass_server.storage.inserting import insert_new
from windlass_server.storage.partial_indexes import JOB_LIVE
from windlass_server.storage.placed_jobs import HAS_PLACE
from windlass_server.storage.tables import JobRow, QueueRow

_QUEUES: Table = QueueRow.__table__  # type: ignore[attr-defined]
_JOBS: Table = JobRow.__table__  # type: ignore[attr-defined]

# As jobs.v1.Job.Status: 1 waits. An array waits until it ends, and its indices do not.
_WAITS = text("(jobs.status = 1 AND jobs.array_job_id IS NULL OR jobs.array_count > 0)")

# Read in every cycle of the scheduler, and at each submission.
_ALL = Hot(select(_QUEUES).order_by(_QUEUES.c.queue_id))
_GET = Hot(select(_QUEUES).where(_QUEUES.c.queue_id == bindparam("queue_id")))
_IN_ORDER = (
    select(_QUEUES)
    .where(_QUEUES.c.queue_id.in_(bindparam("ids", expanding=True)))
    .order_by(_QUEUES.c.queue_id)
)
_HOLD = _IN_ORDER.with_for_update(read=True)
_LOCK = _IN_ORDER.with_for_update()
_BY_USER = (
    select(_JOBS.c.user, func.count().label("jobs"))
    .where(JOB_LIVE, _JOBS.c.queue == bindparam("queue_id"))
    .group_by(_JOBS.c.user)
)
_QUEUED = Hot(_BY_USER.where(_WAITS))
_RUNNING = Hot(_BY_USER.where(HAS_PLACE))
_COUNTS = (
    select(
        _JOBS.c.queue,
        func.sum(case((_WAITS, 1), else_=0)).label("queued"),
        func.sum(case((HAS_PLACE, 1), else_=0)).label("running"),
    )
    .where(JOB_LIVE)
    .group_by(_JOBS.c.queue)
)
_LIVE = (
    select(_JOBS.c.job_id)
    .where(JOB_LIVE, _JOBS.c.queue == bindparam("queue_id"))
    .order_by(_JOBS.c.job_id)
    .limit(bindparam("size"))
)


class QueueStore:
    """Queues in the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> Sequence[QueueRow]:
        """Every queue, by name."""
        return cast("Sequence[QueueRow]", _ALL.all(self._connection, {}))

    def get(self, queue_id: str) -> QueueRow | None:
        """The queue, or None."""
        return cast("QueueRow | None", _GET.first(self._connection, {"queue_id": queue_id}))

    def named(self, queue_ids: Collection[str]) -> Sequence[QueueRow]:
        """Those of these queues that there are, by name."""
        return [one for one in self.all() if one.queue_id in queue_ids]

    def lock(self, queue_id: str) -> QueueRow | None:
        """The queue, to which nobody else adds jobs, and of which nobody starts any, until the transaction ends."""
        found = self.lock_all([queue_id])
        return found[0] if found else None

    def lock_all(self, queue_ids: Sequence[str]) -> Sequence[QueueRow]:
        """Those of these queues that there are, by name, each as `lock` has it."""
        return self._in_order(_LOCK, queue_ids)

    def hold_all(self, queue_ids: Sequence[str]) -> Sequence[QueueRow]:
        """Those of these queues that there are, by name; none of them changes until the transaction ends."""
        return self._in_order(_HOLD, queue_ids)

    def _in_order(self, statement: Select[Any], queue_ids: Sequence[str]) -> Sequence[QueueRow]:
        if driver_of(self._connection) is not None:
            # On SQLite there is one writer at a time, who needs no locks.
            return self.named(queue_ids)
        found = self._connection.execute(statement, {"ids": list(queue_ids)}).all()
        return cast("Sequence[QueueRow]", found)

    def add(self, values: Mapping[str, Any]) -> bool:
        """Add a queue; `values` has every column. False when there is one of that name."""
        return insert_new(self._connection, _QUEUES, values)

    def change(self, queue_id: str, **values: Any) -> None:
        """Set columns of a queue that is locked."""
        self._connection.execute(
            update(_QUEUES).where(_QUEUES.c.queue_id == queue_id).values(**values)
        )

    def remove(self, queue_id: str) -> None:
        """Remove a queue that is locked."""
        self._connection.execute(delete(_QUEUES).where(_QUEUES.c.queue_id == queue_id))

    def queued(self, queue_id: str) -> dict[str, int]:
        """How many jobs wait in a queue, by their users."""
        values = {"queue_id": queue_id}
        return {row.user: row.jobs for row in _QUEUED.all(self._connection, values)}

    def running(self, queue_id: str) -> dict[str, int]:
        """How many jobs of a queue have a place here, by their users."""
        values = {"queue_id": queue_id}
        return {row.user: row.jobs for row in _RUNNING.all(self._connection, values)}

    def counts(self) -> dict[str, tuple[int, int]]:
        """How many jobs of each queue wait, and have a place here; those without have no entry."""
        rows = self._connection.execute(_COUNTS).all()
        return {row.queue: (int(row.queued), int(row.running)) for row in rows}

    def live_jobs(self, queue_id: str, size: int) -> Sequence[str]:
        """The first jobs of a queue that have not ended, by their ids."""
        values = {"queue_id": queue_id, "size": size}
        return [row.job_id for row in self._connection.execute(_LIVE, values)]
