"""Says what was held of the nodes: authorise, load, add up."""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from windlass.agents.v1 import agent_pb2
from windlass.jobs.v1 import job_pb2
from windlass_server.access.policy import Caller, absent, may, require
from windlass_server.clock import MICROS_PER_SECOND, Clock
from windlass_server.errors import FieldViolation, InvalidInput
from windlass_server.resources.idle_reservations import idle
from windlass_server.resources.ledger import (
    MAX_BUCKETS,
    MAX_ROWS,
    Ledger,
    Loss,
    Measure,
    Span,
    TooManyRows,
    Used,
    Window,
)
from windlass_server.resources.price_book import WHOLE_GPU
from windlass_server.resources.prices import price_book
from windlass_server.storage.engine import Database
from windlass_server.storage.transaction import Transaction
from windlass_server.storage.usage import HeldFilter
from windlass_server.telemetry.meter import SLOT
from windlass_server.timestamps import EARLIEST

DEFAULT_MICROS = 7 * 86_400 * MICROS_PER_SECOND
LABEL = "label:"

_Cause = agent_pb2.RunExit
_Job = job_pb2.Job
# Stopped because another rank of the job was lost or could not start; as jobs.rules.Cause.
_STOPPED_BY_FAULT = 100
# Runs of which nothing is left, whatever became of their jobs.
_FAILED_RUNS = frozenset(
    {
        _Cause.LAUNCH_FAILED,
        _Cause.LOST,
        _Cause.OUT_OF_MEMORY,
        _Cause.BAD_COMMAND,
        _Cause.GPU_FAULT,
        _STOPPED_BY_FAULT,
    }
)
_STOPPED_RUNS = frozenset({_Cause.STOPPED, _Cause.NODE_SHUTDOWN})
_FAILED_JOBS = frozenset({_Job.FAILED, _Job.TIMED_OUT, _Job.OUT_OF_MEMORY, _Job.DEADLINE_EXCEEDED})


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """What is asked for; unset values are those of `GetUsageRequest`.

    Attributes:
        start: where the window begins (µs since 1970); None: seven days before its end.
        end: where it ends; None: now.
        bucket: length of a bucket in microseconds; None: one bucket.
        project: only this one; empty: every project in which the caller may see it.
    """

    group_by: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None
    bucket: int | None = None
    project: str = ""
    user: str = ""
    queue: str = ""
    node_id: str = ""
    pool_id: str = ""
    gpu_type: str = ""
    labels: tuple[tuple[str, str], ...] = ()


