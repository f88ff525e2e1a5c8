"""The queues that jobs wait in: authorise, load, decide, store."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from windlass_server.access.policy import ORGANISATION, Caller, require
from windlass_server.clock import Clock
from windlass_server.errors import AlreadyExists, FieldViolation, InvalidInput, NotFound, WrongState
from windlass_server.jobs.queue_rules import DEFAULT_QUEUE, Queue, said_of, unknown
from windlass_server.paging import PageTokens, page_size
from windlass_server.scheduler.wording import count_text
from windlass_server.storage.engine import Database
from windlass_server.storage.rows import changed, row
from windlass_server.storage.tables import EventRow, QueueRow
from windlass_server.storage.transaction import Transaction
from windlass_server.updates import difference, merged, require_etag

CHANGEABLE = (
    "description", "state", "limits", "defaults", "allowed_projects", "allowed_users", "min_role",
)  # fmt: skip
"""What an update may change."""

MAX_QUEUES = 1000
"""Each is read in every cycle of the scheduler."""

_QUERY = "queues"
# Jobs that are moved to another queue at once.
_MOVED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue, how many jobs wait in it, and how many of it have a place here."""

    row: QueueRow
    queued: int
    running: int


class QueuesService:
    """The queues, by name. `default` always exists.

    Args:
        page_tokens: makes list tokens.
        queues_changed: called when jobs may start that could not, or the other way round.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        page_tokens: PageTokens,
        queues_changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._page_tokens = page_tokens
        self._queues_changed = queues_changed

    async def list(self, who: Caller, *, size: int, token: str) -> tuple[Sequence[QueueView], str]:
        """A page of queues by name, and the token of the next one."""
        require(who, "queues.list", ORGANISATION)
        size = page_size(size)
        behind = self._page_tokens.read(_QUERY, token) if token else ""

        def load(tx: Transaction) -> list[QueueView]:
            counts = tx.queues.counts()
            # Names are ordered here, as an engine might order their hyphens otherwise.
            found = sorted((one for one in tx.queues.all() if one.queue_id > behind), key=_name)
            return [QueueView(one, *counts.get(one.queue_id, (0, 0))) for one in found[: size + 1]]

        found = await self._database.read(load)
        if len(found) <= size:
            return found, ""
        return found[:size], self._page_tokens.make(_QUERY, found[size - 1].row.queue_id)

    async def get(self, who: Caller, queue_id: str) -> QueueView:
        """A queue; NotFound when there is none of that name."""
        require(who, "queues.get", ORGANISATION)
        return await self._database.read(lambda tx: _view(tx, _found(tx, queue_id)))

    async def create(self, who: Caller, wanted: Queue) -> QueueView:
        """Make a queue.

        Raises:
            AlreadyExists: there is one of that name.
            InvalidInput: it names what there is not, or contradicts itself.
            WrongState: there are too many.
        """
        require(who, "queues.create", ORGANISATION)
        spec, now = merged(Queue(), wanted, CHANGEABLE, CHANGEABLE), self._clock.now()
        values = {
            "queue_id": wanted.queue_id,
            "spec": spec.SerializeToString(deterministic=True),
            # Begins with the time, so that no etag from before it was removed is good again.
            "version": now,
            "created_at": now,
            "updated_at": now,
        }

        def store(tx: Transaction) -> QueueView:
            if len(tx.queues.all()) >= MAX_QUEUES:
                message = f"there are {MAX_QUEUES} queues, which is the most that there can be"
                raise WrongState(message, reason="TOO_MANY_QUEUES", subject="queues")
            _require_sound(tx, spec)
            if not tx.queues.add(values):
                message = f"there is a queue {wanted.queue_id!r} already"
                raise AlreadyExists(message, reason="QUEUE_EXISTS", queue=wanted.queue_id)
            self._note(tx, who, "QUEUE_CREATED", wanted.queue_id, Queue(), spec)
            return _view(tx, row(QueueRow, values))

        return await self._database.write(store)

    async def update(self, who: Caller, wanted: Queue, mask: Sequence[str]) -> QueueView:
        """Change what is said of a queue; what is there already stays. As it was: nothing is changed.

        Raises:
            NotFound: there is none of that name.
            InvalidInput: the mask names what cannot be changed, or as for `create`.
            Conflict: it is not as `wanted.etag` says.
        """
        require(who, "queues.update", ORGANISATION)

        def store(tx: Transaction) -> QueueView:
            old = _locked(tx, wanted.queue_id)
            require_etag("queue", old.version, wanted.etag)
            before = said_of(old)
            spec = merged(before, wanted, mask, CHANGEABLE)
            if spec == before:
                return _view(tx, old)
            _require_sound(tx, spec)
            values: dict[str, Any] = {
                "spec": spec.SerializeToString(deterministic=True),
                "version": old.version + 1,
                "updated_at": self._clock.now(),
            }
            tx.queues.change(old.queue_id, **values)
            self._note(tx, who, "QUEUE_UPDATED", old.queue_id, before, spec)
            return _view(tx, changed(old, **values))

        return await self._database.write(store)

    async def delete(self, who: Caller, queue_id: str, *, etag: str, move_to: str) -> QueueView:
        """Remove a queue; returns it as it was, with those of its jobs that were moved last.

        Many jobs are moved in several transactions, the last of which removes the queue: of a crash in between some
        are moved already, and the same call again does the rest.

        Args:
            who: the caller.
            queue_id: the queue.
            etag: only when it is as this says; empty: as it is now.
            move_to: where jobs go that have not ended; empty: there must be none.

        Raises:
            NotFound: there is none of that name, or of `move_to`.
            Conflict: it is not as `etag` says.
            InvalidInput: it would be moved to itself.
            WrongState: it is `default`, or not empty.
        """
        require(who, "queues.delete", ORGANISATION)
        if move_to == queue_id:
            violation = FieldViolation("move_to", "must be another queue", "SAME_QUEUE")
            raise InvalidInput(
                "move_to must be another queue", reason="SAME_QUEUE", violations=(violation,)
            )

        def store(tx: Transaction) -> QueueView | None:
            # Both at once, in the order in which everybody locks queues.
            tx.queues.lock_all(sorted({queue_id, move_to}))
            old = _locked(tx, queue_id)
            require_etag("queue", old.version, etag)
            if queue_id == DEFAULT_QUEUE:
                message = f"the queue {DEFAULT_QUEUE!r} always exists"
                raise WrongState(message, reason="DEFAULT_QUEUE", subject=queue_id, queue=queue_id)
            view = _view(tx, old)
            if not self._emptied(tx, who, queue_id, move_to):
                return None
            tx.queues.remove(queue_id)
            self._note(tx, who, "QUEUE_DELETED", queue_id, said_of(old), Queue())
            return view

        while (view := await self._database.write(store)) is None:
            pass
        return view

    def _emptied(self, tx: Transaction, who: Caller, queue_id: str, move_to: str) -> bool:
        """Move the first jobs of a queue; whether those are all."""
        live = tx.queues.live_jobs(queue_id, _MOVED_AT_ONCE + 1)
        if not live:
            return True
        if not move_to:
            queued, running = tx.queues.counts().get(queue_id, (0, 0))
            message = (
                f"queue {queue_id} has jobs that have not ended: {count_text(queued, 'waiting job')} and "
                f"{count_text(running, 'running job')}; say with move_to where they go"
            )
            raise WrongState(message, reason="QUEUE_NOT_EMPTY", subject=queue_id, queue=queue_id)
        if tx.queues.get(move_to) is None:
            raise _unknown(tx, move_to)
        self._move(tx, who, live[:_MOVED_AT_ONCE], queue_id, move_to)
        return len(live) <= _MOVED_AT_ONCE

    def _move(
        self, tx: Transaction, who: Caller, job_ids: Sequence[str], queue_id: str, move_to: str
    ) -> None:
        jobs = tx.jobs.lock_all(job_ids)
        tx.jobs.change_all([(job.job_id, job.version, {"queue": move_to}) for job in jobs])
        message, now = f"moved from queue {queue_id} to {move_to}", self._clock.now()
        tx.events.record_all(
            [
                {
                    "project": job.project,
                    "object_id": job.job_id,
                    "at": now,
                    "actor": who.user,
                    "status": job.status,
                    "reason": "QUEUE_CHANGED",
                    "message": message,
                    "run_id": job.run_id,
                }
                for job in jobs
            ]
        )
        tx.after_commit(self._queues_changed)

    async def events(
        self, who: Caller, queue_id: str, *, size: int, token: str
    ) -> tuple[Sequence[EventRow], str]:
        """A page of what happened to a queue, oldest first, and the token of the next one; also of one that is gone."""
        require(who, "queues.update", ORGANISATION)
        size = page_size(size)
        query = f"queue events {queue_id}"
        after = int(self._page_tokens.read(query, token)) if token else 0

        def load(tx: Transaction) -> Sequence[EventRow]:
            found = tx.events.page(_object_id(queue_id), after=after, size=size + 1)
            if not found and not after and tx.queues.get(queue_id) is None:
                raise _unknown(tx, queue_id)
            return found

        found = await self._database.read(load)
        if len(found) <= size:
            return found, ""
        return found[:size], self._page_tokens.make(query, str(found[size - 1].sequence))

    def _note(
        self, tx: Transaction, who: Caller, reason: str, queue_id: str, before: Queue, after: Queue
    ) -> None:
        tx.events.record(
            project=ORGANISATION,
            object_id=_object_id(queue_id),
            at=self._clock.now(),
            actor=who.user,
            status=0,
            reason=reason,
            message=difference(before, after, CHANGEABLE),
            run_id="",
        )
        tx.after_commit(self._queues_changed)


def _name(queue: QueueRow) -> str:
    return queue.queue_id


def _object_id(queue_id: str) -> str:
    """As events name it."""
    return f"queue/{queue_id}"


def _view(tx: Transaction, queue: QueueRow) -> QueueView:
    queued, running = tx.queues.queued(queue.queue_id), tx.queues.running(queue.queue_id)
    return QueueView(queue, sum(queued.values()), sum(running.values()))


def _found(tx: Transaction, queue_id: str) -> QueueRow:
    found = tx.queues.get(queue_id)
    if found is None:
        raise _unknown(tx, queue_id)
    return found


def _locked(tx: Transaction, queue_id: str) -> QueueRow:
    found = tx.queues.lock(queue_id)
    if found is None:
        raise _unknown(tx, queue_id)
    return found


def _unknown(tx: Transaction, queue_id: str) -> NotFound:
    return unknown(queue_id, {one.queue_id for one in tx.queues.all()})


def _require_sound(tx: Transaction, spec: Queue) -> None:
    """Refuse what the rules of single fields cannot say. Raises InvalidInput."""
    violations = tuple(_violations(tx, spec))
    if violations:
        first = violations[0]
        message = f"{first.field} {first.description}"
        raise InvalidInput(message, reason=first.reason, violations=violations)


def _violations(tx: Transaction, spec: Queue) -> Iterator[FieldViolation]:
    for index, project in enumerate(spec.allowed_projects):
        if not tx.access.has_project(project):
            text = f"there is no project {project!r}"
            yield FieldViolation(f"queue.allowed_projects[{index}]", text, "PROJECT_NOT_FOUND")
    pool = spec.defaults.pool
    if pool and tx.pools.get(pool) is None:
        yield FieldViolation("queue.defaults.pool", f"there is no pool {pool!r}", "POOL_NOT_FOUND")
    default, most = spec.defaults.time_limit, spec.limits.time_limit
    if spec.limits.HasField("time_limit") and default.ToMicroseconds() > most.ToMicroseconds():
        text = f"is longer than the queue allows: {most.ToJsonString()}"
        yield FieldViolation("queue.defaults.time_limit", text, "DEFAULT_BEYOND_LIMIT")
