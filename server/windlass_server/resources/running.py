"""What holds parts of the nodes, as the scheduler sees it: rows in, `Running` out.

Only what is new, or has outlived what was expected of it, is made anew: of thousands of runs hardly any
is another one than at the look before.
"""

from collections.abc import Iterable
from typing import Any, Protocol

from windlass.agents.v1 import agent_pb2
from windlass_server.scheduler.estimates import Ends, ahead, ends
from windlass_server.scheduler.snapshot import Running, RunTime
from windlass_server.storage.transaction import Transaction


class Learned(Protocol):
    """What was learned of jobs by project, user and name."""

    def load(self, tx: Transaction, whose: Iterable[tuple[str, str, str]], /) -> None: ...

    def of(self, project: str, user: str, name: str, /) -> RunTime | None: ...


class SeenRunning:
    """Remembers what held parts of nodes at the last look."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Any, RunTime | None, Running]] = {}

    def load(self, tx: Transaction, now: int, learned: Learned) -> tuple[Running, ...]:
        """All that holds something, in any order.

        Args:
            tx: the transaction in which the nodes are read.
            now: in microseconds since 1970.
            learned: how long such jobs have run.
        """
        runs = tx.holders.runs()
        learned.load(tx, {(row.project, row.user, row.name) for row in runs})
        known = {
            row.run_id: self._run(row, learned.of(row.project, row.user, row.name), now)
            for row in runs
        }
        known |= {row.allocation_id: self._allocation(row, now) for row in tx.holders.allocations()}
        self._known = known
        return tuple(running for _, _, running in known.values())

    def _run(
        self, row: Any, learned: RunTime | None, now: int
    ) -> tuple[Any, RunTime | None, Running]:
        known = self._known.get(row.run_id)
        if known is not None and known[0] == row and known[1] == learned and _holds(known[2], now):
            return known
        return row, learned, run(row, learned, now)

    def _allocation(self, row: Any, now: int) -> tuple[Any, None, Running]:
        known = self._known.get(row.allocation_id)
        if known is not None and known[0] == row and _holds(known[2], now):
            return known[0], None, known[2]
        return row, None, allocation(row, now)


def run(row: Any, learned: RunTime | None, now: int) -> Running:
    """A run, as a row of `HolderStore.runs`."""
    limit = None if row.time_limit is None else row.time_limit + row.grace
    over = ends(row.started_at or now, now, limit=limit, learned=learned)
    leaving = row.want == agent_pb2.RunDirective.STOPPED
    if leaving:
        over = _leaving(over, row, now)
    began = row.started_at or row.created_at
    return Running(
        job_id=row.job_id,
        run_id=row.run_id,
        project=row.project,
        user=row.user,
        queue=row.queue,
        priority=row.priority,
        node_id=row.node_id,
        cpu_millis=row.cpu_millis,
        memory_bytes=row.memory_bytes,
        gpu_uuids=_parts(row.gpu_uuids),
        gpu_type=row.gpu_types.partition(",")[0],
        gpu_millis=row.gpu_millis,
        started_at=began,
        likely_end=over.likely,
        expected_end=over.expected,
        limit_end=over.limit,
        saved_at=max(row.saved_at or began, began),
        preemptible=bool(row.preemptible),
        leaving=leaving,
    )


def allocation(row: Any, now: int) -> Running:
    """An allocation, as a row of `HolderStore.allocations`.

    It ends when nobody renews it. One that was renewed before will be again, as far as one knows.
    """
    end = ahead(row.expires_at, now)
    renewed = row.expires_at != row.created_at + row.ttl
    expected = None if renewed else end
    return Running(
        job_id="",
        run_id=row.allocation_id,
        project=row.project,
        user=row.user,
        queue="",
        priority=0,
        node_id=row.node_id,
        cpu_millis=row.cpu_millis,
        memory_bytes=row.memory_bytes,
        gpu_uuids=_parts(row.gpu_uuids),
        gpu_type=row.gpu_types.partition(",")[0],
        gpu_millis=row.gpu_millis,
        started_at=row.created_at,
        likely_end=expected,
        expected_end=expected,
        limit_end=end,
        saved_at=row.created_at,
        preemptible=False,
        leaving=False,
    )


def _leaving(over: Ends, row: Any, now: int) -> Ends:
    """What is asked to stop is over when its grace is."""
    gone = ahead((row.stopping_since or now) + row.grace, now)
    likely, expected, limit = (
        gone if each is None else min(each, gone)
        for each in (over.likely, over.expected, over.limit)
    )
    return Ends(likely, expected, limit)


def _holds(running: Running, now: int) -> bool:
    """Whether what is expected of it is still ahead."""
    soonest = min(
        (
            end
            for end in (running.likely_end, running.expected_end, running.limit_end)
            if end is not None
        ),
        default=None,
    )
    return soonest is None or soonest > now


def _parts(gpu_uuids: str) -> tuple[str, ...]:
    return tuple(sorted(gpu_uuids.split(","))) if gpu_uuids else ()