class UsageService:
    """The ledger of what was held."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def get(self, who: Caller, query: UsageQuery, *, max_rows: int = MAX_ROWS) -> Ledger:
        """What was held in a window.

        Raises:
            InvalidInput: the window ends before it begins (`TIMES_REVERSED`), there
                would be too many buckets (`TOO_MANY_BUCKETS`) or rows (`TOO_MANY_ROWS`).
            NotFound: there is no such project.
            Denied: the caller may not see it.
        """
        if query.project:
            require(who, "usage.get", query.project)
        now = self._clock.now()
        window = _window(query, now)

        def load(tx: Transaction) -> Ledger:
            if query.project and not tx.access.has_project(query.project):
                raise absent("project", query.project)
            prices = price_book(tx)
            ledger = Ledger(window, query.group_by, query.gpu_type, max_rows, prices)
            # Closed also when it is given up half-way, while there still is a transaction.
            asked = _Asked(tx, query, _projects(who, query))
            with (
                closing(asked.spans(window, now)) as spans,
                closing(asked.measures(window, now)) as some,
            ):
                ledger.add_all(spans)
                for measure in some:
                    ledger.add_measure(measure)
            return ledger

        try:
            return await self._database.read(load, long=True)
        except TooManyRows:
            message = f"the answer has more than {max_rows} rows; ask for less, for fewer groups, or for the file"
            raise InvalidInput(message, reason="TOO_MANY_ROWS") from None


def _window(query: UsageQuery, now: int) -> Window:
    end = now if query.end is None else query.end
    start = max(EARLIEST, end - DEFAULT_MICROS) if query.start is None else query.start
    if start >= end:
        text = "must be before end_time"
        raise _refused("start_time", text, "TIMES_REVERSED")
    # As it was asked for: what comes is as long.
    if (count := Window(start, end, query.bucket).buckets) > MAX_BUCKETS:
        text = f"makes {count} buckets; at most {MAX_BUCKETS} are answered"
        raise _refused("bucket", text, "TOO_MANY_BUCKETS")
    return Window(start, max(start, min(end, now)), query.bucket)


def _refused(field: str, text: str, reason: str) -> InvalidInput:
    violation = FieldViolation(field, text, reason)
    return InvalidInput(f"{field}: {text}", reason=reason, violations=(violation,))


def _projects(who: Caller, query: UsageQuery) -> tuple[str, ...] | None:
    """The projects to look at; None: all."""
    if query.project:
        return (query.project,)
    if who.organisation_role is not None:
        return None
    return tuple(sorted(one for one in who.roles if one and may(who, "usage.get", one)))


class _Asked:
    """What a query asks for, as one transaction sees it."""

    def __init__(
        self, tx: Transaction, query: UsageQuery, projects: tuple[str, ...] | None
    ) -> None:
        self._tx = tx
        self._usage = tx.usage
        self._wanted = HeldFilter(
            projects, query.user, query.queue, query.node_id, query.pool_id, query.labels
        )
        self._labels = [name for name in query.group_by if name.startswith(LABEL)]
        self._keys = [name.removeprefix(LABEL) for name in self._labels]

    def spans(self, window: Window, now: int) -> Generator[Span]:
        """What was held in a window."""
        between = {"start": window.start, "end": window.end}
        for row in self._usage.held_by_runs(self._wanted, labels=self._keys, **between):
            yield self._of_run(row)
        for row in self._usage.held_by_allocations(self._wanted, **between):
            yield self._of_allocation(row)
        for span in idle(self._tx, self._wanted, now=now, **between):
            yield replace(span, values={**span.values, **dict.fromkeys(self._labels, "")})

    def measures(self, window: Window, now: int) -> Generator[Measure]:
        """What was measured of that."""
        between = {"start": window.start - SLOT + 1, "end": window.end}
        for row in self._usage.measured_of_runs(self._wanted, labels=self._keys, **between):
            yield from _measure(row, self._of_run(row), now)
        for row in self._usage.measured_of_allocations(self._wanted, **between):
            yield from _measure(row, self._of_allocation(row), now)

    def _of_run(self, row: Any) -> Span:
        values = _values(row, "JOB", row.queue)
        for number, name in enumerate(self._labels):
            values[name] = getattr(row, f"label_{number}") or ""
        loss = _loss(row)
        return _span(row, values, row.started_at, loss, _saved_until(row, loss))

    def _of_allocation(self, row: Any) -> Span:
        values = _values(row, "ALLOCATION", "") | dict.fromkeys(self._labels, "")
        return _span(row, values, row.start, None, None)


def _measure(row: Any, span: Span, now: int) -> Iterator[Measure]:
    """What was measured of a span in an hour, and no more of it than was held."""
    start, end = max(row.slot, span.start), row.slot + SLOT
    end = min(end, now if span.end is None else span.end)
    if end <= start:
        return
    time = end - start
    gpus = time * len(span.gpu_types) * span.gpu_millis // WHOLE_GPU
    gpus_known = min(row.gpu_known, gpus)
    used = Used(
        gpus=min(row.gpu_used, gpus_known),
        gpus_known=gpus_known,
        energy=row.energy,
        energy_known=min(row.energy_known, gpus),
        cpu_millis=row.cpu_used,
        cpu_known=min(row.cpu_known, time) * span.cpu_millis,
        memory_kib=row.memory_used,
        memory_known=min(row.memory_known, time) * span.memory_bytes,
    )
    yield Measure(span, start, end, used)


def _values(row: Any, kind: str, queue: str) -> dict[str, str]:
    return {
        "project": row.project,
        "user": row.user,
        "queue": queue,
        "node_id": row.node_id,
        "pool_id": row.pool_id,
        "kind": kind,
        "holder_id": row.holder_id,
    }


def span_of(row: Any, values: dict[str, str]) -> Span:
    """What a run held, from a row of `UsageStore.held_by_jobs`; whether it was of use is not looked at."""
    return _span(row, values, row.started_at, None, None)


def _span(
    row: Any,
    values: dict[str, str],
    useful_from: int | None,
    loss: Loss | None,
    saved_until: int | None,
) -> Span:
    return Span(
        values=values,
        gpu_types=_gpu_types(row),
        cpu_millis=row.cpu_millis,
        memory_bytes=row.memory_bytes,
        start=row.start,
        end=None if row.active else row.end,
        useful_from=useful_from,
        loss=loss,
        saved_until=saved_until,
        gpu_millis=row.gpu_millis or WHOLE_GPU,
    )


def _gpu_types(row: Any) -> tuple[str, ...]:
    """The type of each GPU; of what was held before types were noted, the one that was asked for."""
    if not row.gpu_uuids:
        return ()
    if row.gpu_types:
        return tuple(str(row.gpu_types).split(","))
    return (str(row.gpu_type),) * (str(row.gpu_uuids).count(",") + 1)


def _saved_until(run: Any, loss: Loss | None) -> int | None:
    """Until when what a run did is of use though the run is lost: it is where the next one begins.

    There is no next one of a job that has failed.
    """
    return None if loss is None or (run.decided and run.status in _FAILED_JOBS) else run.saved_at


def _loss(run: Any) -> Loss | None:
    """Why what a run did is of no use; None while it goes on.

    A run that ended by itself without ending its job had asked to be run again: it has saved what it
    did.
    """
    if run.active:
        return None
    if run.end_cause in _FAILED_RUNS or (run.decided and run.status in _FAILED_JOBS):
        return Loss.FAILURE
    cancelled = run.decided and run.status == _Job.CANCELLED
    return Loss.PREEMPTION if run.end_cause in _STOPPED_RUNS and not cancelled else None
