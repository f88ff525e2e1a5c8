"""Makes the jobs of arrays' indices, and makes of arrays what their indices have come to.

All of it is level-triggered: it follows from what the rows say now, is done in pieces that large arrays do not
make longer, and does no harm when done twice, or by two servers at once: whoever looks after an array holds its
row, and an index has one job by a constraint of the database.

An array is one row when it is submitted. Its indices get their jobs as those before them move on: never more than
a window of them waits in the scheduler's queue, however many there are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from windlass.jobs.v1 import job_pb2
from windlass_server import actors
from windlass_server.clock import Clock
from windlass_server.ids import IdSource
from windlass_server.jobs import array_rules
from windlass_server.jobs.array_jobs import NewIndex, columns_of, sources_of
from windlass_server.jobs.array_spec import indices_of
from windlass_server.jobs.dependency_rules import Held
from windlass_server.jobs.holding import hold_of
from windlass_server.jobs.moves import DEADLINE, Move, move, move_all
from windlass_server.jobs.states import FINAL, Event, Status, after, leave
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobArrayRow, JobRow
from windlass_server.storage.tables.arrays import COUNTED
from windlass_server.storage.transaction import Transaction

AT_ONCE = 200
"""Jobs of one transaction."""
# Arrays of one look.
_LOOKED_AT = 100
HELD = "ARRAY_HELD"
"""Why an index is held whose array is."""
FAILED = "ARRAY_INDICES_FAILED"
_LEFT = tuple(status for status in Status if status not in FINAL and status != Status.CANCELLING)
_LOST = tuple(status for status in FINAL if status != Status.SUCCEEDED)


@dataclass(frozen=True, slots=True)
class ArrayHints:
    """Whom to wake when something changed; correctness never depends on it.

    Attributes:
        job_queued: called with the id of a job that is in the queue from now on.
        runs_changed: called with the id of each node of whose runs something else is wanted.
    """

    job_queued: Callable[[str], None]
    runs_changed: Callable[[str], None]


def counts_of(array: JobArrayRow) -> dict[Status, int]:
    """The jobs of an array's indices, by status."""
    return {Status(1 + number): getattr(array, name) for number, name in enumerate(COUNTED)}


