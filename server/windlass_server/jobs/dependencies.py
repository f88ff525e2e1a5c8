"""Lets jobs into the queue that waited for others or for their time, or ends those that wait in vain.

All of it is level-triggered: it follows from what the rows say now, is done in pieces that many followers
of one job do not make longer, and does no harm when done twice.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from windlass_server import actors
from windlass_server.access import quota_use
from windlass_server.clock import Clock
from windlass_server.jobs.dependency_rules import (
    Edge,
    Held,
    Kind,
    State,
    never_text,
    served_by,
    state_of,
)
from windlass_server.jobs.following import awaited_in, go_on
from windlass_server.jobs.holding import Hold, hold_of
from windlass_server.jobs.moves import move
from windlass_server.jobs.singletons import hold_turns, pass_on
from windlass_server.jobs.states import FINAL, Event, Status, after
from windlass_server.storage.engine import Database
from windlass_server.storage.tables import JobRow
from windlass_server.storage.transaction import Transaction

# Followers of one transaction.
AT_ONCE = 200
# Jobs that are awaited, of one look.
_LOOKED_AT = 1000
NEVER_MET = "DEPENDENCY_NEVER_MET"


class DependenciesService:
    """Works off what has become of jobs that others wait for.

    Args:
        first_reason: why a job waits that no cycle has looked at yet: a reason and a sentence.
        job_queued: called with the id of a job that is in the queue from now on.
        array_changed: called with the id of an array whose indices are to be from now on, or that is to end.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        first_reason: Callable[[], tuple[str, str]],
        job_queued: Callable[[str], None],
        array_changed: Callable[[str], None] = lambda _job_id: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._first_reason = first_reason
        self._job_queued = job_queued
        self._array_changed = array_changed

    async def look(self, job_ids: Sequence[str]) -> None:
        """Do what follows from what has happened to these jobs, for those before and behind them."""
        followed = await self._database.read(lambda tx: tx.dependencies.followed(job_ids))
        waiting = await self._database.read(lambda tx: tx.dependencies.open_of(job_ids))
        for job_id in dict.fromkeys([*followed, *(one.awaited_id for one in waiting)]):
            await self._settle(job_id)
        await self._follow_retries(
            await self._database.read(lambda tx: tx.dependencies.roots(job_ids)), succeeded=False
        )
        if waiting:
            await self._inherit(waiting)

    async def sweep(self, behind: str) -> str:
        """Look at a part of all jobs that others wait for, as after a crash.

        Args:
            behind: what the look before answered; empty: from the first on.

        Returns:
            From where on the next look goes on; empty when it was the last part.
        """
        part = await self._database.read(
            lambda tx: tx.dependencies.awaited_behind(behind, _LOOKED_AT)
        )
        followed = await self._database.read(lambda tx: tx.dependencies.followed(part))
        heads = await self._database.read(lambda tx: tx.dependencies.heads(followed))
        for job_id in followed:
            if _decided(heads[job_id]):
                await self._settle(job_id)
        roots = await self._database.read(lambda tx: tx.dependencies.roots(part))
        await self._follow_retries([*{*roots, *part}], succeeded=True)
        return part[-1] if len(part) == _LOOKED_AT else ""

    async def start_due(self) -> int | None:
        """Let jobs into the queue whose time has come; when the next one comes (µs), None: none will."""
        while True:
            part = await self._database.read(lambda tx: tx.jobs.by_start(AT_ONCE))
            now = self._clock.now()
            due = [one.job_id for one in part if one.start_after <= now]
            if not due:
                return part[0].start_after if part else None
            await self._database.write(lambda tx, due=due: self._release(tx, due))  # type: ignore[misc]

    async def _settle(self, awaited_id: str) -> None:
        """Decide about those that wait for a job, as far as it has come."""
        while True:
            done = await self._database.write(lambda tx: self._settle_some(tx, awaited_id))
            if done < AT_ONCE:
                return

    async def _follow_retries(self, first_ids: Sequence[str], *, succeeded: bool) -> None:
        """Let those go on that follow retries of these jobs; `succeeded`: only where one has succeeded."""
        if not first_ids:
            return
        awaited = await self._database.read(
            lambda tx: awaited_in(tx, first_ids, succeeded=succeeded)
        )
        for job_id in awaited:
            behind = await self._database.write(partial(self._go_on, job_id, ""))
            while behind:
                behind = await self._database.write(partial(self._go_on, job_id, behind))

    def _go_on(self, awaited_id: str, behind: str, tx: Transaction) -> str:
        last, changed = go_on(tx, awaited_id, behind, AT_ONCE)
        self._reconsider(tx, changed)
        return last

    def _settle_some(self, tx: Transaction, awaited_id: str) -> int:
        awaited = tx.dependencies.heads([awaited_id]).get(awaited_id)
        if awaited is None or not (kinds := _decided(awaited)):
            return 0
        edges = tx.dependencies.followers(awaited_id, [*kinds], AT_ONCE)
        singletons = [one.job_id for one in edges if one.kind == Kind.SINGLETON]
        hold_turns(tx, singletons)
        # Held first, so that of two who settle what one job waits for the second sees what the first did.
        rows = {row.job_id: row for row in tx.jobs.lock_all([edge.job_id for edge in edges])}
        waiting = {job_id for job_id, row in rows.items() if _waits(row)}
        states = [(one, _becomes(one, kinds[one.kind])) for one in edges]
        on = pass_on(tx, awaited_id, [rows[one] for one in singletons if one in waiting])
        tx.dependencies.settle(
            [
                (
                    one.job_id,
                    awaited_id,
                    one.kind,
                    state if one.job_id in waiting else State.DROPPED,
                )
                for one, state in states
                if one.kind != Kind.SINGLETON or one.job_id not in on
            ]
        )
        for one, state in states:
            if one.job_id in waiting and state is State.NEVER:
                self._end(tx, rows[one.job_id], never_text(awaited_id, one.kind, awaited.status))
                waiting.discard(one.job_id)
        self._reconsider(tx, [rows[one] for one in sorted(waiting) if rows[one].held == Held.JOBS])
        return len(edges)

    def _end(self, tx: Transaction, job: JobRow, message: str) -> None:
        array = bool(job.array_count)
        now, status = self._clock.now(), after(job.status, Event.CANCEL, job.job_id, array=array)
        actor = actors.DEPENDENCIES
        move(tx, job, status, reason=NEVER_MET, message=message, actor=actor, at=now)

    def _release(self, tx: Transaction, job_ids: Sequence[str]) -> None:
        rows = tx.jobs.lock_all(job_ids)
        self._reconsider(
            tx, [row for row in rows if row.status == Status.QUEUED and row.held == Held.TIME]
        )

    def _reconsider(self, tx: Transaction, rows: Sequence[JobRow]) -> None:
        """Say of jobs that are held by what from now on; those by nothing are in the queue."""
        unmet: dict[str, list[Edge]] = {row.job_id: [] for row in rows}
        for edge in tx.dependencies.unmet([*unmet]):
            unmet[edge.job_id].append(Edge(edge.awaited_id, edge.kind, edge.state))
        now = self._clock.now()
        holds = {
            row.job_id: hold_of(
                unmet[row.job_id], row.start_after, now, array=bool(row.array_count)
            )
            for row in rows
        }
        tx.jobs.hold([self._held(row, holds[row.job_id], now) for row in rows])
        for row in rows:
            if holds[row.job_id].by is Held.NOTHING:
                tx.after_commit(partial(self._job_queued, row.job_id))
            elif holds[row.job_id].by is Held.INDICES:
                tx.after_commit(partial(self._array_changed, row.job_id))

    def _held(self, row: JobRow, hold: Hold, now: int) -> tuple[str, int, str, str, int | None]:
        if hold.by is Held.NOTHING:
            return (row.job_id, int(hold.by), *self._first_reason(), now)
        since = now if hold.by is Held.INDICES else None
        return row.job_id, int(hold.by), hold.reason, hold.message, since

    async def _inherit(self, waiting: Sequence[Any]) -> None:
        """Have jobs served by the priority of those that wait for them."""
        awaited = sorted({one.awaited_id for one in waiting})
        heads = await self._database.read(lambda tx: tx.dependencies.heads(awaited))
        for job_id in awaited:
            head = heads[job_id]
            behind = [one for one in waiting if one.awaited_id == job_id]
            raises = any(
                one.status == Status.QUEUED and one.priority > head.priority for one in behind
            )
            raised = head.asked_priority is not None
            if head.status not in FINAL and (raises or raised):
                await self._database.write(lambda tx, job_id=job_id: self._serve(tx, job_id))  # type: ignore[misc]
        gone = [
            (one.job_id, one.awaited_id, one.kind, int(State.DROPPED))
            for one in waiting
            if one.status in FINAL
        ]
        if gone:
            await self._database.write(lambda tx: tx.dependencies.settle(gone))

    def _serve(self, tx: Transaction, job_id: str) -> None:
        job = tx.jobs.lock(job_id)
        if job is None or job.status in FINAL:
            return
        own = job.priority if job.asked_priority is None else job.asked_priority
        most = quota_use.use_in(tx, job.project).max_priority(job.project, job.user)
        priority = served_by(own, tx.dependencies.highest_priority_behind(job_id), most)
        if priority == job.priority:
            return
        message = (
            f"is served by priority {priority} of a job that waits for it, its own being {own}"
        )
        if priority == own:
            message = f"is served by its own priority {own} again"
        # The reason and the sentence of its status stay what they are.
        asked = None if priority == own else own
        tx.jobs.change(job_id, job.version, priority=priority, asked_priority=asked)
        tx.events.record(
            project=job.project,
            object_id=job_id,
            at=self._clock.now(),
            actor=actors.DEPENDENCIES,
            status=job.status,
            reason="PRIORITY_CHANGED",
            message=message,
            run_id=job.run_id,
        )


def _decided(awaited: Any) -> dict[int, State]:
    """By the kinds of dependency, what is decided of those on a job."""
    started = awaited.started_at is not None
    states = {int(kind): state_of(kind, awaited.status, started=started) for kind in Kind}
    return {kind: state for kind, state in states.items() if state is not State.OPEN}


def _becomes(edge: Any, state: State) -> State:
    """What becomes of a dependency of which that is decided that others of its kind have."""
    return State.STALLED if state is State.NEVER and edge.follows else state


def _waits(job: JobRow) -> bool:
    return job.status == Status.QUEUED and job.held in (Held.JOBS, Held.USER)