class ArraysService:
    """Looks after arrays.

    Args:
        first_reason: why a job waits that no cycle has looked at yet: a reason and a sentence.
        hints: whom to wake.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: IdSource,
        first_reason: Callable[[], tuple[str, str]],
        hints: ArrayHints,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._first_reason = first_reason
        self._hints = hints

    async def look(self, job_ids: Sequence[str]) -> None:
        """Do what follows for arrays from what has happened to these jobs."""
        for array_job_id in await self._database.read(lambda tx: tx.arrays.touched(job_ids)):
            await self.settle(array_job_id)

    async def sweep(self, behind: str) -> str:
        """Look at a part of all arrays that have not ended, as after a crash.

        Args:
            behind: what the look before answered; empty: from the first on.

        Returns:
            From where on the next look goes on; empty when it was the last part.
        """
        part = await self._database.read(lambda tx: tx.arrays.active_behind(behind, _LOOKED_AT))
        for array_job_id in part:
            await self.settle(array_job_id)
        return part[-1] if len(part) == _LOOKED_AT else ""

    async def settle(self, array_job_id: str) -> None:
        """Bring an array and its indices to where they are to be now."""
        more = True
        while more:
            more = await self._database.write(lambda tx: self._step(tx, array_job_id))

    def _step(self, tx: Transaction, array_job_id: str) -> bool:
        """A piece of what is to be done; whether there is more."""
        job = tx.jobs.lock(array_job_id)
        array = tx.arrays.get(array_job_id)
        if job is None or array is None or not array.active:
            return False
        if job.status == Status.CANCELLING:
            return self._leave(tx, job, array)
        if self._has_ended(tx, job, array):
            return False
        begins = job.status == Status.QUEUED and array_rules.has_begun(counts_of(array))
        if begins:
            job = self._begin(tx, job)
        tx.arrays.serve_by(job.job_id, job.priority, job.asked_priority)
        if job.held == Held.USER:
            return self._hold(tx, job) == AT_ONCE
        released = self._release(tx, job)
        created = self._create(tx, job, array) if job.held == Held.INDICES else 0
        return AT_ONCE in (released, created)

    def _begin(self, tx: Transaction, job: JobRow) -> JobRow:
        held = job.held == Held.USER
        return move(
            tx,
            job,
            after(job.status, Event.START, job.job_id, array=True),
            reason=job.status_reason if held else "STARTED",
            message=job.status_message if held else array_rules.RUNS,
            actor=actors.ARRAYS,
            at=self._clock.now(),
            started_at=self._clock.now(),
        )

    def _has_ended(self, tx: Transaction, job: JobRow, array: JobArrayRow) -> bool:
        """Whether all indices have ended; the array has then, too."""
        counts = counts_of(array)
        if sum(counts[status] for status in FINAL) < array.total:
            return False
        event, reason = Event.SUCCEED, "COMPLETED"
        message = (
            f"all {array.total} indices succeeded" if array.total > 1 else "its index succeeded"
        )
        if counts[Status.SUCCEEDED] < array.total:
            event, reason = Event.FAIL, FAILED
            rows = tx.arrays.jobs_from(job.job_id, 0, array_rules.NAMED, _LOST)
            lost = [(row.array_index or 0, Status(row.status)) for row in rows]
            message = array_rules.end_text(counts, array.total, lost)
        self._end(tx, job, event, reason, message)
        return True

    def _end(self, tx: Transaction, job: JobRow, event: Event, reason: str, message: str) -> None:
        now, status = self._clock.now(), after(job.status, event, job.job_id, array=True)
        values = {} if job.started_at is not None or event is Event.STOP else {"started_at": now}
        move(
            tx,
            job,
            status,
            reason=reason,
            message=message,
            actor=actors.ARRAYS,
            at=now,
            **values,
        )
        tx.arrays.change(job.job_id, active=False)

    def _leave(self, tx: Transaction, job: JobRow, array: JobArrayRow) -> bool:
        """Cancel some of the indices that have jobs; with the last of them the array has ended."""
        event = Event.MISS_DEADLINE if job.status_reason == DEADLINE else Event.CANCEL
        rows = tx.arrays.lock_in(job.job_id, _LEFT, AT_ONCE)
        moves = [self._cancelled(tx, job, row, event) for row in rows]
        move_all(tx, moves)
        killed = self._kill(tx, job) if array.forced else 0
        if rows or killed:
            return True
        if sum(counts_of(array)[status] for status in FINAL) < array.created:
            return False
        self._end(tx, job, Event.STOP, job.status_reason, job.status_message)
        return False

    def _cancelled(self, tx: Transaction, job: JobRow, row: JobRow, event: Event) -> Move:
        now = self._clock.now()
        status, stops = leave(row.status, event, row.job_id, frozen=row.frozen)
        if stops:
            self._tell(tx, tx.runs.want_all_stopped(row.job_id, row.attempt, now))
        message = f"with its array: {job.status_message}"
        return Move(row, status, job.status_reason, message, actors.ARRAYS, now, {"end_by": None})

    def _kill(self, tx: Transaction, job: JobRow) -> int:
        """Kill some of the indices that are being stopped, without the rest of their grace; how many."""
        rows = tx.arrays.with_grace(job.job_id, AT_ONCE)
        for row in rows:
            self._tell(tx, tx.runs.want_all_killed(row.job_id, row.attempt, self._clock.now()))
        return len(rows)

    def _tell(self, tx: Transaction, node_ids: Sequence[str]) -> None:
        for node_id in node_ids:
            tx.after_commit(partial(self._hints.runs_changed, node_id))

    def _hold(self, tx: Transaction, job: JobRow) -> int:
        """Hold some indices that wait; how many."""
        rows = tx.arrays.lock_not_held(job.job_id, AT_ONCE)
        now, message = self._clock.now(), f"its array is held: {job.status_message}"
        held = {"held": int(Held.USER)}
        move_all(
            tx,
            [Move(row, Status.QUEUED, HELD, message, actors.ARRAYS, now, held) for row in rows],
        )
        return len(rows)

    def _release(self, tx: Transaction, job: JobRow) -> int:
        """Let some indices that were held with their array wait for their places again; how many."""
        rows = tx.arrays.lock_held_for(job.job_id, HELD, AT_ONCE)
        now, moves = self._clock.now(), list[Move]()
        for row in rows:
            hold = hold_of((), row.start_after, now)
            reason, message = hold.reason, hold.message
            values: dict[str, Any] = {"held": int(hold.by)}
            if hold.by is Held.NOTHING:
                reason, message = self._first_reason()
                values["eligible_at"] = now
                tx.after_commit(partial(self._hints.job_queued, row.job_id))
            moves.append(Move(row, Status.QUEUED, reason, message, actors.ARRAYS, now, values))
        move_all(tx, moves)
        return len(rows)

    def _create(self, tx: Transaction, job: JobRow, array: JobArrayRow) -> int:
        """Make the jobs of some of the next indices; how many."""
        left = array.total - array.created
        most = array_rules.to_create(counts_of(array), left=left, parallel=array.parallel)
        if not most:
            return 0
        spec = job_pb2.Job.FromString(job.spec)
        indices = indices_of(spec.array).behind(array.created, min(most, AT_ONCE))
        sources = sources_of(tx, job, indices)
        now = self._clock.now()
        reason, message = self._first_reason()
        new = [
            NewIndex(self._ids.new("job"), index, sources.get(index), reason, message, now)
            for index in indices
        ]
        rows = [columns_of(tx, job, spec, one, resumes=array.resumes) for one in new]
        tx.jobs.add_all([(row, spec.labels) for row in rows])
        tx.arrays.count((job.job_id, None, Status.QUEUED) for _ in rows)
        tx.events.record_all([_submitted(job, one) for one in new])
        for one in new:
            tx.after_commit(partial(self._hints.job_queued, one.job_id))
        return len(rows)


def _submitted(job: JobRow, new: NewIndex) -> Mapping[str, Any]:
    """The first event of the job of an index."""
    again = f", a retry of {new.source.job_id}" if new.source is not None else ""
    return {
        "project": job.project,
        "object_id": new.job_id,
        "at": new.at,
        "actor": actors.ARRAYS,
        "status": int(Status.QUEUED),
        "reason": "SUBMITTED",
        "message": f"index {new.index} of {job.job_id}{again}",
        "run_id": "",
    }
